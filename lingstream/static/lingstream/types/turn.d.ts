/** turn: one turn of a conversation, as the server tells it and as its run goes on. */
import type { Fault, Run } from "./run.js";
export type Part = {
    type: "text";
    text: string;
} | {
    type: "file";
    attachment: string;
    name?: string;
};
export type Message = {
    id?: string;
    parts: Part[];
};
export type Feedback = {
    uri: string;
    value: 1 | -1;
    reason: string;
    comment: string;
};
/** The same object for as long as the turn is shown. */
export declare class Turn {
    #private;
    /** @type {string | null} of its run; null until the server has taken it */
    id: string | null;
    /** @type {number | null} in the order of their beginning */
    number: number | null;
    /** @type {string | null} the turn before it */
    parent: string | null;
    /** @type {string[]} the turns with the same parent, itself too */
    siblings: string[];
    /** @type {string} who or what began it */
    cause: string;
    /** @type {string} */
    workflow: string;
    /** @type {Message | null} what the person sent; null where the bot began */
    message: Message | null;
    /** @type {Feedback[]} */
    feedback: Feedback[];
    /** @type {string[]} uris of citations whose documents have changed since, or are gone */
    stale: string[];
    /** @type {string | null} when it began */
    created: string | null;
    /** @type {string | null} when it ended */
    finished: string | null;
    /** @type {Run | null} while it is followed */
    run: Run | null;
    /** @param {{cause?: string, message?: Message | null}} [known] of one that is being sent */
    constructor({ cause, message }?: {
        cause?: string;
        message?: Message | null;
    });
    /** @returns {"sending" | "queued" | "running" | "finished" | "failed" | "canceled" | "lost"} */
    get status(): "sending" | "queued" | "running" | "finished" | "failed" | "canceled" | "lost";
    /** @returns {boolean} whether more is to come */
    get isBusy(): boolean;
    /** @returns {any} what is answered so far: to be read, not to be changed; it changes in place */
    get document(): any;
    /** @returns {Fault | null} why there is no answer, or not all of it */
    get error(): Fault | null;
    /** @returns {string} what of the message is text */
    get text(): string;
    /** @param {string} run that the server has begun for it */
    begin(run: string): void;
    /**
     * @param {Record<string, any>} told by the server
     * @returns {boolean} whether anything is new
     */
    take(told: Record<string, any>): boolean;
}
