/** prose: `data-ling-markdown`, parsed as it comes, and `data-ling-cite`, in which numbers lead to sources. */

import { copyFor, imagesFor } from "./around.js";
import { toText } from "./places.js";
import { Content, growthOf, lengthOfPiece } from "./text.js";

const PIECE = 1_024; // what markdown.js draws at once: what it draws later would look like a change of others

export class Markdown extends Content {
    #text = undefined;
    #rest = "";
    #parser = null;
    #marks = null;
    #isWaiting = false; // for what makes links
    #hasEnded = false;

    constructor(given) {
        super(given);
        if (this.element.hasAttribute("data-ling-cite")) this.#loadMarks();
    }

    get seesEnds() {
        return true;
    }

    *render(value, touched) {
        if (this.#isWaiting) return;
        this.mark();
        const text = toText(value);
        const growth = growthOf(this.#text, text, touched);
        if (growth === undefined || (this.#hasEnded && growth !== "")) this.#startOver(text);
        else this.#rest += growth;
        this.#text = text;
        if (text !== undefined) yield* this.#feed();
        this.#marks?.update();
    }

    repair() {
        this.mark();
        if (this.#parser === null) return;
        this.#startOver(this.#text);
        this.context.fresh.add(this);
    }

    dispose() {
        super.dispose();
        this.#marks?.dispose();
        this.context.unfinished.delete(this);
    }

    /** @returns {{append: (text: string) => void, end: () => void | Promise<void>}} what draws the text, from the begin */
    parse() {
        const create = this.context.parsers.markdown ?? plainText;
        return create(this.element, { images: imagesFor(this), copy: copyFor(this) });
    }

    async #loadMarks() {
        const { fresh, unfinished } = this.context;
        this.#isWaiting = true;
        unfinished.add(this);
        try {
            const { Marks } = await import("./cite.js");
            this.#marks = new Marks(this);
        } catch (error) {
            console.error("lingstream:", error);
        }
        this.#isWaiting = false;
        unfinished.delete(this);
        if (!this.isGone) fresh.add(this);
    }

    #startOver(text) {
        if (text === undefined && this.#parser !== null) this.element.textContent = this.placeholder;
        this.#parser = null;
        this.#hasEnded = false;
        this.#rest = text ?? "";
        this.context.unfinished.delete(this);
    }

    *#feed() {
        // What others have changed in a pause is drawn anew, by another parser.
        while (this.#parser === null || this.#rest !== "") {
            this.#parser ??= this.#begin();
            const piece = this.#rest.slice(0, lengthOfPiece(this.#rest, PIECE));
            this.#rest = this.#rest.slice(piece.length);
            this.#parser.append(piece);
            if (this.context.isLate()) yield;
        }
        if (this.#hasEnded || !this.context.changes.isClosed(this.path)) return;
        this.#hasEnded = true;
        this.#end(this.#parser);
    }

    #begin() {
        this.keepPlaceholder();
        const parser = this.parse();
        return this.#marks?.around(parser) ?? parser;
    }

    /** A long text is drawn by its parser in tasks of its own: until then the page does not show all. */
    async #end(parser) {
        const { fresh, unfinished } = this.context;
        unfinished.add(this);
        try {
            await parser.end();
        } finally {
            if (this.#parser === parser) unfinished.delete(this);
            if (this.#marks !== null && !this.isGone) fresh.add(this); // for what was drawn in such a task
        }
    }
}

/** A text without Markdown, in which numbers lead to sources. */
export class Cited extends Markdown {
    parse() {
        return plainText(this.element);
    }
}

/** What could not be loaded draws nothing. */
function plainText(element) {
    element.replaceChildren();
    return { append: (text) => element.append(text), end() {} };
}
