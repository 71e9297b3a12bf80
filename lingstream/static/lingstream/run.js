/**
 * run: what a viewer knows of one run. Frames go in, the document and events come out; no connection here.
 *
 * A frame that was seen before changes nothing, so a resume may overlap. A frame that does not fit, or a
 * checksum that differs at the end, makes `receive` ask for a snapshot: once per run, then it is reported.
 */

import { checksum } from "./checksum.js";
import { fold, plain } from "./fold.js";
import { JsonUriError, get } from "./jsonuri.js";
import { follows } from "./lifecycle.js";

/**
 * @typedef {"connecting" | "running" | "finished" | "failed" | "canceled" | "lost"} Status
 * @typedef {{code: string, message: string, retryable: boolean, bot?: string}} Fault
 */

/** Events about the connection: they stand beside the log, under the id of the place that we have reached. */
const NOTICES = new Set(["resumable"]);

/**
 * One run as this page sees it.
 *
 * Fires CustomEvents: `started`, `ops`, `event`, `closed`, `snapshot`, `error`, `status` and, last, `done`.
 */
export class Run extends EventTarget {
    #id = null;
    #token = null;
    #share = null;
    #workflow = null;
    #key = null;
    #status = "connecting";
    #document = null;
    #reasoning = Object.create(null);
    #bots = Object.create(null);
    #usage = null;
    #error = null;
    #told = new Set();
    #last = null;
    #ended = false;
    #repaired = false;
    #awaitsSnapshot = false;
    #link = null;
    #finished;
    #finish;

