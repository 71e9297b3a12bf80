/** outbox: turns that the server has not taken yet. They are shown all the same, where they will stand. */

import { randomKey } from "./keys.js";

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
export class Outbox {
    #link;
    #owner;
    #entries = [];

    /**
     * @param {object} link
     * @param {Owner} owner
     */
    constructor(link, owner) {
        this.#link = link;
        this.#owner = owner;
    }

    get isEmpty() {
        return this.#entries.length === 0;
    }

    /**
     * @param {Turn[]} path
     * @returns {Turn[]} with those that stand behind it, or in the place of some of it
     */
    onto(path) {
        return this.#entries.reduce((shown, { turn, place }) => [...until(shown, place), turn], path);
    }

    /** Stop them as soon as they are taken. */
    cancel() {
        for (const { turn } of this.#entries) turn.run.cancel();
    }

    /**
     * @param {"messages" | "edit" | "regenerate"} way
     * @param {Turn} turn
     * @param {object} body
     * @param {string | null} place id of the turn in whose place it stands; null: behind all
     * @param {string} [key]
     * @returns {Promise<Turn>} rejects with a Refusal; the same for the same key
     */
    send(way, turn, body, place, key = randomKey()) {
        const known = this.#entries.find((each) => each.key === key);
        if (known) return known.taken;
        const run = (turn.run = new this.#link.Run({ key }));
        const entry = { key, turn, place };
        entry.taken = this.#taken(entry, run);
        entry.taken.catch(() => {}); // who waits is told; nobody has to
        this.#entries.push(entry);
        this.#owner.shown(turn);
        const start = (_, sink) => this.#start(entry, way, { ...body, key }, sink);
        this.#link.watch(run, null, key, { start });
        return entry.taken;
    }

    #start(entry, way, body, sink) {
        const leaving = new AbortController();
        const before = this.#entries.slice(0, this.#entries.indexOf(entry)).map(({ taken }) => taken);
        const begin = (started) => {
            sink.started(started);
            sink.again();
        };
        const fail = (fault) => (fault.code === "connection" ? sink.lost({ opened: true }) : sink.refused(fault));
        const post = () => leaving.signal.aborted || this.#owner.post(way, body, leaving.signal).then(begin, fail);
        Promise.allSettled(before).then(post);
        return { cancel() {}, close: () => leaving.abort() };
    }

    #taken(entry, run) {
        const { turn, place, key } = entry;
        const leave = () => (this.#entries = this.#entries.filter((each) => each !== entry));
        return new Promise((resolve, reject) => {
            const begin = () => {
                leave();
                turn.begin(run.id);
                resolve(this.#owner.taken(turn, place));
            };
            const end = () => {
                if (run.id) return;
                leave();
                const { failure } = run;
                const refusal = Object.assign(new Error(failure?.message), failure, { turn, text: turn.text, key });
                this.#owner.refused(refusal);
                reject(refusal);
            };
            run.addEventListener("started", begin, { once: true });
            run.addEventListener("done", end, { once: true });
        });
    }
}

/**
 * @param {Turn[]} turns
 * @param {string | null} place id of one of them
 * @returns {Turn[]} those before it, or all
 */
export function until(turns, place) {
    const index = turns.findIndex(({ id }) => id === place);
    return place === null || index === -1 ? turns : turns.slice(0, index);
}
