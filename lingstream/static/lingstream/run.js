/**
 * run: what a viewer knows of one run. Frames go in, the document and events come out; no connection here.
 *
 * A frame that was seen before changes nothing, so a resume may overlap. A frame that does not fit, or a
 * checksum that differs at the end, asks for a snapshot: once per run, then it is reported.
 */

import { Bots } from "./bots.js";
import { fold, redraw } from "./fold.js";
import { JsonUriError, ancestors, get } from "./jsonuri.js";
import { plain } from "./plain.js";

/** @import { Change } from "./iteration.js" */

/**
 * @typedef {"connecting" | "running" | "finished" | "failed" | "canceled" | "lost"} Status
 * @typedef {import("./bots.js").Fault} Fault
 */

/** Why a run failed or was lost, as `finished` rejects with it. */
export class RunError extends Error {
    name = "RunError";

    /**
     * @param {Fault} fault
     * @param {Run} run
     */
    constructor({ message, ...fault }, run) {
        super(message);
        Object.assign(this, fault, { run });
    }
}

/** An event about the connection: it stands beside the log, under the id of the place that we have reached. */
const NOTICE = "resumable";

/**
 * One run as this page sees it.
 *
 * Fires CustomEvents: `started`, `ops`, `event`, `closed`, `snapshot`, `error`, `status` and, last, `done`.
 *
 * @template [Output=unknown] the document, as it is in the end
 */
export class Run extends EventTarget {
    #id;
    #token;
    #share;
    #workflow;
    #key;
    #input;
    #signal;
    #status = "connecting";
    #document = null;
    #reasoning = Object.create(null);
    #bots = new Bots();
    #usage = null;
    #error = null;
    #told = new Set();
    #closed = new Set();
    #picture;
    #fresh = null; // parts of the picture that nobody has yet
    #last = null;
    #ended = false;
    #isDone = false;
    #repaired = false;
    #awaitsSnapshot = false;
    #link = null;
    #watchers = new Set();
    #heard = new Set();
    #finished;
    #settle;

    /**
     * @param {{id?: string, token?: string, share?: string, workflow?: string, key?: string, input?: unknown}} known
     */
    constructor({ id = null, token = null, share = null, workflow = null, key = null, input } = {}) {
        super();
        this.#id = id;
        this.#token = token;
        this.#share = share;
        this.#workflow = workflow;
        this.#key = key;
        this.#input = input;
        this.#promise();
    }

    /** @returns {string | null} null until the server has answered a start */
    get id() {
        return this.#id;
    }

    /** @returns {string | null} lets its holder read and cancel the run, as given at start: not for others */
    get token() {
        return this.#token;
    }

    /** @returns {string | null} lets its holder read the run: for pages, links and other people */
    get share() {
        return this.#share;
    }

    /** @returns {string | null} its slug, where it is known */
    get workflow() {
        return this.#workflow;
    }

    /** @returns {string | null} what it was started with, if this page did: the same key is the same run */
    get key() {
        return this.#key;
    }

    /** @returns {unknown} what was asked, as far as this page knows */
    get input() {
        return this.#input;
    }

    /** @returns {AbortSignal | undefined} the signal that cancels it, given at start */
    get signal() {
        return this.#signal;
    }

    /** @returns {boolean} whether several places of this page watch it */
    get isShared() {
        return this.#link?.isShared ?? false;
    }

    /** @returns {Status} */
    get status() {
        return this.#status;
    }

    /** @returns {boolean} whether more is to come */
    get isBusy() {
        return this.#status === "connecting" || this.#status === "running";
    }

    /**
     * @returns {Output | null} the document so far, of which something may be missing until the end: to be read, not to
     *   be changed; it changes in place
     */
    get document() {
        return this.#document;
    }

    /** @returns {Record<string, string>} the models' reasoning by bot; it is not part of the document */
    get reasoning() {
        return this.#reasoning;
    }

    /** @returns {Record<string, unknown>} what became of each bot run, by its name */
    get bots() {
        return this.#bots.all;
    }

    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut() {
        return this.#bots.cut;
    }

    /** @returns {Fault | null} the last thing that went wrong */
    get error() {
        return this.#error;
    }

