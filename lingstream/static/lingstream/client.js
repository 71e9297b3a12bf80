/** client: starts and watches the runs of one site, over whatever connection there is. */

import { Fallback } from "./fallback.js";
import { randomKey } from "./keys.js";
import { absolute, written } from "./page.js";
import { Run } from "./run.js";
import { Session } from "./session.js";
import { SocketTransport } from "./socket.js";

/** @import { Conversation, ConversationOptions } from "./conversation.js" */
/** @import { Conversations, Wanted } from "./conversations.js" */

/** What is tried next where one does not come through. */
const NEXT = { websocket: "sse", sse: "poll", poll: "websocket" };

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
export class Client {
    #transports;
    #current;
    #auto;
    #manner; // of its sessions
    #late; // what pages with conversations load
    #sessions = new Map(); // by the run's id, and by what was asked under a key

    /** @param {ClientOptions} options */
    constructor(options = {}) {
        const { transport = "auto", hidden = "keep", ack = true, retries = 10 } = options;
        check({ transport }, ["auto", ...Object.keys(NEXT)]);
        check({ hidden }, ["keep", "close"]);
        this.#transports = options.transports ?? connect(options);
        this.#auto = transport === "auto";
        this.#current = this.#auto ? "websocket" : transport;
        this.#manner = { ack, retries, hidden };
        const link = { client: this, Run, transports: this.#transports, watch: this.#watch.bind(this) };
        this.#late = new Fallback(async () => (await import("./conversations.js")).connect(link));
    }

    /**
     * @template [Output=unknown] the document
     * @param {string} workflow slug
     * @param {unknown} input
     * @param {{key?: string, conversation?: string, signal?: AbortSignal}} [options] the same key never starts a second
     *   run; aborting the signal cancels it
     * @returns {Run<Output>} a new one, or the one that this client has under that key
     */
    start(workflow, input, { key = randomKey(), conversation, signal } = {}) {
        const run = new Run({ workflow, key, input }).cancelBy(signal);
        let name;
        try {
            if (!workflow) throw new TypeError("expected a workflow");
            name = JSON.stringify([workflow, input, key]);
        } catch (error) {
            return refuse(run, error);
        }
        const known = this.#sessions.get(name);
        if (known) return known.hold().cancelBy(signal);
        if (signal?.aborted) {
            queueMicrotask(() => run.end("canceled"));
            return run;
        }
        return this.#watch(run, { workflow, input, key, conversation }, name);
    }

    /**
     * @template [Output=unknown] the document
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string, input?: unknown, frames?: object[]}} [known] a share
     *   reads, a token cancels too; the frames that the page has brought with it
     * @returns {Run<Output>} the one that this page has already, or a new one
     */
    subscribe(id, { frames = [], ...known } = {}) {
        const session = this.#sessions.get(id);
        if (session) return session.hold();
        const run = new Run({ ...known, id });
        const begin = () => frames.forEach((frame) => run.receive(frame));
        if (frames.at(-1)?.done) {
            queueMicrotask(begin); // there is nothing to connect for, and who asks may listen first
            return run;
        }
        begin();
        return this.#watch(run, null, id);
    }

    /**
     * @param {string} id of a conversation, or `new`: the first message that is sent begins that
     * @param {ConversationOptions} [options]
     * @returns {Promise<Conversation>}
     */
    conversation(id, options) {
        return this.#late.ask("conversation", id, options);
    }

    /**
     * @param {Wanted} [wanted]
     * @returns {Promise<Conversations>} the person's, the newest first
     */
    conversations(wanted) {
        return this.#late.ask("conversations", wanted);
    }

    /**
     * @param {"notice" | "visitor"} type that something has changed in one of the person's conversations; the token of
     *   the visitor, if there is one, and each new one (`""`: none any more)
     * @param {(told: any) => void} listener
     * @returns {Promise<() => void>} ends that
     */
    on(type, listener) {
        return this.#late.ask("on", type, listener);
    }

    /** @param {object} [first] transport of the start, where that goes another way than what follows */
    #watch(run, request, name, first) {
        const session = new Session(run, request, {
            ...this.#manner,
            pick: () => (!run.id && first) || this.#transports[this.#current],
            failed: (transport) => this.#failed(transport),
            cancel: (...asked) => this.#transports.sse.cancel(...asked),
            register: () => [name, run.id].forEach((known) => known && this.#sessions.set(known, session)),
            forget: () => {
                for (const known of [name, run.id]) {
                    if (this.#sessions.get(known) === session) this.#sessions.delete(known);
                }
            },
        });
        run.attach(session);
        this.#sessions.set(name, session);
        session.open();
        return run;
    }

    /**
     * Of the runs that one dead connection carried, the first to say so decides for all.
     *
     * @param {object} transport could not connect
     * @returns {boolean} whether there is another one to try at once
     */
    #failed(transport) {
        if (!this.#auto) return false;
        if (this.#transports[this.#current] === transport) this.#current = NEXT[this.#current];
        return true;
    }
}

/**
 * What cannot even be asked fails as what the server refuses, so that one listener hears of both.
 *
 * @param {Run} run
 * @param {Error} error
 * @returns {Run}
 */
export function refuse(run, error) {
    console.error("lingstream:", error.message);
    queueMicrotask(() => run.end("failed", { code: "usage", message: error.message, retryable: false }));
    return run;
}

function check(option, known) {
    const [[name, value]] = Object.entries(option);
    if (!known.includes(value)) throw new TypeError(`expected ${name} among ${known.join(", ")}, got "${value}"`);
}

function connect({
    base = written("base") ?? "/ling/",
    socket = written("socket") ?? "/ws/ling/",
    csrf,
    fetch,
    visitor: token = written("user") && "", // a login speaks for itself
}) {
    const websocket = SocketTransport.shared(absolute(socket, absolute(base)), absolute(base), token);
    const manner = { csrf, fetch, visitor: websocket.visitor };
    const http = (way) => new Fallback(async () => (await import("./feed.js")).connect(way, base, manner));
    return { websocket, sse: http("sse"), poll: http("poll") };
}
