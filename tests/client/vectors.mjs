import { readFileSync } from "node:fs";

const path = new URL("../cases/protocol.json", import.meta.url);

/** The vectors that the Python tests fold too. */
export const vectors = JSON.parse(readFileSync(path, "utf8"));

/** Null-prototype objects become ordinary ones with the same own keys, for comparing. */
export function ordinary(value) {
    return JSON.parse(JSON.stringify(value));
}

/** Ids of the frames of `count` seconds, for tests that wait for nothing. */
export function settled() {
    return new Promise((resolve) => setImmediate(resolve));
}

const KINDS = { event: "event", snapshot: "snapshot", fault: "error", done: "done" };

/** An event of a run's own stream as the frame that it stands for; null for events that nobody knows. */
export function toFrame({ id, event, data }) {
    const body = JSON.parse(data);
    if (event === "" || event === "message") return { id, ops: [body] };
    const kind = KINDS[event];
    return kind ? { ...body, id } : null;
}
