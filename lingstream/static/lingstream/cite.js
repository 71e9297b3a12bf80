/**
 * cite: numbers in brackets as links to the sources that an answer cites.
 *
 * The text stays as it was written, for whoever reads or compares it: `[1]` stands in an `<a>`, which leads somewhere once
 * there is such a source. What a source says is shown by source-note.js, which is loaded when somebody asks.
 */

import { nearest } from "./around.js";
import { safeValue } from "./attributes.js";
import { written } from "./page.js";
import { Place, toText } from "./places.js";

/** @import { Touched } from "./changes.js" */
/** @import { Part } from "./scope.js" */

const WORDS = { source: "Source", stale: "The source has changed since." };
const NUMBER = /\[[1-9]\d{0,2}\]|【[1-9]\d{0,2}】/g;
const CLOSES = /[\]】]/;
const NEVER_IN = "a, button, code, pre";
const MOST = 500; // links in one text
const MOST_NODES = 2_000; // of text, which a piece of it can make
const CHANGED = { isAll: false, isOnlySettled: false, grown: "" };

/**
 * @typedef {object} Source
 * @property {number} number
 * @property {string} title
 * @property {string | null} url that a page may lead to
 * @property {boolean | undefined} verified whether the source says what is quoted; undefined while nobody has looked
 * @property {string | null} uri of the citation, if the answer cites it
 * @property {any} citation as the answer has it, if there is one
 * @property {any} passage as there was one to cite, if there is that
 */

/** The place of a text, at which it also counts what happens to its citations and sources. */
class Cited {
    #place;
    #others;

    /**
     * @param {Place} place
     * @param {Place[]} others
     */
    constructor(place, others) {
        this.#place = place;
        this.#others = others;
        Object.assign(this, { path: place.path, isAbout: place.isAbout, isClosed: place.isClosed, isFree: place.isFree });
    }

    /** @returns {Touched | undefined} */
    find(touched, isRoot) {
        const isChanged = () => this.#others.some((place) => place.find(touched, isRoot) !== undefined);
        return this.#place.find(touched, isRoot) ?? (isChanged() ? CHANGED : undefined);
    }

    read(value, scope) {
        return this.#place.read(value, scope);
    }
}

/** The links in the text of one binding. */
export class Marks {
    #part;
    #citations;
    #sources;
    #marks = new Set();
    #observer = new MutationObserver(() => this.#dress());

