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
/** One run's tie to the server, over as many connections as it takes. */
export declare class Session {
    #private;
    constructor(run: any, request: any, client: any);
    /** @returns {boolean} whether more than one place of the page watches the run */
    get isShared(): boolean;
    hold(): any;
    /** Watch again what was closed: a run goes on where it was, a start that was not answered is asked for again. */
    reopen(): void;
    /** Ask once more: for a snapshot, or after all that was tried before. */
    again(): void;
    open(): void;
    cancel(): void;
    close(): void;
    /** The page sleeps: nothing is left open, and nothing is tried. */
    suspend(): void;
    resume(): void;
}
