/** socket: all runs of a page over one WebSocket. */
import { Visitor } from "./visitor.js";
/**
 * Opens when there is something to say, closes some seconds after the last run.
 *
 * It counts as open once it has brought something: there are proxies that let the handshake through and nothing
 * else. So the first thing it says is a ping.
 */
export declare class SocketTransport {
    #private;
    visitor: Visitor;
    /**
     * @param {string} url
     * @param {string} base of the site
     * @param {string | null} [token] of the visitor
     * @returns {SocketTransport} the page's one for these; a process without a page may speak for several people, and
     *   shares none
     */
    static shared(url: string, base: string, token?: string | null): SocketTransport;
    /**
     * @param {string} url
     * @param {Visitor} visitor who says on it who he is
     * @param {(url: string) => WebSocket} [open] another way to make the socket
     */
    constructor(url: string, visitor: Visitor, open?: (url: string) => WebSocket);
    /** See session.js. */
    start({ workflow, input, key, conversation, ack }: {
        ack: any;
        conversation: any;
        input: any;
        key: any;
        workflow: any;
    }, sink: any): object;
    /** See session.js. */
    subscribe({ run, token, after, ack }: {
        ack: any;
        after: any;
        run: any;
        token: any;
    }, sink: any): object;
    /** @param {object} message that nobody answers, for a server that is connected */
    tell(message: object): void;
    /**
     * @param {object} message
     * @param {object} sink see session.js
     * @param {string | null} [run] whose frames it is for; `""`: notices; null: that of the answer
     * @returns {object} a channel
     */
    begin(message: object, sink: object, run?: string | null): object;
}
