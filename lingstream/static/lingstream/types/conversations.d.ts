/** conversations: what a client has of a site beside runs. Loaded with the first thing of it that is asked for. */
import { Conversation } from "./conversation.js";
export type Wanted = {
    /**
     * those with this one only
     */
    workflow?: string;
    /**
     * words that stand in the title
     */
    q?: string;
    /**
     * the archived ones in place of the others
     */
    archived?: boolean;
};
export type Item = {
    id: string;
    title: string;
    workflow: string;
    /**
     * counts its changes
     */
    seq: number;
    /**
     * turns that a bot began and nobody has seen
     */
    unread: number;
    /**
     * when its last turn began
     */
    updated: string;
    /**
     * whether a turn has not ended
     */
    open: boolean;
    archived: boolean;
};
/** @param {Record<string, any>} own what a client gives of itself: client, transports, watch and the class Run */
export declare function connect({ transports, ...own }: Record<string, any>): {
    conversation: (id: any, options: any) => Conversation;
    conversations: (wanted: any) => Conversations;
    on: (type: any, listener: any) => any;
};
/** A person's conversations, the newest first. Fires `change` when they are others. */
export declare class Conversations extends EventTarget {
    #private;
    /** @type {Promise<void>} that the first ones are there */
    ready: Promise<void>;
    /** @type {Item[]} */
    items: Item[];
    /**
     * @param {object} link
     * @param {Wanted} [wanted]
     */
    constructor(link: object, { workflow, q, archived }?: Wanted);
    /** @returns {boolean} whether there are some behind those that are here */
    get hasMore(): boolean;
    /** @returns {Promise<void>} that all that are here are as the server has them */
    refresh(): Promise<void>;
    /** @returns {Promise<boolean>} whether some were behind those that are here, which are here now */
    more(): Promise<boolean>;
    /** Hear of no more changes. */
    close(): void;
}