    /** @param {{id?: string, token?: string, share?: string, workflow?: string, key?: string}} known */
    constructor({ id = null, token = null, share = null, workflow = null, key = null } = {}) {
        super();
        this.#id = id;
        this.#token = token;
        this.#share = share;
        this.#workflow = workflow;
        this.#key = key;
        this.#finished = new Promise((resolve) => (this.#finish = resolve));
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

    get workflow() {
        return this.#workflow;
    }

    /** @returns {string | null} what it was started with, if this page did: the same key is the same run */
    get key() {
        return this.#key;
    }

    /** @returns {boolean} whether several places of this page watch it */
    get isShared() {
        return this.#link?.isShared ?? false;
    }

    /** @returns {Status} */
    get status() {
        return this.#status;
    }

    /** @returns {unknown} the document so far: to be read, not to be changed */
    get document() {
        return this.#document;
    }

    /** @returns {Record<string, string>} the models' reasoning by bot; it is not part of the document */
    get reasoning() {
        return this.#reasoning;
    }

    /** @returns {Record<string, unknown>} what became of each bot run, by its name */
    get bots() {
        return this.#bots;
    }

    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut() {
        return Object.values(this.#bots).flatMap(({ cut }) => (Array.isArray(cut) ? cut : []));
    }

    /** @returns {Fault | null} the last thing that went wrong */
    get error() {
        return this.#error;
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

    /** @returns {Promise<Run>} settles when the run has ended or was given up; never rejects */
    get finished() {
        return this.#finished;
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

    /** @param {{isShared: boolean, reopen: () => void, cancel: () => void, close: () => void}} link what connects this run to its server */
    attach(link) {
        this.#link = link;
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

    /**
     * @param {object} frame one entry of the run's log
     * @returns {boolean} whether a snapshot is needed to go on
     */
    receive(frame) {
        if (this.#ended || !(frame.snapshot || NOTICES.has(frame.event) || this.#isNext(frame.id))) return false;
        if (frame.done === undefined) this.#become("running");
        try {
            this.#apply(frame);
        } catch (error) {
            if (!(error instanceof JsonUriError)) throw error;
            if (this.#needsSnapshot()) return true;
            this.report({ code: "fold", message: error.message, retryable: false });
            this.end("lost");
            return false;
        }
        if (frame.done !== undefined) return this.#close(frame.done);
        this.#last = frame.id ?? this.#last;
        return false;
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
     * @param {Status} status
     * @param {object} [detail] of the `done` event
     */
    end(status, detail = {}) {
        if (this.#ended) return;
        this.#ended = true;
        this.#become(status);
        this.#fire("done", { usage: null, ...detail, status, document: this.#document });
        this.#finish(this);
    }

    #apply(frame) {
        if (frame.ops !== undefined) {
            for (const op of frame.ops) this.#document = fold(this.#document, op);
            this.#fire("ops", { ops: frame.ops, id: frame.id });
        } else if (frame.snapshot !== undefined) {
            const { document = null, reasoning, bots, error } = frame.snapshot;
            this.#awaitsSnapshot = false;
            this.#document = plain(document);
            this.#reasoning = plain(reasoning ?? {});
            this.#bots = plain(bots ?? {});
            const failed = Object.entries(this.#bots).filter(([, bot]) => bot.error);
            const faults = failed.map(([name, bot]) => ({ ...bot.error, bot: name }));
            if (error) faults.push(error);
            this.#error = faults.at(-1) ?? null;
            this.#fire("snapshot", { document: this.#document, id: frame.id });
            for (const fault of faults) this.#tell(fault);
        } else if (frame.event !== undefined) {
            this.#observe(frame);
        } else if (frame.error !== undefined) {
            this.#fail(frame.error);
            this.#tell(frame.error);
        }
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
        if (typeof frame.bot === "string") this.#follow(frame);
        this.#fire("event", frame);
        if (frame.event === "string-response" || frame.event === "object-response") {
            const { uri, bot, step } = frame;
            const cut = frame.cut === true;
            this.#fire("closed", { uri, bot, step, cut, value: get(this.#document, uri) });
        }
    }

    /** What the server's own fold does: a bot that has ended stays as it is, whatever comes after. */
    #follow({ event, bot: name, step, root, uri, cut, data }) {
        const bot = this.#bot(name, { step, root });
        if (event === "inference-done") {
            advance(bot, "inferred");
            if (data?.finish) bot.finish = data.finish;
        } else if (cut === true) {
            bot.cut = [...(bot.cut ?? []), uri];
        } else if (event === "response") {
            advance(bot, "finished");
        }
    }

    #fail({ bot: name, ...error }) {
        if (typeof name !== "string") return;
        const bot = this.#bot(name);
        if (advance(bot, "failed")) bot.error = plain(error);
    }

    #bot(name, known = {}) {
        return (this.#bots[name] ??= plain({ ...known, status: "running" }));
    }

    #close({ status, usage, crc32 }) {
        if (typeof crc32 === "number" && checksum(this.#document) !== crc32) {
            if (this.#needsSnapshot()) return true;
            const message = `the document that was sent has crc32 ${crc32}, ours has ${checksum(this.#document)}`;
            this.report({ code: "checksum", message, retryable: false });
        }
        this.#usage = usage ?? null;
        for (const bot of Object.values(this.#bots)) advance(bot, "canceled");
        this.end(status, { usage: this.#usage });
        return false;
    }

    /** Asking again and again would loop where the fault is ours. */
    #needsSnapshot() {
        if (this.#repaired) return false;
        this.#repaired = this.#awaitsSnapshot = true;
        this.#last = null;
        return true;
    }

    /** Whether a frame with this id has its place behind what we have. */
    #isNext(id) {
        if (this.#awaitsSnapshot) return false;
        if (typeof id !== "string" || this.#last === null) return true;
        const [ours, theirs] = [place(this.#last), place(id)];
        const differs = theirs.findIndex((number, index) => number !== ours[index]);
        return differs !== -1 && theirs[differs] > ours[differs];
    }

    #become(status) {
        if (status === this.#status) return;
        const previous = this.#status;
        this.#status = status;
        this.#fire("status", { status, previous });
    }

    #fire(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}

function nameOf({ bot, code, message }) {
    return JSON.stringify([bot, code, message]);
}

/** @returns {boolean} whether the bot could become that, and has */
function advance(bot, to) {
    if (!follows(bot.status, to)) return false;
    bot.status = to;
    return true;
}

/** `1-42` and, inside the next frame, `1-42+1`: epoch, number, op. */
function place(id) {
    const [epoch, seq, op = 0] = id.split(/[-+]/).map(Number);
    return [epoch, seq, op];
}
