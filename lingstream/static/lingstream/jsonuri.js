/**
 * jsonuri: the address of a value inside a JSON document.
 *
 * Segments are joined by "/" (`outline/0/topic`); the root is "". In a key "/" is written "\/" and "\" is
 * written "\\"; a key that reads as a path instruction (".", "..", "@first", "[@last]") gets a backslash in
 * front; the empty key is "\0". The same bijection as `lingstream.core.document.jsonuri`.
 */

const INSTRUCTION = /^(?:\.\.?$|@|\[@)/;
const INDEX = /^(?:0|[1-9][0-9]{0,15})$/;

/** A uri that cannot be parsed, or that names a place the document does not have. */
export class JsonUriError extends Error {
    name = "JsonUriError";

    /**
     * @param {string} message what was expected and what came
     * @param {string} uri
     */
    constructor(message, uri) {
        super(message);
        this.uri = uri;
    }
}

/**
 * @param {string | number} key
 * @returns {string} the key as one segment of a uri
 */
export function escape(key) {
    const text = String(key).replace(/[\\/]/g, "\\$&");
    if (text === "") return "\\0";
    return INSTRUCTION.test(text) ? `\\${text}` : text;
}

/**
 * @param {string} segment
 * @returns {string} the key that the segment stands for
 */
export function unescape(segment) {
    if (segment === "\\0") return "";
    return segment.includes("\\") ? segment.replace(/\\([^])/g, "$1") : segment;
}

/**
 * @param {...(string | number)} keys
 * @returns {string} the uri of the value reached by `keys`
 */
export function join(...keys) {
    return keys.map(escape).join("/");
}

/**
 * @param {string} uri
 * @returns {string[]} the keys that lead to `uri`
 * @throws {JsonUriError} an empty segment or a lone backslash at the end
 */
export function split(uri) {
    if (uri === "") return [];
    const parts = splitEscaped(uri);
    if (parts.includes("")) {
        throw new JsonUriError(`expected segments joined by "/", got an empty one in "${uri}"`, uri);
    }
    return uri.includes("\\") ? parts.map(unescape) : parts;
}

/**
 * @param {string} uri
 * @returns {string[]} its segments, escaped as they are
 */
export function segments(uri) {
    return uri === "" ? [] : splitEscaped(uri);
}

/**
 * @param {string} uri
 * @returns {string[]} the uris of all containers of `uri`, the nearest first, the root "" last
 */
export function ancestors(uri) {
    const above = segments(uri);
    return above.map((_, index) => above.slice(0, above.length - 1 - index).join("/"));
}

/**
 * @param {unknown} container
 * @param {string} key
 * @returns {unknown} the container's own value at `key`, or undefined: `constructor` is data like any other
 */
export function child(container, key) {
    if (Array.isArray(container)) return INDEX.test(key) ? container[Number(key)] : undefined;
    if (container !== null && typeof container === "object" && Object.hasOwn(container, key)) return container[key];
    return undefined;
}

/**
 * @param {unknown} document
 * @param {string} uri
 * @returns {unknown} the value at `uri`, or undefined where the document has none
 */
export function get(document, uri) {
    return split(uri).reduce(child, document);
}

/**
 * Set `value` at `uri`; an array may grow by one at its end.
 *
 * @param {unknown} document
 * @param {string} uri
 * @param {unknown} value
 * @returns {unknown} the document's root: a new one only for the root uri
 * @throws {JsonUriError} a missing parent, or an array index past the end
 */
export function set(document, uri, value) {
    const keys = split(uri);
    const key = keys.pop();
    if (key === undefined) return value;
    put(keys.reduce(child, document), key, value, uri);
    return document;
}

/**
 * @param {unknown} container
 * @param {string} key
 * @param {unknown} value
 * @param {string} uri for the error
 */
export function put(container, key, value, uri) {
    if (Array.isArray(container)) {
        if (!INDEX.test(key) || Number(key) > container.length) {
            throw new JsonUriError(`expected an index up to ${container.length}, got "${key}" at "${uri}"`, uri);
        }
        container[Number(key)] = value;
    } else if (container !== null && typeof container === "object") {
        container[key] = value;
    } else {
        throw new JsonUriError(`expected a container above "${uri}", found ${describe(container)}`, uri);
    }
}

/**
 * @param {unknown} value
 * @returns {string} what it is, for errors
 */
export function describe(value) {
    if (value === null || value === undefined) return String(value);
    return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

/** Split at the slashes that no backslash protects; segments stay escaped. */
function splitEscaped(uri) {
    if (!uri.includes("\\")) return uri.split("/");
    const pattern = /((?:[^\\/]|\\[^])*)(\/|$)/y;
    const segments = [];
    for (;;) {
        const found = pattern.exec(uri);
        if (found === null) {
            throw new JsonUriError(`expected a character after the backslash in "${uri}"`, uri);
        }
        segments.push(found[1]);
        if (found[2] === "") return segments;
    }
}
