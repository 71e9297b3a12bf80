/** outbox: turns that the server has not taken yet. They are shown all the same, where they will stand. */
import type { Fault } from "./run.js";
import type { Turn } from "./turn.js";
export type Refusal = Error & Fault & {
    turn: Turn;
    text: string;
    key: string;
};
export type Owner = {
    /**
     * asks the server
     */
    post: (way: string, body: object, signal: AbortSignal) => Promise<object>;
    /**
     * is told of one that is sent now
     */
    shown: (turn: Turn) => void;
    /**
     * shows one that the server has taken
     */
    taken: (turn: Turn, place: string | null) => Turn;
    /**
     * is told of one that it has not
     */
    refused: (refusal: Refusal) => void;
};
/** @import { Fault } from "./run.js" */
/** @import { Turn } from "./turn.js" */
/**
 * @typedef {Error & Fault & {turn: Turn, text: string, key: string}} Refusal what became of a turn that was not taken
 *
 * @typedef {object} Owner
 * @property {(way: string, body: object, signal: AbortSignal) => Promise<object>} post asks the server
 * @property {(turn: Turn) => void} shown is told of one that is sent now
 * @property {(turn: Turn, place: string | null) => Turn} taken shows one that the server has taken
 * @property {(refusal: Refusal) => void} refused is told of one that it has not
 */
/**
 * A start goes by HTTP, until it is answered, and what follows over whatever transport there is; see session.js. One
 * waits for those before it: what was said first stands first, whichever request arrives first.
 */
export declare class Outbox {
    #private;
    /**
     * @param {object} link
     * @param {Owner} owner
     */
    constructor(link: object, owner: Owner);
    get isEmpty(): boolean;
    /**
     * @param {Turn[]} path
     * @returns {Turn[]} with those that stand behind it, or in the place of some of it
     */
    onto(path: Turn[]): Turn[];
    /** Stop them as soon as they are taken. */
    cancel(): void;
    /**
     * @param {"messages" | "edit" | "regenerate"} way
     * @param {Turn} turn
     * @param {object} body
     * @param {string | null} place id of the turn in whose place it stands; null: behind all
     * @param {string} [key]
     * @returns {Promise<Turn>} rejects with a Refusal; the same for the same key
     */
    send(way: "messages" | "edit" | "regenerate", turn: Turn, body: object, place: string | null, key?: string): Promise<Turn>;
}
/**
 * @param {Turn[]} turns
 * @param {string | null} place id of one of them
 * @returns {Turn[]} those before it, or all
 */
export declare function until(turns: Turn[], place: string | null): Turn[];
