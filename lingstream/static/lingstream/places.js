/** places: where a binding looks, as its attribute says it. */

import { child, escape, split } from "./jsonuri.js";

/** @import { Touched } from "./changes.js" */
/** @import { JsonUriError } from "./jsonuri.js" */

/**
 * `topic`, `./topic` and `.` are relative to the scope, `/topic` begins at the document's root, `@status` is what
 * the element says of the run, `@closed/topic` whether that field is complete; `!` in front is the opposite.
 */
export class Place {
    #isNegated;
    #isAbsolute;
    #keys;

    /**
     * @param {string} written
     * @throws {JsonUriError}
     */
    constructor(written) {
        this.#isNegated = written.startsWith("!");
        let uri = this.#isNegated ? written.slice(1) : written;
        /** Asks whether a field is complete, not for its value. */
        this.isClosed = /^@closed(?:\/|$)/.test(uri);
        if (this.isClosed) uri = uri.slice(8);
        /** Looks at what the element says, not at the document. */
        this.isAbout = uri.startsWith("@");
        this.#isAbsolute = uri.startsWith("/");
        this.#keys = split(uri === "." ? "" : uri.replace(/^\.?\/|^@/, ""));
        this.path = this.#keys.map(escape);
        if (this.isAbout) this.path = [`@${this.#keys[0] ?? ""}`, ...this.path.slice(1)];
    }

    /** Whether it leads out of an item. */
    get isFree() {
        return this.isAbout || this.#isAbsolute;
    }

    /**
     * @param {Touched} touched what happened to the scope
     * @param {boolean} isRoot whether the scope is the whole document
     * @returns {Touched | undefined} what happened here
     */
    find(touched, isRoot) {
        if (this.isFree && !isRoot) return touched.isAll ? touched : undefined;
        let place = touched;
        for (const segment of this.path) {
            place = place.at(segment);
            if (place === undefined) return undefined;
        }
        return place;
    }

    /**
     * @param {unknown} value of the scope
     * @param {{context: object, pathOf: (place: Place) => string[]}} scope
     * @returns {unknown}
     */
    read(value, scope) {
        const { context } = scope;
        const from = this.isAbout ? context.about() : this.#isAbsolute ? context.document : value;
        const found = this.isClosed
            ? context.changes.isClosed(scope.pathOf(this))
            : this.#keys.reduce(child, from);
        return this.#isNegated ? !isTrue(found) : found;
    }
}

/** As in a Django template: what is missing, null, false, 0 or empty is not true. */
export function isTrue(value) {
    if (value === null || typeof value !== "object") return Boolean(value);
    if (Array.isArray(value)) return value.length > 0;
    for (const key in value) if (Object.hasOwn(value, key)) return true;
    return false;
}

/** Strings as they are, numbers and booleans as JSON writes them, containers as JSON; undefined for nothing. */
export function toText(value) {
    if (value === undefined || value === null) return undefined;
    return typeof value === "string" ? value : JSON.stringify(value);
}
