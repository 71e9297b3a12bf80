/**
 * client: runs over whatever connection there is. Starts and watches runs, comes back after a lost
 * connection with back-off and goes on behind the last frame seen.
 *
 * A transport has `start(request, sink)` and `subscribe(request, sink)`, which return a channel with
 * `cancel(run, token)` and `close()`; it calls `sink.started(info)`, `sink.frame(frame)`,
 * `sink.refused(fault)` (the server said no) and `sink.lost({opened})` (no connection, or no longer).
 */

import { written } from "./page.js";
import { Run } from "./run.js";
import { SocketTransport } from "./socket.js";
import { SseTransport } from "./sse.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
const STABLE_AFTER = 20_000;

/**
 * @typedef {object} ClientOptions
 * @property {string} [base] where `lingstream.urls` is included; else what the script tag says
 * @property {string} [socket] path of the WebSocket; else what the script tag says
 * @property {"auto" | "websocket" | "sse"} [transport] auto is WebSocket first, SSE where it does not open
 * @property {boolean} [ack] let the server count what we have read (flow control; WebSocket only; true unless told otherwise)
 * @property {string} [csrf] CSRF token; else the script tag's or the cookie's
 * @property {number} [retries] attempts to come back before a run counts as lost
 * @property {Record<"websocket" | "sse", object>} [transports] others than the built-in ones
 */

/** Starts and watches the runs of one site. */
export class Client {
    #transports;
    #current;
    #auto;
    #ack;
    #retries;
    #sessions = new Map();

    /** @param {ClientOptions} options */
    constructor(options = {}) {
        const { transport = "auto", csrf } = options;
        const base = options.base ?? written("base") ?? "/ling/";
        const socket = options.socket ?? written("socket") ?? "/ws/ling/";
        if (!["auto", "websocket", "sse"].includes(transport)) {
            throw new TypeError(`expected transport "auto", "websocket" or "sse", got "${transport}"`);
        }
        this.#transports = options.transports ?? {
            websocket: SocketTransport.shared(socket),
            sse: new SseTransport(base, { csrf }),
        };
        this.#auto = transport === "auto";
        this.#current = this.#auto ? "websocket" : transport;
        this.#ack = options.ack ?? true;
        this.#retries = options.retries ?? 10;
    }

    /**
     * @param {string} workflow slug
     * @param {unknown} input
     * @param {{key?: string, conversation?: string}} [options] the same key never starts a second run
     * @returns {Run}
     */
    start(workflow, input, { key = randomKey(), conversation } = {}) {
        const run = new Run({ workflow });
        this.#watch(run, { workflow, input, key, conversation });
        return run;
    }

    /**
     * @param {string} id of a run
     * @param {{token?: string, share?: string, workflow?: string}} [options] a share reads, a token cancels too
     * @returns {Run} the one that this page has already, or a new one
     */
    subscribe(id, { token, share, workflow } = {}) {
        const known = this.#sessions.get(id);
        if (known) return known.hold();
        const run = new Run({ id, token, share, workflow });
        this.#watch(run, null);
        return run;
    }

    #watch(run, request) {
        const session = new Session(run, request, {
            ack: this.#ack,
            retries: this.#retries,
            pick: () => this.#transports[this.#current],
            fallback: () => this.#fallback(),
            cancel: (id, token) => this.#transports.sse.cancel(id, token),
            register: () => this.#sessions.set(run.id, session),
            forget: () => {
                if (this.#sessions.get(run.id) === session) this.#sessions.delete(run.id);
            },
        });
        run.attach(session);
        if (run.id) this.#sessions.set(run.id, session);
        session.open();
    }

    /** @returns {boolean} whether there is another transport to try at once */
    #fallback() {
        if (!this.#auto) return false;
        this.#current = this.#current === "websocket" ? "sse" : "websocket";
        return true;
    }
}

/** One run's tie to the server, over as many connections as it takes. */
class Session {
    #run;
    #request;
    #client;
    #channel = null;
    #sink = null;
    #holders = 1;
    #failures = 0;
    #openedAt = 0;
    #canceling = false;
    #closing = false;
    #wake = null;

