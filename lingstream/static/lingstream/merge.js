/** merge: many ops become few, one per uri: who looks seldom holds the document's size and not the stream's. */

import { split } from "./jsonuri.js";

/** The ops since the last `take`. */
export class Merge {
    #root = {};

    /** @param {import("./fold.js").Op} op that was folded */
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

    /** @returns {import("./fold.js").Op[]} them, containers before what is in them */
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
