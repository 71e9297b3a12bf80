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
    start(request: any, sink: any): object;
    /** See session.js. */
    subscribe(request: any, sink: any): object;
    /** @returns {Promise<any>} what a method of the transport gives, for these arguments */
    ask(method: any, ...asked: any[]): Promise<any>;
    /** See feed.js. */
    cancel(run: any, token: any, denied: any): void;
    /**
     * @param {string} method
     * @param {object} request
     * @param {object} sink
     * @returns {object} the channel that the method of the transport gives
     */
    open(method: string, request: object, sink: object): object;
}
