/** client: starts and watches the runs of one site, over whatever connection there is. */
import { Run } from "./run.js";
export type ClientOptions = {
    /**
     * where `lingstream.urls` is included; else what the script tag says; outside of a page absolute
     */
    base?: string;
    /**
     * path of the WebSocket, or its address; else what the script tag says
     */
    socket?: string;
    /**
     * auto is WebSocket first, SSE where it does not open
     */
    transport?: "auto" | "websocket" | "sse";
    /**
     * let the server count what we have read (flow control; WebSocket only; true unless told otherwise)
     */
    ack?: boolean;
    /**
     * CSRF token; else the script tag's or the cookie's
     */
    csrf?: string;
    /**
     * attempts to come back before a run counts as lost
     */
    retries?: number;
    /**
     * others than the built-in ones
     */
    transports?: Record<"websocket" | "sse", object>;
};
/**
 * @typedef {object} ClientOptions
 * @property {string} [base] where `lingstream.urls` is included; else what the script tag says; outside of a page absolute
 * @property {string} [socket] path of the WebSocket, or its address; else what the script tag says
 * @property {"auto" | "websocket" | "sse"} [transport] auto is WebSocket first, SSE where it does not open
 * @property {boolean} [ack] let the server count what we have read (flow control; WebSocket only; true unless told otherwise)
 * @property {string} [csrf] CSRF token; else the script tag's or the cookie's
 * @property {number} [retries] attempts to come back before a run counts as lost
 * @property {Record<"websocket" | "sse", object>} [transports] others than the built-in ones
 */
/** Starts and watches the runs of one site. */
export declare class Client {
    #private;
    /** @param {ClientOptions} options */
    constructor(options?: ClientOptions);
    /**
     * @param {string} workflow slug
     * @param {unknown} input
     * @param {{key?: string, conversation?: string}} [options] the same key never starts a second run
     * @returns {Run} a new one, or the one that this client has under that key
     */
    start(workflow: string, input: unknown, { key, conversation }?: {
        key?: string;
        conversation?: string;
    }): Run;
    /**
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string}} [options] a share reads, a token cancels too
     * @returns {Run} the one that this page has already, or a new one
     */
    subscribe(id: string, { token, share, workflow }?: {
        token?: string;
        share?: string;
        workflow?: string;
    }): Run;
}
/**
 * What cannot even be asked fails as what the server refuses, so that one listener hears of both.
 *
 * @param {Run} run
 * @param {Error} error
 * @returns {Run}
 */
export declare function refuse(run: Run, error: Error): Run;
