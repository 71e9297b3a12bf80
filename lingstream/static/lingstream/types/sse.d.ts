/** sse: many runs as server-sent events. */
import type { Way } from "./feed.js";
/** @import { Way } from "./feed.js" */
/**
 * The server says something at once, a comment if it has nothing else: a response that brings nothing for so long is
 * held back by somebody in between.
 *
 * @type {Way}
 */
export declare const SSE: Way;
/** Takes text/event-stream in pieces cut anywhere and gives events. */
export declare class EventStreamParser {
    #private;
    /**
     * @param {string} text
     * @returns {{id: string, event: string, data: string}[]} the events that it completed
     */
    feed(text: string): {
        id: string;
        event: string;
        data: string;
    }[];
}
