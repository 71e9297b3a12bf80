/** client: starts and watches the runs of one site, over whatever connection there is. */
import { Run } from "./run.js";
import type { Conversation, ConversationOptions } from "./conversation.js";
import type { Conversations, Wanted } from "./conversations.js";
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
     * auto is WebSocket first, SSE where it does not come
     * through, long polling where that does not either
     */
    transport?: "auto" | "websocket" | "sse" | "poll";
    /**
     * let the server count what we have read (flow control; WebSocket only; true unless told otherwise)
     */
    ack?: boolean;
    /**
     * CSRF token; else the script tag's or the cookie's
     */
    csrf?: string;
    /**
     * the token of a visitor that this page keeps (null while it has none): this
     * client's connections are his then, and nothing is stored; `on("visitor", …)` tells each new one
     */
    visitor?: string | null;
    /**
     * attempts to come back before a run counts as lost
     */
    retries?: number;
    /**
     * close: a page that has been hidden for a minute keeps no connection
     */
    hidden?: "keep" | "close";
    /**
     * another one than the page's, for all that is asked by HTTP
     */
    fetch?: typeof globalThis.fetch;
    /**
     * others than the built-in ones
     */
    transports?: Record<"websocket" | "sse" | "poll", object>;
};
/**
 * @typedef {object} ClientOptions
 * @property {string} [base] where `lingstream.urls` is included; else what the script tag says; outside of a page absolute
 * @property {string} [socket] path of the WebSocket, or its address; else what the script tag says
 * @property {"auto" | "websocket" | "sse" | "poll"} [transport] auto is WebSocket first, SSE where it does not come
 *   through, long polling where that does not either
 * @property {boolean} [ack] let the server count what we have read (flow control; WebSocket only; true unless told otherwise)
 * @property {string} [csrf] CSRF token; else the script tag's or the cookie's
 * @property {string | null} [visitor] the token of a visitor that this page keeps (null while it has none): this
 *   client's connections are his then, and nothing is stored; `on("visitor", …)` tells each new one
 * @property {number} [retries] attempts to come back before a run counts as lost
 * @property {"keep" | "close"} [hidden] close: a page that has been hidden for a minute keeps no connection
 * @property {typeof globalThis.fetch} [fetch] another one than the page's, for all that is asked by HTTP
 * @property {Record<"websocket" | "sse" | "poll", object>} [transports] others than the built-in ones
 */
/** Starts and watches the runs of one site. */
export declare class Client {
    #private;
    /** @param {ClientOptions} options */
    constructor(options?: ClientOptions);
    /**
     * @template [Output=unknown] the document
     * @param {string} workflow slug
     * @param {unknown} input
     * @param {{key?: string, conversation?: string, signal?: AbortSignal}} [options] the same key never starts a second
     *   run; aborting the signal cancels it
     * @returns {Run<Output>} a new one, or the one that this client has under that key
     */
    start<Output = unknown>(workflow: string, input: unknown, { key, conversation, signal }?: {
        key?: string;
        conversation?: string;
        signal?: AbortSignal;
    }): Run<Output>;
    /**
     * @template [Output=unknown] the document
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string, input?: unknown, frames?: object[]}} [known] a share
     *   reads, a token cancels too; the frames that the page has brought with it
     * @returns {Run<Output>} the one that this page has already, or a new one
     */
    subscribe<Output = unknown>(id: string, { frames, ...known }?: {
        token?: string;
        share?: string;
        workflow?: string;
        input?: unknown;
        frames?: object[];
    }): Run<Output>;
    /**
     * @param {string} id of a conversation, or `new`: the first message that is sent begins that
     * @param {ConversationOptions} [options]
     * @returns {Promise<Conversation>}
     */
    conversation(id: string, options?: ConversationOptions): Promise<Conversation>;
    /**
     * @param {Wanted} [wanted]
     * @returns {Promise<Conversations>} the person's, the newest first
     */
    conversations(wanted?: Wanted): Promise<Conversations>;
    /**
     * @param {"notice" | "visitor"} type that something has changed in one of the person's conversations; the token of
     *   the visitor, if there is one, and each new one (`""`: none any more)
     * @param {(told: any) => void} listener
     * @returns {Promise<() => void>} ends that
     */
    on(type: "notice" | "visitor", listener: (told: any) => void): Promise<() => void>;
}
/**
 * What cannot even be asked fails as what the server refuses, so that one listener hears of both.
 *
 * @param {Run} run
 * @param {Error} error
 * @returns {Run}
 */
export declare function refuse(run: Run, error: Error): Run;
