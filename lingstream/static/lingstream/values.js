/** values: bindings that write one attribute of their element, or one class. */

import { isAllowed, isBindable, safeValue } from "./attributes.js";
import { isTrue, toText } from "./places.js";
import { Part } from "./scope.js";

/** `data-ling-attr-<name>`: the attribute, where the value is text that it may have. */
export class Attribute extends Part {
    #name;
    #isAllowed;
    #shown = undefined;

    constructor(given) {
        super(given);
        this.#name = given.name;
        this.#isAllowed = isAllowed(given, isBindable(given.name));
        this.attributes = [given.name];
    }

    draw(value) {
        if (!this.#isAllowed) return;
        const text = toText(value);
        this.#shown = text === undefined ? null : safeValue(this.#name, text);
        this.repair();
    }

    repair() {
        const { element } = this;
        if (this.#shown === undefined || element.getAttribute(this.#name) === this.#shown) return;
        if (this.#shown === null) element.removeAttribute(this.#name);
        else element.setAttribute(this.#name, this.#shown);
    }
}

/** `data-ling-class-<name>`: the class, where the value is true. */
export class ClassName extends Part {
    attributes = ["class"];
    #name;
    #isSet = null;

    constructor(given) {
        super(given);
        this.#name = given.name;
    }

    draw(value) {
        this.#isSet = isTrue(value);
        this.repair();
    }

    repair() {
        const { classList } = this.element;
        if (this.#isSet !== null && classList.contains(this.#name) !== this.#isSet) classList.toggle(this.#name);
    }
}
