/** sse: one HTTP response per run, read with fetch: EventSource can neither POST nor send a header. */
/** Reads runs as server-sent events. */
export declare class SseTransport {
    #private;
    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {{csrf?: string, fetch?: typeof fetch}} [options]
     */
    constructor(base: string, { csrf, fetch }?: {
        csrf?: string;
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
    /**
     * Cancel a run that we may not be connected to.
     *
     * @param {string} run
     * @param {string | null} token
     */
    cancel(run: string, token: string | null): Promise<void>;
}
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
/**
 * @param {{id: string, event: string, data: string}} event
 * @returns {object | null} the frame as the WebSocket would have sent it; null for events we do not know
 */
export declare function toFrame({ id, event, data }: {
    id: string;
    event: string;
    data: string;
}): object | null;
