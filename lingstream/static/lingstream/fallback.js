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
        return this.#open("start", request, sink);
    }

    /** See session.js. */
    subscribe(request, sink) {
        return this.#open("subscribe", request, sink);
    }

    /** See feed.js. */
    cancel(run, token, denied) {
        const message = "no connection to cancel the run over";
        const fail = () => denied({ code: "connection", message, retryable: true });
        this.#loaded().then((transport) => transport.cancel(run, token, denied), fail);
    }

    #open(method, request, sink) {
        let [channel, isClosed] = [null, false];
        const asked = [];
        const begin = (transport) => {
            if (isClosed) return;
            channel = transport[method](request, sink);
            for (const each of asked) channel.cancel(...each);
        };
        this.#loaded().then(begin, () => isClosed || sink.lost({ opened: false }));
        return {
            cancel: (...each) => (channel ? channel.cancel(...each) : asked.push(each)),
            close() {
                isClosed = true;
                channel?.close();
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
