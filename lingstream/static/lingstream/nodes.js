/**
 * nodes: draws a node tree, which is what a bot's HTML becomes.
 *
 * A node is a string or `{tag, attrs, children}`; without a tag it is its children. Whatever the server let
 * through, nothing becomes part of the page here that is not listed in this file: elements are made with
 * `createElement`, text with `createTextNode`, and no string is ever read as markup.
 */

const MAX_DEPTH = 200;

/** Every element that may be made; the same as in `lingstream/core/parsing/html/policy.py`. */
export const ELEMENTS = new Set(
    (
        "a abbr address article aside b bdi bdo blockquote br caption cite code col colgroup data dd del details " +
        "dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hgroup hr i img ins kbd li main mark " +
        "nav ol p pre q rp rt ruby s samp section small span strong sub summary sup table tbody td tfoot th " +
        "thead time tr u ul var wbr"
    ).split(" "),
);

/** The attributes that elements may have, beside those that all may have. */
export const ATTRIBUTES = new Map([
    ["a", ["href"]],
    ["blockquote", ["cite"]],
    ["code", ["class"]],
    ["col", ["span"]],
    ["colgroup", ["span"]],
    ["data", ["value"]],
    ["del", ["cite", "datetime"]],
    ["details", ["open"]],
    ["img", ["src", "alt", "width", "height"]],
    ["ins", ["cite", "datetime"]],
    ["li", ["value"]],
    ["ol", ["start", "reversed"]],
    ["pre", ["class"]],
    ["q", ["cite"]],
    ["td", ["colspan", "rowspan"]],
    ["th", ["colspan", "rowspan", "scope"]],
    ["time", ["datetime"]],
]);

/** What every link of a model says of where it leads. */
export const REL = "noopener noreferrer nofollow";

const EVERYWHERE = new Set(["dir", "lang", "title"]);
const NUMBERS = new Set(["colspan", "height", "rowspan", "span", "start", "width"]);
const SCHEMES = new Map([
    ["href", new Set(["http:", "https:", "mailto:"])],
    ["src", new Set(["http:", "https:"])],
    ["cite", new Set(["http:", "https:"])],
]);

/**
 * @param {string} tag
 * @param {string} name of an attribute
 * @param {unknown} value
 * @returns {string | null} what to write, or null if the element may not have it
 */
