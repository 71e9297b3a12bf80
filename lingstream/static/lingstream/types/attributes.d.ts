/**
 * attributes: which attributes and properties a document may fill, and with what. Model text is not to be
 * trusted with the rest.
 */
/**
 * @param {string} name of an attribute
 * @returns {boolean} whether `data-ling-attr-<name>` is allowed: never a handler, a style, or what loads a resource
 */
export declare function isBindable(name: string): boolean;
/**
 * A custom element decides by itself what its properties do; what every element has (`innerHTML`, `style`,
 * `constructor`) is not its own, and what reads as a handler or as markup is never filled.
 *
 * @param {Element} element
 * @param {string} name of a property
 * @returns {boolean} whether `data-ling-prop-<name>` is allowed
 */
export declare function isBindableProperty(element: Element, name: string): boolean;
/**
 * @param {{recipe: object, element: Element}} given to a binding
 * @param {boolean} isFine whether it may write what its attribute names; what it may not is told of once, however many
 *   copies of a template have it
 * @returns {boolean} the same
 */
export declare function isAllowed({ recipe, element }: {
    recipe: object;
    element: Element;
}, isFine: boolean): boolean;
/** @param {Element} element */
export declare function isCustom(element: Element): boolean;
/**
 * @param {string} name
 * @param {string} text
 * @returns {string | null} what to write; null where a link would be no link that a page should follow
 */
export declare function safeValue(name: string, text: string): string | null;
