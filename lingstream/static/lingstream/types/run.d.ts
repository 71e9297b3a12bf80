/**
 * run: what a viewer knows of one run. Frames go in, the document and events come out; no connection here.
 *
 * A frame that was seen before changes nothing, so a resume may overlap. A frame that does not fit, or a
 * checksum that differs at the end, makes `receive` ask for a snapshot: once per run, then it is reported.
 */
export type Status = "connecting" | "running" | "finished" | "failed" | "canceled" | "lost";
export type Fault = {
    code: string;
    message: string;
    retryable: boolean;
    bot?: string;
};
/**
 * One run as this page sees it.
 *
 * Fires CustomEvents: `started`, `ops`, `event`, `closed`, `snapshot`, `error`, `status` and, last, `done`.
 */
export declare class Run extends EventTarget {
    #private;
    /** @param {{id?: string, token?: string, share?: string, workflow?: string, key?: string}} known */
    constructor({ id, token, share, workflow, key }?: {
        id?: string;
        token?: string;
        share?: string;
        workflow?: string;
        key?: string;
    });
    /** @returns {string | null} null until the server has answered a start */
    get id(): string | null;
    /** @returns {string | null} lets its holder read and cancel the run, as given at start: not for others */
    get token(): string | null;
    /** @returns {string | null} lets its holder read the run: for pages, links and other people */
    get share(): string | null;
    get workflow(): null;
    /** @returns {string | null} what it was started with, if this page did: the same key is the same run */
    get key(): string | null;
    /** @returns {boolean} whether several places of this page watch it */
    get isShared(): boolean;
    /** @returns {Status} */
    get status(): Status;
    /** @returns {unknown} the document so far: to be read, not to be changed */
    get document(): unknown;
    /** @returns {Record<string, string>} the models' reasoning by bot; it is not part of the document */
    get reasoning(): Record<string, string>;
    /** @returns {Record<string, unknown>} what became of each bot run, by its name */
    get bots(): Record<string, unknown>;
    /** @returns {string[]} uris of fields inside which a model's answer was cut off */
    get cut(): string[];
    /** @returns {Fault | null} the last thing that went wrong */
    get error(): Fault | null;
    get usage(): null;
    /** @returns {string | null} id of the last frame seen: where a resume goes on */
    get last(): string | null;
    get ended(): boolean;
    /** @returns {Promise<Run>} settles when the run has ended or was given up; never rejects */
    get finished(): Promise<Run>;
    /** Stop the run on the server. What has arrived stays. */
    cancel(): void;
    /** Stop watching. The run goes on without us. */
    close(): void;
    /** Watch again after `close`. */
    open(): void;
    /** @param {{isShared: boolean, reopen: () => void, cancel: () => void, close: () => void}} link what connects this run to its server */
    attach(link: {
        isShared: boolean;
        reopen: () => void;
        cancel: () => void;
        close: () => void;
    }): void;
    /** @param {{run: string, token?: string, share?: string, workflow?: string}} started the answer to a start */
    begin({ run, token, share, workflow }: {
        run: string;
        token?: string;
        share?: string;
        workflow?: string;
    }): void;
    /**
     * @param {object} frame one entry of the run's log
     * @returns {boolean} whether a snapshot is needed to go on
     */
    receive(frame: object): boolean;
    /** The connection is gone for the moment. */
    interrupt(): void;
    /** @param {Fault} fault */
    report(fault: Fault): void;
    /**
     * @param {Status} status
     * @param {object} [detail] of the `done` event
     */
    end(status: Status, detail?: object): void;
}
