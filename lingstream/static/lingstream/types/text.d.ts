/** text: bindings that fill their element, and the text of `data-ling`, which is one kind of these. */
import { Part } from "./scope.js";
import type { Touched } from "./changes.js";
/** Set or remove an attribute without a value, and touch the page only if that changes something. */
export declare function mark(element: any, name: any, isSet: any): void;
/** What all that fill their element have: marks, and what is shown until the field exists. */
export declare class Content extends Part {
    #private;
    isContent: boolean;
    attributes: string[];
    mark(): void;
    get isWriting(): any;
    /** What is shown where the field does not exist; to be asked for before the element is filled. */
    get placeholder(): any;
    /**
     * To be called when the element is filled: markup that is copied, cached or read anew says from then on that
     * what it contains is no placeholder.
     *
     * @param {boolean} [isFilled] whether it was filled before we came
     */
    keepPlaceholder(isFilled?: boolean): void;
}
/** The text of an element. */
export declare class Text extends Content {
    #private;
    draw(value: any, touched: any): void;
    repair(): void;
    /** @returns {string | undefined} undefined where there is nothing to show */
    textOf(value: any): string | undefined;
    /** Other than in a node tree, nothing below the text's own uri is drawn. */
    get isWriting(): any;
}
/**
 * @param {string | undefined} before
 * @param {string | undefined} text
 * @param {Touched} touched
 * @returns {string | undefined} what `text` has behind `before`, or undefined where it is another one
 */
export declare function growthOf(before: string | undefined, text: string | undefined, touched: Touched): string | undefined;
/** @returns {number} where to cut a long text, so that no character is cut in two */
export declare function lengthOfPiece(text: any, most: any): number;
