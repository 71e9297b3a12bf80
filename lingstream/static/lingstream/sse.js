/** sse: many runs as server-sent events. */

/** @import { Way } from "./feed.js" */

/**
 * The server says something at once, a comment if it has nothing else: a response that brings nothing for so long is
 * held back by somebody in between.
 *
 * @type {Way}
 */
export const SSE = {
    patience: 5_000,
    parser() {
        const parser = new EventStreamParser();
        return (text) => parser.feed(text).map(({ data }) => data);
    },
};

/** Takes text/event-stream in pieces cut anywhere and gives events. */
export class EventStreamParser {
    #pending = "";
    #skipNewline = false;
    #id = "";
    #event = "";
    #data = [];

    /**
     * @param {string} text
     * @returns {{id: string, event: string, data: string}[]} the events that it completed
     */
    feed(text) {
        if (this.#skipNewline && text !== "") {
            this.#skipNewline = false;
            if (text.startsWith("\n")) text = text.slice(1);
        }
        if (!/[\r\n]/.test(text)) {
            this.#pending += text; // a rope: a long line that comes in many pieces is joined once
            return [];
        }
        this.#skipNewline = text.endsWith("\r");
        const lines = (this.#pending + text).split(/\r\n|\r|\n/);
        this.#pending = lines.pop();
        return lines.map((line) => this.#line(line)).filter((event) => event !== null);
    }

    #line(line) {
        if (line === "") return this.#dispatch();
        const colon = line.indexOf(":");
        if (colon === 0) return null; // a comment: the server's heartbeat
        const field = colon === -1 ? line : line.slice(0, colon);
        const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
        if (field === "data") this.#data.push(value);
        else if (field === "event") this.#event = value;
        else if (field === "id" && !value.includes("\0")) this.#id = value;
        return null;
    }

    #dispatch() {
        const event = { id: this.#id, event: this.#event, data: this.#data.join("\n") };
        const isEmpty = this.#data.length === 0;
        this.#event = "";
        this.#data = [];
        return isEmpty ? null : event;
    }
}
