import { readFileSync } from "node:fs";

import { Client } from "../../lingstream/static/lingstream/client.js";

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

/** The run, when it has ended in whatever way. */
export async function over(run) {
    return run.finished.catch((error) => error.run);
}

/** A client over transports that record what they are asked. */
export function fake(options = {}) {
    const [calls, posted] = [[], []];
    const transport = (name) => {
        const open = (request, sink) => {
            const call = { name, request, sink, canceled: [], closed: false };
            calls.push(call);
            return { cancel: (...known) => call.canceled.push(known), close: () => (call.closed = true) };
        };
        return { start: open, subscribe: open, cancel: (...known) => posted.push(known) };
    };
    const transports = Object.fromEntries(["websocket", "sse", "poll"].map((name) => [name, transport(name)]));
    return { client: new Client({ ...options, transports }), calls, posted };
}

/** The details of the events of a type that come from now on. */
export function listen(target, type) {
    const details = [];
    target.addEventListener(type, ({ detail }) => details.push(detail));
    return details;
}

const KINDS = { event: "event", snapshot: "snapshot", fault: "error", done: "done" };

/** An event of a run's own stream as the frame that it stands for; null for events that nobody knows. */
export function toFrame({ id, event, data }) {
    const body = JSON.parse(data);
    if (event === "" || event === "message") return { id, ops: [body] };
    const kind = KINDS[event];
    return kind ? { ...body, id } : null;
}
