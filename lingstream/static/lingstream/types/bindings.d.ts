/**
 * bindings: writes a document into the page.
 *
 * The attributes are described in docs/client.md. Which elements are bound is read once (recipes.js); what has
 * happened to the document is kept as a trie of uris (changes.js), and only the bindings at, above or below
 * those are drawn (scope.js, each.js). What others do to the page is repaired (watch.js). No string is ever
 * read as markup.
 */
import type { Op } from "./fold.js";
export type Parser = {
    append: (text: string) => void;
    end: () => void;
};
/** The bindings below one element. Feed it with `note` and `settle`, then `render`. */
export declare class Bindings {
    #private;
    /**
     * @param {Element} root its own attributes are not read; nested <ling-stream> elements are left alone
     * @param {{about?: () => object}} [options] `about` returns what `@status`, `@error/message` … read
     */
    constructor(root: Element, { about }?: {
        about?: () => object;
    });
    /**
     * @typedef {{append: (text: string) => void, end: () => void}} Parser
     * @returns {((element: Element, options: {images: string}) => Parser) | null}
     */
    static get markdown(): ((element: Element, options: {
        images: string;
    }) => Parser) | null;
    /** Draw `data-ling-markdown` with something else than markdown.js. */
    static set markdown(factory: ((element: Element, options: {
        images: string;
    }) => Parser) | null);
    /** @param {Op[]} ops that were folded since the last render */
    note(ops: Op[]): void;
    /**
     * @param {string} uri a field that is complete, with all below it
     * @param {boolean} [cut] the model's answer was cut off inside it
     */
    settle(uri: string, cut?: boolean): void;
    /**
     * Forget what was noted: the document was replaced.
     *
     * @param {string[]} [cut] uris of the fields that were cut off
     */
    reset(cut?: string[]): void;
    /** @param {string} name of what `about` returns and may have changed, such as `status` */
    touch(name: string): void;
    /**
     * @param {unknown} document
     * @param {number} [deadline] when to stop, as `performance.now()` tells it
     * @returns {boolean} whether the page shows all; else call it again in the next frame: there was no time for the
     *   rest, what draws it is being loaded, or a parser is at it
     */
    render(document: unknown, deadline?: number): boolean;
    /** Look at all of the page again, in the next frame. Changes that a MutationObserver sees need no call. */
    refresh(): void;
    /** Forget the page. What was written stays. */
    disconnect(): void;
}
