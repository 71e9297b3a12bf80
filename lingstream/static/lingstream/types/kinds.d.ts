/**
 * kinds: the classes of bindings by name. Those that few pages have are loaded when the first of them is met in the
 * markup: until they are there nothing is drawn, so a page is never drawn in part.
 */
import type { Part } from "./scope.js";
/** What Markdown is drawn with; the page may set something else than markdown.js. */
export declare const parsers: {
    markdown: null;
};
/**
 * @param {string} name
 * @returns {typeof Part | undefined} undefined while it is not loaded; what cannot be loaded shows its text or nothing
 */
export declare function kindOf(name: string): typeof Part | undefined;
/** @param {string} name of a kind that is met in the markup */
export declare function need(name: string): void;
/** @returns {boolean} whether something that was met is not there yet */
export declare function isLoading(): boolean;
