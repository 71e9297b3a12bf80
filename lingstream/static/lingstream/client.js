/** client: starts and watches the runs of one site, over whatever connection there is. */

import { FeedTransport } from "./feed.js";
import { written } from "./page.js";
import { POLL } from "./poll.js";
import { Run } from "./run.js";
import { Session } from "./session.js";
import { SocketTransport } from "./socket.js";
import { SSE } from "./sse.js";

/** What is tried next where one does not come through. */
const NEXT = { websocket: "sse", sse: "poll", poll: "websocket" };

/**
 * @typedef {object} ClientOptions
 * @property {string} [base] where `lingstream.urls` is included; else what the script tag says
 * @property {string} [socket] path of the WebSocket; else what the script tag says
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
     * @param {{key?: string, conversation?: string}} [options] the same key never starts a second run
     * @returns {Run} a new one, or the one that this client has under that key
     */
    start(workflow, input, { key = randomKey(), conversation } = {}) {
        const run = new Run({ workflow, key });
        let name;
        try {
            if (!workflow) throw new TypeError("expected the slug of a workflow to start");
            name = JSON.stringify([workflow, input, key]);
        } catch (error) {
            return refuse(run, error);
        }
        const known = this.#sessions.get(name);
        if (known) return known.hold();
        return this.#watch(run, { workflow, input, key, conversation }, name);
    }

    /**
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string}} [options] a share reads, a token cancels too
     * @returns {Run} the one that this page has already, or a new one
     */
    subscribe(id, { token, share, workflow } = {}) {
        const known = this.#sessions.get(id);
        if (known) return known.hold();
        return this.#watch(new Run({ id, token, share, workflow }), null, id);
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
    return {
        websocket: SocketTransport.shared(socket, base),
        sse: new FeedTransport(base, SSE, { csrf }),
        poll: new FeedTransport(base, POLL, { csrf }),
    };
}

/** `crypto.randomUUID` exists in secure contexts only; a demo on a phone in the house is none. */
function randomKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
