/**
 * notices: that something has changed in a conversation, and not what. They may get lost or come twice: `seq` decides.
 *
 * One attachment for each conversation, however many places of the page ask for it, and one for all of the
 * person's. It stands in the place of a run in session.js, so it comes back as runs do.
 */
export type Notice = {
    conversation: string | null;
    /**
     * of the conversation, with this change
     */
    seq: number | null;
    /**
     * attached: is heard of from here on; without a
     * conversation some notices may have been lost
     */
    kind: "turn" | "ended" | "change" | "remove" | "attached";
    run: string | null;
};
export type Listener = {
    hear: (notice: Notice) => void;
    /**
     * looks for itself: the page is in sight again, and no notices come to it
     */
    wake: () => void;
};
/** What a client is attached to. */
export declare class Notices {
    #private;
    constructor(link: any);
    /**
     * @param {string} id of a conversation
     * @param {string} type of a message that only a socket takes which is attached to it
     * @returns {boolean} whether there is one, and it has been told
     */
    tell(id: string, type: string): boolean;
    /**
     * @param {string} name of a conversation, or `all`
     * @param {Listener} listener
     * @returns {() => void} ends that
     */
    follow(name: string, listener: Listener): () => void;
}
