/** scope: the bindings whose uris begin at the same place, which is the document or one item of a list. */

import { child, escape } from "./jsonuri.js";

/** @import { Changes } from "./changes.js" */
/** @import { Place } from "./places.js" */

/**
 * What all bindings below one element share.
 *
 * @typedef {object} Context
 * @property {Element} root
 * @property {Changes} changes
 * @property {() => object} about what `@…` reads
 * @property {unknown} document as it is now
 * @property {boolean} isBlank no document has come yet: what the page has at first stays
 * @property {WeakMap<Node, Part[]>} bound the bindings of each element
 * @property {WeakMap<Node, Scope>} owners the item that each outermost node of an item belongs to
 * @property {Map<string, {place: Place, parts: Set<Part>}>} free what looks out of items
 * @property {Set<Part>} fields bindings of what people fill in
 * @property {Set<Node>} strays nodes that were an item's and are not any more
 * @property {Set<Part>} fresh bindings that are still to be drawn for the first time
 * @property {(() => void)[]} late makes bindings of kinds that were not loaded when their element was met
 * @property {(kind: string) => typeof Part | undefined} kindOf the class of a kind, if it is loaded
 * @property {{markdown: Function | null}} parsers what Markdown is drawn with
 * @property {Set<Part>} unfinished bindings that go on drawing by themselves
 * @property {(scope: Scope, element: Element) => void} bindIn binds what is in an element
 * @property {(element: Element) => object | null} planOf compiles the template of a list
 * @property {() => boolean} isLate whether the rest is for the next frame
 *
 * What the markup says of one binding.
 *
 * @typedef {object} Recipe
 * @property {string} kind of binding; see kinds.js
 * @property {string} name of what is written, where the attribute has one
 * @property {Place} place
 * @property {boolean} isContent whether it fills its element
 * @property {object | null} plan of a list's items
 * @property {boolean} [isTold] that it is not allowed
 */

/** One binding of one element. What it wrote last it can write again. */
export class Part {
    /** Names of the attributes that it writes. */
    attributes = [];
    isGone = false;

    constructor({ element, place, scope }) {
        this.element = element;
        this.place = place;
        this.scope = scope;
    }

    get context() {
        return this.scope.context;
    }

    get path() {
        return this.scope.pathOf(this.place);
    }

    get value() {
        return this.place.read(this.scope.value, this.scope);
    }

    /** Until there is a document, what the page has at first stays. */
    get isEarly() {
        return this.context.isBlank && this.scope.isRoot && !this.place.isAbout;
    }

    /** Whether it is drawn anew where a field is complete and else as it was. */
    get seesEnds() {
        return this.place.isClosed;
    }

    /** Undo what somebody else did to what was drawn. */
    repair() {}

    dispose() {
        this.isGone = true;
        this.scope.release(this);
    }
}

/** One that throws, as a custom element's property may, is told of and keeps no other from being drawn. */
export function drawn(part, value, touched) {
    try {
        part.draw(value, touched);
    } catch (error) {
        reportError(error);
    }
}

/** The same of one that is drawn in slices. */
export function* rendered(part, value, touched) {
    try {
        yield* part.render(value, touched);
    } catch (error) {
        reportError(error);
    }
}

export class Scope {
    #leaves = [];
    #slow = [];

    /** @param {Context} context */
    constructor(context) {
        this.context = context;
    }

    get isRoot() {
        return true;
    }

    /** Whether what it contains was drawn before, by the server or by us. */
    get isTakenOver() {
        return false;
    }

    get path() {
        return [];
    }

    get value() {
        return this.context.document;
    }

    pathOf(place) {
        return place.isFree || this.isRoot ? place.path : [...this.path, ...place.path];
    }

