/** prose: `data-ling-markdown`, parsed as it comes. */

import { imagesFor } from "./around.js";
import { toText } from "./places.js";
import { Content, growthOf, lengthOfPiece } from "./text.js";

const PIECE = 1_024; // what markdown.js draws at once: what it draws later would look like a change of others

export class Markdown extends Content {
    #text = undefined;
    #rest = "";
    #parser = null;
    #hasEnded = false;

    get seesEnds() {
        return true;
    }

    *render(value, touched) {
        this.mark();
        const text = toText(value);
        const growth = growthOf(this.#text, text, touched);
        if (growth === undefined || (this.#hasEnded && growth !== "")) this.#startOver(text);
        else this.#rest += growth;
        this.#text = text;
        if (text !== undefined) yield* this.#feed();
    }

    repair() {
        this.mark();
        if (this.#parser === null) return;
        this.#startOver(this.#text);
        this.context.fresh.add(this);
    }

    dispose() {
        super.dispose();
        this.context.unfinished.delete(this);
    }

    #startOver(text) {
        if (text === undefined && this.#parser !== null) this.element.textContent = this.placeholder;
        this.#parser = null;
        this.#hasEnded = false;
        this.#rest = text ?? "";
        this.context.unfinished.delete(this);
    }

    *#feed() {
        if (this.#parser === null) {
            this.keepPlaceholder();
            const create = this.context.parsers.markdown ?? plainText;
            this.#parser = create(this.element, { images: imagesFor(this) });
        }
        while (this.#rest !== "") {
            const piece = this.#rest.slice(0, lengthOfPiece(this.#rest, PIECE));
            this.#rest = this.#rest.slice(piece.length);
            this.#parser.append(piece);
            if (this.context.isLate()) yield;
        }
        if (this.#hasEnded || !this.context.changes.isClosed(this.path)) return;
        this.#hasEnded = true;
        this.#end(this.#parser);
    }

    /** A long text is drawn by its parser in tasks of its own: until then the page does not show all. */
    async #end(parser) {
        const { unfinished } = this.context;
        unfinished.add(this);
        try {
            await parser.end();
        } finally {
            if (this.#parser === parser) unfinished.delete(this);
        }
    }
}

/** What could not be loaded draws nothing. */
function plainText(element) {
    element.replaceChildren();
    return { append: (text) => element.append(text), end() {} };
}
