/** recipes: reads from the markup which bindings its elements have, and compiles templates. */
import type { Item, Recipe } from "./scope.js";
/**
 * The elements in and below one that are bound, in the order of the page. What a list or a text contains is
 * theirs, and a nested <ling-stream> looks after itself.
 *
 * @param {Element} element
 * @returns {Iterable<[Element, Recipe[]]>}
 */
export declare function boundIn(element: Element): Iterable<[Element, Recipe[]]>;
/** @param {Element} element */
export declare function boundBelow(element: Element): Generator<[Element, Recipe[]], void, any>;
/** A template whose bindings were looked up once: copies are made without looking again. */
export declare class Plan {
    #private;
    /** Whether something in it changes where a field is complete and else as it was. */
    seesEnds: boolean;
    /** @param {HTMLTemplateElement} template */
    constructor(template: HTMLTemplateElement);
    /**
     * @param {Item} item gets the bindings of a new copy
     * @returns {DocumentFragment} the copy
     */
    copyFor(item: Item): DocumentFragment;
}
/**
 * @param {Element} element of a list
 * @returns {Plan | null} null without a template
 */
export declare function planOf(element: Element): Plan | null;
/** @param {Element} element of a list */
export declare function templateOf(element: Element): Element | undefined;
