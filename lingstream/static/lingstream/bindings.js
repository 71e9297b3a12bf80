/**
 * bindings: writes a document into the page.
 *
 * The attributes are described in docs/client.md. Which elements are bound is read once (recipes.js); what has
 * happened to the document is kept as a trie of uris (changes.js), and only the bindings at, above or below
 * those are drawn (scope.js, each.js). What others do to the page is repaired (watch.js). No string is ever
 * read as markup.
 */

import { ALL, Changes } from "./changes.js";
import { isLoading, kindOf, parsers } from "./kinds.js";
import { boundBelow, boundIn, planOf } from "./recipes.js";
import { Scope, drawn, rendered } from "./scope.js";
import { Watch } from "./watch.js";

/** @import { Op } from "./fold.js" */

const BUDGET = 4; // milliseconds of a frame

/** The bindings below one element. Feed it with `note` and `settle`, then `render`. */
export class Bindings {
    #context;
    #scope;
    #watch;
    #changes = new Changes();
    #deadline = Infinity;
    /** What was begun and is to be gone on with in the next frame. */
    #drawing = null;
    #isRepairing = false;
    #frame = null;

    /**
     * @param {Element} root its own attributes are not read; nested <ling-stream> elements are left alone
     * @param {{about?: () => object}} [options] `about` returns what `@status`, `@error/message` … read
     */
    constructor(root, { about = () => ({}) } = {}) {
        this.#context = {
            root,
            about,
            changes: this.#changes,
            document: null,
            isBlank: true,
            bound: new WeakMap(),
            owners: new WeakMap(),
            free: new Map(),
            fields: new Set(),
            fresh: new Set(),
            strays: new Set(),
            unfinished: new Set(),
            late: [],
            kindOf,
            parsers,
            bindIn(scope, element) {
                for (const [inner, recipes] of boundIn(element)) scope.bind(inner, recipes);
            },
            planOf,
            isLate: () => performance.now() >= this.#deadline,
        };
        this.#scope = new Scope(this.#context);
        for (const [element, recipes] of boundBelow(root)) this.#scope.bind(element, recipes);
        this.#watch = new Watch(this.#context, this.#scope, () => this.#soon());
    }

    /**
     * @typedef {{append: (text: string) => void, end: () => void}} Parser
     * @returns {((element: Element, options: {images: string}) => Parser) | null}
     */
    static get markdown() {
        return parsers.markdown;
    }

    /** Draw `data-ling-markdown` with something else than markdown.js. */
    static set markdown(factory) {
        parsers.markdown = factory;
    }

    /** @param {Op[]} ops that were folded since the last render */
    note(ops) {
        for (const op of ops) {
            this.#changes.add(op);
            if (op.uri === "" && op.delta === undefined) this.#giveUp();
        }
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
        this.#giveUp();
    }

    /** @param {string} name of what `about` returns and may have changed, such as `status` */
    touch(name) {
        this.#changes.touch(name);
    }

    /**
     * @param {unknown} document
     * @param {number} [deadline] when to stop, as `performance.now()` tells it
     * @returns {boolean} whether the page shows all; else call it again in the next frame: there was no time for the
     *   rest, what draws it is being loaded, or a parser is at it
     */
    render(document, deadline = Infinity) {
        this.#context.document = document;
        return this.#work(deadline, true);
    }

    /** Look at all of the page again, in the next frame. Changes that a MutationObserver sees need no call. */
    refresh() {
        this.#watch.lookAtAll();
        this.#soon();
    }

    /** Forget the page. What was written stays. */
    disconnect() {
        cancelAnimationFrame(this.#frame);
        this.#giveUp();
        this.#watch.pause();
        this.#scope.dispose();
    }

    #giveUp() {
        this.#drawing?.return();
        this.#drawing = null;
    }

    #work(deadline, withChanges) {
        const { late, unfinished } = this.#context;
        this.#deadline = deadline;
        this.#watch.repair();
        if (isLoading()) return false;
        this.#watch.pause();
        try {
            for (const bind of late.splice(0)) bind();
            for (;;) {
                this.#drawing ??= this.#next(withChanges);
                if (this.#drawing === null) return unfinished.size + late.length === 0;
                if (!this.#drawing.next().done) return false;
                this.#drawing = null;
            }
        } finally {
            this.#watch.resume();
        }
    }

    #next(withChanges) {
        this.#isRepairing = !withChanges || this.#changes.isClean;
        if (!this.#isRepairing) return this.#draw(this.#changes.take());
        return this.#context.fresh.size > 0 ? this.#drawFresh() : null;
    }

    *#draw(touched) {
        const context = this.#context;
        const isFirst = context.isBlank && context.document !== null && context.document !== undefined;
        if (isFirst) context.isBlank = false;
        const place = isFirst ? ALL : touched;
        if (place.isAll) context.fresh.clear();
        for (const { place: free, parts } of context.free.values()) {
            const found = free.find(place, true);
            if (found !== undefined) for (const part of parts) yield* this.#drawPart(part, found);
        }
        yield* this.#scope.render(context.document, place);
    }

    *#drawFresh() {
        for (const part of this.#context.fresh) {
            this.#context.fresh.delete(part);
            if (!part.isGone && !part.isEarly) yield* this.#drawPart(part, ALL);
        }
    }

    *#drawPart(part, touched) {
        const value = part.place.read(part.scope.value, part.scope);
        if (part.render === undefined) drawn(part, value, touched);
        else yield* rendered(part, value, touched);
        if (this.#context.isLate()) yield;
    }

    /** Repairs need no frame of whoever calls `render`. */
    #soon() {
        this.#frame ??= requestAnimationFrame(() => {
            this.#frame = null;
            if (this.#drawing !== null && !this.#isRepairing) this.#watch.repair();
            else if (!this.#work(performance.now() + BUDGET, false)) this.#soon();
        });
    }
}
