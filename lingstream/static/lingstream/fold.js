/** fold: apply ops, the smallest changes of a document. Mirrors `lingstream.core.document.ops.fold`. */

import { JsonUriError, child, describe, get, put, split } from "./jsonuri.js";
import { plain } from "./plain.js";

/**
 * @typedef {{uri: string, delta: string} | {uri: string, value: unknown, fix?: true}} Op
 * An append of `delta` to the string at `uri`, or a set of `value`.
 */

/**
 * Apply one op to `document`.
 *
 * `+=` on a long string is cheap here: engines keep it as a rope until somebody reads it.
 *
 * @param {unknown} document changed in place
 * @param {Op} op
 * @returns {unknown} the root
 * @throws {JsonUriError} a missing parent, an array index past the end, an append to what is no string
 */
export function fold(document, op) {
    const { uri, delta } = op;
    if (typeof uri !== "string" || (typeof delta !== "string" && !Object.hasOwn(op, "value"))) {
        throw new JsonUriError(
            `expected an op with uri and delta or value, got ${JSON.stringify(op)}`,
            String(uri),
        );
    }
    const keys = split(uri);
    const key = keys.pop();
    const container = keys.reduce(child, document);
    if (typeof delta !== "string") {
        const value = plain(op.value);
        if (key === undefined) return value;
        put(container, key, value, uri);
        return document;
    }
    const before = key === undefined ? (document ?? "") : (child(container, key) ?? missing(container, key));
    if (typeof before !== "string") {
        throw new JsonUriError(`expected a string at "${uri}", found ${describe(before)}`, uri);
    }
    if (key === undefined) return before + delta;
    put(container, key, before + delta, uri);
    return document;
}

/**
 * The same into a picture of the document: containers that are not ours yet are copied, so that whoever holds the
 * picture before sees no change.
 *
 * @param {unknown} picture
 * @param {{uri: string, delta?: string, value?: unknown}} op that was folded into `document`
 * @param {unknown} document
 * @param {Set<object>} ours containers of this picture only
 * @returns {unknown} the picture's root
 */
export function redraw(picture, { uri, delta, value }, document, ours) {
    const own = (container) => {
        if (ours.has(container)) return container;
        const copy = Array.isArray(container) ? [...container] : Object.assign(Object.create(null), container);
        ours.add(copy);
        return copy;
    };
    const now = delta === undefined ? plain(value) : get(document, uri); // so long texts are there once
    const keys = split(uri);
    const last = keys.pop();
    if (last === undefined) return now;
    const root = own(picture);
    const parent = keys.reduce((place, key) => (place[key] = own(child(place, key))), root);
    put(parent, last, now, uri);
    return root;
}

/** A field that is null is no string; one that is not there begins as "". */
function missing(container, key) {
    return child(container, key) === null ? null : "";
}
