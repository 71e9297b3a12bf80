/** socket: all runs of a page over one WebSocket. */

import { Visitor } from "./visitor.js";

const PROTOCOL = "lingstream.v1";
const OPEN_WITHIN = 5_000;
const PING_AFTER = 15_000;
const ANSWER_WITHIN = 10_000;
const LINGER = 5_000;
const ACK_EVERY = 32_768;
const TOO_BIG = 1009;
const CANCEL = " cancel"; // behind the ref of the channel that asked
const NOTICES = ""; // in the place of a channel's run
const MOST = 1_048_576; // a longer message makes some servers, daphne among them, drop the connection without a code

/**
 * Opens when there is something to say, closes some seconds after the last run.
 *
 * It counts as open once it has brought something: there are proxies that let the handshake through and nothing
 * else. So the first thing it says is a ping.
 */
export class SocketTransport {
    static #shared = new Map();

    #url;
    #open;
    #socket = null;
    #ready = false;
    #opened = false;
    #queue = [];
    #channels = new Map();
    #runs = new Map(); // to the channels that read them
    #leaving = new Set();
    #refs = 0;
    #unread = 0;
    #counted = false; // whether anybody has asked for acknowledgements
    #timer = null;
    #heard = 0;
    #pinged = false;

    /**
     * @param {string} url
     * @param {string} base of the site
     * @param {string | null} [token] of the visitor
     * @returns {SocketTransport} the page's one for these; a process without a page may speak for several people, and
     *   shares none
     */
    static shared(url, base, token) {
        const key = `${url} ${token}`;
        const known = globalThis.document && this.#shared.get(key);
        return known || this.#shared.set(key, new SocketTransport(url, new Visitor(base, token))).get(key);
    }

