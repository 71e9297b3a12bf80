/** conversation: the turns that are shown of one, kept as the server has them. */
import { Turn } from "./turn.js";
import type { Feedback, Part } from "./turn.js";
export type ConversationOptions = {
    /**
     * whom to talk to, for a new one
     */
    workflow?: string;
    /**
     * a name of yours, for a new one: if there is one with it already, it is that one
     */
    externalId?: string;
    /**
     * of yours, for a new one
     */
    data?: object;
    /**
     * the person's; else the browser's
     */
    timezone?: string;
    /**
     * what the page has brought with it: what a GET of the conversation answers
     */
    state?: object;
};
export type Said = string | {
    text?: string;
    parts?: Part[];
    input?: unknown;
    key?: string;
};
/**
 * One conversation. Fires CustomEvents: `turn` (a Turn that is new, or in which something is), `change` (which turns
 * are shown, the title, what is unread …), `notice`, and `error` (a turn was not taken: a Refusal; or a Fault).
 */
export declare class Conversation extends EventTarget {
    #private;
    /** @type {Promise<void>} what there is of it is here; rejects with an Error that is a Fault, too */
    ready: Promise<void>;
    /**
     * @param {object} link
     * @param {string} id or `new`
     * @param {ConversationOptions} [options]
     */
    constructor(link: object, id: string, options?: ConversationOptions);
    /** @returns {string | null} null until a new one has begun */
    get id(): string | null;
    get title(): string;
    get workflow(): string;
    /** @returns {number} counts its changes */
    get seq(): number;
    /** @returns {number} turns shown that a bot began and nobody has seen */
    get unread(): number;
    /** @returns {number} of the last turn that was seen */
    get lastRead(): number;
    get archived(): boolean;
    get data(): {};
    /** @returns {boolean} whether it was deleted */
    get removed(): boolean;
    /** @returns {boolean} whether a turn has not ended */
    get open(): boolean;
    /** @returns {boolean} whether there are turns before the first one here */
    get hasMore(): boolean;
    /** @returns {Turn[]} the path that is shown, the oldest first, with those that are being sent */
    get turns(): Turn[];
    /**
     * Begin it now, and not with the first message: so that a bot may speak first.
     *
     * @returns {Promise<void>}
     */
    begin(): Promise<void>;
    /**
     * The turn is shown at once. Over a lost connection it is sent again, under the same key.
     *
     * @param {Said} said
     * @returns {Promise<Turn>} once the server has taken it; rejects with a Refusal
     */
    send(said: Said): Promise<Turn>;
    /**
     * Keep a file for a message to come: `{type: "file", attachment: id}` is its part of that.
     *
     * @param {File} file
     * @returns {Promise<{id: string, name: string, content_type: string, size: number}>}
     */
    upload(file: File): Promise<{
        id: string;
        name: string;
        content_type: string;
        size: number;
    }>;
    /**
     * @param {Turn | string} turn or its id: what is said now stands beside it
     * @param {Said} said
     * @returns {Promise<Turn>}
     */
    edit(turn: Turn | string, said: Said): Promise<Turn>;
    /**
     * @param {Turn | string} turn or its id: the same is answered once more beside it
     * @param {{key?: string}} [options]
     * @returns {Promise<Turn>}
     */
    regenerate(turn: Turn | string, { key }?: {
        key?: string;
    }): Promise<Turn>;
    /**
     * Show another path: to this turn, and on to the newest behind it.
     *
     * @param {Turn | string} turn or its id, as among `siblings`
     * @returns {Promise<void>}
     */
    switch(turn: Turn | string): Promise<void>;
    /** @returns {Promise<void>} every turn that has not ended is being stopped */
    stop(): Promise<void>;
    /** @param {string} title `""`: that which a model gives it */
    rename(title: string): Promise<void>;
    archive(flag?: boolean): Promise<void>;
    /** Delete it, for good. */
    remove(): Promise<void>;
    /** @param {number} [number] of the last turn that was seen; else of the last one shown */
    read(number?: number): Promise<void>;
    /**
     * @param {Turn | string} turn or its id
     * @param {1 | -1 | 0} value 0 takes it back
     * @param {{uri?: string, reason?: string, comment?: string}} [about]
     * @returns {Promise<Feedback | null>} what is kept
     */
    feedback(turn: Turn | string, value: 1 | -1 | 0, about?: {
        uri?: string;
        reason?: string;
        comment?: string;
    }): Promise<Feedback | null>;
    /** @returns {Promise<boolean>} whether there were turns before the first one here, which are here now */
    older(): Promise<boolean>;
    /** The person is writing: the bot does not interrupt. */
    typing(): void;
    /** Follow it no more; its turns go on. */
    close(): void;
}
