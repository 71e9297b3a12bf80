/** conversations: what a client has of a site beside runs. Loaded with the first thing of it that is asked for. */

import { Conversation } from "./conversation.js";
import { Notices } from "./notices.js";
import { coalesced, persist } from "./syncing.js";

/** @import { Notice } from "./notices.js" */

/**
 * @typedef {object} Wanted
 * @property {string} [workflow] those with this one only
 * @property {string} [q] words that stand in the title
 * @property {boolean} [archived] the archived ones in place of the others
 *
 * @typedef {object} Item
 * @property {string} id
 * @property {string} title
 * @property {string} workflow
 * @property {number} seq counts its changes
 * @property {number} unread turns that a bot began and nobody has seen
 * @property {string} updated when its last turn began
 * @property {boolean} open whether a turn has not ended
 * @property {boolean} archived
 */

const MOST = 100; // in one answer

/** @param {Record<string, any>} own what a client gives of itself: client, transports, watch and the class Run */
export function connect({ transports, ...own }) {
    const link = {
        ...own,
        ask: (...asked) => transports.sse.ask("request", ...asked),
        tell: (message) => transports.websocket.tell(message),
        visitor: transports.websocket.visitor,
    };
    const notices = (link.notices = new Notices(link));
    return {
        conversation: (id, options) => new Conversation(link, id, options),
        conversations: (wanted) => new Conversations(link, wanted),
        on: (type, listener) => (type === "visitor" ? met(link, listener) : heard(notices, listener)),
    };
}

function met({ visitor }, listener) {
    visitor.listeners.add(listener);
    if (visitor.token) listener(visitor.token);
    return () => visitor.listeners.delete(listener);
}

function heard(notices, listener) {
    return notices.follow("all", { hear: (notice) => notice.kind === "attached" || listener(notice), wake() {} });
}

/** A person's conversations, the newest first. Fires `change` when they are others. */
export class Conversations extends EventTarget {
    #link;
    #query;
    #next = null;
    #isClosed = false;
    #leave;
    #refresh = coalesced(() => this.#load());

    /** @type {Item[]} */
    items = [];

    /**
     * @param {object} link
     * @param {Wanted} [wanted]
     */
    constructor(link, { workflow = "", q = "", archived = false } = {}) {
        super();
        this.#link = link;
        this.#query = { workflow, q, archived: archived ? "1" : "" };
        this.#leave = link.notices.follow("all", {
            hear: (notice) => this.#hear(notice),
            wake: () => this.#look(),
        });
        /** @type {Promise<void>} that the first ones are there */
        this.ready = this.refresh();
        this.ready.catch(() => {});
    }

    /** @returns {boolean} whether there are some behind those that are here */
    get hasMore() {
        return this.#next !== null;
    }

    /** @returns {Promise<void>} that all that are here are as the server has them */
    refresh() {
        return this.#refresh();
    }

    /** @returns {Promise<boolean>} whether some were behind those that are here, which are here now */
    async more() {
        const after = this.#next;
        if (!after) return false;
        const page = await this.#page(after, MOST / 2);
        if (this.#next !== after) return false; // refreshed meanwhile
        this.#take([...this.items, ...page.conversations], page.next);
        return true;
    }

    /** Hear of no more changes. */
    close() {
        this.#isClosed = true;
        this.#leave();
    }

    /** @param {Notice} notice that it is attached, too: what was before that was told to nobody */
    #hear({ conversation, seq }) {
        const known = this.items.find(({ id }) => id === conversation);
        if (known === undefined || seq > known.seq) this.#look();
    }

    /** Nobody waits for it: what goes wrong now is asked again with the next change. */
    #look() {
        this.refresh().catch(() => {});
    }

    async #load() {
        const wanted = Math.max(this.items.length, MOST / 2);
        let [items, next] = [[], null];
        do {
            const page = await this.#page(next, Math.min(MOST, wanted - items.length));
            items = [...items, ...page.conversations];
            next = page.next;
        } while (next && items.length < wanted);
        this.#take(items, next);
    }

    #page(after, limit) {
        const query = new URLSearchParams({ ...this.#query, limit: String(limit), after: after ?? "" });
        return persist(() => this.#link.ask("GET", `conversations/?${query}`), () => this.#isClosed);
    }

    #take(items, next) {
        this.#next = next;
        if (JSON.stringify(items) === JSON.stringify(this.items)) return;
        this.items = items;
        this.dispatchEvent(new CustomEvent("change"));
    }
}
