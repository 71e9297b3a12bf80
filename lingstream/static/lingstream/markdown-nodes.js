/**
 * markdown-nodes: what the Markdown parser finds, drawn as elements of nodes.js' list and as text.
 *
 * The parser's own renderer writes any `href`, loads any image and nests without an end. This one writes what
 * `safeAttribute` lets through, keeps images to the origins that the page names, draws what nests too deep or
 * comes too late as text, and shows brackets that turned out to be no link as they were written.
 */

import { copy } from "./copying.js";
import { REL, safeAttribute, safeImage } from "./nodes.js";
import * as smd from "./vendor/streaming-markdown/smd.js";

const MAX_DEPTH = 32;
const MAX_NODES = 50_000;
const MAX_INLINE = 2_000;
const MAX_URL = 2_048;
const NODE_SIZE = 16_384;

const TAGS = new Map([
    [smd.PARAGRAPH, "p"],
    [smd.HEADING_1, "h1"],
    [smd.HEADING_2, "h2"],
    [smd.HEADING_3, "h3"],
    [smd.HEADING_4, "h4"],
    [smd.HEADING_5, "h5"],
    [smd.HEADING_6, "h6"],
    [smd.BLOCKQUOTE, "blockquote"],
    [smd.CODE_BLOCK, "pre"],
    [smd.CODE_FENCE, "pre"],
    [smd.LIST_UNORDERED, "ul"],
    [smd.LIST_ORDERED, "ol"],
    [smd.LIST_ITEM, "li"],
    [smd.TABLE, "table"],
    [smd.TABLE_ROW, "tr"],
    [smd.TABLE_CELL, "td"],
    [smd.RULE, "hr"],
    [smd.LINE_BREAK, "br"],
    [smd.CODE_INLINE, "code"],
    [smd.EQUATION_BLOCK, "code"],
    [smd.EQUATION_INLINE, "code"],
    [smd.ITALIC_AST, "em"],
    [smd.ITALIC_UND, "em"],
    [smd.STRONG_AST, "strong"],
    [smd.STRONG_UND, "strong"],
    [smd.STRIKE, "s"],
    [smd.LINK, "a"],
    [smd.RAW_URL, "a"],
    [smd.IMAGE, "span"],
]);
/** Elements that a block makes below its parent before any text is in it. */
const LEVELS = new Map([
    [smd.TABLE, 4],
    [smd.TABLE_ROW, 2],
    [smd.LIST_UNORDERED, 2],
    [smd.LIST_ORDERED, 2],
    [smd.CODE_BLOCK, 2],
    [smd.CODE_FENCE, 2],
]);
const PARTS = new Set([smd.LIST_ITEM, smd.TABLE_ROW, smd.TABLE_CELL]);
const INLINE = new Set(["a", "br", "code", "em", "s", "span", "strong"]);
const ANY_DIRECTION = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "td", "th"]);
const CONTAINERS = new Set(["blockquote", "ol", "table", "ul"]);
const RIGHT_TO_LEFT = "\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufeff\\u{10800}-\\u{10fff}\\u{1e800}-\\u{1efff}";
const FIRST_STRONG = new RegExp(`[${RIGHT_TO_LEFT}]|\\p{L}`, "u");
const IS_RIGHT_TO_LEFT = new RegExp(`[${RIGHT_TO_LEFT}]`, "u");

/** The page's side of the parser, which calls `add_token`, `add_text`, `set_attr` and `end_token`. */
export class MarkdownNodes {
    #document;
    #images;
    #copy;
    #open;
    #text = "";
    #made = 0;
    #inLine = 0;
    #undirected = [];

    /**
     * @param {Element} element is emptied
     * @param {string} images origins whose images are shown
     * @param {string} copy label of the buttons that copy code; `""`: there are none
     */
    constructor(element, images, copy) {
        element.replaceChildren();
        this.#document = element.ownerDocument;
        this.#images = images;
        this.#copy = copy;
        this.#open = [{ type: smd.DOCUMENT, element, depth: 0, isDrawn: true, inLink: false }];
        this.parser = smd.parser(this);
    }

    add_token(_data, type) {
        const parent = this.#open.at(-1);
        const isDrawn = type !== smd.CHECKBOX && this.#mayDraw(type, parent);
        const opening = openingOf(type, this.parser.pending);
        if (isDrawn) {
            this.flush();
            this.#open.push({ ...this.#draw(type, parent), type, opening, isDrawn });
        } else {
            if (type === smd.LINE_BREAK || !INLINE.has(TAGS.get(type) ?? "a")) this.#text += "\n";
            this.#text += opening;
            this.#open.push({ ...parent, type, opening, isDrawn, value: undefined });
        }
    }

    add_text(_data, text) {
        this.#text += text;
    }

    set_attr(_data, name, value) {
        const last = this.#open.at(-1);
        last.value = value;
        if (!last.isDrawn) return;
        if (name === smd.START) write(last.element, "start", value);
        if (name === smd.LANG) write(last.element, "class", `language-${value.trim().split(/\s/, 1)[0]}`);
        if (name === smd.HREF) link(last.element, last.type === smd.RAW_URL ? withoutEnd(value) : target(value));
    }

    end_token() {
        const last = this.#open.at(-1);
        if (last.type === smd.EQUATION_INLINE) last.value = "";
        this.end(this.parser.pending[0] === "]" ? "]" : "");
    }

