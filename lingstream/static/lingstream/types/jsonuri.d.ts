/**
 * jsonuri: the address of a value inside a JSON document.
 *
 * Segments are joined by "/" (`outline/0/topic`); the root is "". In a key "/" is written "\/" and "\" is
 * written "\\"; a key that reads as a path instruction (".", "..", "@first", "[@last]") gets a backslash in
 * front; the empty key is "\0". The same bijection as `lingstream.core.document.jsonuri`.
 */
/** A uri that cannot be parsed, or that names a place the document does not have. */
export declare class JsonUriError extends Error {
    uri: string;
    name: string;
    /**
     * @param {string} message what was expected and what came
     * @param {string} uri
     */
    constructor(message: string, uri: string);
}
/**
 * @param {string | number} key
 * @returns {string} the key as one segment of a uri
 */
export declare function escape(key: string | number): string;
/**
 * @param {string} segment
 * @returns {string} the key that the segment stands for
 */
export declare function unescape(segment: string): string;
/**
 * @param {...(string | number)} keys
 * @returns {string} the uri of the value reached by `keys`
 */
export declare function join(...keys: (string | number)[]): string;
/**
 * @param {string} uri
 * @returns {string[]} the keys that lead to `uri`
 * @throws {JsonUriError} an empty segment or a lone backslash at the end
 */
export declare function split(uri: string): string[];
/**
 * @param {string} uri
 * @returns {string[]} its segments, escaped as they are
 */
export declare function segments(uri: string): string[];
/**
 * @param {string} uri
 * @returns {string[]} the uris of all containers of `uri`, the nearest first, the root "" last
 */
export declare function ancestors(uri: string): string[];
/**
 * @param {unknown} container
 * @param {string} key
 * @returns {unknown} the container's own value at `key`, or undefined: `constructor` is data like any other
 */
export declare function child(container: unknown, key: string): unknown;
/**
 * @param {unknown} document
 * @param {string} uri
 * @returns {unknown} the value at `uri`, or undefined where the document has none
 */
export declare function get(document: unknown, uri: string): unknown;
/**
 * Set `value` at `uri`; an array may grow by one at its end.
 *
 * @param {unknown} document
 * @param {string} uri
 * @param {unknown} value
 * @returns {unknown} the document's root: a new one only for the root uri
 * @throws {JsonUriError} a missing parent, or an array index past the end
 */
export declare function set(document: unknown, uri: string, value: unknown): unknown;
/**
 * @param {unknown} container
 * @param {string} key
 * @param {unknown} value
 * @param {string} uri for the error
 */
export declare function put(container: unknown, key: string, value: unknown, uri: string): void;
/**
 * @param {unknown} value
 * @returns {string} what it is, for errors
 */
export declare function describe(value: unknown): string;
