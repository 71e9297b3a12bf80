/** around: what the markup around a binding says to it. */
/**
 * @param {{element: Element, scope: object}} part a binding
 * @param {string} selector
 * @returns {Element | null} the nearest that fits: its own element, one around it or around the list that it is in
 */
export declare function nearest({ element, scope }: {
    element: Element;
    scope: object;
}, selector: string): Element | null;
/** @returns {string} whose images a model may show here; see nodes.js */
export declare function imagesFor(part: any): string;
/** @returns {string} the label of a button on each block of code; `""`: there is none */
export declare function copyFor(part: any): string;
