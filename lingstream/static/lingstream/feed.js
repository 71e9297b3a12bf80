/**
 * feed: many runs in one HTTP response, which is read with fetch: EventSource can neither POST nor send a token.
 *
 * What server-sent events (sse.js) and long polling (poll.js) share: how runs are started and canceled, and which
 * are asked for, each behind what has been seen of it. When that list changes, the response is left for another.
 */

import { Http, readFault } from "./http.js";
import { POLL } from "./poll.js";
import { SSE } from "./sse.js";

/** @import { Fault } from "./run.js" */
/** @import { Visitor } from "./visitor.js" */

const MOST_RUNS = 100; // as the server follows in one response
const TOGETHER = 10; // milliseconds in which changes of the list are taken together
const SHORT = 1_000;
const MOST_SHORT = 3;
const SILENT_FOR = 45_000;
const LISTEN_AGAIN = 1_000; // a timer for each piece would cost more than what is in it

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
export function connect(way, base, options) {
    return new FeedTransport(base, way === "sse" ? SSE : POLL, options);
}

/** A transport as session.js describes it. */
export class FeedTransport {
    #http;
    #way;
    #channels = new Set();
    #reading = null;
    #timer = null;
    #watchdog = null;
    #short = 0;
    #areWaiting = false; // runs that the response has no room for

    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {Way} way
     * @param {{csrf?: string, visitor?: Visitor, fetch?: typeof fetch}} [options]
     */
    constructor(base, way, options) {
        this.#http = new Http(base, options);
        this.#way = way;
    }

    /** See session.js. */
    start({ workflow, input, key, conversation }, sink) {
        const channel = { sink, abort: new AbortController() };
        this.#start(channel, workflow, { input, key, conversation });
        return this.#handle(channel);
    }

    /** See session.js. */
    subscribe({ run, token, after }, sink) {
        return this.#handle(this.#add({ sink, run, token, after }));
    }

    /** See notices.js. */
    attach({ run, after }, sink) {
        return this.#handle(this.#add({ sink, run, after, hasNotices: true }));
    }

    /** See http.js. */
    request(...asked) {
        return this.#http.request(...asked);
    }

    /**
     * Cancel a run that we may not be connected to.
     *
     * @param {string} run
     * @param {string | null} token
     * @param {(fault?: Fault) => void} denied is told why it was not; without a fault there was no connection
     */
    async cancel(run, token, denied) {
        const headers = token ? { Authorization: `Ling ${token}` } : {};
        const response = await this.#http.send(`runs/${encodeURIComponent(run)}/cancel/`, undefined, { headers });
        if (response === null) denied();
        else if (response.ok) await response.body?.cancel();
        else denied((await readFault(response)).fault);
    }

