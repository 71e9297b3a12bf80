/** chat-turns: the turns that are shown, each in a copy of the page's template, and those that the server wrote. */
import type { Client } from "./client.js";
import type { Conversation } from "./conversation.js";
import type { Turn } from "./turn.js";
export declare class Turns {
    #private;
    /**
     * @param {HTMLElement} chat
     * @param {Client} client
     * @param {Conversation} conversation
     */
    constructor(chat: HTMLElement, client: Client, conversation: Conversation);
    /** @param {number} [number] what comes behind this turn is new to the person; by default the last one */
    divide(number?: number): void;
    /**
     * @param {number} bottom of what is in sight
     * @returns {number} of the last turn that begins above that
     */
    numberAbove(bottom: number): number;
    /**
     * @param {Element} element inside a turn
     * @returns {Turn | undefined}
     */
    of(element: Element): Turn | undefined;
    /**
     * @param {Set<Turn>} changed
     * @returns {number} how many are new at the end
     */
    show(changed: Set<Turn>): number;
}
