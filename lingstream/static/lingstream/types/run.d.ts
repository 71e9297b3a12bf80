/**
 * run: what a viewer knows of one run. Frames go in, the document and events come out; no connection here.
 *
 * A frame that was seen before changes nothing, so a resume may overlap. A frame that does not fit, or a
 * checksum that differs at the end, asks for a snapshot: once per run, then it is reported.
 */
import type { Change } from "./iteration.js";
export type Status = "connecting" | "running" | "finished" | "failed" | "canceled" | "lost";
export type Fault = import("./bots.js").Fault;
/** @import { Change } from "./iteration.js" */
/**
 * @typedef {"connecting" | "running" | "finished" | "failed" | "canceled" | "lost"} Status
 * @typedef {import("./bots.js").Fault} Fault
 */
/** Why a run failed or was lost, as `finished` rejects with it. */
export declare class RunError extends Error {
    name: string;
    /**
     * @param {Fault} fault
     * @param {Run} run
     */
    constructor({ message, ...fault }: Fault, run: Run);
}
/**
 * One run as this page sees it.
 *
 * Fires CustomEvents: `started`, `ops`, `event`, `closed`, `snapshot`, `error`, `status` and, last, `done`.
 *
 * @template [Output=unknown] the document, as it is in the end
 */
export declare class Run<Output = unknown> extends EventTarget {
    #private;
    /**
     * @param {{id?: string, token?: string, share?: string, workflow?: string, key?: string, input?: unknown}} known
     */
    constructor({ id, token, share, workflow, key, input }?: {
        id?: string;
        token?: string;
        share?: string;
        workflow?: string;
        key?: string;
        input?: unknown;
    });
    /** @returns {string | null} null until the server has answered a start */
    get id(): string | null;
    /** @returns {string | null} lets its holder read and cancel the run, as given at start: not for others */
    get token(): string | null;
    /** @returns {string | null} lets its holder read the run: for pages, links and other people */
    get share(): string | null;
    /** @returns {string | null} its slug, where it is known */
    get workflow(): string | null;
    /** @returns {string | null} what it was started with, if this page did: the same key is the same run */
    get key(): string | null;
    /** @returns {unknown} what was asked, as far as this page knows */
    get input(): unknown;
    /** @returns {AbortSignal | undefined} the signal that cancels it, given at start */
    get signal(): AbortSignal | undefined;
    /** @returns {boolean} whether several places of this page watch it */
    get isShared(): boolean;
    /** @returns {Status} */
    get status(): Status;
    /** @returns {boolean} whether more is to come */
    get isBusy(): boolean;
    /**
     * @returns {Output | null} the document so far, of which something may be missing until the end: to be read, not to
     *   be changed; it changes in place
     */
    get document(): Output | null;
    /** @returns {Record<string, string>} the models' reasoning by bot; it is not part of the document */
    get reasoning(): Record<string, string>;
    /** @returns {Record<string, unknown>} what became of each bot run, by its name */
    get bots(): Record<string, unknown>;
    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut(): string[];
    /** @returns {Fault | null} the last thing that went wrong */
    get error(): Fault | null;
    /** @returns {Fault | null} why it failed or was lost */
    get failure(): Fault | null;
    get usage(): null;
    /** @returns {string | null} id of the last frame seen: where a resume goes on */
    get last(): string | null;
    get ended(): boolean;
    /**
     * @returns {Promise<Run<Output>>} settles when the run has ended or was given up: it rejects with a RunError where it
     *   failed or was lost; one that was canceled has what was asked for
     */
    get finished(): Promise<Run<Output>>;
    /**
     * @returns {Output | null} the document as it is now, for good: what did not change since the last call is the same
     *   object. It costs what has changed, and each array and object above that.
     */
    snapshot(): Output | null;
    /** @returns {AsyncIterableIterator<Change>} see iteration.js */
    [Symbol.asyncIterator](): AsyncIterableIterator<Change>;
    /**
     * @param {string} uri of a string
     * @returns {AsyncIterableIterator<string>} see iteration.js
     */
    text(uri: string): AsyncIterableIterator<string>;
    /** @returns {ReadableStream<Uint8Array>} the ops as JSON lines */
    toReadableStream(): ReadableStream<Uint8Array>;
    /**
     * As of any EventTarget; events of types that nobody ever asked for are not made.
     *
     * @param {string} type
     * @param {EventListenerOrEventListenerObject | null} listener
     * @param {boolean | AddEventListenerOptions} [options]
     */
    addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    /**
     * The same for all types, and without events: for a page that shows a thousand frames a second they are dear.
     *
     * @param {(type: string, detail: any) => void} watcher must not throw
     * @returns {() => void} ends it
     */
    watch(watcher: (type: string, detail: any) => void): () => void;
    /**
     * @param {string} uri
     * @returns {boolean} whether the field was seen to be complete
     */
    hasClosed(uri: string): boolean;
    /** Stop the run on the server. What has arrived stays. */
    cancel(): void;
    /** Stop watching. The run goes on without us. */
    close(): void;
    /** Watch again after `close`. */
    open(): void;
    /**
     * Ask again where the connection or the start has failed: a run that was lost is watched, a start is made with the
     * same key.
     *
     * @returns {boolean} whether there was such a thing; a run that has failed itself is to be started anew
     */
    retry(): boolean;
    /**
     * @param {AbortSignal} [signal] aborting it cancels the run
     * @returns {this}
     */
    cancelBy(signal?: AbortSignal): this;
    /** @param {object} link what connects this run to its server: isShared, reopen, again, cancel, close */
    attach(link: object): void;
    /** @param {{run: string, token?: string, share?: string, workflow?: string}} started the answer to a start */
    begin({ run, token, share, workflow }: {
        run: string;
        token?: string;
        share?: string;
        workflow?: string;
    }): void;
    /** @param {object} frame one entry of the run's log */
    receive(frame: object): void;
    /** The connection is gone for the moment. */
    interrupt(): void;
    /** @param {Fault} fault */
    report(fault: Fault): void;
    /**
     * Give up: nothing more comes.
     *
     * @param {Status} status
     * @param {Fault} [fault] why
     */
    end(status: Status, fault?: Fault): void;
}
