/** fold: apply ops, the smallest changes of a document. Mirrors `lingstream.core.document.ops.fold`. */
export type Op = {
    uri: string;
    delta: string;
} | {
    uri: string;
    value: unknown;
    fix?: true;
};
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
export declare function fold(document: unknown, op: Op): unknown;
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
export declare function redraw(picture: unknown, { uri, delta, value }: {
    uri: string;
    delta?: string;
    value?: unknown;
}, document: unknown, ours: Set<object>): unknown;