    /** @param {Part} part that is drawn when its citations or sources change, too, from now on */
    constructor(part) {
        const uriOf = (name) => nearest(part, `[data-ling-${name}]`)?.getAttribute(`data-ling-${name}`) ?? `/${name}`;
        this.#part = part;
        this.#citations = new Place(uriOf("citations"));
        this.#sources = new Place(uriOf("sources"));
        part.place = new Cited(part.place, [this.#citations, this.#sources]);
        this.#observer.observe(part.context.root, { attributeFilter: ["data-stale"] });
    }

    /** The text goes. */
    dispose() {
        this.#observer.disconnect();
    }

    /**
     * @param {{append: (text: string) => void, end: () => void | Promise<void>}} parser draws the text
     * @returns one that makes links in what was drawn
     */
    around(parser) {
        this.#marks.clear();
        return {
            append: (text) => {
                parser.append(text);
                if (CLOSES.test(text)) this.#look();
            },
            end: () => parser.end(),
        };
    }

    /** Make the links that are still missing, and write at each what is known of its source. */
    update() {
        this.#look();
        this.#dress();
    }

    /** Writes only attributes, and none that watch.js would repair. */
    #dress() {
        const word = written("source") ?? WORDS.source;
        const changed = `. ${written("stale") ?? WORDS.stale}`;
        const { stale = "" } = this.#part.context.root.dataset; // uris as JSON, or whatever a page of others has there
        const known = new Map();
        for (const mark of this.#marks) {
            const { number } = mark.dataset;
            if (!known.has(number)) known.set(number, this.#sourceOf(Number(number)));
            const source = known.get(number);
            dress(mark, source, word, stale.includes(JSON.stringify(source?.uri)) ? changed : "");
        }
    }

    /** Make links of what has come since the last one was made. */
    #look() {
        for (const nodes of neighbours(this.#newTexts())) {
            const text = nodes.map(({ data }) => data).join("");
            // From the last one on: the places of those before it stay.
            for (const { index, 0: number } of [...text.matchAll(NUMBER)].reverse()) {
                if (this.#marks.size < MOST) this.#make(nodes, index, number);
            }
        }
    }

    /** @returns {Text[]} the nodes behind the last link, in their order */
    #newTexts() {
        const { element } = this.#part;
        const walker = element.ownerDocument.createTreeWalker(element);
        const found = [];
        while (walker.lastChild());
        for (let node = walker.currentNode; node !== null && node !== element; node = walker.previousNode()) {
            if (this.#marks.has(node) || found.length === MOST_NODES) break;
            if (node.nodeType === Node.TEXT_NODE && node.parentNode.closest(NEVER_IN) === null) found.push(node);
        }
        return found.reverse();
    }

    #make(nodes, start, text) {
        const range = nodes[0].ownerDocument.createRange();
        range.setStart(...placeIn(nodes, start));
        range.setEnd(...placeIn(nodes, start + text.length));
        const mark = nodes[0].ownerDocument.createElement("a");
        mark.className = "ling-cite";
        mark.dataset.number = text.slice(1, -1);
        range.deleteContents();
        mark.append(text);
        range.insertNode(mark);
        for (const type of ["focus", "pointerenter", "click"]) mark.addEventListener(type, () => this.#show(mark));
        this.#marks.add(mark);
    }

    async #show(mark) {
        if (!("known" in mark.dataset)) return;
        const { showNote } = await import("./source-note.js");
        if (mark.isConnected) showNote(mark, this.#sourceOf(Number(mark.dataset.number)));
    }

    /** @returns {Source | null} */
    #sourceOf(number) {
        const { scope } = this.#part;
        const citations = list(this.#citations.read(scope.value, scope));
        const cited = citations.filter((each) => numberOf(each) === number && toText(each.title) !== undefined);
        const citation = cited.find(({ verified }) => verified === true) ?? cited[0];
        const passage = list(this.#sources.read(scope.value, scope))[number - 1];
        if (!citation && !passage) return null;
        return {
            number,
            title: toText(citation?.title ?? passage?.title) ?? "",
            url: addressOf(toText(citation?.url ?? passage?.url)),
            verified: citation && citation.verified === true,
            uri: citation ? [...scope.pathOf(this.#citations), citations.indexOf(citation)].join("/") : null,
            citation,
            passage,
        };
    }
}

/** What has no address is a button, and what is not known is text. */
function dress(mark, source, word, state) {
    const isButton = source !== null && source.url === null;
    set(mark, "data-known", source && "");
    set(mark, "href", source && source.url);
    set(mark, "target", source?.url && "_blank");
    set(mark, "rel", source?.url && "noopener");
    set(mark, "role", isButton ? "button" : null);
    set(mark, "tabindex", isButton ? "0" : null);
    set(mark, "data-stale", state ? "" : null);
    set(mark, "aria-label", source && `${word} ${source.number}: ${source.title}${state}`);
    set(mark, "data-verified", source?.verified === undefined ? null : String(source.verified));
}

function set(element, name, value) {
    if (element.getAttribute(name) === value) return;
    if (value === null || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value);
}

/** Lists of nodes that stand side by side: brackets that were no link stand in nodes of their own. */
function neighbours(nodes) {
    const runs = [];
    for (const node of nodes) {
        if (node.previousSibling !== null && node.previousSibling === runs.at(-1)?.at(-1)) runs.at(-1).push(node);
        else runs.push([node]);
    }
    return runs;
}

/** @returns {[Text, number]} the node that has the character at `offset` of all, or ends there, and where in it that is */
function placeIn(nodes, offset) {
    let rest = offset;
    const node = nodes.find(({ length }) => rest <= length || ((rest -= length), false));
    return [node, rest];
}

function addressOf(text) {
    return text ? safeValue("href", text) : null;
}

function numberOf(citation) {
    return Number(toText(citation?.source)?.replace(/^[[【]|[\]】]$/g, ""));
}

function list(value) {
    return Array.isArray(value) ? value : [];
}
