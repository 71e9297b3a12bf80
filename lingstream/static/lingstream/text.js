/** text: bindings that fill their element, and the text of `data-ling`, which is one kind of these. */

import { toText } from "./places.js";
import { Part } from "./scope.js";

/** @import { Touched } from "./changes.js" */

const NODE_SIZE = 65_536;

/** Set or remove an attribute without a value, and touch the page only if that changes something. */
export function mark(element, name, isSet) {
    if (element.hasAttribute(name) !== isSet) element.toggleAttribute(name, isSet);
}

/** What all that fill their element have: marks, and what is shown until the field exists. */
export class Content extends Part {
    isContent = true;
    attributes = ["data-ling-writing", "data-ling-cut"];
    #placeholder = null;

    mark() {
        const { changes } = this.context;
        mark(this.element, "data-ling-writing", this.isWriting);
        mark(this.element, "data-ling-cut", changes.hasCuts && changes.isCut(this.path));
    }

    get isWriting() {
        const { changes } = this.context;
        return changes.isWritingAny && changes.isWritingIn(this.path);
    }

    /** What is shown where the field does not exist; to be asked for before the element is filled. */
    get placeholder() {
        this.#placeholder ??= this.scope.isTakenOver ? "" : this.element.textContent;
        return this.element.getAttribute("data-ling-placeholder") ?? this.#placeholder;
    }

    /**
     * To be called when the element is filled: markup that is copied, cached or read anew says from then on that
     * what it contains is no placeholder.
     *
     * @param {boolean} [isFilled] whether it was filled before we came
     */
    keepPlaceholder(isFilled = false) {
        if (isFilled) this.#placeholder = "";
        if (this.element.hasAttribute("data-ling-placeholder")) return;
        if (this.scope.isRoot || this.placeholder !== "") {
            this.element.setAttribute("data-ling-placeholder", this.placeholder);
        }
    }
}

/** The text of an element. */
export class Text extends Content {
    #isDrawn = false;
    #shown = undefined;

    draw(value, touched) {
        const text = this.textOf(value);
        if (!this.#isDrawn || text !== this.#shown) this.#show(text, touched);
        this.mark();
    }

    repair() {
        const wanted = this.#shown ?? this.placeholder;
        if (this.#isDrawn && this.element.textContent !== wanted) this.#write(wanted);
        this.mark();
    }

    /** @returns {string | undefined} undefined where there is nothing to show */
    textOf(value) {
        return toText(value);
    }

    /** Other than in a node tree, nothing below the text's own uri is drawn. */
    get isWriting() {
        const { changes } = this.context;
        return changes.isWritingAny && changes.isWriting(this.path);
    }

    #show(text, touched) {
        const wanted = text ?? this.placeholder;
        const growth = growthOf(this.#shown, text, touched);
        const isThere = !this.#isDrawn && this.element.textContent === wanted;
        if (growth !== undefined) {
            this.#append(growth);
        } else {
            if (text !== undefined) this.keepPlaceholder(isThere);
            if (!isThere) this.#write(wanted);
        }
        this.#isDrawn = true;
        this.#shown = text;
    }

    #write(text) {
        const pieces = [];
        for (let rest = text; rest !== ""; rest = rest.slice(pieces.at(-1).length)) {
            pieces.push(rest.slice(0, lengthOfPiece(rest, NODE_SIZE)));
        }
        this.element.replaceChildren(...pieces);
    }

    /** A node that grows is copied each time; long texts go on in a new one. */
    #append(text) {
        const last = this.element.lastChild;
        if (last?.nodeType === Node.TEXT_NODE && last.length < NODE_SIZE) last.appendData(text);
        else if (text !== "") this.element.append(text);
    }
}

/**
 * @param {string | undefined} before
 * @param {string | undefined} text
 * @param {Touched} touched
 * @returns {string | undefined} what `text` has behind `before`, or undefined where it is another one
 */
export function growthOf(before, text, touched) {
    if (before === undefined || text === undefined) return undefined;
    // Comparing would make a flat copy of the rope that a growing string is.
    if (!touched.isAll && touched.grown !== "" && before.length + touched.grown.length === text.length) {
        return touched.grown;
    }
    return text.startsWith(before) ? text.slice(before.length) : undefined;
}

/** @returns {number} where to cut a long text, so that no character is cut in two */
export function lengthOfPiece(text, most) {
    return /[\ud800-\udbff]/.test(text[most - 1] ?? "") ? most + 1 : most;
}
