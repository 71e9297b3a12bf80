import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { Client } from "../../lingstream/static/lingstream/client.js";
import { Fallback } from "../../lingstream/static/lingstream/fallback.js";
import { FeedTransport } from "../../lingstream/static/lingstream/feed.js";
import { POLL } from "../../lingstream/static/lingstream/poll.js";
import { SocketTransport } from "../../lingstream/static/lingstream/socket.js";
import { SSE } from "../../lingstream/static/lingstream/sse.js";
import { Visitor } from "../../lingstream/static/lingstream/visitor.js";
import { fake, listen, ordinary, over, settled, vectors } from "./vectors.mjs";

const { run: RUN } = vectors.cases[0].frames[0];
const { frames, document } = vectors.cases[1];
const FRAMES = vectors.cases[0].frames;
const TRANSPORTS = ["websocket", "sse", "poll"];

afterEach(() => mock.timers.reset());

describe("a run", () => {
    test("is told that its log cannot be resumed, under an id it has seen", () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        const told = [];
        run.addEventListener("event", ({ detail }) => told.push(detail.event));
        for (const frame of frames.slice(0, 2)) calls[0].sink.frame(frame);
        const { id } = frames[1];
        calls[0].sink.frame({ run: RUN, id, event: "resumable", data: false });
        calls[0].sink.frame({ run: RUN, id, event: "started", data: {} });
        assert.deepEqual(told.filter((event) => event === "resumable"), ["resumable"]);
        assert.equal(told.filter((event) => event === "started").length <= 1, true);
        assert.equal(run.last, id);
    });
});

describe("who comes late", () => {
    const gone = { code: "provider", message: "gone", retryable: true };
    const over = { code: "limit", message: "too long", retryable: false };
    const snapshot = (more) => ({ run: RUN, id: "1-7", snapshot: { document: null, status: "running", ...more } });
    const bots = { "a#1": { status: "failed", error: gone }, "b#1": { status: "running" } };

    for (const [name, frame, expected] of [
        ["to a run that failed", snapshot({ error: over }), [over]],
        ["to a bot that failed", snapshot({ bots }), [{ ...gone, bot: "a#1" }]],
        ["to both", snapshot({ bots, error: over }), [{ ...gone, bot: "a#1" }, over]],
        ["to a run that goes well", snapshot({}), []],
    ]) {
        test(`${name} is told what went wrong, once`, () => {
            const { client, calls } = fake();
            const run = client.subscribe(RUN);
            const told = listen(run, "error");
            calls[0].sink.frame(frame);
            calls[0].sink.frame({ ...frame, id: "1-9" });
            assert.deepEqual(ordinary(told), expected);
            assert.deepEqual(ordinary(run.error), expected.at(-1) ?? null);
            run.close();
        });
    }

    test("is not told again what it has been told", () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        const told = listen(run, "error");
        calls[0].sink.frame({ run: RUN, id: "1-2", error: { ...gone, bot: "a#1" } });
        calls[0].sink.frame(snapshot({ bots }));
        assert.equal(told.length, 1);
        run.close();
    });
});

describe("a run elsewhere", () => {
    test("is told of once, goes on by its stored states and ends", async () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        const [faults, snapshots] = [listen(run, "error"), listen(run, "snapshot")];
        const stored = (id, document) => ({ run: RUN, id, snapshot: { document, status: "running" } });
        calls[0].sink.frame(stored("1-7", { a: "one" }));
        calls[0].sink.frame({ run: RUN, id: "1-7+1", error: { code: "elsewhere", message: "…", retryable: true } });
        calls[0].sink.frame(stored("1-20", { a: "one two" }));
        assert.deepEqual([run.status, run.last, snapshots.length], ["running", "1-20", 2]);
        calls[0].sink.frame({ run: RUN, id: "1-21", ops: [{ uri: "a", delta: " three" }] });
        calls[0].sink.frame({ run: RUN, id: "1-30", done: { status: "finished", usage: {} } });
        assert.equal((await run.finished).status, "finished");
        assert.deepEqual(faults.map(({ code }) => code), ["elsewhere"]);
        assert.deepEqual(ordinary(run.document), { a: "one two three" });
    });

    test("is told of once, however often it is said", () => {
        const { client, calls } = fake({ transport: "poll" });
        const run = client.subscribe(RUN);
        const faults = listen(run, "error");
        for (const id of ["1-7", "1-9", "1-20"]) {
            calls[0].sink.frame({ run: RUN, id, snapshot: { document: {}, status: "running" } });
            const error = { code: "elsewhere", message: "…", retryable: true };
            calls[0].sink.frame({ run: RUN, id: `${id}+1`, error });
        }
        assert.equal(faults.length, 1);
        run.close();
    });

    test("that loses its connection there comes back for a snapshot", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        calls[0].sink.frame({ run: RUN, id: "1-7+1", error: { code: "elsewhere", message: "…", retryable: true } });
        calls[0].sink.lost({ opened: true });
        mock.timers.tick(500);
        assert.equal(calls[1].request.after, "1-7+1");
        calls[1].sink.frame({ run: RUN, id: "1-7", snapshot: { document: { a: 1 }, status: "running" } });
        assert.deepEqual([run.last, ordinary(run.document)], ["1-7", { a: 1 }]);
        run.close();
    });

    test("that is deleted ends with the reason", async () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        const faults = listen(run, "error");
        calls[0].sink.frame({ run: RUN, id: "1-8", error: { code: "deleted", message: "…", retryable: false } });
        calls[0].sink.frame({ run: RUN, id: "1-9", done: { status: "canceled", usage: {} } });
        assert.equal((await run.finished).status, "canceled");
        assert.equal(faults[0].code, "deleted");
    });
});

