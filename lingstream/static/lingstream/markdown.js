/**
 * markdown: draws Markdown while it is written.
 *
 *     const markdown = new Markdown(element);
 *     markdown.append("# Clo");
 *     markdown.append("uds");
 *     markdown.end();
 *
 * The same text makes the same elements, wherever it was cut, and is read once, in slices that leave the page
 * its frames. No string is ever read as markup: see markdown-nodes.js.
 */

import { MarkdownNodes } from "./markdown-nodes.js";
import { MarkdownParser } from "./markdown-parser.js";

const SLICE = 8;
const PIECE = 1_024;

/** A text that grows inside one element. */
export class Markdown {
    static #drawnBy = new WeakMap();

    #element;
    #nodes;
    #parser;
    #waiting = [];
    #offset = 0;
    #half = "";
    #timer;
    #drawn = null;

    /**
     * @param {Element} element is emptied; the `Markdown` that drew in it before stops
     * @param {{images?: string, copy?: string}} [options] images: the origins whose images are shown and not only their
     *     alt texts, such as `"same-origin https://cdn.example"`; copy: label of a button on each block of code
     */
    constructor(element, { images = "", copy = "" } = {}) {
        Markdown.#drawnBy.set(element, this);
        this.#element = element;
        this.#nodes = new MarkdownNodes(element, images, copy);
        this.#parser = new MarkdownParser(this.#nodes);
    }

    /**
     * Draw more of the text: up to 1,024 characters at once, of more what 8 ms allow, and the rest by itself.
     *
     * @param {string} text cut anywhere
     */
    append(text) {
        if (text !== "") this.#waiting.push(text);
        if (this.#timer === undefined) this.#work();
    }

    /**
     * The text is complete: draw what was held back.
     *
     * @returns {Promise<void>} settles when all is drawn
     */
    end() {
        return new Promise((resolve) => {
            this.#drawn = resolve;
            this.append("");
        });
    }

    #work() {
        this.#timer = undefined;
        if (Markdown.#drawnBy.get(this.#element) !== this) return;
        const deadline = performance.now() + SLICE;
        while (this.#waiting.length > 0 && this.#timer === undefined) {
            this.#parse(this.#next());
            if (performance.now() > deadline) this.#timer = setTimeout(() => this.#work());
        }
        this.#nodes.flush();
        if (this.#waiting.length === 0 && this.#drawn !== null) this.#complete();
    }

    #next() {
        const [text] = this.#waiting;
        const piece = text.slice(this.#offset, this.#offset + PIECE);
        this.#offset += PIECE;
        if (this.#offset >= text.length) {
            this.#waiting.shift();
            this.#offset = 0;
        }
        return piece;
    }

    #parse(piece) {
        const text = this.#half + piece;
        this.#half = /[\ud800-\udbff]/.test(text.at(-1)) ? text.at(-1) : "";
        for (const char of this.#half === "" ? text : text.slice(0, -1)) this.#parser.write(char);
    }

    #complete() {
        clearTimeout(this.#timer);
        if (this.#half !== "") this.#parser.write(this.#half);
        this.#parser.end();
        this.#nodes.finish();
        Markdown.#drawnBy.delete(this.#element);
        this.#drawn();
    }
}
