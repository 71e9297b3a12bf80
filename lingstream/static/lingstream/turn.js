/** turn: one turn of a conversation, as the server tells it and as its run goes on. */

/** @import { Fault, Run } from "./run.js" */

/**
 * @typedef {{type: "text", text: string} | {type: "file", attachment: string, name?: string}} Part
 * @typedef {{id?: string, parts: Part[]}} Message
 * @typedef {{uri: string, value: 1 | -1, reason: string, comment: string}} Feedback
 */

const OPEN = ["sending", "queued", "running"];
const TOLD = ["number", "parent", "siblings", "cause", "workflow", "message", "feedback", "stale", "created", "finished"];

/** The same object for as long as the turn is shown. */
export class Turn {
    #told = "";
    #status = "sending";
    #document = null;
    #error = null;

    /** @type {string | null} of its run; null until the server has taken it */
    id = null;
    /** @type {number | null} in the order of their beginning */
    number = null;
    /** @type {string | null} the turn before it */
    parent = null;
    /** @type {string[]} the turns with the same parent, itself too */
    siblings = [];
    /** @type {string} who or what began it */
    cause;
    /** @type {string} */
    workflow = "";
    /** @type {Message | null} what the person sent; null where the bot began */
    message;
    /** @type {Feedback[]} */
    feedback = [];
    /** @type {string[]} uris of citations whose documents have changed since, or are gone */
    stale = [];
    /** @type {string | null} when it began */
    created = null;
    /** @type {string | null} when it ended */
    finished = null;
    /** @type {Run | null} while it is followed */
    run = null;

    /** @param {{cause?: string, message?: Message | null}} [known] of one that is being sent */
    constructor({ cause = "user", message = null } = {}) {
        this.cause = cause;
        this.message = message;
    }

    /** @returns {"sending" | "queued" | "running" | "finished" | "failed" | "canceled" | "lost"} */
    get status() {
        const live = this.run?.status;
        if (live === "connecting" || live === "lost" || !live) return /** @type {any} */ (this.#status);
        return live;
    }

    /** @returns {boolean} whether more is to come */
    get isBusy() {
        return OPEN.includes(this.status);
    }

    /** @returns {any} what is answered so far: to be read, not to be changed; it changes in place */
    get document() {
        return this.run?.document ?? this.#document;
    }

    /** @returns {Fault | null} why there is no answer, or not all of it */
    get error() {
        return this.run?.failure ?? this.#error;
    }

    /** @returns {string} what of the message is text */
    get text() {
        const parts = this.message?.parts ?? [];
        return parts.map((part) => (part.type === "text" ? part.text : "")).filter(Boolean).join("\n");
    }

    /** @param {string} run that the server has begun for it */
    begin(run) {
        this.id = run;
        this.#status = "queued";
    }

    /**
     * @param {Record<string, any>} told by the server
     * @returns {boolean} whether anything is new
     */
    take(told) {
        const isOver = !OPEN.includes(told.status);
        if (this.run?.ended && (isOver || this.run.failure)) this.run = null;
        const text = JSON.stringify(told);
        if (text === this.#told) return false;
        this.#told = text;
        for (const name of TOLD) this[name] = told[name];
        this.id = told.run;
        this.#status = told.status;
        this.#document = told.document;
        this.#error = told.error;
        return true;
    }
}
