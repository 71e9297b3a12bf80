/** attributes: which attributes a document may fill, and with what. Model text is not to be trusted with the rest. */

const PLAIN = new Set([
    "alt",
    "datetime",
    "dir",
    "high",
    "label",
    "lang",
    "low",
    "max",
    "min",
    "optimum",
    "placeholder",
    "title",
    "value",
]);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/**
 * @param {string} name of an attribute
 * @returns {boolean} whether `data-ling-attr-<name>` is allowed: never a handler, a style, or what loads a resource
 */
export function isBindable(name) {
    return PLAIN.has(name) || name === "href" || name.startsWith("aria-") || /^data-(?!ling)/.test(name);
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {string | null} what to write; null where a link would be no link that a page should follow
 */
export function safeValue(name, text) {
    if (name !== "href") return text;
    try {
        return SCHEMES.has(new URL(text, globalThis.document?.baseURI).protocol) ? text : null;
    } catch {
        return null;
    }
}
