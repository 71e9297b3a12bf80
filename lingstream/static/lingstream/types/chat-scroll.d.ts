/** chat-scroll: keeps the end of the conversation in sight, until the person looks at something else. */
import type { Conversation } from "./conversation.js";
export declare class Scroll {
    #private;
    /**
     * @param {HTMLElement} chat
     * @param {Conversation} conversation
     * @param {AbortSignal} signal
     */
    constructor(chat: HTMLElement, conversation: Conversation, signal: AbortSignal);
    /** @returns {boolean} whether the person looks at the end */
    get isPinned(): boolean;
    /** Where the person was, or at the line above what is new, or at the end. */
    restore(): void;
    toEnd(): void;
    /** @param {number} count of turns that have come at the end */
    note(count: number): void;
    /**
     * What is read stays where it is while something is put above it.
     *
     * @param {() => void} write
     */
    hold(write: () => void): void;
}
