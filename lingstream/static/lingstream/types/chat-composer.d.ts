/** chat-composer: where a message is written. */
import type { Conversation } from "./conversation.js";
export declare class Composer {
    #private;
    /**
     * @param {HTMLElement} chat
     * @param {Conversation} conversation
     * @param {{signal: AbortSignal, sent: () => void}} options sent: called when something is being sent
     */
    constructor(chat: HTMLElement, conversation: Conversation, { signal, sent }: {
        signal: AbortSignal;
        sent: () => void;
    });
    /** Where that opens no keyboard over the page. */
    focus(): void;
    /** @param {string} message why something was refused; `""`: nothing was */
    tell(message: string): void;
    /** Say what was written. */
    submit(): Promise<void>;
    /**
     * @param {object} said as `Conversation.send` takes it
     * @throws {Error} it was refused, and the page says why
     */
    send(said: object): Promise<import("./turn.js").Turn>;
    /**
     * @template T
     * @param {() => Promise<T>} ask
     * @returns {Promise<T>}
     * @throws {Error} it was refused, and the page says why
     */
    attempt<T>(ask: () => Promise<T>): Promise<T>;
    /** Send becomes Stop while an answer is written and nothing else is. */
    update(): void;
}
/** Whether a key sends what it is pressed in; a keyboard on glass has no other one for a new line. */
export declare function sends({ key, shiftKey, isComposing, keyCode }: {
    isComposing: any;
    key: any;
    keyCode: any;
    shiftKey: any;
}): boolean;