    constructor(run, request, client) {
        this.#run = run;
        this.#request = request;
        this.#client = client;
    }

    hold() {
        this.#holders += 1;
        return this.#run;
    }

    open() {
        const sink = (this.#sink = this.#newSink());
        this.#openedAt = Date.now();
        const transport = this.#client.pick();
        const { id: run, token, share, last: after } = this.#run;
        const request = run ? { run, token: token ?? share, after } : this.#request;
        const method = run ? "subscribe" : "start";
        const channel = transport[method]({ ...request, ack: this.#client.ack }, sink);
        if (this.#sink !== sink) channel.close();
        else this.#channel = channel;
        if (run && this.#canceling) channel.cancel(run, token);
    }

    cancel() {
        this.#canceling = true;
        const { id, token } = this.#run;
        if (!id) return; // sent as soon as the start is answered
        if (this.#channel) this.#channel.cancel(id, token);
        else this.#client.cancel(id, token);
    }

    close() {
        if (this.#run.ended || --this.#holders > 0) return;
        this.#closing = true;
        if (!this.#canceling || this.#run.id) this.#stop();
    }

    /** A sink that has been replaced is deaf: late messages of a dropped connection change nothing. */
    #newSink() {
        const whenCurrent = (handle) => (argument) => {
            if (this.#sink === sink) handle.call(this, argument);
        };
        const sink = {
            started: whenCurrent(this.#started),
            frame: whenCurrent(this.#frame),
            refused: whenCurrent(this.#refused),
            lost: whenCurrent(this.#lost),
        };
        return sink;
    }

    #started(info) {
        this.#run.begin(info);
        this.#client.register();
        // A transport may answer before it has returned the channel.
        if (this.#canceling) queueMicrotask(() => this.cancel());
        if (this.#closing) queueMicrotask(() => this.#stop());
    }

    #frame(frame) {
        if (frame.ops || frame.event) this.#failures = 0; // a snapshot alone is no progress
        if (this.#run.receive(frame)) {
            this.#drop();
            this.open();
        }
        if (this.#run.ended) this.#stop();
    }

    #refused(fault) {
        if (fault.retryable && this.#run.id) {
            this.#lost({ opened: true });
            return;
        }
        this.#run.report(fault);
        this.#run.end("failed");
        this.#stop();
    }

    #lost({ opened }) {
        this.#drop();
        if (this.#closing) {
            this.#stop();
            return;
        }
        this.#run.interrupt();
        if (Date.now() - this.#openedAt > STABLE_AFTER) this.#failures = 0;
        const changed = !opened && this.#client.fallback();
        this.#failures += 1;
        if (this.#failures > this.#client.retries) {
            const message = `no connection after ${this.#client.retries} attempts`;
            this.#run.report({ code: "connection", message, retryable: true });
            this.#run.end("lost");
            this.#stop();
            return;
        }
        this.#wait(changed && this.#failures === 1 ? 0 : delay(this.#failures));
    }

    /** Wait, or until the browser says that it is online again. */
    #wait(milliseconds) {
        const proceed = () => {
            clearTimeout(timer);
            globalThis.removeEventListener?.("online", proceed);
            this.#wake = null;
            this.open();
        };
        const timer = setTimeout(proceed, milliseconds);
        globalThis.addEventListener?.("online", proceed);
        this.#wake = () => {
            clearTimeout(timer);
            globalThis.removeEventListener?.("online", proceed);
        };
    }

    #drop() {
        this.#sink = null;
        this.#channel?.close();
        this.#channel = null;
    }

    #stop() {
        this.#wake?.();
        this.#wake = null;
        this.#drop();
        this.#client.forget();
    }
}

/** Exponential, with jitter: a server that comes back is not met by all viewers in the same instant. */
function delay(failures) {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1));
    return longest * (0.5 + Math.random() / 2);
}

/** `crypto.randomUUID` exists in secure contexts only; a demo on a phone in the house is none. */
function randomKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