describe("coming back", () => {
    test("goes on behind the last frame, on the same run", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.start("w", {});
        calls[0].sink.started({ run: RUN, token: "T" });
        for (const frame of frames.slice(0, 4)) calls[0].sink.frame(frame);
        calls[0].sink.lost({ opened: true });
        assert.equal(run.status, "connecting");
        mock.timers.tick(500);
        assert.deepEqual(calls[1].request, { run: RUN, token: "T", after: frames[3].id, ack: true });
        for (const frame of frames.slice(4)) calls[1].sink.frame(frame);
        await run.finished;
        assert.deepEqual(ordinary(run.document), document);
        assert.ok(calls[1].closed);
    });

    test("messages of the connection before change nothing", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        calls[0].sink.lost({ opened: true });
        mock.timers.tick(500);
        calls[0].sink.frame(frames[0]);
        calls[0].sink.lost({ opened: true });
        assert.equal(run.last, null);
        assert.equal(calls.length, 2);
    });

    test("options that nobody knows are refused", () => {
        for (const options of [{ transport: "pigeon" }, { hidden: "maybe" }]) {
            const [[name, value]] = Object.entries(options);
            assert.throws(() => fake(options), new RegExp(`${name}.*${value}`));
        }
    });

    test("an unanswered start is repeated with the same key, by the other transport at once", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        client.start("w", { q: 1 });
        calls[0].sink.lost({ opened: false });
        mock.timers.tick(0);
        assert.deepEqual([calls[0].name, calls[1].name], ["websocket", "sse"]);
        assert.equal(calls[1].request.key, calls[0].request.key);
        assert.match(calls[1].request.key, /^[0-9a-f]{32}$/);
    });

    for (const count of [1, 2, 3, 4]) {
        test(`one decision for ${count} runs that one dead connection carried`, () => {
            mock.timers.enable({ apis: ["setTimeout", "Date"] });
            const { client, calls } = fake();
            const names = () => calls.splice(0).map(({ name, sink }) => (sink.lost({ opened: false }), name));
            for (let run = 0; run < count; run += 1) client.start("w", run);
            assert.deepEqual(names(), Array(count).fill("websocket"));
            mock.timers.tick(0);
            assert.deepEqual(names(), Array(count).fill("sse"));
            mock.timers.tick(0);
            assert.deepEqual(names(), Array(count).fill("poll"));
            mock.timers.tick(2_000);
            assert.deepEqual(names(), Array(count).fill("websocket"));
            mock.timers.tick(4_000);
            assert.deepEqual(names(), Array(count).fill("sse"));
        });
    }

    test("waits longer each time, then the run is lost", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake({ transport: "sse", retries: 3 });
        const run = client.subscribe(RUN);
        const faults = listen(run, "error");
        for (const limit of [500, 1_000, 2_000]) {
            calls.at(-1).sink.lost({ opened: true });
            const before = calls.length;
            mock.timers.tick(limit / 2 - 1);
            assert.equal(calls.length, before);
            mock.timers.tick(limit / 2 + 1);
            assert.equal(calls.length, before + 1);
        }
        calls.at(-1).sink.lost({ opened: false });
        await assert.rejects(run.finished, { code: "connection", retryable: true });
        assert.equal(run.status, "lost");
        assert.deepEqual(
            faults.map(({ code }) => code),
            ["connection"],
        );
    });

    describe("in a browser", () => {
        const page = new EventTarget();
        const known = ["navigator", "addEventListener", "removeEventListener", "document"];
        const show = (hidden) => {
            globalThis.document.hidden = hidden;
            page.dispatchEvent(new Event("visibilitychange"));
        };
        const real = Object.fromEntries(known.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
        const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
        beforeEach(() => {
            mock.timers.enable({ apis: ["setTimeout", "Date"] });
            set("navigator", { onLine: true });
            for (const name of known.slice(1, 3)) set(name, page[name].bind(page));
            set("document", { hidden: false });
        });
        afterEach(() => {
            for (const name of known) {
                if (real[name]) Object.defineProperty(globalThis, name, real[name]);
                else delete globalThis[name];
            }
        });

        for (const transport of TRANSPORTS) {
            test(`being offline is no attempt, over ${transport}, and online tries at once`, () => {
                const { client, calls } = fake({ transport, retries: 2 });
                const run = client.subscribe(RUN);
                navigator.onLine = false;
                for (let minute = 0; minute < 60; minute += 1) {
                    calls.at(-1).sink.lost({ opened: false });
                    mock.timers.tick(60_000);
                }
                calls.at(-1).sink.lost({ opened: false });
                assert.equal(run.status, "connecting");
                const before = calls.length;
                navigator.onLine = true;
                page.dispatchEvent(new Event("online"));
                assert.equal(calls.length, before + 1);
                run.close();
            });
        }

        test("a page that is shown again tries at once, and only once", () => {
            const { client, calls } = fake({ transport: "sse" });
            const run = client.subscribe(RUN);
            calls[0].sink.lost({ opened: true });
            page.dispatchEvent(new Event("pageshow"));
            page.dispatchEvent(new Event("pageshow"));
            page.dispatchEvent(new Event("online"));
            mock.timers.tick(60_000);
            assert.equal(calls.length, 2);
            run.close();
        });

        test("a page that goes lets go of all; kept and shown again it goes on behind the last frame", () => {
            const { client, calls } = fake();
            const runs = [client.subscribe(RUN), client.start("w", {})];
            calls[0].sink.frame(frames[0]);
            calls[0].sink.lost({ opened: true }); // it waits, and the other one is connected
            page.dispatchEvent(new Event("pagehide"));
            page.dispatchEvent(new Event("online"));
            mock.timers.tick(3_600_000);
            assert.deepEqual([calls.length, calls[1].closed], [2, true]);
            assert.deepEqual(runs.map(({ status }) => status), ["connecting", "connecting"]);
            page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
            assert.equal(calls.length, 4);
            assert.deepEqual([calls[2].request.after, calls[3].request.key], [frames[0].id, calls[1].request.key]);
            for (const run of runs) run.close();
            page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
            assert.equal(calls.length, 4);
        });

        test("a stop of a page that slept is sent when it is shown again", () => {
            const { client, calls, posted } = fake();
            const run = client.subscribe(RUN, { token: "T" });
            page.dispatchEvent(new Event("pagehide"));
            run.cancel();
            page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
            assert.deepEqual([posted.length, calls[1].canceled], [1, [[RUN, "T"]]]);
            run.close();
        });

        for (const [hidden, closes] of [["keep", false], ["close", true], [undefined, false]]) {
            test(`a page that is hidden for a minute, with hidden = ${hidden}`, () => {
                const { client, calls } = fake({ hidden });
                const run = client.subscribe(RUN);
                show(true);
                mock.timers.tick(59_000);
                show(false);
                show(true);
                mock.timers.tick(59_999);
                assert.ok(!calls[0].closed);
                mock.timers.tick(1);
                assert.equal(calls[0].closed, closes);
                page.dispatchEvent(new Event("online"));
                assert.equal(calls.length, 1);
                show(false);
                assert.equal(calls.length, closes ? 2 : 1);
                run.close();
            });
        }

        test("a page that was opened out of sight counts as hidden from there", () => {
            globalThis.document.hidden = true;
            const { client, calls } = fake({ hidden: "close" });
            const run = client.subscribe(RUN);
            mock.timers.tick(60_000);
            assert.ok(calls[0].closed);
            run.close();
        });

        test("a socket is closed as the page goes, not some seconds later", () => {
            const { client, sockets } = overSocket();
            const run = client.subscribe(RUN);
            sockets[0].accept();
            page.dispatchEvent(new Event("pagehide"));
            assert.ok(sockets[0].closed);
            page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
            assert.equal(sockets.length, 2);
            close(run, sockets[1]);
        });
    });

    test("a refusal ends it, with the server's words", async () => {
        const { client, calls } = fake();
        const run = client.start("nothing-like-it", {});
        const faults = listen(run, "error");
        calls[0].sink.refused({ code: "not-found", message: "no such workflow", retryable: false });
        await assert.rejects(run.finished, { name: "RunError", code: "not-found", message: "no such workflow", run });
        assert.equal(run.status, "failed");
        assert.equal(faults[0].message, "no such workflow");
    });

    for (const transport of TRANSPORTS) {
        test(`a start over ${transport} that is not answered in 10 s fails`, async () => {
            mock.timers.enable({ apis: ["setTimeout", "Date"] });
            const { client, calls } = fake({ transport });
            const [run, other] = [client.start("w", {}), client.start("w", {})];
            const faults = listen(run, "error");
            calls[1].sink.started({ run: RUN });
            mock.timers.tick(9_999);
            assert.equal(run.status, "connecting");
            mock.timers.tick(1);
            assert.deepEqual([run.status, other.status], ["failed", "connecting"]);
            assert.deepEqual([faults[0].code, faults[0].retryable], ["unanswered", true]);
            assert.ok(calls[0].closed);
            other.close();
        });
    }

    test("a start of a page that slept is asked for again", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.start("w", {});
        mock.timers.setTime(3_600_000);
        mock.timers.tick(1);
        assert.equal(run.status, "connecting");
        mock.timers.tick(500);
        assert.deepEqual([calls.length, calls[1].request.key], [2, calls[0].request.key]);
        run.close();
    });

    test("a checksum that differs subscribes anew without a cursor", async () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        const done = { ...frames.at(-1), done: { ...frames.at(-1).done, crc32: 1 } };
        for (const frame of [...frames.slice(0, -1), done]) calls[0].sink.frame(frame);
        await until(() => calls.length === 2);
        assert.equal(calls[1].request.after, null);
        for (const frame of frames) calls[1].sink.frame(frame);
        assert.equal((await run.finished).status, "finished");
    });
});