export function safeAttribute(tag, name, value) {
    if (typeof value !== "string") return null;
    if (!EVERYWHERE.has(name) && !ATTRIBUTES.get(tag)?.includes(name)) return null;
    if (SCHEMES.has(name)) return safeUrl(value, SCHEMES.get(name));
    if (NUMBERS.has(name)) return /^-?[0-9]{1,4}$/.test(value) ? value : null;
    if (name === "class") return /^language-[\w+#.-]{1,32}$/.test(value) ? value : null;
    return value;
}

/**
 * @param {unknown} value the address of an image
 * @param {string} images the origins that a page names: `same-origin`, `https://cdn.example`, space separated
 * @returns {string | null} what to write, or null if the page did not ask for images from there
 */
export function safeImage(value, images) {
    const src = safeAttribute("img", "src", value);
    if (src === null || images === "") return null;
    const { origin } = new URL(src, baseUrl());
    const isAllowed = images.split(/\s+/).some((each) => origin === (each === "same-origin" ? ownOrigin() : each));
    return isAllowed ? src : null;
}

/** The nodes drawn inside one element; `render` makes the page follow the tree, touching what changed. */
export class Nodes {
    #children;

    /** @param {Element} element is emptied */
    constructor(element) {
        element.replaceChildren();
        this.#children = new Children(element, 0);
    }

    /** @param {unknown} tree a node, or an array of nodes */
    render(tree) {
        const isFragment = isObject(tree) && !Array.isArray(tree) && !Object.hasOwn(tree, "tag");
        const children = isFragment ? own(tree, "children") : tree;
        this.#children.render(Array.isArray(children) ? children : isFragment ? [] : [children]);
    }
}

/** The children of one element on the page. */
class Children {
    #element;
    #depth;
    #drawn = [];

    constructor(element, depth) {
        this.#element = element;
        this.#depth = depth;
    }

    render(nodes) {
        for (const surplus of this.#drawn.splice(nodes.length)) surplus.dom.remove();
        nodes.forEach((node, index) => this.#draw(node, index));
    }

    #draw(node, index) {
        const before = this.#drawn[index];
        if (before?.fits(node)) {
            before.render(node);
            return;
        }
        const drawn = this.#create(node);
        if (before === undefined) this.#element.append(drawn.dom);
        else before.dom.replaceWith(drawn.dom);
        this.#drawn[index] = drawn;
        drawn.render(node);
    }

    #create(node) {
        if (typeof node === "string") return new DrawnText(this.#element.ownerDocument);
        const tag = isObject(node) ? own(node, "tag") : undefined;
        const isAllowed = typeof tag === "string" && ELEMENTS.has(tag) && this.#depth < MAX_DEPTH;
        if (!isAllowed) return new Nothing(this.#element.ownerDocument, node, tag);
        return new DrawnElement(this.#element.ownerDocument, node, tag, this.#depth);
    }
}

class DrawnText {
    #shown = "";

    constructor(document) {
        this.dom = document.createTextNode("");
    }

    fits(node) {
        return typeof node === "string";
    }

    render(text) {
        if (text === this.#shown) return;
        if (text.startsWith(this.#shown)) this.dom.appendData(text.slice(this.#shown.length));
        else this.dom.data = text;
        this.#shown = text;
    }
}

class DrawnElement {
    #node;
    #tag;
    #children;
    #attributes = new Map();

    constructor(document, node, tag, depth) {
        this.#node = node;
        this.#tag = tag;
        this.dom = document.createElement(tag);
        if (tag === "a") this.dom.setAttribute("rel", REL);
        this.#children = new Children(this.dom, depth + 1);
    }

    /** The tag may still have been growing, where the tree was written as JSON. */
    fits(node) {
        return node === this.#node && own(node, "tag") === this.#tag;
    }

    render(node) {
        const attributes = own(node, "attrs");
        if (isObject(attributes)) this.#write(attributes);
        const children = own(node, "children");
        this.#children.render(Array.isArray(children) ? children : []);
    }

    #write(attributes) {
        for (const name of this.#attributes.keys()) {
            if (!Object.hasOwn(attributes, name)) this.#remove(name);
        }
        for (const name of Object.keys(attributes)) {
            const value = attributes[name];
            if (this.#attributes.get(name) === value) continue;
            const safe = safeAttribute(this.#tag, name, value);
            if (safe === null) this.#remove(name);
            else this.dom.setAttribute(name, safe);
            this.#attributes.set(name, value);
        }
    }

    #remove(name) {
        this.#attributes.delete(name);
        if (name !== "rel") this.dom.removeAttribute(name);
    }
}

/** Keeps the place of what is not allowed on the page. */
class Nothing {
    #node;
    #tag;

    constructor(document, node, tag) {
        this.#node = node;
        this.#tag = tag;
        this.dom = document.createTextNode("");
    }

    fits(node) {
        return node === this.#node && (!isObject(node) || own(node, "tag") === this.#tag);
    }

    render() {}
}

function safeUrl(text, schemes) {
    const url = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "").trim();
    try {
        return schemes.has(new URL(url, baseUrl()).protocol) ? url : null;
    } catch {
        return null;
    }
}

function baseUrl() {
    return globalThis.document?.baseURI ?? "https://relative.invalid/";
}

function ownOrigin() {
    return globalThis.location?.origin ?? new URL(baseUrl()).origin;
}

function isObject(value) {
    return value !== null && typeof value === "object";
}

function own(object, key) {
    return Object.hasOwn(object, key) ? object[key] : undefined;
}
