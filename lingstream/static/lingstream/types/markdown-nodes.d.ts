/**
 * markdown-nodes: what the Markdown parser finds, drawn as elements of nodes.js' list and as text.
 *
 * The parser's own renderer writes any `href`, loads any image and nests without an end. This one writes what
 * `safeAttribute` lets through, keeps images to the origins that the page names, draws what nests too deep or
 * comes too late as text, and shows brackets that turned out to be no link as they were written.
 */
import * as smd from "./vendor/streaming-markdown/smd.js";
/** The page's side of the parser, which calls `add_token`, `add_text`, `set_attr` and `end_token`. */
export declare class MarkdownNodes {
    #private;
    parser: smd.Parser;
    /**
     * @param {Element} element is emptied
     * @param {string} images origins whose images are shown
     * @param {string} copy label of the buttons that copy code; `""`: there are none
     */
    constructor(element: Element, images: string, copy: string);
    add_token(_data: any, type: any): void;
    add_text(_data: any, text: any): void;
    set_attr(_data: any, name: any, value: any): void;
    end_token(): void;
    /**
     * Complete the innermost token.
     *
     * @param {string} closing what stood at its end, which is shown if it was no link and no image
     */
    end(closing: string): void;
    /** Complete all tokens: the text has ended. */
    finish(): void;
    /** Write the text that was held back so that a node grows in few steps. */
    flush(): void;
}