describe("stopping", () => {
    test("before the start is answered: sent with the answer", async () => {
        const { client, calls } = fake();
        const run = client.start("w", {});
        run.cancel();
        run.close();
        assert.deepEqual(calls[0].canceled, []);
        calls[0].sink.started({ run: RUN, token: "T" });
        await settled();
        assert.deepEqual(calls[0].canceled, [[RUN, "T"]]);
        assert.ok(calls[0].closed);
    });

    test("without a connection: over HTTP", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls, posted } = fake();
        const run = client.subscribe(RUN, { token: "T" });
        calls[0].sink.lost({ opened: true });
        const faults = listen(run, "error");
        run.cancel();
        const [[id, token, denied]] = posted;
        assert.deepEqual([id, token], [RUN, "T"]);
        denied({ code: "forbidden", message: "no", retryable: false });
        assert.deepEqual([faults[0].code, run.status], ["forbidden", "connecting"]);
        run.close();
        mock.timers.tick(60_000);
        assert.equal(calls.length, 1);
    });

    test("a share reads, and is not shown to who cancels", () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN, { share: "S" });
        assert.equal(calls[0].request.token, "S");
        run.cancel();
        assert.deepEqual(calls[0].canceled, [[RUN, null]]);
    });

    test("the token comes first, and events do not carry it", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.start("w", {});
        const told = listen(run, "started");
        calls[0].sink.started({ run: RUN, token: "T", share: "S" });
        assert.deepEqual(told, [{ run: RUN, share: "S", workflow: "w" }]);
        calls[0].sink.lost({ opened: true });
        mock.timers.tick(500);
        assert.equal(calls[1].request.token, "T");
        run.cancel();
        assert.deepEqual(calls[1].canceled, [[RUN, "T"]]);
    });

    test("two places that watch one run share it; the last that closes ends it", () => {
        const { client, calls } = fake();
        const run = client.subscribe(RUN);
        assert.equal(client.subscribe(RUN), run);
        run.close();
        assert.ok(!calls[0].closed);
        run.close();
        assert.ok(calls[0].closed);
        assert.notEqual(client.subscribe(RUN), run);
    });
});

