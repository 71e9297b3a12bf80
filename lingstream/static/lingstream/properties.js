/** properties: `data-ling-prop-<name>` writes a property, and does not take from a person what they hold or wrote. */

import { isAllowed, isBindableProperty, isCustom } from "./attributes.js";
import { isTrue, toText } from "./places.js";
import { Part } from "./scope.js";

/** Bindings of custom elements that are not defined yet, by the elements' name. */
const waiting = new Map();

export class Property extends Part {
    #name;
    #write;
    #isDrawn = false;
    #isTyped = false;
    #hold = null;
    #value = undefined;

    constructor(given) {
        super(given);
        const { element } = this;
        const name = (this.#name = given.name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase()));
        if (!isAllowed(given, isBindableProperty(element, name))) {
            this.#write = () => {};
        } else if (isCustom(element) && !(name in HTMLElement.prototype)) {
            this.#write = this.#give;
        } else if (name === "disabled") {
            this.#write = this.#disable;
            this.attributes = ["disabled", "aria-disabled"];
        } else if (["value", "checked", "selected"].includes(name)) {
            this.#write = this.#fill;
            this.#isTyped = element.defaultValue !== undefined && element.value !== element.defaultValue;
            for (const type of ["compositionstart", "input"]) {
                element.addEventListener(type, () => (this.#isTyped = true));
            }
            this.context.fields.add(this);
        } else {
            this.#write = this.#turn;
            // Who opens or closes a <details> changes its attribute too, and may.
            if (name === "hidden") this.attributes = ["hidden"];
        }
    }

    draw(value) {
        const isSame = this.#isDrawn && value === this.#value && (value === null || typeof value !== "object");
        this.#value = value;
        this.#isDrawn = true;
        if (isSame) return;
        if (!hasFocus(this.element)) this.#isTyped = false;
        this.#write();
    }

    repair() {
        if (this.#isDrawn && this.#write !== this.#give) this.#write();
    }

    dispose() {
        super.dispose();
        this.#hold?.abort();
        this.context.fields.delete(this);
        waiting.get(this.element.localName)?.delete(this);
    }

    /** A custom element gets the value itself; objects are the document's own, to be read and not changed. */
    #give() {
        if (this.element.matches(":not(:defined)")) {
            this.#wait();
            return;
        }
        try {
            this.element[this.#name] = this.#value;
        } catch (error) {
            reportError(error);
        }
    }

    /** What is set before an element is defined would hide the property of its class. */
    #wait() {
        const { localName } = this.element;
        if (!waiting.has(localName)) {
            waiting.set(localName, new Set());
            customElements.whenDefined(localName).then(() => {
                for (const part of waiting.get(localName)) part.#give();
                waiting.delete(localName);
            });
        }
        waiting.get(localName).add(this);
    }

    #turn() {
        const isOn = isTrue(this.#value);
        if (this.element[this.#name] !== isOn) this.element[this.#name] = isOn;
    }

    /** What a person wrote stays while they are there; the caret stays where it is. Nothing is what the page wrote. */
    #fill() {
        const { element } = this;
        const isNothing = this.#value === undefined;
        if (this.#isTyped) return;
        if (this.#name !== "value") {
            if (isNothing) element[this.#name] = element.defaultChecked ?? element.defaultSelected;
            else this.#turn();
            return;
        }
        const text = isNothing ? (element.defaultValue ?? element.value) : (toText(this.#value) ?? "");
        // A progress or a meter takes numbers, and throws at all else.
        if (element.value === text || (typeof element.value === "number" && !Number.isFinite(Number(text)))) return;
        const { selectionStart, selectionEnd } = element;
        element.value = text;
        if (hasFocus(element) && typeof selectionStart === "number") {
            element.setSelectionRange(selectionStart, selectionEnd);
        }
    }

    /**
     * A focused control that turns disabled would drop the focus to the page's beginning: until the focus leaves
     * it, it is `aria-disabled` and does nothing.
     */
    #disable() {
        const { element } = this;
        const isOff = isTrue(this.#value);
        if (isOff && !element.disabled && hasFocus(element)) {
            this.#keepFocus();
            return;
        }
        if (this.#hold !== null) element.removeAttribute("aria-disabled");
        this.#hold?.abort();
        this.#hold = null;
        if (element.disabled !== isOff) element.disabled = isOff;
    }

    #keepFocus() {
        const { element } = this;
        if (element.getAttribute("aria-disabled") !== "true") element.setAttribute("aria-disabled", "true");
        if (this.#hold !== null) return;
        this.#hold = new AbortController();
        const { signal } = this.#hold;
        const refuse = (event) => {
            event.preventDefault();
            event.stopImmediatePropagation();
        };
        element.addEventListener("click", refuse, { capture: true, signal });
        element.addEventListener("blur", () => this.#disable(), { signal });
    }
}

function hasFocus(element) {
    return element.getRootNode().activeElement === element;
}
