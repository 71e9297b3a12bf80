/** chat-acts: what the buttons of a chat do. The server does the same where a form is sent without a script. */
import type { Conversation } from "./conversation.js";
import type { Turn } from "./turn.js";
export type Asked = {
    conversation: Conversation;
    /**
     * in which the button is, if it is in one
     */
    turn: Turn | undefined;
    /**
     * of the button
     */
    value: string;
    /**
     * of the button
     */
    form: HTMLFormElement;
};
/** @import { Conversation } from "./conversation.js" */
/** @import { Turn } from "./turn.js" */
/**
 * @typedef {object} Asked
 * @property {Conversation} conversation
 * @property {Turn | undefined} turn in which the button is, if it is in one
 * @property {string} value of the button
 * @property {HTMLFormElement} form of the button
 */
/** @type {Record<string, (asked: Asked) => Promise<unknown>>} by the button's name */
export declare const ACTS: Record<string, (asked: Asked) => Promise<unknown>>;
