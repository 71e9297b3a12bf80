/**
 * changes: what happened to a document since it was last drawn, and which of its fields are open, cut off or closed.
 *
 * Paths are lists of segments as jsonuri escapes them. What the element says of the run (`@status` …) stands
 * beside the document's own keys, none of which begins with a plain `@`.
 */

import { segments } from "./jsonuri.js";

/** @import { Op } from "./fold.js" */

/** A place at which, above which or below which something happened. */
class Touched {
    /** All of it is new. */
    isAll = false;
    /** It is complete, with all below it. */
    isSettled = false;
    /** Nothing else happened to it, nor below it. */
    isOnlySettled = false;
    /** What was appended to the text here. */
    grown = "";
    #below = null;

    get isClean() {
        return !this.isAll && !this.isSettled && this.grown === "" && this.#below === null;
    }

    /**
     * @param {string} segment
     * @returns {Touched | undefined} undefined where nothing happened
     */
    at(segment) {
        if (this.isAll) return ALL;
        const below = this.#below?.get(segment);
        if (!this.isSettled) return below;
        if (below === undefined) return SETTLED;
        below.isSettled = true;
        return below;
    }

    /** @returns {Iterable<string>} the segments below which something happened */
    segments() {
        return this.#below?.keys() ?? [];
    }

    /** The place at `path`, which something happens to now. */
    reach(path) {
        let place = this;
        for (const segment of path) {
            if (place.isAll) return ALL;
            place.#below ??= new Map();
            if (!place.#below.has(segment)) place.#below.set(segment, new Touched());
            place = place.#below.get(segment);
        }
        return place;
    }

    replace() {
        this.isAll = true;
        this.#below = null;
    }
}

/** Where a container was replaced, all below it is new. */
export const ALL = Object.freeze(Object.assign(new Touched(), { isAll: true, isSettled: true }));
const SETTLED = Object.freeze(Object.assign(new Touched(), { isSettled: true, isOnlySettled: true }));

export class Changes {
    #touched = new Touched();
    #writing = new Paths();
    #cut = new Paths();
    #closed = new Paths();

    constructor() {
        this.#touched.replace();
    }

    get isClean() {
        return this.#touched.isClean;
    }

    /** @param {Op} op */
    add({ uri, delta }) {
        const path = segments(uri);
        const place = this.#touched.reach(path);
        if (delta === undefined) {
            // What is written anew is not half a field any more, nor complete.
            this.#cut.take(path);
            this.#closed.take(path);
            if (!place.isAll) place.replace();
        } else {
            this.#writing.add(path);
            if (!place.isAll) place.grown += delta;
        }
    }

    /** @param {string} name such as `status` */
    touch(name) {
        const place = this.#touched.reach([`@${name}`]);
        if (!place.isAll) place.replace();
    }

    settle(uri, cut) {
        const path = segments(uri);
        const place = this.#touched.reach(path);
        if (!place.isAll) place.isSettled = true;
        for (const open of this.#writing.take(path)) this.#touched.reach(open);
        if (!this.#closed.hasAbove(path)) {
            this.#closed.take(path);
            this.#closed.add(path);
        }
        if (cut) this.#cut.add(path);
    }

    reset(cut) {
        this.#touched.replace();
        this.#writing = new Paths();
        this.#closed = new Paths();
        this.#cut = new Paths();
        for (const uri of cut) this.#cut.add(segments(uri));
    }

    /** @returns {Touched} all since the last call */
    take() {
        const touched = this.#touched;
        this.#touched = new Touched();
        return touched;
    }

    /** Asked first where there is a path to be made for each of many bindings. */
    get isWritingAny() {
        return !this.#writing.isEmpty;
    }

    get hasCuts() {
        return !this.#cut.isEmpty;
    }

    isWriting(path) {
        return this.#writing.has(path);
    }

    isWritingIn(path) {
        return this.#writing.hasIn(path);
    }

    isCut(path) {
        return this.#cut.has(path);
    }

    /** Whether the field was seen to close, alone or with what it is in. */
    isClosed(path) {
        return this.#closed.hasAbove(path) && !this.#writing.hasIn(path);
    }
}

/** A set of paths that can tell what lies above or below one of them. */
class Paths {
    #isMember = false;
    #below = new Map();

    get isEmpty() {
        return !this.#isMember && this.#below.size === 0;
    }

    add(path) {
        let place = this;
        for (const segment of path) {
            if (!place.#below.has(segment)) place.#below.set(segment, new Paths());
            place = place.#below.get(segment);
        }
        place.#isMember = true;
    }

    has(path) {
        const place = this.#along(path)[path.length];
        return place !== undefined && place.#isMember;
    }

    /** Whether `path`, or one below it, is a member. */
    hasIn(path) {
        return !this.isEmpty && this.#along(path).length > path.length;
    }

    /** Whether `path`, or one above it, is a member. */
    hasAbove(path) {
        return this.#along(path).some((place) => place.#isMember);
    }

    /**
     * Remove `path` and all below it.
     *
     * @param {string[]} path
     * @returns {string[][]} the members that were removed
     */
    take(path) {
        const chain = this.#along(path);
        if (chain.length <= path.length) return [];
        const taken = chain.at(-1).#empty(path);
        for (let depth = path.length; depth > 0 && chain[depth].isEmpty; depth--) {
            chain[depth - 1].#below.delete(path[depth - 1]);
        }
        return taken;
    }

    #empty(path) {
        const taken = [];
        const rest = [[this, path]];
        while (rest.length > 0) {
            const [place, at] = rest.pop();
            if (place.#isMember) taken.push(at);
            for (const [segment, below] of place.#below) rest.push([below, [...at, segment]]);
        }
        this.#isMember = false;
        this.#below.clear();
        return taken;
    }

    /** The places from the root down to `path`, as far as there are any. */
    #along(path) {
        const places = [this];
        for (const segment of path) {
            const next = places.at(-1).#below.get(segment);
            if (next === undefined) break;
            places.push(next);
        }
        return places;
    }
}