describe("the socket", () => {
    test("carries many runs, each to its own", async () => {
        const { client, sockets } = overSocket();
        const [first, second] = [client.start("a", 1), client.start("b", 2)];
        assert.equal(sockets.length, 1);
        sockets[0].accept();
        assert.deepEqual(
            sockets[0].sent.map(({ type, workflow }) => [type, workflow]),
            [
                ["start", "a"],
                ["start", "b"],
            ],
        );
        const [refA, refB] = sockets[0].sent.map(({ ref }) => ref);
        sockets[0].say({ started: { run: "B", token: "tb" }, ref: refB });
        sockets[0].say({ started: { run: "A", token: "ta" }, ref: refA });
        sockets[0].say({ run: "B", id: "1-1", snapshot: { document: "b" } });
        sockets[0].say({ run: "A", id: "1-1", snapshot: { document: "a" } });
        assert.deepEqual([first.id, first.document, second.id, second.document], ["A", "a", "B", "b"]);
        close(first, second, sockets[0]);
    });

    test("an error with a ref ends that run only", async () => {
        const { client, sockets } = overSocket();
        const [first, second] = [client.start("a", 1), client.start("b", 2)];
        sockets[0].accept();
        sockets[0].say({ error: { code: "input", message: "no", retryable: false }, ref: sockets[0].sent[0].ref });
        await assert.rejects(first.finished, { code: "input" });
        assert.equal(second.status, "connecting");
        close(second, sockets[0]);
    });

    test("that closes over a message too big for it ends the run with the longest", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket();
        const [short, long] = [client.start("a", "x"), client.start("b", "x".repeat(100))];
        const faults = listen(long, "error");
        sockets[0].accept();
        sockets[0].onclose({ code: 1009 });
        assert.deepEqual([long.status, faults[0].code, short.status], ["failed", "too-large", "connecting"]);
        mock.timers.tick(500);
        sockets[1].accept();
        assert.deepEqual(sockets[1].sent.map(({ workflow }) => workflow), ["a"]);
        short.close();
    });

    test("that closes as its session went on under another key asks again for what was not answered", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket({ ack: true });
        const [started, watched] = [client.start("a", "x"), client.subscribe(RUN, { token: "T" })];
        sockets[0].accept();
        watched.cancel();
        const asked = sockets[0].sent.map(({ ref, ...message }) => message);
        assert.deepEqual(asked.map(({ type }) => type), ["start", "subscribe", "cancel"]);
        sockets[0].onclose({ code: 1013 });
        mock.timers.tick(500);
        sockets[1].accept();
        const again = sockets[1].sent.map(({ ref, ...message }) => message);
        const byType = (one, other) => one.type.localeCompare(other.type);
        assert.deepEqual(again.sort(byType), asked.sort(byType)); // the start under its key: it is none beside it
        close(started, watched, sockets[1]);
    });

    test("an error frame of the log does not end the run", () => {
        const { client, sockets } = overSocket();
        const run = client.subscribe(RUN);
        sockets[0].accept();
        sockets[0].say({
            run: RUN,
            id: "1-1",
            error: { code: "provider", message: "gone", retryable: true, bot: "b#1" },
        });
        assert.equal(run.status, "running");
        close(run, sockets[0]);
    });

    test("a stop that is refused is told, the run goes on and can be stopped again", () => {
        const { client, sockets } = overSocket();
        const [run, other] = [client.subscribe(RUN, { share: "S" }), client.subscribe("B")];
        const faults = [run, other].map((each) => listen(each, "error"));
        sockets[0].accept();
        for (const code of ["forbidden", "database"]) {
            run.cancel();
            const { type, ref } = sockets[0].sent.at(-1);
            assert.equal(type, "cancel");
            sockets[0].say({ error: { code, message: "no", retryable: false }, ref });
        }
        assert.deepEqual(faults.map((told) => told.map(({ code }) => code)), [["forbidden", "database"], []]);
        assert.ok(!run.ended && !other.ended);
        close(run, other, sockets[0]);
    });

    test("acknowledges what it has read, when asked to", () => {
        const { client, sockets } = overSocket({ ack: true });
        const run = client.subscribe(RUN);
        sockets[0].accept();
        assert.equal(sockets[0].sent[0].ack, true);
        sockets[0].say({ run: RUN, id: "1-1", snapshot: { document: "x".repeat(40_000) } });
        sockets[0].say({ run: RUN, id: "1-2", ops: [{ uri: "", delta: "y" }] });
        assert.deepEqual(sockets[0].sent.slice(1), [{ type: "ack", run: RUN, id: "1-1" }]);
        close(run, sockets[0]);
    });

    test("acknowledges what it has read of all runs together, as the server counts it", () => {
        const { client, sockets } = overSocket({ ack: true });
        const runs = ["A", "B"].map((id) => client.subscribe(id));
        sockets[0].accept();
        const half = { document: "x".repeat(20_000) };
        sockets[0].say({ run: "A", id: "1-1", snapshot: half });
        sockets[0].say({ run: "B", id: "1-1+1", snapshot: half });
        sockets[0].say({ run: "B", id: "1-2", ops: [{ uri: "", delta: "y" }] });
        const acks = sockets[0].sent.filter(({ type }) => type === "ack");
        assert.deepEqual(acks, [{ type: "ack", run: "B", id: "1-2" }]);
        close(...runs, sockets[0]);
    });

    for (const [name, leave] of [
        [
            "a run that it has left",
            ({ client, sockets }) => {
                const run = client.subscribe("A");
                sockets[0].accept();
                run.close();
            },
        ],
        [
            "a start that was closed before its answer",
            ({ client, sockets }) => {
                const run = client.start("a", 1);
                sockets[0].accept();
                const { ref } = sockets[0].sent.at(-1);
                run.close();
                sockets[0].say({ started: { run: "A", token: "t" }, ref });
            },
        ],
    ]) {
        test(`acknowledges what still comes of ${name}: others wait for that`, () => {
            const page = overSocket({ ack: true });
            const other = page.client.subscribe("B");
            leave(page);
            const [socket] = page.sockets;
            socket.say({ run: "A", id: "1-2+1", snapshot: { document: "x".repeat(300_000) } });
            socket.say({ notice: { conversation: "c", seq: 1, kind: "change" } });
            socket.say({ run: "A", id: "1-3", ops: [{ uri: "", delta: "y" }] });
            const acks = socket.sent.filter(({ type }) => type === "ack");
            assert.deepEqual(acks, [{ type: "ack", run: "A", id: "1-3" }]);
            close(other, socket);
        });
    }

    test("acknowledges what is read by who asked for no acks, where the one before him had", () => {
        const { sockets, client, transport } = overSocket({ ack: true });
        const [first, other] = [client.subscribe("A"), client.subscribe("B")];
        const second = new Client({ transport: "websocket", ack: false, transports: { websocket: transport } });
        const [socket] = sockets;
        socket.accept();
        const reader = second.subscribe("A");
        first.close();
        socket.say({ run: "A", id: "1-2", snapshot: { document: "x".repeat(300_000) } }); // sent before it was read
        const acks = socket.sent.filter(({ type }) => type === "ack");
        assert.deepEqual(acks, [{ type: "ack", run: "A", id: "1-2" }]);
        close(reader, other, socket);
    });

    test("acknowledges nothing where nobody asked to", () => {
        const { client, sockets } = overSocket({ ack: false });
        const run = client.subscribe("A");
        sockets[0].accept();
        sockets[0].say({ run: "A", id: "1-2", snapshot: { document: "x".repeat(300_000) } });
        assert.deepEqual(sockets[0].sent.map(({ type }) => type), ["subscribe"]);
        close(run, sockets[0]);
    });

    test("is dead when a ping stays unanswered, and only then", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket();
        const run = client.subscribe(RUN);
        sockets[0].accept();
        mock.timers.tick(15_000);
        assert.equal(sockets[0].sent.at(-1).type, "ping");
        sockets[0].say({ type: "pong" });
        mock.timers.tick(10_000);
        assert.equal(run.status, "connecting");
        assert.ok(!sockets[0].closed);
        mock.timers.tick(15_000);
        mock.timers.tick(10_000);
        assert.ok(sockets[0].closed);
        mock.timers.tick(500);
        assert.equal(sockets.length, 2);
    });

    test("closes some seconds after the last run, not while there is one", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket();
        client.subscribe("A").close();
        sockets[0].accept();
        const run = client.subscribe("B");
        mock.timers.tick(6_000);
        assert.ok(!sockets[0].closed);
        run.close();
        mock.timers.tick(6_000);
        assert.ok(sockets[0].closed);
    });

    test("that brings nothing counts as none", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket({ transport: "websocket", deaf: true });
        client.subscribe("A").close();
        client.subscribe(RUN);
        sockets[0].accept();
        assert.ok(sockets[0].greeted);
        mock.timers.tick(5_000);
        assert.ok(sockets[0].closed);
        mock.timers.tick(500);
        assert.equal(sockets.length, 2);
    });

    test("that does not open in time counts as none", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket({ transport: "websocket" });
        client.subscribe(RUN);
        mock.timers.tick(5_000);
        assert.ok(sockets[0].closed);
        mock.timers.tick(500);
        assert.equal(sockets.length, 2);
    });
});

