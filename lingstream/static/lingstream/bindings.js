/**
 * bindings: writes a document into the page.
 *
 *     data-ling="uri"              the element's text; `data-ling-writing` is set while the field grows
 *     data-ling-html="uri"         the elements of a node tree, as a bot with the format html writes it
 *     data-ling-each="uri"         one copy of the <template> inside per item of an array or object
 *     data-ling-if="uri", "!uri"   `hidden` unless the value is true as Django's templates see it
 *     data-ling-attr-<name>="uri"  an attribute
 *
 * Each of the first three gets `data-ling-cut` where a model's answer was cut off inside the field.
 *
 * Inside an each, uris are relative to the item: `topic`, `./topic`, and `.` for the item itself; with a
 * slash in front (`/answer`) they begin at the document's root. No string is ever read as markup.
 */

import { isBindable, safeValue } from "./attributes.js";
import { ancestors, child, concat, escape, split } from "./jsonuri.js";
import { Nodes } from "./nodes.js";

const NODE_SIZE = 16_384;
const NEVER = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT"]);

/** The bindings below one element. Feed it with `note` and `settle`, then `render`. */
export class Bindings {
    #scope;
    #changes = new Changes();

    /** @param {Element} root its own attributes are not read; nested <ling-stream> elements are left alone */
    constructor(root) {
        this.#scope = new Scope([root], "", this.#changes, { within: true });
    }

    /** @param {import("./fold.js").Op[]} ops that were folded since the last render */
    note(ops) {
        for (const op of ops) this.#changes.add(op);
    }

    /**
     * @param {string} uri a field that is complete, with all below it
     * @param {boolean} [cut] the model's answer was cut off inside it
     */
    settle(uri, cut = false) {
        this.#changes.settle(uri, cut);
    }

    /**
     * Forget what was noted: the document was replaced.
     *
     * @param {string[]} [cut] uris of the fields that were cut off
     */
    reset(cut = []) {
        this.#changes.reset(cut);
    }

    /** @param {unknown} document */
    render(document) {
        this.#scope.render(document, document);
        this.#changes.rendered();
    }
}

/** What happened between two renders, so that a long text that only grew is not written again. */
class Changes {
    #grown = new Map();
    #replaced = new Set();
    #writing = new Set();
    #cut = new Set();

    add({ uri, delta }) {
        if (delta === undefined) {
            this.#replaced.add(uri);
            this.#mend(uri);
            return;
        }
        this.#grown.set(uri, (this.#grown.get(uri) ?? "") + delta);
        this.#writing.add(uri);
    }

    settle(uri, cut) {
        const below = uri === "" ? "" : `${uri}/`;
        for (const open of this.#writing) {
            if (open === uri || open.startsWith(below)) this.#writing.delete(open);
        }
        if (cut) this.#cut.add(uri);
    }

    reset(cut) {
        this.#replaced.add("");
        this.#writing.clear();
        this.#cut = new Set(cut);
    }

    /** What is written anew is not half a field any more. */
    #mend(uri) {
        const below = uri === "" ? "" : `${uri}/`;
        for (const cut of this.#cut) {
            if (cut === uri || cut.startsWith(below)) this.#cut.delete(cut);
        }
    }

    isCut(uri) {
        return this.#cut.has(uri);
    }

    rendered() {
        this.#grown.clear();
        this.#replaced.clear();
    }

    isWriting(uri) {
        return this.#writing.has(uri);
    }

    isWritingIn(uri) {
        if (this.#writing.size === 0) return false;
        const below = uri === "" ? "" : `${uri}/`;
        return this.#writing.has(uri) || [...this.#writing].some((open) => open.startsWith(below));
    }

    /** The text that was appended at `uri`, or undefined where anything else happened to it. */
    growth(uri) {
        const isIntact = !this.#replaced.has(uri) && !ancestors(uri).some((above) => this.#replaced.has(above));
        return isIntact ? this.#grown.get(uri) : undefined;
    }
}

/** Bindings whose uris begin at the same place: the document, or one item of an each. */
class Scope {
    #nodes;
    #bindings = [];

    constructor(nodes, uri, changes, { within = false } = {}) {
        this.#nodes = nodes;
        for (const node of nodes) {
            if (node.nodeType !== Node.ELEMENT_NODE) continue;
            if (within) for (const inner of node.children) this.#scan(inner, uri, changes);
            else this.#scan(node, uri, changes);
        }
    }

    render(value, document) {
        for (const binding of this.#bindings) binding.render(binding.place.read(value, document), document);
    }

    remove() {
        for (const node of this.#nodes) node.remove();
    }

    #scan(element, base, changes) {
        const { ling, lingEach, lingHtml, lingIf } = element.dataset ?? {};
        if (lingIf !== undefined) this.#bindings.push(new Condition(element, lingIf, base));
        for (const { name, value } of element.attributes) {
            if (name.startsWith("data-ling-attr-")) this.#bind(element, name.slice(15), value, base);
        }
        if (element.localName === "ling-stream") return;
        if (lingEach !== undefined) {
            this.#bindings.push(new Each(element, new Place(lingEach, base), changes));
        } else if (lingHtml !== undefined && !NEVER.has(element.tagName)) {
            this.#bindings.push(new Html(element, new Place(lingHtml, base), changes));
            return;
        } else if (ling !== undefined && !NEVER.has(element.tagName)) {
            this.#bindings.push(new Text(element, new Place(ling, base), changes));
            return;
        }
        for (const inner of element.children) this.#scan(inner, base, changes);
    }

    #bind(element, name, uri, base) {
        if (isBindable(name)) this.#bindings.push(new Attribute(element, name, new Place(uri, base)));
        else console.error(`lingstream: data-ling-attr-${name} is not allowed`, element);
    }
}

