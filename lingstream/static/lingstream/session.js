/**
 * session: one run over as many connections as it takes. Comes back after a lost connection with back-off and
 * goes on behind the last frame seen.
 *
 * A transport has `start(request, sink)` and `subscribe(request, sink)`, which return a channel with
 * `cancel(run, token)` and `close()`; it calls `sink.started(info)`, `sink.frame(frame)`,
 * `sink.refused(fault)` (the server said no), `sink.denied(fault)` (it did not cancel; without a fault it could not be
 * asked), `sink.lost({opened})` (no connection, or no longer) and `sink.again()` (another transport goes on with what
 * was started). One that starts what it knows by itself, without a request, finds out itself that it is not answered.
 * What has `connect(transport, sink)` in the place of a run asks in its own way.
 */

import { attend } from "./presence.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
const STABLE_AFTER = 20_000;
const ANSWER_WITHIN = 10_000;
const RUNGS = 3; // transports there are, each of which is tried at once

// A server that comes back is not met by all viewers in the same instant, but by all runs of a page, which may
// need one request then.
const JITTER = 0.5 + Math.random() / 2;

/** One run's tie to the server, over as many connections as it takes. */
export class Session {
    #run;
    #request;
    #client;
    #transport = null;
    #channel = null;
    #sink = null;
    #holders = 1;
    #failures = 0;
    #changes = 0; // of the transport
    #openedAt = 0;
    #canceling = false;
    #closing = false;
    #timer = null;
    #absence = null;

    constructor(run, request, client) {
        this.#run = run;
        this.#request = request;
        this.#client = client;
    }

    /** @returns {boolean} whether more than one place of the page watches the run */
    get isShared() {
        return this.#holders > 1;
    }

    hold() {
        this.#holders += 1;
        return this.#run;
    }

    /** Watch again what was closed: a run goes on where it was, a start that was not answered is asked for again. */
    reopen() {
        if (++this.#holders > 1 || this.#run.ended) return;
        this.#closing = false;
        this.#client.register();
        if (this.#sink === null) this.open();
    }

    /** Ask once more: for a snapshot, or after all that was tried before. */
    again() {
        this.#drop();
        if (this.#holders < 1) return;
        this.#closing = false;
        this.#client.register();
        this.open();
    }

    open() {
        clearTimeout(this.#timer);
        this.#absence ??= attend(this, this.#client.hidden === "close");
        const sink = (this.#sink = this.#newSink());
        this.#openedAt = Date.now();
        const transport = (this.#transport = this.#client.pick());
        const { id: run, token, share, last: after } = this.#run;
        const request = run ? { run, token: token ?? share, after } : this.#request;
        const method = run ? "subscribe" : "start";
        if (!run && this.#request) this.#timer = setTimeout(() => this.#unanswered(), ANSWER_WITHIN);
        const channel =
            this.#run.connect?.(transport, sink) ?? transport[method]({ ...request, ack: this.#client.ack }, sink);
        if (this.#sink !== sink) channel.close();
        else this.#channel = channel;
        if (run && this.#canceling) channel.cancel(run, token);
    }

    cancel() {
        this.#canceling = true;
        const { id, token } = this.#run;
        if (!id) return; // sent as soon as the start is answered
        if (this.#channel) this.#channel.cancel(id, token);
        else this.#client.cancel(id, token, (fault) => this.#denied(fault));
    }

    close() {
        if (--this.#holders > 0 || this.#run.ended) return;
        this.#closing = true;
        if (!this.#canceling || this.#run.id) this.#stop();
    }

    /** The page sleeps: nothing is left open, and nothing is tried. */
    suspend() {
        if (this.#closing) {
            this.#stop();
            return;
        }
        this.#drop();
        this.#run.interrupt();
    }

    resume() {
        if (this.#sink === null) this.open();
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
            denied: whenCurrent(this.#denied),
            lost: whenCurrent(this.#lost),
            again: whenCurrent(this.again),
        };
        return sink;
    }

    /** A page that slept so long did not listen either: it asks again. */
    #unanswered() {
        if (Date.now() - this.#openedAt > 2 * ANSWER_WITHIN) {
            this.#lost({ opened: true });
            return;
        }
        const message = "no answer in time";
        this.#refused({ code: "unanswered", message, retryable: true });
    }

    #started(info) {
        clearTimeout(this.#timer);
        this.#run.begin(info);
        this.#client.register();
        // A transport may answer before it has returned the channel.
        if (this.#canceling) queueMicrotask(() => this.cancel());
        if (this.#closing) queueMicrotask(() => this.#stop());
    }

    #frame(frame) {
        if (frame.ops || frame.event) this.#failures = this.#changes = 0; // a snapshot alone is no progress
        const sink = this.#sink;
        this.#run.receive(frame);
        if (this.#run.ended) this.#stop();
        else if (frame.done && this.#sink === sink) this.again(); // it still waits for a snapshot; no more comes here
    }

    #refused(fault) {
        if (fault.retryable && this.#run.id) {
            this.#lost({ opened: true });
            return;
        }
        this.#run.end("failed", fault);
        this.#stop();
    }

    /** The run goes on, and may be canceled once more. */
    #denied(fault = { code: "connection", message: "no connection to cancel", retryable: true }) {
        this.#canceling = false;
        this.#run.report(fault);
    }

    #lost({ opened }) {
        this.#drop();
        if (this.#closing) {
            this.#stop();
            return;
        }
        this.#run.interrupt();
        if (opened && Date.now() - this.#openedAt > STABLE_AFTER) this.#failures = this.#changes = 0;
        const changed = !opened && this.#client.failed(this.#transport);
        const isOffline = globalThis.navigator?.onLine === false;
        if (!isOffline) this.#failures += 1;
        if (this.#failures > this.#client.retries) {
            const message = `no connection after ${this.#client.retries} attempts`;
            this.#run.end("lost", { code: "connection", message, retryable: true });
            this.#stop();
            return;
        }
        let pause = isOffline ? LONGEST_DELAY : delay(this.#failures);
        if (changed && ++this.#changes < RUNGS) pause = 0;
        this.#timer = setTimeout(() => this.open(), pause);
    }

    #drop() {
        clearTimeout(this.#timer);
        this.#sink = null;
        this.#channel?.close();
        this.#channel = null;
    }

    #stop() {
        this.#failures = this.#changes = 0;
        this.#canceling = false;
        this.#drop();
        this.#absence?.();
        this.#absence = null;
        this.#client.forget();
    }
}

function delay(failures) {
    return JITTER * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1));
}