    /**
     * @param {Element} element
     * @param {Recipe[]} recipes
     * @returns {Part[]} its new bindings
     */
    bind(element, recipes) {
        const { bound, fresh, late } = this.context;
        const parts = [];
        bound.set(element, parts);
        const unknown = recipes.filter((recipe) => !this.#make(element, recipe, parts));
        const proceed = () => {
            if (bound.get(element) !== parts) return; // nobody binds it any more, or anew
            for (const recipe of unknown) if (this.#make(element, recipe, parts)) fresh.add(parts.at(-1));
        };
        if (unknown.length > 0) late.push(proceed);
        return parts;
    }

    /** Draw what is drawn at once, which is all but lists and long texts. */
    draw(value, touched) {
        for (const leaf of this.#leaves) {
            const found = this.#find(leaf, touched);
            if (found !== undefined) drawn(leaf, leaf.place.read(value, this), found);
        }
    }

    /** Draw what has changed; yields where the rest is for the next frame. */
    *render(value, touched) {
        this.draw(value, touched);
        yield* this.renderSlow(value, touched);
    }

    *renderSlow(value, touched) {
        for (const part of this.#slow) {
            const found = this.#find(part, touched);
            if (found !== undefined) yield* rendered(part, part.place.read(value, this), found);
        }
    }

    /** Forget the bindings that are gone. */
    sweep() {
        this.#leaves = this.#leaves.filter(({ isGone }) => !isGone);
        this.#slow = this.#slow.filter(({ isGone }) => !isGone);
    }

    dispose() {
        for (const part of [...this.#leaves, ...this.#slow]) part.dispose();
    }

    release(part) {
        if (!this.isRoot && part.place.isFree) this.#group(part.place).parts.delete(part);
    }

    /** @returns {boolean} whether the class of that kind is there */
    #make(element, recipe, parts) {
        const Kind = this.context.kindOf(recipe.kind);
        if (Kind === undefined) return false;
        const part = new Kind({ ...recipe, recipe, element, scope: this });
        parts.push(part);
        (part.render === undefined ? this.#leaves : this.#slow).push(part);
        if (!this.isRoot && part.place.isFree) this.#group(part.place).parts.add(part);
        return true;
    }

    #find(part, touched) {
        if (part.isGone || part.isEarly) return undefined;
        const found = part.place.find(touched, this.isRoot);
        return found?.isOnlySettled && !part.seesEnds ? undefined : found;
    }

    #group(place) {
        const { free } = this.context;
        const name = place.path.join("/");
        if (!free.has(name)) free.set(name, { place, parts: new Set() });
        return free.get(name);
    }
}

/** One item of a list. */
export class Item extends Scope {
    #list;
    #isTakenOver;
    #isUnread;

    /**
     * @param {Part} list
     * @param {string} key in the list's value
     * @param {string} id what it is known by when the list's order changes
     * @param {boolean} isTakenOver whether its nodes were in the page before
     */
    constructor(list, key, id, isTakenOver = false) {
        super(list.scope.context);
        this.#list = list;
        this.#isTakenOver = this.#isUnread = isTakenOver;
        this.key = key;
        this.id = id;
        this.nodes = [];
    }

    get isRoot() {
        return false;
    }

    get isTakenOver() {
        return this.#isTakenOver;
    }

    get list() {
        return this.#list;
    }

    get path() {
        return [...this.#list.path, escape(this.key)];
    }

    get value() {
        return child(this.#list.value, this.key);
    }

    become(key, id) {
        this.key = key;
        this.id = id;
    }

    draw(value, touched) {
        if (this.#isUnread) this.#read();
        super.draw(value, touched);
    }

    /** @param {Node[]} nodes that are its own, the outermost ones */
    own(nodes) {
        this.nodes = nodes;
        for (const node of nodes) this.context.owners.set(node, this);
    }

    /** @param {string} label that its elements carry, so that it is known again in this markup */
    mark(label) {
        for (const node of this.nodes) {
            if (node.nodeType !== Node.ELEMENT_NODE) continue;
            if (node.getAttribute("data-ling-item") !== label) node.setAttribute("data-ling-item", label);
        }
    }

    /** Whether somebody made something else of its element. */
    get isTaken() {
        const marked = this.nodes.find((node) => node.nodeType === Node.ELEMENT_NODE);
        return marked !== undefined && !marked.hasAttribute("data-ling-item");
    }

    /** Nodes that were taken over are looked through when they are drawn. */
    #read() {
        this.#isUnread = false;
        for (const node of this.nodes) this.context.bindIn(this, node);
    }

    /** Leave its nodes to whoever has made something else of them. */
    disown() {
        this.dispose();
        for (const node of this.nodes) {
            this.context.owners.delete(node);
            this.context.strays.add(node);
        }
    }

    remove() {
        this.dispose();
        for (const node of this.nodes) node.remove();
    }
}
