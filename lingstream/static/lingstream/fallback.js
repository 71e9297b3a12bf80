/**
 * fallback: the transports over HTTP. They are loaded once they are needed, because a page whose socket comes through
 * needs none of them.
 */

/** A transport as session.js describes it, in front of one that is still to be loaded. */
export class Fallback {
    #load;
    #loading = null;

    /** @param {() => Promise<object>} load the transport behind it */
    constructor(load) {
        this.#load = load;
    }

    /** See session.js. */
    start(request, sink) {
        return this.open("start", request, sink);
    }

    /** See session.js. */
    subscribe(request, sink) {
        return this.open("subscribe", request, sink);
    }

    /** @returns {Promise<any>} what a method of the transport gives, for these arguments */
    async ask(method, ...asked) {
        return (await this.#loaded())[method](...asked);
    }

    /** See feed.js. */
    cancel(run, token, denied) {
        this.#loaded().then((transport) => transport.cancel(run, token, denied), () => denied());
    }

    /**
     * @param {string} method
     * @param {object} request
     * @param {object} sink
     * @returns {object} the channel that the method of the transport gives
     */
    open(method, request, sink) {
        let isClosed = false;
        const channel = this.#loaded().then(
            (transport) => (isClosed ? null : transport[method](request, sink)),
            () => void (isClosed || sink.lost({ opened: false })),
        );
        return {
            cancel: async (...asked) => (await channel)?.cancel(...asked),
            async close() {
                isClosed = true;
                (await channel)?.close();
            },
        };
    }

    /** What could not be loaded is tried again. */
    #loaded() {
        this.#loading ??= this.#load().catch((error) => {
            this.#loading = null;
            throw error;
        });
        return this.#loading;
    }
}
