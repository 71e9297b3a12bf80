/**
 * markdown-parser: `streaming-markdown`, with what it lacks for texts that nobody has checked.
 *
 * The vendored parser keeps its state in a plain object. Its guards work on that object, before it sees a
 * character: half a link, an image or a formula must not swallow what follows; what nests without an end or
 * repeats without an end is text; and `snake_case` has no emphasis in it. Characters are handed on one by
 * one, so that nothing depends on how the text was cut.
 */

import * as smd from "./vendor/streaming-markdown/smd.js";

/** @import { MarkdownNodes } from "./markdown-nodes.js" */

const MAX_OPEN = 200;
const MAX_PENDING = 1_024;

const WORD = /[\p{L}\p{N}]/u;
const MARKUP = new Set("#>*_-+.|`~[!$<");
const AFTER_URL = /[<>"`*|\u3000-\u303f\uff01-\uff65]/;
const ADDRESS = /^(?:<[^<>]*>|[^\s<]\S*)?(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?$/;
const STARTS = new Set([smd.DOCUMENT, smd.BLOCKQUOTE, smd.LIST_ORDERED, smd.LIST_UNORDERED]);
const VERBATIM = new Set([
    smd.CODE_BLOCK,
    smd.CODE_FENCE,
    smd.CODE_INLINE,
    smd.EQUATION_BLOCK,
    smd.EQUATION_INLINE,
    smd.IMAGE,
    smd.NEWLINE,
    smd.RAW_URL,
]);

/** Reads a text character by character and tells the nodes of it. */
export class MarkdownParser {
    #nodes;
    #parser;
    #previous = "\n";
    #underscores = 0;
    #parentheses = 0;

    /** @param {MarkdownNodes} nodes */
    constructor(nodes) {
        this.#nodes = nodes;
        this.#parser = nodes.parser;
        this.#parser.tokens = new Uint32Array(MAX_OPEN + 8).fill(smd.DOCUMENT, 0, 1);
        this.#parser.spaces = new Uint32Array(MAX_OPEN + 8);
    }

    /** @param {string} char one code point */
    write(char) {
        if (char === "_") {
            this.#underscores += 1;
            if (this.#underscores > MAX_PENDING) this.#passUnderscores(char);
            return;
        }
        if (this.#underscores > 0) this.#passUnderscores(char);
        if (char === "\r") this.#write("\n");
        else if (char !== "\n" || this.#previous !== "\r") this.#write(char);
        this.#previous = char;
    }

    /** The text has ended: what may still have become something is text. */
    end() {
        if (this.#underscores > 0) this.#passUnderscores("\n");
        const parser = this.#parser;
        if (this.#isInAddress()) this.#giveUpAddress();
        const last = parser.pending === "\\" ? "\\" : "\n";
        if (parser.pending !== "") this.#write(parser.token === smd.MAYBE_EQ_BLOCK ? " " : last);
        if (parser.token === smd.MAYBE_BR) this.#nodes.add_text(null, parser.pending.trimEnd());
    }

    #passUnderscores(next) {
        const isInWord = WORD.test(this.#previous) && WORD.test(next) && !this.#isVerbatim();
        for (; this.#underscores > 0; this.#underscores--) {
            if (isInWord) smd.parser_write(this.#parser, "\\");
            this.#write("_");
        }
        this.#previous = "_";
    }

    #write(char) {
        const parser = this.#parser;
        if (this.#isInAddress()) {
            this.#writeAddress(char);
            return;
        }
        this.#endTable(char);
        if (char === "\n") this.#endLine();
        else if (parser.token === smd.RAW_URL) this.#endUrl(char);
        else if (parser.token === smd.CODE_FENCE) this.#keepCode(char);
        if (parser.len >= MAX_OPEN && MARKUP.has(char)) this.#escape();
        smd.parser_write(parser, char);
        if (parser.pending.length > MAX_PENDING) this.#release();
    }

    /** Whether what was read last is the address of a link or image: the parser would take it up to any `)`. */
    #isInAddress() {
        const { token, pending } = this.#parser;
        return (token === smd.LINK || token === smd.IMAGE) && pending.startsWith("](");
    }

    #writeAddress(char) {
        const parser = this.#parser;
        if (char === "(") this.#parentheses += 1;
        if (char === ")" && this.#parentheses > 0) {
            this.#parentheses -= 1;
            parser.pending += char;
            return;
        }
        const isOver = char === "\n" || parser.pending.length > MAX_PENDING;
        if (isOver || (char === ")" && !ADDRESS.test(parser.pending.slice(2).trim()))) {
            this.#giveUpAddress();
            this.#write(char);
        } else {
            smd.parser_write(parser, char);
        }
        if (!this.#isInAddress()) this.#parentheses = 0;
    }

    #giveUpAddress() {
        const written = this.#parser.pending.slice(1);
        this.#leave("]");
        this.#nodes.add_text(null, written);
    }

    /** End the innermost token, which the parser does not do by itself here. */
    #leave(closing) {
        const parser = this.#parser;
        parser.pending = "";
        parser.len -= 1;
        parser.token = parser.tokens[parser.len];
        this.#nodes.end(closing);
    }

    /** An image or a formula within a line does not go on in the next one. */
    #endLine() {
        const { token, pending } = this.#parser;
        const isOpen = (token === smd.IMAGE && pending !== "]") || (token === smd.EQUATION_INLINE && pending !== "$");
        if (!isOpen) return;
        this.#nodes.add_text(null, pending);
        this.#leave("");
    }

    /** A line that is no row ends a table; the parser goes on to write into it. */
    #endTable(char) {
        const parser = this.#parser;
        if (parser.token === smd.TABLE_ROW && parser.pending === "\n") {
            parser.table_state = Math.min(parser.table_state + 1, 2);
            this.#leave("");
        }
        if (parser.token !== smd.TABLE) return;
        const { pending } = parser;
        const first = pending === "" ? char : pending[0];
        if (parser.table_state === 1 ? isDelimiter(pending, char) : first === "|") return;
        parser.table_state = 0;
        parser.blockquote_idx = 0;
        const kept = first === ">" ? parser.len - 1 : 0;
        while (parser.len > kept) this.#leave("");
        for (const held of pending) this.#write(held);
    }

    /** An address in a sentence ends at more than white space. */
    #endUrl(char) {
        if (!AFTER_URL.test(char)) return;
        this.#nodes.set_attr(null, smd.HREF, this.#parser.pending);
        this.#leave("");
    }

    /** Only a fence on a line of its own ends code; the parser would end it here, and lose a character. */
    #keepCode(char) {
        const { pending } = this.#parser;
        if (char !== "`" || pending === "" || pending[0] === "\n" || pending[0] === "`") return;
        this.#passPending();
    }

    #passPending() {
        const parser = this.#parser;
        this.#nodes.add_text(null, parser.pending);
        parser.pending = "";
        parser.fence_end = Infinity;
    }

    #escape() {
        if (this.#parser.pending !== "\\" && !this.#isVerbatim()) smd.parser_write(this.#parser, "\\");
    }

    #isVerbatim() {
        const { token, pending, indent_len: indent } = this.#parser;
        if (VERBATIM.has(token) || this.#isInAddress()) return true;
        const isStart = STARTS.has(token);
        return (isStart && indent >= 4) || ((isStart || token === smd.LINE_BREAK) && pending.startsWith("```"));
    }

    /** The parser looks at all that it holds at each character: do not let that grow. */
    #release() {
        const parser = this.#parser;
        const { token, pending } = parser;
        if (token === smd.RAW_URL) return; // only added to, not looked at
        if (token === smd.TABLE) parser.pending = pending.slice(0, 2);
        else if (STARTS.has(token) || token === smd.LINE_BREAK) {
            smd.parser_write(parser, pending.startsWith("```") ? "\n" : "\\");
            if (parser.pending === "\\") parser.pending = "";
        } else if (pending[0] === "`" && !VERBATIM.has(token)) {
            smd.parser_write(parser, " "); // begins code, of which a space in front is no part
        } else {
            this.#passPending();
            if (token === smd.MAYBE_BR) parser.token = parser.tokens[parser.len];
        }
    }
}

/** Whether the line below the head of a table may still be the one that says that it is a table. */
function isDelimiter(line, char) {
    return char === "\n" ? line !== "" : "-|: ".includes(char);
}