    /**
     * @param {string} url
     * @param {Visitor} visitor who says on it who he is
     * @param {(url: string) => WebSocket} [open] another way to make the socket
     */
    constructor(url, visitor, open = (address) => new WebSocket(address, [PROTOCOL])) {
        this.#url = url.replace(/^http/, "ws");
        this.#open = open;
        this.visitor = visitor;
        visitor.listeners.add((token) => this.#introduce(token));
        // At once, and not some seconds after the last run: a page with an open socket is not kept.
        globalThis.addEventListener?.("pagehide", () => this.#close());
    }

    /** See session.js. */
    start({ workflow, input, key, conversation, ack }, sink) {
        return this.begin({ type: "start", workflow, input, key, conversation, ack: ack || undefined }, sink);
    }

    /** See session.js. */
    subscribe({ run, token, after, ack }, sink) {
        // The server reads a run once for each socket, from where the last one asks: others want it from there too.
        const place = this.#runs.has(run) ? undefined : (after ?? undefined);
        const message = { type: "subscribe", run, token: token ?? undefined, after: place };
        return this.begin({ ...message, ack: ack || undefined }, sink);
    }

    /** @param {object} message that nobody answers, for a server that is connected */
    tell(message) {
        if (this.#ready) this.#send(message);
    }

    /**
     * @param {object} message
     * @param {object} sink see session.js
     * @param {string | null} [run] whose frames it is for; `""`: notices; null: that of the answer
     * @returns {object} a channel
     */
    begin(message, sink, run = message.run ?? null) {
        const channel = { ref: String(++this.#refs), run, sink };
        this.#counted ||= message.ack === true;
        this.#channels.set(channel.ref, channel);
        if (run !== null) this.#join(channel);
        // The ref comes first: so the server finds it in what it cannot read, too.
        channel.size = this.#send({ ref: channel.ref, ...message });
        const ref = channel.ref + CANCEL;
        return {
            cancel: (run, token) => this.#send({ ref, type: "cancel", run, token: token ?? undefined }),
            close: () => this.#end(channel),
        };
    }

    #end(channel) {
        if (this.#forget(channel) && channel.run) this.#leaving.add(channel.run);
        this.#leave();
        if (this.#opened && this.#channels.size === 0) this.#linger();
    }

    #linger() {
        this.#schedule(LINGER, () => (this.#channels.size > 0 ? this.#listen() : this.#close()));
    }

    #join(channel) {
        const readers = this.#runs.get(channel.run) ?? new Set();
        this.#runs.set(channel.run, readers.add(channel));
    }

    #forget(channel) {
        const readers = this.#runs.get(channel.run);
        if (readers?.delete(channel) && readers.size === 0) this.#runs.delete(channel.run);
        return this.#channels.delete(channel.ref);
    }

    /** A start that is not answered yet may be answered with a run that there is: until then none is left. */
    #leave() {
        if ([...this.#channels.values()].some(({ run }) => run === null)) return;
        for (const run of this.#leaving) {
            if (!this.#runs.has(run)) this.#send({ type: "unsubscribe", run });
        }
        this.#leaving.clear();
    }

    #send(message) {
        if (this.#socket === null) this.#connect();
        const text = JSON.stringify(message);
        if (this.#ready) this.#socket.send(text);
        else this.#queue.push(text);
        return text.length;
    }

    #connect() {
        const socket = (this.#socket = this.#open(this.#url));
        const whenCurrent = (handle) => (event) => {
            if (this.#socket === socket) handle(event);
        };
        socket.onopen = whenCurrent(() => this.#greet());
        socket.onmessage = whenCurrent((event) => this.#receive(event.data));
        socket.onclose = whenCurrent(({ code }) => this.#lost(code));
        this.#schedule(OPEN_WITHIN, () => this.#lost());
    }

    /** Browsers leave a server that speaks none of ours themselves; then it says so over HTTP. */
    #greet() {
        const { protocol } = this.#socket;
        if (protocol !== PROTOCOL) {
            const message = `expected ${PROTOCOL}, got "${protocol}"`;
            this.#abandon((sink) => sink.refused({ code: "protocol", message, retryable: false }));
            return;
        }
        this.#ready = true;
        this.#send({ type: "ping" });
        this.#introduce(this.visitor.token);
        for (const text of this.#queue.splice(0)) this.#socket.send(text);
    }

    #introduce(token) {
        if (token) this.tell({ type: "hello", visitor: token });
    }

    #receive(text) {
        this.#heard = Date.now();
        this.#pinged = false;
        if (!this.#opened) this.#settle();
        const message = JSON.parse(text);
        if (message.started) this.#begun(message);
        else if (message.id) this.#deliver(message, text.length);
        else if (message.notice) this.#deliver({ run: NOTICES, event: "notice", data: message.notice }, 0);
        else if (message.error) this.#refuse(message);
    }

    #settle() {
        this.#opened = true;
        if (this.#channels.size > 0) this.#schedule(PING_AFTER, () => this.#listen());
        else this.#linger();
    }

    #begun({ started, ref }) {
        if (started.visitor) this.visitor.keep(started.visitor);
        const channel = this.#channels.get(ref);
        if (channel === undefined) {
            this.#leaving.add(started.run); // closed before it was answered
        } else {
            channel.run = started.run;
            this.#join(channel);
            channel.sink.started(started);
        }
        this.#leave();
    }

    #deliver(frame, size) {
        for (const channel of [...(this.#runs.get(frame.run) ?? [])]) {
            if (frame.done) this.#forget(channel); // the server has forgotten it too
            channel.sink.frame(frame);
        }
        // Whatever it is: what was sent on somebody's credit may be read by another, or by nobody any more.
        if (frame.id && this.#counted) this.#acknowledge(frame, size);
    }

    /** One frame acknowledges all that came before it, of every run; a place inside a frame acknowledges nothing. */
    #acknowledge({ run, id }, size) {
        this.#unread += size;
        if (this.#unread < ACK_EVERY || id.includes("+")) return;
        this.#unread = 0;
        this.#send({ type: "ack", run, id });
    }

    #refuse({ error, ref, conversation, run = conversation === null ? NOTICES : undefined }) {
        if (ref?.endsWith(CANCEL)) {
            this.#channels.get(ref.slice(0, -CANCEL.length))?.sink.denied(error);
            return;
        }
        if (error.code === "visitor") this.visitor.keep("");
        const asked = this.#channels.get(ref);
        const refused = asked ? [asked] : [...(this.#runs.get(run) ?? [])];
        if (refused.length === 0) console.warn("lingstream:", error.code, error.message);
        for (const channel of refused) {
            this.#forget(channel);
            channel.sink.refused(error);
        }
        this.#leave();
    }

    /** Silence after a ping means a dead peer; silence alone may be a timer that a hidden tab runs late. */
    #listen() {
        const silent = Date.now() - this.#heard;
        if (this.#pinged) {
            this.#lost();
        } else if (silent >= PING_AFTER) {
            this.#pinged = true;
            this.#send({ type: "ping" });
            this.#schedule(ANSWER_WITHIN, () => this.#listen());
        } else {
            this.#schedule(PING_AFTER - silent, () => this.#listen());
        }
    }

    #lost(code) {
        if (code !== undefined) this.#refuseLongest(code);
        const opened = this.#opened;
        this.#abandon((sink) => sink.lost({ opened }));
    }

    #abandon(tell) {
        const channels = [...this.#channels.values()];
        this.#close();
        for (const { sink } of channels) tell(sink);
    }

    /** The server does not say which message was too big for it; if one was, the longest was. */
    #refuseLongest(code) {
        const unanswered = [...this.#channels.values()].filter(({ run }) => run === null);
        const longest = unanswered.sort((one, other) => other.size - one.size)[0];
        if (!longest || (code !== TOO_BIG && longest.size <= MOST)) return;
        const message = `expected an input that the server takes, got ${longest.size} characters`;
        this.#refuse({ error: { code: "too-large", message, retryable: false }, ref: longest.ref });
    }

    #close() {
        clearTimeout(this.#timer);
        const socket = this.#socket;
        this.#socket = null;
        this.#ready = this.#opened = this.#pinged = false;
        this.#queue = [];
        this.#unread = 0;
        this.#counted = false;
        this.#channels.clear();
        this.#runs.clear();
        this.#leaving.clear();
        socket?.close();
    }

    #schedule(milliseconds, callback) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(callback, milliseconds);
    }
}