/** Where a binding looks: a path from its scope, or with a slash in front from the document's root. */
class Place {
    #keys;
    #isAbsolute;

    constructor(written, base) {
        this.#isAbsolute = written.startsWith("/");
        const uri = written === "." ? "" : written.replace(/^\.?\//, "");
        this.#keys = split(uri);
        this.uri = this.#isAbsolute ? uri : concat(base, uri);
    }

    read(value, document) {
        return this.#keys.reduce(child, this.#isAbsolute ? document : value);
    }
}

class Text {
    #element;
    #changes;
    #placeholder;
    #shown = undefined;
    #isWriting = false;

    constructor(element, place, changes) {
        this.#element = element;
        this.#changes = changes;
        this.#placeholder = element.textContent;
        this.place = place;
    }

    render(value) {
        const text = toText(value);
        if (text !== this.#shown) this.#show(text);
        mark(this.#element, "data-ling-cut", this.#changes.isCut(this.place.uri));
        const isWriting = this.#changes.isWriting(this.place.uri);
        if (isWriting === this.#isWriting) return;
        this.#isWriting = isWriting;
        this.#element.toggleAttribute("data-ling-writing", isWriting);
    }

    #show(text) {
        const growth = this.#shown === undefined ? undefined : this.#changes.growth(this.place.uri);
        if (growth !== undefined && this.#shown.length + growth.length === text?.length) this.#append(growth);
        else this.#element.textContent = text ?? this.#placeholder;
        this.#shown = text;
    }

    /** A node that grows is copied each time; long texts go on in a new one. */
    #append(text) {
        const last = this.#element.lastChild;
        if (last?.nodeType === Node.TEXT_NODE && last.length < NODE_SIZE) last.appendData(text);
        else this.#element.append(text);
    }
}

class Html {
    #element;
    #changes;
    #placeholder;
    #nodes = null;

    constructor(element, place, changes) {
        this.#element = element;
        this.#changes = changes;
        this.#placeholder = [...element.childNodes];
        this.place = place;
    }

    render(value) {
        if (value === undefined || value === null) {
            if (this.#nodes !== null) this.#element.replaceChildren(...this.#placeholder);
            this.#nodes = null;
        } else {
            this.#nodes ??= new Nodes(this.#element, { images: imagesOf(this.#element) });
            this.#nodes.render(value);
        }
        mark(this.#element, "data-ling-writing", this.#changes.isWritingIn(this.place.uri));
        mark(this.#element, "data-ling-cut", this.#changes.isCut(this.place.uri));
    }
}

class Each {
    #element;
    #template;
    #changes;
    #items = [];
    #keys = [];

    constructor(element, place, changes) {
        this.#element = element;
        this.#template = element.querySelector(":scope > template");
        this.#changes = changes;
        this.place = place;
        if (this.#template === null) console.error("lingstream: data-ling-each needs a <template> inside", element);
    }

    render(value, document) {
        if (this.#template === null) return;
        mark(this.#element, "data-ling-cut", this.#changes.isCut(this.place.uri));
        const keys = value !== null && typeof value === "object" ? Object.keys(value) : [];
        const kept = firstDifference(this.#keys, keys);
        for (const item of this.#items.splice(kept)) item.remove();
        for (const key of keys.slice(kept)) this.#items.push(this.#create(key));
        this.#keys = keys;
        keys.forEach((key, index) => this.#items[index].render(value[key], document));
    }

    #create(key) {
        const content = this.#template.ownerDocument.importNode(this.#template.content, true);
        const scope = new Scope([...content.childNodes], concat(this.place.uri, escape(key)), this.#changes);
        this.#template.before(content);
        return scope;
    }
}

class Condition {
    #element;
    #isNegated;

    constructor(element, written, base) {
        this.#element = element;
        this.#isNegated = written.startsWith("!");
        this.place = new Place(this.#isNegated ? written.slice(1) : written, base);
    }

    render(value) {
        const isHidden = isTrue(value) === this.#isNegated;
        if (this.#element.hidden !== isHidden) this.#element.hidden = isHidden;
    }
}

class Attribute {
    #element;
    #name;
    #shown = null;

    constructor(element, name, place) {
        this.#element = element;
        this.#name = name;
        this.place = place;
    }

    render(value) {
        const text = toText(value);
        const safe = text === undefined ? null : safeValue(this.#name, text);
        if (safe === this.#shown) return;
        this.#shown = safe;
        if (safe === null) this.#element.removeAttribute(this.#name);
        else this.#element.setAttribute(this.#name, safe);
    }
}

/** Set or remove an attribute without a value, and touch the page only if that changes something. */
function mark(element, name, isSet) {
    if (element.hasAttribute(name) !== isSet) element.toggleAttribute(name, isSet);
}

/** Strings as they are, numbers and booleans as JSON writes them, containers as JSON; undefined for nothing. */
function toText(value) {
    if (value === undefined || value === null) return undefined;
    return typeof value === "string" ? value : JSON.stringify(value);
}

/** As in a Django template: what is missing, null, false, 0 or empty is not true. */
function isTrue(value) {
    if (value === null || typeof value !== "object") return Boolean(value);
    return Object.keys(value).length > 0;
}

/** The origins whose images the page shows here. */
function imagesOf(element) {
    return element.closest("[data-ling-images]")?.dataset.lingImages ?? "";
}

function firstDifference(before, after) {
    const index = before.findIndex((key, position) => key !== after[position]);
    return index === -1 ? before.length : index;
}
