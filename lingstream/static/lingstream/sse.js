/** sse: one HTTP response per run, read with fetch: EventSource can neither POST nor send a header. */

import { written } from "./page.js";

const SILENT_FOR = 45_000;
const KINDS = { event: "event", snapshot: "snapshot", fault: "error", done: "done" };

/** Reads runs as server-sent events. */
export class SseTransport {
    #base;
    #csrf;
    #fetch;

    /**
     * @param {string} base where `lingstream.urls` is included
     * @param {{csrf?: string, fetch?: typeof fetch}} [options]
     */
    constructor(base, { csrf, fetch = (url, init) => globalThis.fetch(url, init) } = {}) {
        this.#base = base.endsWith("/") ? base : `${base}/`;
        this.#csrf = csrf;
        this.#fetch = fetch;
    }

    /** See session.js. */
    start({ workflow, input, key, conversation }, sink) {
        const url = `${this.#base}workflows/${encodeURIComponent(workflow)}/runs/`;
        const body = JSON.stringify({ input, key, conversation });
        const headers = { "Content-Type": "application/json", "X-CSRFToken": this.#csrfToken() };
        return this.#stream(url, { method: "POST", body, headers }, sink, (response) => {
            const run = response.headers.get("Ling-Run");
            const token = response.headers.get("Ling-Token") ?? undefined;
            const share = response.headers.get("Ling-Share") ?? undefined;
            if (run) sink.started({ run, token, share, workflow });
        });
    }

    /** See session.js. */
    subscribe({ run, token, after }, sink) {
        const query = after ? `?after=${encodeURIComponent(after)}` : "";
        const url = `${this.#base}runs/${encodeURIComponent(run)}/events/${query}`;
        return this.#stream(url, { headers: authorization(token) }, sink, () => {});
    }

    /**
     * Cancel a run that we may not be connected to.
     *
     * @param {string} run
     * @param {string | null} token
     */
    async cancel(run, token) {
        const url = `${this.#base}runs/${encodeURIComponent(run)}/cancel/`;
        const headers = { "X-CSRFToken": this.#csrfToken(), ...authorization(token) };
        try {
            const response = await this.#fetch(url, { method: "POST", headers });
            await response.body?.cancel();
        } catch {
            // The viewer sees that the run goes on, and may ask again.
        }
    }

    #stream(url, init, sink, begin) {
        const reading = new Reading(sink);
        const headers = { Accept: "text/event-stream", ...init.headers };
        reading.pump(this.#fetch(url, { ...init, headers, cache: "no-store", signal: reading.signal }), begin);
        return { cancel: (run, token) => this.cancel(run, token), close: () => reading.close() };
    }

    #csrfToken() {
        if (this.#csrf) return this.#csrf;
        const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(globalThis.document?.cookie ?? "")?.[1];
        return written("csrf") || cookie || "";
    }
}

/** Takes text/event-stream in pieces cut anywhere and gives events. */
export class EventStreamParser {
    #pending = "";
    #skipNewline = false;
    #id = "";
    #event = "";
    #data = [];

    /**
     * @param {string} text
     * @returns {{id: string, event: string, data: string}[]} the events that it completed
     */
    feed(text) {
        if (this.#skipNewline && text !== "") {
            this.#skipNewline = false;
            if (text.startsWith("\n")) text = text.slice(1);
        }
        if (!/[\r\n]/.test(text)) {
            this.#pending += text; // a rope: a long line that comes in many pieces is joined once
            return [];
        }
        this.#skipNewline = text.endsWith("\r");
        const lines = (this.#pending + text).split(/\r\n|\r|\n/);
        this.#pending = lines.pop();
        return lines.map((line) => this.#line(line)).filter((event) => event !== null);
    }

    #line(line) {
        if (line === "") return this.#dispatch();
        const colon = line.indexOf(":");
        if (colon === 0) return null; // a comment: the server's heartbeat
        const field = colon === -1 ? line : line.slice(0, colon);
        const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
        if (field === "data") this.#data.push(value);
        else if (field === "event") this.#event = value;
        else if (field === "id" && !value.includes("\0")) this.#id = value;
        return null;
    }

    #dispatch() {
        const event = { id: this.#id, event: this.#event, data: this.#data.join("\n") };
        const isEmpty = this.#data.length === 0;
        this.#event = "";
        this.#data = [];
        return isEmpty ? null : event;
    }
}

/**
 * @param {{id: string, event: string, data: string}} event
 * @returns {object | null} the frame as the WebSocket would have sent it; null for events we do not know
 */
export function toFrame({ id, event, data }) {
    const body = JSON.parse(data);
    if (event === "" || event === "message") return { id, ops: [body] };
    const kind = KINDS[event];
    return kind ? { ...body, id } : null;
}

/** One response being read. */
class Reading {
    #sink;
    #abort = new AbortController();
    #watchdog = null;
    #closed = false;

    constructor(sink) {
        this.#sink = sink;
    }

    get signal() {
        return this.#abort.signal;
    }

    async pump(pending, begin) {
        this.#listen();
        const response = await pending.catch(() => null); // no network, or aborted by us
        if (response?.status === 200) {
            begin(response);
            await this.#read(response.body.getReader());
            this.#finish(() => this.#sink.lost({ opened: true }));
        } else if (response !== null) {
            await this.#refuse(response);
        } else {
            this.#finish(() => this.#sink.lost({ opened: false }));
        }
    }

    close() {
        this.#closed = true;
        clearTimeout(this.#watchdog);
        this.#abort.abort();
    }

    async #read(reader) {
        const parser = new EventStreamParser();
        const decoder = new TextDecoder();
        for (;;) {
            const { value, done } = await reader.read().catch(() => ({ done: true }));
            if (done || this.#closed) return;
            this.#listen();
            for (const event of parser.feed(decoder.decode(value, { stream: true }))) {
                const frame = toFrame(event);
                if (frame !== null && !this.#closed) this.#sink.frame(frame);
            }
        }
    }

    async #refuse(response) {
        const fault = await readFault(response);
        const isProxy = fault === null && (response.status >= 500 || response.status === 429);
        if (isProxy) {
            this.#finish(() => this.#sink.lost({ opened: false }));
            return;
        }
        const message = `the server answered with status ${response.status}`;
        const known = { code: `http-${response.status}`, message, retryable: response.status >= 500 };
        this.#finish(() => this.#sink.refused({ ...known, ...fault }));
    }

    #finish(tell) {
        if (this.#closed) return;
        this.close();
        tell();
    }

    #listen() {
        clearTimeout(this.#watchdog);
        this.#watchdog = setTimeout(() => this.#finish(() => this.#sink.lost({ opened: true })), SILENT_FOR);
    }
}

async function readFault(response) {
    try {
        const { error } = await response.json();
        return typeof error === "object" ? error : null;
    } catch {
        return null;
    }
}

function authorization(token) {
    return token ? { Authorization: `Ling ${token}` } : {};
}
