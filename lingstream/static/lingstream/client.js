/** client: starts and watches the runs of one site, over whatever connection there is. */

import { Fallback } from "./fallback.js";
import { absolute, written } from "./page.js";
import { Run } from "./run.js";
import { Session } from "./session.js";
import { SocketTransport } from "./socket.js";

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
 * @property {number} [retries] attempts to come back before a run counts as lost
 * @property {"keep" | "close"} [hidden] close: a page that has been hidden for a minute keeps no connection
 * @property {Record<"websocket" | "sse" | "poll", object>} [transports] others than the built-in ones
 */

/** Starts and watches the runs of one site. */
export class Client {
    #transports;
    #current;
    #auto;
    #ack;
    #retries;
    #hidden;
    #sessions = new Map(); // by the run's id, and by what was asked under a key

    /** @param {ClientOptions} options */
    constructor(options = {}) {
        const { transport = "auto", hidden = "keep" } = options;
        check({ transport }, ["auto", ...Object.keys(NEXT)]);
        check({ hidden }, ["keep", "close"]);
        this.#transports = options.transports ?? connect(options);
        this.#auto = transport === "auto";
        this.#current = this.#auto ? "websocket" : transport;
        this.#ack = options.ack ?? true;
        this.#retries = options.retries ?? 10;
        this.#hidden = hidden;
    }

    /**
     * @param {string} workflow slug
     * @param {unknown} input
     * @param {{key?: string, conversation?: string, signal?: AbortSignal}} [options] the same key never starts a second
     *   run; aborting the signal cancels it
     * @returns {Run} a new one, or the one that this client has under that key
     */
    start(workflow, input, { key = randomKey(), conversation, signal } = {}) {
        const run = new Run({ workflow, key, input }).cancelBy(signal);
        let name;
        try {
            if (!workflow) throw new TypeError("expected the slug of a workflow to start");
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
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string, input?: unknown, frames?: object[]}} [known] a share
     *   reads, a token cancels too; the frames that the page has brought with it
     * @returns {Run} the one that this page has already, or a new one
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

    #watch(run, request, name) {
        const session = new Session(run, request, {
            ack: this.#ack,
            retries: this.#retries,
            hidden: this.#hidden,
            pick: () => this.#transports[this.#current],
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
    queueMicrotask(() => {
        run.report({ code: "usage", message: error.message, retryable: false });
        run.end("failed");
    });
    return run;
}

function check(option, known) {
    const [[name, value]] = Object.entries(option);
    if (!known.includes(value)) throw new TypeError(`expected ${name} among ${known.join(", ")}, got "${value}"`);
}

function connect({ base = written("base") ?? "/ling/", socket = written("socket") ?? "/ws/ling/", csrf }) {
    const http = (way) => new Fallback(async () => (await import("./feed.js")).connect(way, base, { csrf }));
    return {
        websocket: SocketTransport.shared(absolute(socket, absolute(base))),
        sse: http("sse"),
        poll: http("poll"),
    };
}

/** `crypto.randomUUID` exists in secure contexts only; a demo on a phone in the house is none. */
function randomKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