describe("addresses", () => {
    const page = { base: "/site/de/ai", socket: "/site/sockets/ai/", csrf: "C" };
    const real = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket, document: globalThis.document };
    const asked = [];

    beforeEach(() => {
        asked.length = 0;
        globalThis.document = {
            baseURI: "https://example.com/site/de/ask/",
            cookie: "",
            querySelector: (selector) => (selector === "script[data-lingstream]" ? { dataset: page } : null),
        };
        globalThis.fetch = async (url) => (asked.push(url), new Response("{}", { status: 400 }));
        globalThis.WebSocket = class {
            constructor(url) {
                asked.push(url);
            }
            close() {}
        };
    });
    afterEach(() => Object.assign(globalThis, real));

    for (const [transport, options, expected] of [
        ["sse", {}, "/site/de/ai/workflows/w/runs/"],
        ["sse", { base: "/other/" }, "/other/workflows/w/runs/"],
        ["poll", {}, "/site/de/ai/workflows/w/runs/"],
        ["websocket", { base: "https://other.example/ling/" }, "wss://other.example/site/sockets/ai/"],
        ["websocket", {}, "wss://example.com/site/sockets/ai/"],
        ["websocket", { socket: "/ws/2/" }, "wss://example.com/ws/2/"],
    ]) {
        test(`${transport} with ${JSON.stringify(options)} is at ${expected}`, async () => {
            mock.timers.enable({ apis: ["setTimeout"] });
            new Client({ transport, ...options }).start("w", {});
            await until(() => asked.length > 0);
            assert.deepEqual(asked, [expected]);
        });
    }

    for (const transport of ["sse", "poll"]) {
        test(`${transport} is asked by the page's own fetch, where it gives one`, async () => {
            const own = [];
            const fetch = async function (url) {
                if (this !== undefined) throw new TypeError("Illegal invocation"); // as the browser's own
                own.push(url);
                return fault(400, "bad-request");
            };
            const client = new Client({ transport, fetch });
            await assert.rejects(client.start("w", {}).finished, { code: "bad-request" });
            await assert.rejects(client.conversations().then(({ ready }) => ready), { code: "bad-request" });
            assert.match(own.join(" "), /^\/site\/de\/ai\/workflows\/w\/runs\/ \/site\/de\/ai\/conversations\//);
            assert.deepEqual(asked, []);
        });
    }
});

describe("a server that speaks another protocol", () => {
    const other = () => Response.json({ run: RUN, token: "T" }, { status: 202, headers: { "Ling-Protocol": "2" } });
    const told = { code: "protocol", message: /Ling-Protocol 1, got 2/, retryable: false };

    for (const transport of ["sse", "poll"]) {
        test(`is told by its answers over ${transport}, and asked once`, async () => {
            const { client, requests } = overHttp(transport, [other(), other()]);
            const starting = client.start("w", {});
            await assert.rejects(starting.finished, told);
            await assert.rejects(client.subscribe(RUN).finished, told);
            assert.deepEqual([requests.length, starting.status, starting.id], [2, "failed", null]);
        });
    }

    test("is told by a refusal of its own, too, and where a run is canceled", async () => {
        const refusal = Response.json({ error: { code: "?" } }, { status: 400, headers: { "Ling-Protocol": "2" } });
        const { client, requests } = overHttp("sse", [["open"], refusal]);
        const run = client.subscribe(RUN, { token: "T" });
        const faults = listen(run, "error");
        await until(() => requests.length === 1);
        run.cancel();
        await until(() => faults.length > 0);
        assert.match(faults[0].message, told.message);
        run.close();
    });

    test("is told by its socket", async () => {
        const { client, sockets } = overSocket({ protocol: "lingstream.v2" });
        const runs = [client.start("w", {}), client.subscribe(RUN)];
        sockets[0].accept();
        for (const { finished } of runs) {
            await assert.rejects(finished, { ...told, message: /lingstream\.v1, got "lingstream\.v2"/ });
        }
        assert.deepEqual([sockets[0].closed, sockets[0].sent, sockets.length], [true, [], 1]);
    });

    test("is ours where the answer says nothing of it: what stands in between may have dropped that", async () => {
        const { client } = overHttp("sse", [started(RUN), FRAMES]);
        assert.equal((await client.start("w", {}).finished).status, "finished");
    });
});

