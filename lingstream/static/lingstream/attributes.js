/**
 * attributes: which attributes and properties a document may fill, and with what. Model text is not to be
 * trusted with the rest.
 */

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
const PROPERTIES = new Set(["checked", "disabled", "hidden", "open", "selected", "value"]);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/**
 * @param {string} name of an attribute
 * @returns {boolean} whether `data-ling-attr-<name>` is allowed: never a handler, a style, or what loads a resource
 */
export function isBindable(name) {
    return PLAIN.has(name) || name === "href" || name.startsWith("aria-") || /^data-(?!ling)/.test(name);
}

/**
 * A custom element decides by itself what its properties do; what every element has (`innerHTML`, `style`,
 * `constructor`) is not its own, and what reads as a handler or as markup is never filled.
 *
 * @param {Element} element
 * @param {string} name of a property
 * @returns {boolean} whether `data-ling-prop-<name>` is allowed
 */
export function isBindableProperty(element, name) {
    if (PROPERTIES.has(name)) return true;
    return isCustom(element) && !(name in HTMLElement.prototype) && !/^on|html$|srcdoc$/i.test(name);
}

/**
 * @param {{recipe: object, element: Element}} given to a binding
 * @param {boolean} isFine whether it may write what its attribute names; what it may not is told of once, however many
 *   copies of a template have it
 * @returns {boolean} the same
 */
export function isAllowed({ recipe, element }, isFine) {
    if (!isFine && !recipe.isTold) {
        console.error(`lingstream: data-ling-${recipe.kind}-${recipe.name} is not allowed`, element);
        recipe.isTold = true;
    }
    return isFine;
}

/** @param {Element} element */
export function isCustom(element) {
    return element.localName.includes("-") && element.localName !== "ling-stream";
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