    /** @returns {Fault | null} why it failed or was lost */
    get failure() {
        if (this.#status !== "failed" && this.#status !== "lost") return null;
        return this.#error ?? { code: this.#status, message: `the run is ${this.#status}`, retryable: false };
    }

    get usage() {
        return this.#usage;
    }

    /** @returns {string | null} id of the last frame seen: where a resume goes on */
    get last() {
        return this.#last;
    }

    get ended() {
        return this.#ended;
    }

    /**
     * @returns {Promise<Run<Output>>} settles when the run has ended or was given up: it rejects with a RunError where it
     *   failed or was lost; one that was canceled has what was asked for
     */
    get finished() {
        return this.#finished;
    }

    /**
     * @returns {Output | null} the document as it is now, for good: what did not change since the last call is the same
     *   object. It costs what has changed, and each array and object above that.
     */
    snapshot() {
        if (this.#fresh === null) this.#picture = plain(this.#document);
        this.#fresh = new Set();
        return this.#picture;
    }

    /** @returns {AsyncIterableIterator<Change>} see iteration.js */
    [Symbol.asyncIterator]() {
        return iterate(({ changes }) => changes(this));
    }

    /**
     * @param {string} uri of a string
     * @returns {AsyncIterableIterator<string>} see iteration.js
     */
    text(uri) {
        return iterate(({ pieces }) => pieces(this, uri));
    }

    /** @returns {ReadableStream<Uint8Array>} the ops as JSON lines */
    toReadableStream() {
        const { readable, writable } = new TransformStream();
        const begin = ({ lines }) => lines(this).pipeTo(writable);
        import("./iteration.js").then(begin).catch((error) => writable.abort(error).catch(() => {}));
        return readable;
    }

    /**
     * As of any EventTarget; events of types that nobody ever asked for are not made.
     *
     * @param {string} type
     * @param {EventListenerOrEventListenerObject | null} listener
     * @param {boolean | AddEventListenerOptions} [options]
     */
    addEventListener(type, listener, options) {
        this.#heard.add(type);
        super.addEventListener(type, listener, options);
    }

    /**
     * The same for all types, and without events: for a page that shows a thousand frames a second they are dear.
     *
     * @param {(type: string, detail: any) => void} watcher must not throw
     * @returns {() => void} ends it
     */
    watch(watcher) {
        this.#watchers.add(watcher);
        return () => this.#watchers.delete(watcher);
    }

    /**
     * @param {string} uri
     * @returns {boolean} whether the field was seen to be complete
     */
    hasClosed(uri) {
        return [uri, ...ancestors(uri)].some((above) => this.#closed.has(above));
    }

    /** Stop the run on the server. What has arrived stays. */
    cancel() {
        if (!this.#ended) this.#link?.cancel();
    }

    /** Stop watching. The run goes on without us. */
    close() {
        this.#link?.close();
    }

    /** Watch again after `close`. */
    open() {
        this.#link?.reopen();
    }

    /**
     * Ask again where the connection or the start has failed: a run that was lost is watched, a start is made with the
     * same key.
     *
     * @returns {boolean} whether there was such a thing; a run that has failed itself is to be started anew
     */
    retry() {
        if (!this.#ended || this.#isDone || !this.#link || (this.#id && this.#status !== "lost")) return false;
        this.#ended = this.#repaired = false;
        this.#error = null;
        this.#promise();
        this.#heed();
        this.#become("connecting");
        this.#link.again();
        return true;
    }

    /**
     * @param {AbortSignal} [signal] aborting it cancels the run
     * @returns {this}
     */
    cancelBy(signal) {
        if (signal) this.#signal = signal;
        this.#heed();
        return this;
    }

    /** @param {object} link what connects this run to its server: isShared, reopen, again, cancel, close */
    attach(link) {
        this.#link = link;
        loadCheck();
    }

    /** @param {{run: string, token?: string, share?: string, workflow?: string}} started the answer to a start */
    begin({ run, token, share, workflow }) {
        this.#id = run;
        this.#token = token ?? this.#token;
        this.#share = share ?? this.#share;
        this.#workflow = workflow ?? this.#workflow;
        // Events bubble through the page and into whatever listens: the share may go there, the token not.
        this.#fire("started", { run: this.#id, share: this.#share, workflow: this.#workflow });
    }

    /** @param {object} frame one entry of the run's log */
    receive(frame) {
        if (this.#ended || !(frame.snapshot || frame.event === NOTICE || this.#isNext(frame.id))) return;
        if (frame.done === undefined) this.#become("running");
        try {
            this.#apply(frame);
        } catch (error) {
            if (!(error instanceof JsonUriError)) throw error;
            if (this.#repair()) return;
            this.end("lost", { code: "fold", message: error.message, retryable: false });
            return;
        }
        if (frame.done !== undefined) this.#close(frame.done);
        else this.#last = frame.id ?? this.#last;
    }

    /** The connection is gone for the moment. */
    interrupt() {
        this.#become("connecting");
    }

    /** @param {Fault} fault */
    report(fault) {
        this.#error = fault;
        this.#fire("error", fault);
    }

    /**
     * Give up: nothing more comes.
     *
     * @param {Status} status
     * @param {Fault} [fault] why
     */
    end(status, fault) {
        if (this.#ended) return;
        if (fault) this.report(fault);
        this.#ended = true;
        this.#finish(status, { usage: null });
    }

    #finish(status, { usage }) {
        this.#become(status);
        this.#fire("done", { usage, status, document: this.#document });
        if (this.failure) this.#settle.reject(new RunError(this.failure, this));
        else this.#settle.resolve(this);
    }

    /** Who asks is told; nobody has to ask. */
    #promise() {
        this.#finished = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
        this.#finished.catch(() => {});
    }

    /** A signal may live longer than many runs. */
    #heed() {
        const [signal, cancel] = [this.#signal, () => this.cancel()];
        signal?.addEventListener("abort", cancel);
        this.addEventListener("done", () => signal?.removeEventListener("abort", cancel), { once: true });
    }

    #apply(frame) {
        if (frame.ops !== undefined) {
            for (const op of frame.ops) {
                this.#document = fold(this.#document, op);
                if (op.delta === undefined) this.#closed.delete(op.uri);
            }
            if (this.#fresh) for (const op of frame.ops) this.#draw(op);
            this.#fire("ops", { ops: frame.ops, id: frame.id });
        } else if (frame.snapshot !== undefined) {
            const { document = null, reasoning, bots, error } = frame.snapshot;
            this.#awaitsSnapshot = false;
            this.#document = plain(document);
            this.#fresh = null;
            this.#closed.clear();
            this.#reasoning = plain(reasoning ?? {});
            this.#bots.replace(bots);
            const faults = [...this.#bots.faults, ...(error ? [error] : [])];
            this.#error = faults.at(-1) ?? null;
            this.#fire("snapshot", { document: this.#document, id: frame.id });
            for (const fault of faults) this.#tell(fault);
        } else if (frame.event !== undefined) {
            this.#observe(frame);
        } else if (frame.error !== undefined) {
            this.#bots.fail(frame.error);
            this.#tell(frame.error);
        }
    }

    #draw(op) {
        this.#picture = redraw(this.#picture, op, this.#document, this.#fresh);
    }

    /** What went wrong is said by frames and by snapshots, which come again: it is news once. */
    #tell(fault) {
        if (this.#told.has(nameOf(fault))) return;
        this.#told.add(nameOf(fault));
        this.report(fault);
    }

    #observe(frame) {
        if (frame.event === "reasoning" && typeof frame.data === "string") {
            this.#reasoning[frame.bot] = (this.#reasoning[frame.bot] ?? "") + frame.data;
        }
        this.#bots.follow(frame);
        this.#fire("event", frame);
        if (frame.event === "string-response" || frame.event === "object-response") {
            const { uri, bot, step } = frame;
            const cut = frame.cut === true;
            this.#closed.add(uri);
            this.#fire("closed", { uri, bot, step, cut, value: get(this.#document, uri) });
        }
    }

    /** Nothing more is taken while the document is checked: what comes of that is known some milliseconds later. */
    #close({ status, usage, crc32 }) {
        this.#ended = this.#isDone = true;
        const finish = (ours) => {
            if (ours !== crc32) {
                if (this.#repair()) return;
                const message = `expected a document with crc32 ${crc32}, got ${ours}`;
                this.report({ code: "checksum", message, retryable: false });
            }
            this.#usage = usage ?? null;
            this.#bots.end();
            this.#finish(status, { usage: this.#usage });
        };
        if (typeof crc32 !== "number") finish(crc32);
        else loadCheck().then((check) => (check ? check(this.#document, finish) : finish(crc32)));
    }

    /** Asking for a snapshot again and again would loop where the fault is ours. */
    #repair() {
        if (this.#repaired) return false;
        this.#repaired = this.#awaitsSnapshot = true;
        this.#ended = this.#isDone = false;
        this.#last = null;
        this.#link?.again();
        return true;
    }

    /** Whether a frame with this id has its place behind what we have. */
    #isNext(id) {
        if (this.#awaitsSnapshot) return false;
        if (typeof id !== "string" || this.#last === null) return true;
        const ours = place(this.#last);
        const theirs = place(id);
        const differs = theirs.findIndex((number, index) => number !== ours[index]);
        return theirs[differs] > ours[differs];
    }

    #become(status) {
        if (status === this.#status) return;
        const previous = this.#status;
        this.#status = status;
        this.#fire("status", { status, previous });
    }

    #fire(type, detail) {
        for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher(type, detail);
        if (this.#heard.has(type)) this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}

/** @returns {Promise<Function | null>} what is needed at the end; where it cannot be loaded nothing is checked */
function loadCheck() {
    return import("./checksum.js").then(
        ({ checkInSlices }) => checkInSlices,
        () => null,
    );
}

/** An iterator that is loaded: it gives what there is by then, and what comes. */
function iterate(begin) {
    const loading = import("./iteration.js").then(begin);
    return {
        next: async () => (await loading).next(),
        return: async () => (await loading).return(),
        [Symbol.asyncIterator]() {
            return this;
        },
    };
}

function nameOf({ bot, code, message }) {
    return JSON.stringify([bot, code, message]);
}

let read = {};

/**
 * `1-42` and, inside the next frame, `1-42+1`: epoch, number, op. Each frame asks for its own and for the one before it,
 * which was read with that.
 */
function place(id) {
    if (read.id !== id) {
        const [epoch, seq, op = 0] = id.split(/[-+]/).map(Number);
        read = { id, place: [epoch, seq, op] };
    }
    return read.place;
}
