/**
 * feed: many runs in one HTTP response, which is read with fetch: EventSource can neither POST nor send a token.
 *
 * What server-sent events (sse.js) and long polling (poll.js) share: how runs are started and canceled, and which
 * are asked for, each behind what has been seen of it. When that list changes, the response is left for another.
 */
import type { Fault } from "./run.js";
import type { Visitor } from "./visitor.js";
export type Way = {
    /**
     * seconds that the server may wait before it answers; else it streams
     */
    wait?: number;
    /**
     * milliseconds in which something has to come
     */
    patience: number;
    /**
     * of one response: takes pieces, gives messages
     */
    parser: () => (text: string) => string[];
};
/**
 * @typedef {object} Way how the response is read
 * @property {number} [wait] seconds that the server may wait before it answers; else it streams
 * @property {number} patience milliseconds in which something has to come
 * @property {() => (text: string) => string[]} parser of one response: takes pieces, gives messages
 */
/**
 * @param {"sse" | "poll"} way
 * @param {string} base where `lingstream.urls` is included
 * @param {{csrf?: string, visitor?: Visitor, fetch?: typeof fetch}} options
 * @returns {FeedTransport}
 */
export declare function connect(way: "sse" | "poll", base: string, options: {
    csrf?: string;
    visitor?: Visitor;
    fetch?: typeof fetch;
}): FeedTransport;
/** A transport as session.js describes it. */
export declare class FeedTransport {
    #private;
    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {Way} way
     * @param {{csrf?: string, visitor?: Visitor, fetch?: typeof fetch}} [options]
     */
    constructor(base: string, way: Way, options?: {
        csrf?: string;
        visitor?: Visitor;
        fetch?: typeof fetch;
    });
    /** See session.js. */
    start({ workflow, input, key, conversation }: {
        conversation: any;
        input: any;
        key: any;
        workflow: any;
    }, sink: any): {
        cancel: (run: any, token: any) => Promise<void>;
        close: () => void;
    };
    /** See session.js. */
    subscribe({ run, token, after }: {
        after: any;
        run: any;
        token: any;
    }, sink: any): {
        cancel: (run: any, token: any) => Promise<void>;
        close: () => void;
    };
    /** See notices.js. */
    attach({ run, after }: {
        after: any;
        run: any;
    }, sink: any): {
        cancel: (run: any, token: any) => Promise<void>;
        close: () => void;
    };
    /** See http.js. */
    request(...asked: any[]): Promise<any>;
    /**
     * Cancel a run that we may not be connected to.
     *
     * @param {string} run
     * @param {string | null} token
     * @param {(fault?: Fault) => void} denied is told why it was not; without a fault there was no connection
     */
    cancel(run: string, token: string | null, denied: (fault?: Fault) => void): Promise<void>;
}
