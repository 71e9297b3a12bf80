/** socket: all runs of a page over one WebSocket. */
/**
 * Opens when there is something to say, closes some seconds after the last run.
 *
 * It counts as open once it has brought something: there are proxies that let the handshake through and nothing
 * else. So the first thing it says is a ping.
 */
export declare class SocketTransport {
    #private;
    /**
     * @param {string} address
     * @returns {SocketTransport} the page's one for this address
     */
    static shared(address: string): SocketTransport;
    /**
     * @param {string} url
     * @param {(url: string) => WebSocket} [open] another way to make the socket
     */
    constructor(url: string, open?: (url: string) => WebSocket);
    /** See session.js. */
    start({ workflow, input, key, conversation, ack }: {
        ack: any;
        conversation: any;
        input: any;
        key: any;
        workflow: any;
    }, sink: any): {
        cancel: (run: any, token: any) => number;
        close: () => void;
    };
    /** See session.js. */
    subscribe({ run, token, after, ack }: {
        ack: any;
        after: any;
        run: any;
        token: any;
    }, sink: any): {
        cancel: (run: any, token: any) => number;
        close: () => void;
    };
}