    async #start(channel, workflow, body) {
        const { sink, abort } = channel;
        const url = `workflows/${encodeURIComponent(workflow)}/runs/`;
        const response = await this.#http.send(url, body, { signal: abort.signal });
        const started = response?.ok ? await response.json().catch(() => null) : null;
        const failure = started?.run ? null : await failureOf(response);
        if (abort.signal.aborted) return;
        if (failure) {
            failure(sink);
            return;
        }
        sink.started(started);
        if (!abort.signal.aborted) this.#add(Object.assign(channel, { run: started.run, token: started.token }));
    }

    #handle(channel) {
        return {
            cancel: (run, token) => this.cancel(run, token, channel.sink.denied),
            close: () => {
                channel.abort?.abort();
                if (this.#channels.delete(channel)) this.#change();
            },
        };
    }

    #add(channel) {
        this.#channels.add(channel);
        this.#change();
        return channel;
    }

    #change() {
        if (this.#channels.size > 0) this.#timer ??= setTimeout(() => this.#open(), TOGETHER);
        else this.#leave();
    }

    #leave() {
        clearTimeout(this.#timer);
        this.#timer = null;
        clearTimeout(this.#watchdog);
        this.#reading?.abort();
        this.#reading = null;
    }

    async #open() {
        this.#leave();
        const { signal } = (this.#reading = new AbortController());
        const { wait, patience } = this.#way;
        const begun = Date.now();
        this.#listen(patience, false);
        const response = await this.#http.send("events/", { runs: this.#runs(), ...this.#notices(), wait }, { signal });
        const failure = response?.ok ? null : await failureOf(response);
        if (signal.aborted) return;
        if (failure) {
            this.#finish(failure);
            return;
        }
        const heard = await this.#read(response.body.getReader(), signal).catch(isNoJson);
        if (heard === null) {
            this.#finish((sink) => sink.lost({ opened: false }));
            return;
        }
        // What came late to an ended response is about to be asked for.
        if (!signal.aborted && this.#timer === null) this.#ended(heard, Date.now() - begun < SHORT);
    }

    /** What several places ask for is sent once, from where all of them have it. The first come first. */
    #runs() {
        const runs = new Map();
        for (const { run, token, after, hasNotices } of this.#channels) {
            if (hasNotices) continue;
            const known = runs.get(run);
            const place = known && known.after !== after ? undefined : (after ?? undefined);
            runs.set(run, { run, token: token ?? known?.token ?? undefined, after: place });
        }
        this.#areWaiting = runs.size > MOST_RUNS;
        return [...runs.values()].slice(0, MOST_RUNS);
    }

    #notices() {
        const attached = [...this.#channels].filter(({ hasNotices }) => hasNotices);
        const attach = attached
            .filter(({ run }) => run !== "all")
            .map(({ run, after }) => ({ conversation: run, seq: after ?? undefined }));
        const all = attached.find(({ run }) => run === "all");
        return { attach: attach.length > 0 ? attach : undefined, all: all && true, seq: all?.after ?? undefined };
    }

    /** @returns {Promise<boolean>} whether there was any message */
    async #read(reader, signal) {
        const [parse, decoder] = [this.#way.parser(), new TextDecoder()];
        let [heard, listensSince] = [false, 0];
        for (;;) {
            const { value, done } = await reader.read().catch(() => ({ done: true }));
            if (done || signal.aborted) return heard;
            if (Date.now() - listensSince > LISTEN_AGAIN) {
                listensSince = Date.now();
                this.#listen(SILENT_FOR, true);
            }
            for (const text of parse(decoder.decode(value, { stream: true }))) {
                heard = true;
                this.#deliver(JSON.parse(text));
            }
        }
    }

    #deliver(message) {
        if (message.notice) {
            this.#notify(message.notice);
            return;
        }
        for (const channel of this.#readers(message)) {
            const isRefused = message.id === undefined;
            if (isRefused || message.done) this.#forget(channel);
            channel.after = message.id;
            if (isRefused) channel.sink.refused(message.error);
            else channel.sink.frame(message);
        }
    }

    /** The server has forgotten it too. */
    #forget(channel) {
        this.#channels.delete(channel);
        if (this.#areWaiting) this.#change();
    }

    /** What is refused without a name is all that the person has, or word of anything, for the moment. */
    #readers({ run, conversation, error }) {
        const channels = [...this.#channels];
        if (conversation !== null) return channels.filter((channel) => channel.run === (run ?? conversation));
        return channels.filter((channel) => channel.hasNotices && (error.retryable || channel.run === "all"));
    }

    /** Who polls is told of all that are the person's as one, by how much has happened to them. */
    #notify(notice) {
        const { conversation, seq } = notice;
        const name = conversation === null && seq !== null ? "all" : conversation;
        for (const channel of [...this.#channels].filter(({ hasNotices }) => hasNotices)) {
            if (channel.run === name) channel.after = name === "all" ? seq : Math.max(channel.after ?? 0, seq);
            if (channel.run === "all" || name !== "all") channel.sink.frame({ event: "notice", data: notice });
        }
    }

    /** A stream that ends again and again as soon as it began is cut off by somebody, or held back until it ends. */
    #ended(heard, isShort) {
        if (this.#channels.size === 0) {
            this.#leave();
            return;
        }
        if (this.#way.wait && (heard || !isShort)) {
            this.#open();
            return;
        }
        this.#short = isShort ? this.#short + 1 : 0;
        const opened = this.#short < MOST_SHORT;
        if (!opened) this.#short = 0;
        this.#finish((sink) => sink.lost({ opened }));
    }

    #finish(tell) {
        this.#leave();
        const channels = [...this.#channels];
        this.#channels.clear();
        for (const { sink } of channels) tell(sink);
    }

    #listen(milliseconds, opened) {
        clearTimeout(this.#watchdog);
        this.#watchdog = setTimeout(() => this.#finish((sink) => sink.lost({ opened })), milliseconds);
    }
}

/** What is wrong with a response, as a call of a sink. */
async function failureOf(response) {
    const { fault, isProxy } = response ? await readFault(response) : { isProxy: true };
    return (sink) => (isProxy ? sink.lost({ opened: false }) : sink.refused(fault));
}

/** What is no JSON was not written by our server: a page to sign in, a portal. */
function isNoJson(error) {
    if (error instanceof SyntaxError) return null;
    throw error;
}