    /**
     * Complete the innermost token.
     *
     * @param {string} closing what stood at its end, which is shown if it was no link and no image
     */
    end(closing) {
        if (this.#open.at(-1).type === smd.CHECKBOX) this.#text += this.#open.at(-1).value === undefined ? "☐" : "☑";
        if (this.#open.at(-1).isDrawn) this.flush(); // what is not is text of what is around it
        const { type, element, value, opening, isDrawn } = this.#open.pop();
        if (this.#undirected.at(-1) === element && isDrawn) this.#undirected.pop();
        if (opening === "") return;
        if (!isDrawn) this.#text += closing;
        else if (value === undefined) this.#unwrap(element, opening, closing);
        else if (type === smd.IMAGE) this.#showImage(element, target(value));
    }

    /** Complete all tokens: the text has ended. */
    finish() {
        while (this.#open.length > 1) this.end("");
        this.flush();
    }

    /** Write the text that was held back so that a node grows in few steps. */
    flush() {
        if (this.#text === "") return;
        const { element } = this.#open.at(-1);
        if (this.#undirected.length > 0) this.#direct(this.#text);
        const last = element.lastChild;
        if (last?.nodeType === Node.TEXT_NODE && last.length < NODE_SIZE) last.appendData(this.#text);
        else element.append(this.#text);
        this.#text = "";
    }

    /** With `dir="auto"` the browser would look through a whole list for a letter whenever an item is added. */
    #direct(text) {
        const [letter] = FIRST_STRONG.exec(text) ?? [];
        if (letter === undefined) return;
        for (const element of this.#undirected) element.dir = IS_RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
        this.#undirected = [];
    }

    #mayDraw(type, parent) {
        if (this.#made >= MAX_NODES || parent.depth + (LEVELS.get(type) ?? 1) > MAX_DEPTH) return false;
        if (PARTS.has(type)) return parent.isDrawn;
        if (INLINE.has(TAGS.get(type)) && this.#inLine >= MAX_INLINE) return false;
        return !(isLink(type) && parent.inLink);
    }

    #draw(type, parent) {
        let { element, depth } = parent;
        let tag = TAGS.get(type);
        if (type === smd.TABLE_ROW) {
            element = this.#section(element);
            depth += 1;
        }
        if (type === smd.TABLE_CELL && element.parentNode.localName === "thead") tag = "th";
        element = this.#make(tag, element);
        if (tag === "pre") {
            if (this.#copy) element.append(this.#copyButton(element));
            element = this.#make("code", element);
            depth += 1;
        }
        if (type === smd.EQUATION_BLOCK || type === smd.EQUATION_INLINE) element.className = "language-math";
        return { element, depth: depth + 1, inLink: parent.inLink || isLink(type) };
    }

    /** The head of a table for its first row, and the body for all others. */
    #section(table) {
        if (table.firstChild === null) return this.#make("thead", table);
        return table.firstChild === table.lastChild ? this.#make("tbody", table) : table.lastChild;
    }

    #make(tag, parent) {
        const element = this.#document.createElement(tag);
        if (ANY_DIRECTION.has(tag)) element.dir = "auto";
        if (CONTAINERS.has(tag)) this.#undirected.push(element);
        if (tag === "pre") element.dir = "ltr";
        parent.append(element);
        this.#made += 1;
        this.#inLine = INLINE.has(tag) ? this.#inLine + 1 : 0;
        return element;
    }

    /** Without a text of its own: what is said of an answer, and what is copied of it, has none of its buttons. */
    #copyButton(element) {
        const button = this.#document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-label", this.#copy);
        button.addEventListener("click", async () => {
            const detail = { isCopied: await copy(element.textContent) };
            button.dispatchEvent(new CustomEvent("ling:copy", { bubbles: true, detail }));
        });
        return button;
    }

    /** Text alone goes on in the node before: many nodes in a line cost the page as much each time it grows. */
    #unwrap(element, opening, closing) {
        if (element.childElementCount === 0) {
            this.#text = opening + element.textContent + closing;
        } else {
            element.before(opening, ...element.childNodes, closing);
        }
        element.remove();
    }

    #showImage(element, url) {
        const src = safeImage(url, this.#images);
        if (src === null) {
            this.#unwrap(element, "", "");
            return;
        }
        const image = this.#document.createElement("img");
        image.alt = element.textContent;
        image.src = src;
        element.replaceWith(image);
    }
}

function isLink(type) {
    return type === smd.LINK || type === smd.RAW_URL;
}

/** How what may turn out to be nothing but text was written. */
function openingOf(type, pending) {
    if (type === smd.LINK) return "[";
    if (type === smd.IMAGE) return "![";
    if (type === smd.EQUATION_INLINE) return pending.startsWith("\\") ? "\\(" : "$";
    return "";
}

function write(element, name, value) {
    const safe = safeAttribute(element.localName, name, value);
    if (safe !== null) element.setAttribute(name, safe);
}

function link(element, url) {
    if (url !== "") write(element, "href", url);
    if (element.hasAttribute("href")) element.rel = REL;
}

/** The address in the brackets of a link, without a title behind it. */
function target(written) {
    const text = written.slice(0, MAX_URL).trim();
    return text.startsWith("<") ? text.slice(1).split(">", 1)[0] : text.split(/\s/, 1)[0];
}

/** An address that stands in a sentence, without the sentence's own marks. */
function withoutEnd(url) {
    if (url.length > MAX_URL) return "";
    return url.replace(url.includes("(") ? /[.,;:!?'"]{1,9}$/ : /[.,;:!?'")]{1,9}$/, "");
}
