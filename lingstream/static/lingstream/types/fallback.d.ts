/**
 * fallback: the transports over HTTP. They are loaded once they are needed, because a page whose socket comes through
 * needs none of them.
 */
/** A transport as session.js describes it, in front of one that is still to be loaded. */
export declare class Fallback {
    #private;
    /** @param {() => Promise<object>} load the transport behind it */
    constructor(load: () => Promise<object>);
    /** See session.js. */
    start(request: any, sink: any): {
        cancel: (...each: any[]) => any;
        close(): void;
    };
    /** See session.js. */
    subscribe(request: any, sink: any): {
        cancel: (...each: any[]) => any;
        close(): void;
    };
    /** See feed.js. */
    cancel(run: any, token: any, denied: any): void;
}
