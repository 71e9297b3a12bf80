/** attributes: which attributes a document may fill, and with what. Model text is not to be trusted with the rest. */
/**
 * @param {string} name of an attribute
 * @returns {boolean} whether `data-ling-attr-<name>` is allowed: never a handler, a style, or what loads a resource
 */
export declare function isBindable(name: string): boolean;
/**
 * @param {string} name
 * @param {string} text
 * @returns {string | null} what to write; null where a link would be no link that a page should follow
 */
export declare function safeValue(name: string, text: string): string | null;
