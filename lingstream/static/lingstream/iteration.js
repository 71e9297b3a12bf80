/** iteration: a run, or one of its fields, read with `for await` at the reader's pace. */

import { get, split } from "./jsonuri.js";
import { plain } from "./plain.js";

/**
 * @typedef {{uri: string, delta?: string, value?: unknown}} Change the text that came at `uri`, or what is there now
 * @typedef {EventTarget & {
 *   document: unknown, isBusy: boolean, finished: Promise<unknown>, hasClosed: (uri: string) => boolean
 * }} Readable a run
 */

/**
 * @param {Readable} run
 * @returns {AsyncIterableIterator<Change>} what there is, then what comes, merged by uri while nobody
 *   reads; ends with the run, throws where that failed
 */
export function changes(run) {
    const merge = new Merge();
    const replace = () => merge.add({ uri: "", value: plain(run.document) });
    if (run.document !== null) replace();
    const handlers = { ops: ({ ops }) => ops.forEach((op) => merge.add(op)), snapshot: replace };
    return pull(run, handlers, () => merge.take());
}

/**
 * @param {Readable} run
 * @param {string} uri of a string
 * @returns {AsyncIterableIterator<string>} its text in pieces, to the field's end; a text that was replaced by another
 *   one begins again
 */
export function pieces(run, uri) {
    let [given, pending] = ["", ""];
    const renew = () => {
        const value = get(run.document, uri);
        const text = typeof value === "string" ? value : "";
        if (!text.startsWith(given)) given = "";
        pending = text.slice(given.length);
    };
    const isSet = ({ uri: at, delta }) => delta === undefined && (at === "" || `${uri}/`.startsWith(`${at}/`));
    const grow = ({ ops }) => {
        if (ops.some(isSet)) renew();
        else for (const op of ops) if (op.uri === uri) pending += op.delta;
    };
    const take = () => {
        const piece = pending;
        given += piece;
        pending = "";
        return piece ? [piece] : [];
    };
    renew();
    return pull(run, { ops: grow, snapshot: renew, closed: () => {} }, take, () => run.hasClosed(uri));
}

/**
 * @param {Readable} run
 * @returns {ReadableStream<Uint8Array>} its ops as JSON lines
 */
export function lines(run) {
    const [ops, encoder] = [changes(run), new TextEncoder()];
    return new ReadableStream({
        async pull(controller) {
            const { done, value } = await ops.next();
            if (done) controller.close();
            else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
        },
        cancel: () => void ops.return(),
    });
}

/** The ops since the last `take`, one per uri: who reads slowly holds the document's size, not the stream's. */
class Merge {
    #root = {};

    /** @param {Change} op that was folded */
    add({ uri, delta, value }) {
        let place = this.#root;
        for (const key of split(uri)) {
            place.below ??= new Map();
            if (!place.below.has(key)) place.below.set(key, {});
            place = place.below.get(key);
        }
        if (delta === undefined) {
            place.op = { uri, value };
            place.below = undefined; // what was there is no more
        } else {
            const op = (place.op ??= { uri, delta: "" });
            const name = op.delta === undefined ? "value" : "delta";
            op[name] = (op[name] ?? "") + delta;
        }
    }

    /** @returns {Change[]} them, containers before what is in them */
    take() {
        const [ops, places] = [[], [this.#root]];
        this.#root = {};
        while (places.length > 0) {
            const { op, below } = places.pop();
            if (op) ops.push(op);
            if (below) for (const place of [...below.values()].reverse()) places.push(place);
        }
        return ops;
    }
}

/** An iterator over what `take` gives after each event; no generator, whose `return` would wait for what it awaits. */
function pull(run, handlers, take, isOver = () => false) {
    const listening = new AbortController();
    const { signal } = listening;
    let ready = [];
    let wake = () => {};
    let turn = Promise.resolve();
    for (const [type, handle] of Object.entries({ ...handlers, done: () => {} })) {
        run.addEventListener(type, ({ detail }) => (handle(detail), wake()), { signal });
    }
    const end = () => {
        listening.abort();
        ready = [];
        wake();
        return { done: true, value: undefined };
    };
    const next = async () => {
        for (;;) {
            if (signal.aborted) return end();
            if (ready.length === 0) ready = take().reverse();
            if (ready.length > 0) return { done: false, value: ready.pop() };
            if (isOver()) return end();
            if (!run.isBusy) {
                end();
                await run.finished; // throws what it failed with
            } else {
                await new Promise((resolve) => (wake = resolve));
            }
        }
    };
    return {
        next: () => (turn = turn.then(next, next)),
        return: async () => end(),
        [Symbol.asyncIterator]() {
            return this;
        },
    };
}
