/** values: bindings that write one attribute of their element. */

import { safeValue } from "./attributes.js";
import { isTrue, toText } from "./places.js";
import { Part } from "./scope.js";

/** `data-ling-if`: `hidden`, unless the value is true. */
export class Condition extends Part {
    attributes = ["hidden"];
    #isHidden = null;

    draw(value) {
        this.#isHidden = !isTrue(value);
        this.repair();
    }

    repair() {
        if (this.#isHidden !== null && this.element.hidden !== this.#isHidden) this.element.hidden = this.#isHidden;
    }
}

/** `data-ling-attr-<name>`: the attribute, where the value is text that it may have. */
export class Attribute extends Part {
    #name;
    #shown = undefined;

    constructor(given) {
        super(given);
        this.#name = given.name;
        this.attributes = [given.name];
    }

    draw(value) {
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
