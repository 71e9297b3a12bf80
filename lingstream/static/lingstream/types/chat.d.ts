/**
 * chat: `<ling-chat>`, which makes the page that the server wrote a live one. What it adds are copies of the page's
 * templates, and what a button does is its name, as where a form is sent without a script.
 */
import type { Client } from "./client.js";
import type { Conversation } from "./conversation.js";
/**
 * A chat with one workflow. Attributes: `workflow`, and `conversation`, the id of one that there is; `data-tells`, what
 * else tells of unread turns: `title` (of the page) and `badge` (of an app that is installed).
 */
export declare class LingChat extends HTMLElement {
    #private;
    /** @type {Promise<void> | null} that the conversation is followed; rejects with why it cannot be */
    ready: Promise<void> | null;
    /** @returns {Client | null} by default one whose visitor is the session's, as the page's is */
    get client(): Client | null;
    /** It is to be set before the element is on the page. */
    set client(client: Client | null);
    /** @returns {Conversation | null} null until it is followed */
    get conversation(): Conversation | null;
    connectedCallback(): void;
    disconnectedCallback(): void;
}