for (const transport of ["sse", "poll"]) {
    describe(`many runs over ${transport}`, () => {
        test("a start posts the input, then asks for the run behind nothing", async () => {
            const { client, requests } = overHttp(transport, [started(RUN), FRAMES]);
            const run = await client.start("cloud facts", { question: "?" }, { key: "k" }).finished;
            const urls = requests.map(({ url }) => url);
            assert.deepEqual(urls, ["/ling/workflows/cloud%20facts/runs/", "/ling/events/"]);
            assert.deepEqual(requests[0].body, { input: { question: "?" }, key: "k" });
            const { headers } = requests[0];
            assert.deepEqual([headers.Accept, headers["X-CSRFToken"]], ["application/json", "C"]);
            const wait = transport === "poll" ? { wait: 20 } : {};
            assert.deepEqual(requests[1].body, { runs: [{ run: RUN, token: "T" }], ...wait });
            assert.deepEqual([run.id, run.token, run.share, run.status], [RUN, "T", "S", "finished"]);
            assert.deepEqual(ordinary(run.document), vectors.cases[0].document);
        });

        test("one response for all, each behind what has been seen of it", async () => {
            const frames = FRAMES.map((frame) => ({ ...frame, run: "B" }));
            const { client, requests } = overHttp(transport, [
                transport === "poll" ? FRAMES.slice(0, 3) : [...FRAMES.slice(0, 3), "open"],
                [...FRAMES.slice(3), ...frames],
            ]);
            const first = client.subscribe(RUN, { token: "T" });
            await happens(first, "ops");
            const second = client.subscribe("B", { share: "S" });
            const runs = await Promise.all([first.finished, second.finished]);
            assert.deepEqual(runs.map(({ status }) => status), ["finished", "finished"]);
            const last = requests.filter(({ body }) => body.runs.length === 2).at(-1);
            assert.deepEqual(last.body.runs, [{ run: RUN, token: "T", after: FRAMES[2].id }, { run: "B", token: "S" }]);
        });

        test("a run that is refused leaves the others alone", async () => {
            const refusal = { run: "B", error: { code: "not-found", message: "no such run", retryable: false } };
            const { client } = overHttp(transport, [[refusal, ...FRAMES]]);
            const [run, other] = [client.subscribe(RUN), client.subscribe("B")];
            const faults = listen(other, "error");
            assert.deepEqual([(await over(run)).status, (await over(other)).status], ["finished", "failed"]);
            assert.equal(faults[0].code, "not-found");
        });

        test("100 are followed at a time, and who waits comes as others end", async () => {
            const ids = Array.from({ length: 102 }, (_, number) => `run-${number}`);
            const ends = (run) => FRAMES.map((frame) => ({ ...frame, run }));
            const { client, requests } = overHttp(transport, [
                [...ends(ids[0]), ...ends(ids[1]), "open"],
                [...ids.slice(2).flatMap(ends)],
            ]);
            const runs = await Promise.all(ids.map((id) => client.subscribe(id).finished));
            assert.deepEqual(new Set(runs.map(({ status }) => status)), new Set(["finished"]));
            const asked = requests.map(({ body }) => body.runs.map(({ run }) => run));
            assert.deepEqual(asked, [ids.slice(0, 100), ids.slice(2)]);
        });

        test("the last that leaves ends the response; one of several has it asked for anew", async () => {
            const { client, requests } = overHttp(transport, [["open"], ["open"]]);
            const [run, other] = [client.subscribe(RUN), client.subscribe("B")];
            await until(() => requests.length === 1);
            other.close();
            await until(() => requests.length === 2);
            assert.ok(requests[0].signal.aborted);
            assert.deepEqual(requests[1].body.runs, [{ run: RUN }]);
            run.close();
            assert.ok(requests[1].signal.aborted);
        });

        for (const [name, answer, code] of [
            ["what our server refuses", fault(403, "csrf"), "csrf"],
            ["what somebody in between refuses", new Response("<h1>Forbidden</h1>", { status: 403 }), "http-403"],
        ]) {
            test(`${name} fails all runs: ${code}`, async () => {
                const { client } = overHttp(transport, [answer]);
                const runs = [client.subscribe(RUN), client.subscribe("B")];
                const faults = runs.map((run) => listen(run, "error"));
                for (const run of runs) assert.equal((await over(run)).status, "failed");
                assert.deepEqual(faults.map(([{ code }]) => code), [code, code]);
            });
        }

        for (const [name, answer] of [
            ["a proxy's 502", new Response("bad gateway", { status: 502 })],
            ["an error that passes", fault(503, "database", true)],
            ["no network", null],
        ]) {
            test(`${name} is a lost connection`, async () => {
                const { client, requests } = overHttp(transport, [answer, FRAMES]);
                assert.equal((await client.subscribe(RUN).finished).status, "finished");
                assert.equal(requests.length, 2);
            });
        }

        test("a portal's page in the place of the answer to a start is a lost connection", async () => {
            const { client } = overHttp(transport, [new Response("<h1>Sign in</h1>"), started(RUN), FRAMES]);
            assert.equal((await client.start("w", {}).finished).status, "finished");
        });

        test("cancel posts with the token; what is refused is told, and the run goes on", async () => {
            const { client, requests } = overHttp(transport, [["open"], fault(403, "forbidden"), null]);
            const run = client.subscribe(RUN, { token: "T" });
            const faults = listen(run, "error");
            await until(() => requests.length === 1);
            for (const code of ["forbidden", "connection"]) {
                run.cancel();
                await until(() => faults.at(-1)?.code === code);
            }
            assert.deepEqual([requests[1].url, requests[1].method], [`/ling/runs/${RUN}/cancel/`, "POST"]);
            assert.equal(requests[1].headers.Authorization, "Ling T");
            assert.ok(!run.ended);
            run.close();
        });
    });
}

