/** prose: `data-ling-markdown`, parsed as it comes; the parser is loaded when the first one is drawn. */

import { toText } from "./places.js";
import { Content, growthOf, lengthOfPiece } from "./text.js";

const PIECE = 1_024; // what markdown.js draws at once: what it draws later would look like a change of others

/** What Markdown is drawn with; the page may set something else than markdown.js. */
export const parsers = { markdown: null };

let loading = null;

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

    #startOver(text) {
        if (text === undefined && this.#parser !== null) this.element.textContent = this.placeholder;
        this.#parser = null;
        this.#hasEnded = false;
        this.#rest = text ?? "";
    }

    *#feed() {
        if (parsers.markdown === null) {
            loadMarkdown().then(() => this.context.wake(this));
            return;
        }
        if (this.#parser === null) {
            this.keepPlaceholder();
            this.#parser = parsers.markdown(this.element, { images: this.images });
        }
        while (this.#rest !== "") {
            const piece = this.#rest.slice(0, lengthOfPiece(this.#rest, PIECE));
            this.#rest = this.#rest.slice(piece.length);
            this.#parser.append(piece);
            if (this.context.isLate()) yield;
        }
        if (this.#hasEnded || !this.context.changes.isClosed(this.path)) return;
        this.#hasEnded = true;
        this.#parser.end();
    }
}

function loadMarkdown() {
    loading ??= import("./markdown.js").then(
        ({ Markdown }) => (parsers.markdown ??= (element, options) => new Markdown(element, options)),
        (error) => {
            console.error("lingstream: Markdown is shown as text:", error);
            parsers.markdown ??= plainText;
        },
    );
    return loading;
}

function plainText(element) {
    element.replaceChildren();
    return { append: (text) => element.append(text), end() {} };
}
