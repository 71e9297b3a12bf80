/**
 * markdown-parser: `streaming-markdown`, with what it lacks for texts that nobody has checked.
 *
 * The vendored parser keeps its state in a plain object. Its guards work on that object, before it sees a
 * character: half a link, an image or a formula must not swallow what follows; what nests without an end or
 * repeats without an end is text; and `snake_case` has no emphasis in it. Characters are handed on one by
 * one, so that nothing depends on how the text was cut.
 */
import type { MarkdownNodes } from "./markdown-nodes.js";
/** Reads a text character by character and tells the nodes of it. */
export declare class MarkdownParser {
    #private;
    /** @param {MarkdownNodes} nodes */
    constructor(nodes: MarkdownNodes);
    /** @param {string} char one code point */
    write(char: string): void;
    /** The text has ended: what may still have become something is text. */
    end(): void;
}