test("a run that waits for its snapshot when the end comes asks once more", () => {
    const { client, calls } = fake({ transport: "websocket" });
    const run = client.subscribe(RUN);
    calls[0].sink.frame({ run: RUN, id: "1-3", ops: [{ uri: "a/b", delta: "no parent" }] });
    calls[1].sink.frame({ run: RUN, id: "1-4", done: { status: "finished", usage: {} } });
    assert.equal(calls.length, 3);
    calls[2].sink.frame({ run: RUN, id: "1-4", snapshot: { document: { a: { b: "c" } } } });
    calls[2].sink.frame({ run: RUN, id: "1-5", done: { status: "finished", usage: {} } });
    assert.deepEqual([run.status, calls.length], ["finished", 3]);
});

test("who swallows all counts as an attempt, however long it takes", () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    const { client, calls } = fake({ transport: "poll" });
    const run = client.subscribe(RUN);
    for (let tries = 0; tries < 20 && !run.ended; tries += 1) {
        mock.timers.tick(30_000);
        calls.at(-1).sink.lost({ opened: false });
        mock.timers.tick(15_000);
    }
    assert.deepEqual([run.status, run.error.code], ["lost", "connection"]);
});

describe("a transport that is loaded when it is needed", () => {
    const loaded = () => {
        const calls = [];
        const channel = { cancel: (...asked) => calls.push(["cancel", ...asked]), close: () => calls.push(["close"]) };
        const transport = { subscribe: (request) => (calls.push(["subscribe", request]), channel) };
        return { transport, calls };
    };

    test("is asked what was asked before it was there", async () => {
        const { transport, calls } = loaded();
        const channel = new Fallback(async () => transport).subscribe("a request", {});
        channel.cancel(RUN, "T");
        await settled();
        channel.close();
        await settled();
        assert.deepEqual(calls, [["subscribe", "a request"], ["cancel", RUN, "T"], ["close"]]);
    });

    test("is not asked for what was left meanwhile", async () => {
        const { transport, calls } = loaded();
        new Fallback(async () => transport).subscribe("a request", {}).close();
        await settled();
        assert.deepEqual(calls, []);
    });

    test("that does not come is no connection, and is tried again", async () => {
        const { transport, calls } = loaded();
        const answers = [Promise.reject(new TypeError("offline")), Promise.resolve(transport)];
        const fallback = new Fallback(() => answers.shift());
        const lost = await new Promise((resolve) => fallback.subscribe("a request", { lost: resolve }));
        assert.deepEqual(lost, { opened: false });
        fallback.subscribe("another", {});
        await settled();
        assert.deepEqual(calls, [["subscribe", "another"]]);
    });

    test("that does not come cancels nothing, and the run says so", async () => {
        const sse = new Fallback(() => Promise.reject(new TypeError("offline")));
        const websocket = { subscribe: (_, sink) => (sink.lost({ opened: false }), { close() {} }) };
        const client = new Client({ transport: "websocket", transports: { websocket, sse } });
        const run = client.subscribe(RUN, { token: "T" });
        const faults = listen(run, "error");
        run.cancel();
        await settled();
        const [{ code, message, retryable }] = faults;
        assert.deepEqual([code, retryable], ["connection", true]);
        assert.match(message, /cancel/);
        run.close();
    });
});

describe("a visitor, on a socket", () => {
    const begun = (socket, visitor) => socket.say({ started: { run: RUN, token: "T", visitor }, ref: "1" });
    const hello = (visitor) => ({ type: "hello", visitor });

    test("is known again on the next one by the token that he was given, said before all else", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket();
        const run = client.start("w", {}, { conversation: "new" });
        sockets[0].accept();
        begun(sockets[0], "V");
        sockets[0].onclose({});
        mock.timers.tick(500);
        sockets[1].accept();
        assert.deepEqual(sockets[1].sent.map(({ type }) => type), ["hello", "subscribe"]);
        assert.deepEqual(sockets[1].sent[0], hello("V"));
        close(run, sockets[1]);
    });

    test("whose token is taken no more shows it no more", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets, visitor } = overSocket();
        visitor.keep("V");
        const run = client.subscribe(RUN, { token: "T" });
        sockets[0].accept();
        assert.deepEqual(sockets[0].sent[0], hello("V"));
        const warn = mock.method(console, "warn", () => {});
        sockets[0].say({ error: { code: "visitor", message: "…", retryable: false } });
        warn.mock.restore();
        assert.deepEqual([visitor.token, run.ended], ["", false]);
        sockets[0].onclose({});
        mock.timers.tick(500);
        sockets[1].accept();
        assert.deepEqual(sockets[1].sent.map(({ type }) => type), ["subscribe"]);
        close(run, sockets[1]);
    });

    test("who is told a token by another way says it on the socket that is open, and is attached anew", async () => {
        const { client, sockets, visitor } = overSocket();
        const end = await client.on("notice", () => {});
        sockets[0].accept();
        visitor.keep("V");
        assert.deepEqual(sockets[0].sent.map(({ type }) => type), ["attach", "hello", "attach"]);
        end();
        sockets[0].onclose({});
    });
});

