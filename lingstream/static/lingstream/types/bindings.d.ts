/**
 * bindings: writes a document into the page.
 *
 *     data-ling="uri"              the element's text; `data-ling-writing` is set while the field grows
 *     data-ling-html="uri"         the elements of a node tree, as a bot with the format html writes it
 *     data-ling-each="uri"         one copy of the <template> inside per item of an array or object
 *     data-ling-if="uri", "!uri"   `hidden` unless the value is true as Django's templates see it
 *     data-ling-attr-<name>="uri"  an attribute
 *
 * Each of the first three gets `data-ling-cut` where a model's answer was cut off inside the field.
 *
 * Inside an each, uris are relative to the item: `topic`, `./topic`, and `.` for the item itself; with a
 * slash in front (`/answer`) they begin at the document's root. No string is ever read as markup.
 */
/** The bindings below one element. Feed it with `note` and `settle`, then `render`. */
export declare class Bindings {
    #private;
    /** @param {Element} root its own attributes are not read; nested <ling-stream> elements are left alone */
    constructor(root: Element);
    /** @param {import("./fold.js").Op[]} ops that were folded since the last render */
    note(ops: import("./fold.js").Op[]): void;
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
    /** @param {unknown} document */
    render(document: unknown): void;
}
