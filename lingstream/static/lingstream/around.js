/** around: what the markup around a binding says to it. */

/**
 * @param {{element: Element, scope: object}} part a binding
 * @param {string} selector
 * @returns {Element | null} the nearest that fits: its own element, one around it or around the list that it is in
 */
export function nearest({ element, scope }, selector) {
    return element.closest(selector) ?? (scope.list ? nearest(scope.list, selector) : null);
}

/** @returns {string} whose images a model may show here; see nodes.js */
export function imagesFor(part) {
    return nearest(part, "[data-ling-images]")?.getAttribute("data-ling-images") ?? "";
}

/** @returns {string} the label of a button on each block of code; `""`: there is none */
export function copyFor(part) {
    return nearest(part, "[data-ling-copy]")?.getAttribute("data-ling-copy") ?? "";
}