describe("notices, on a socket", () => {
    const notice = { conversation: "c", seq: 2, kind: "turn", run: RUN };

    test("are told until nobody listens; two who listen are attached once", async () => {
        const { client, sockets } = overSocket();
        const told = [];
        const ends = [await client.on("notice", (each) => told.push(each)), await client.on("notice", () => {})];
        sockets[0].accept();
        sockets[0].say({ notice: { conversation: null, seq: null, kind: "attached", run: null }, ref: "1" });
        sockets[0].say({ notice });
        assert.deepEqual(told, [notice]);
        for (const end of ends) end();
        const [attach, detach] = sockets[0].sent;
        assert.deepEqual([attach, detach], [{ ref: "1", type: "attach", all: true }, { type: "detach", all: true }]);
        sockets[0].say({ notice });
        assert.equal(told.length, 1);
        sockets[0].onclose({});
    });

    test("that stop for the moment are asked for again", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, sockets } = overSocket();
        const end = await client.on("notice", () => {});
        sockets[0].accept();
        sockets[0].say({ conversation: null, error: { code: "lost", message: "…", retryable: true } });
        mock.timers.tick(500);
        assert.deepEqual(sockets[0].sent.map(({ type }) => type), ["attach", "attach"]);
        end();
        sockets[0].onclose({});
    });
});

describe("a proxy that spoils streams", () => {
    test("a response that ends at once three times in a row counts as none", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, requests, names } = ladder([[], [], [], FRAMES]);
        const run = client.subscribe(RUN);
        for (let tries = 0; tries < 400 && !run.ended; tries += 1) {
            mock.timers.tick(100);
            await settled();
        }
        assert.deepEqual([run.status, requests.length], ["finished", 4]);
        assert.deepEqual(names(), ["sse", "sse", "sse", "poll"]);
    });

    test("one that lives longer in between is none", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, requests, names } = ladder([[], [], ["open"], [], [], FRAMES]);
        const run = client.subscribe(RUN);
        for (let tries = 0; tries < 400 && !run.ended; tries += 1) {
            mock.timers.tick(100);
            await settled();
            if (requests.length === 3) {
                mock.timers.tick(1_000);
                requests[2].end?.();
                requests[2].end = null;
            }
        }
        assert.deepEqual([run.status, names()], ["finished", Array(6).fill("sse")]);
    });

    test("a response that brings nothing in 5 s counts as none, one with a comment only is well", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        for (const [begin, expected] of [["nothing", ["sse", "poll"]], ["open", ["sse"]]]) {
            const { client, names } = ladder([[begin], FRAMES]);
            const run = client.subscribe(RUN);
            for (let tries = 0; tries < 60; tries += 1) {
                mock.timers.tick(100);
                await settled();
            }
            assert.deepEqual(names(), expected);
            run.close();
        }
    });

    test("a turn of polling that brings nothing at once is not repeated at once", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, requests } = overHttp("poll", [[], [], FRAMES]);
        const run = client.subscribe(RUN);
        mock.timers.tick(10);
        await settled();
        assert.equal(requests.length, 1);
        for (let tries = 0; tries < 400 && !run.ended; tries += 1) {
            mock.timers.tick(100);
            await settled();
        }
        assert.equal(run.status, "finished");
    });
});

function overSocket({ deaf = false, protocol = "lingstream.v1", ...options } = {}) {
    const sockets = [];
    const open = () => {
        const socket = {
            protocol,
            sent: [],
            closed: false,
            send: (text) => {
                const message = JSON.parse(text);
                if (message.type === "ping" && !socket.greeted) socket.greet();
                else socket.sent.push(message);
            },
            close: () => (socket.closed = true),
            accept: () => socket.onopen({}),
            greeted: false,
            greet: () => {
                socket.greeted = true;
                if (!deaf) socket.say({ type: "pong" });
            },
            say: (message) => socket.onmessage({ data: JSON.stringify(message) }),
        };
        sockets.push(socket);
        return socket;
    };
    const visitor = new Visitor("", null);
    const transports = { websocket: new SocketTransport("ws://test/", visitor, open), sse: fake().client };
    const client = new Client({ transport: "websocket", ...options, transports });
    return { client, sockets, visitor, transport: transports.websocket };
}

/** A client over HTTP; each answer is a response, the messages of one, or null for no network. */
function overHttp(transport, answers, websocket = null) {
    const requests = [];
    const way = { sse: SSE, poll: POLL };
    const made = (name) => {
        const fetch = async (url, init) => {
            const answer = answers[requests.length] ?? null;
            const request = { name, url, ...init, body: init.body && JSON.parse(init.body) };
            requests.push(request);
            if (answer === null) throw new TypeError("no network");
            return Array.isArray(answer) ? respond(answer, request) : answer;
        };
        return new FeedTransport("/ling", way[name], { csrf: "C", fetch });
    };
    const transports = { sse: made("sse"), poll: made("poll"), websocket };
    return { client: new Client({ transport, transports }), requests, names: () => requests.map(({ name }) => name) };
}

/** The same with sockets that do not open. */
function ladder(answers) {
    const closed = (_, sink) => (queueMicrotask(() => sink.lost({ opened: false })), { close() {} });
    return overHttp("auto", answers, { subscribe: closed });
}

/** Messages as the server writes them; `"open"` leaves the response open behind a comment, `"nothing"` without one. */
function respond(messages, request) {
    const encoder = new TextEncoder();
    const body = new ReadableStream({
        start(controller) {
            request.end = () => controller.close();
            if (request.name === "sse" && messages[0] !== "nothing") controller.enqueue(encoder.encode(": alive\n\n"));
            for (const message of messages.filter((each) => each.run)) {
                const text = JSON.stringify(message);
                controller.enqueue(encoder.encode(request.name === "sse" ? `data: ${text}\n\n` : `${text}\n`));
            }
            if (!["open", "nothing"].includes(messages.at(-1))) controller.close();
            else request.signal.addEventListener("abort", () => controller.error(request.signal.reason));
        },
    });
    return new Response(body, { status: 200 });
}

function started(run) {
    const body = { run, token: "T", share: "S", workflow: "w", status: "running" };
    return new Response(JSON.stringify(body), { status: 202 });
}

function fault(status, code, retryable = false) {
    return new Response(JSON.stringify({ error: { code, message: "…", retryable } }), { status });
}

function happens(run, type) {
    return new Promise((resolve) => run.addEventListener(type, resolve, { once: true }));
}

async function until(condition) {
    while (!condition()) await settled();
}

/** Leave no timer behind, or the process would wait for it. */
function close(...parts) {
    const socket = parts.pop();
    for (const run of parts) run.close();
    socket.onclose({});
}
