import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { Client } from "../../lingstream/static/lingstream/client.js";
import { SocketTransport } from "../../lingstream/static/lingstream/socket.js";
import { SseTransport } from "../../lingstream/static/lingstream/sse.js";
import { fake, listen, ordinary, settled, vectors } from "./vectors.mjs";

const { run: RUN } = vectors.cases[0].frames[0];
const { frames, document } = vectors.cases[1];
const dialect = vectors.dialects[0];

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
            mock.timers.tick(1_000);
            assert.deepEqual(names(), Array(count).fill("websocket"));
            mock.timers.tick(2_000);
            assert.deepEqual(names(), Array(count).fill("sse"));
        });
    }

    test("waits longer each time, then the run is lost", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake({ transport: "sse", retries: 3 });
        const run = client.subscribe(RUN);
        const faults = listen(run, "error");
        for (const limit of [500, 1_000, 2_000]) {
            calls.at(-1).sink.lost({ opened: false });
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
        const known = ["navigator", "addEventListener", "removeEventListener"];
        const real = Object.fromEntries(known.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
        const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
        beforeEach(() => {
            mock.timers.enable({ apis: ["setTimeout", "Date"] });
            set("navigator", { onLine: true });
            for (const name of known.slice(1)) set(name, page[name].bind(page));
        });
        afterEach(() => {
            for (const name of known) {
                if (real[name]) Object.defineProperty(globalThis, name, real[name]);
                else delete globalThis[name];
            }
        });

        for (const transport of ["websocket", "sse"]) {
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

    for (const transport of ["websocket", "sse"]) {
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
        run.cancel();
        assert.deepEqual(posted, [[RUN, "T"]]);
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
        globalThis.fetch = async (url) => (asked.push(url), stream([dialect.sse], { "Ling-Run": RUN }));
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
        ["websocket", {}, "wss://example.com/site/sockets/ai/"],
        ["websocket", { socket: "/ws/2/" }, "wss://example.com/ws/2/"],
    ]) {
        test(`${transport} with ${JSON.stringify(options)} is at ${expected}`, () => {
            mock.timers.enable({ apis: ["setTimeout"] });
            new Client({ transport, ...options }).start("w", {});
            assert.deepEqual(asked, [expected]);
        });
    }
});

describe("server-sent events", () => {
    test("start posts the input and takes the run from the headers", async () => {
        const { client, requests } = overHttp(() =>
            stream([dialect.sse], {
                Location: `/runs/ling/runs/${RUN}/`,
                "Ling-Run": RUN,
                "Ling-Token": "T",
                "Ling-Share": "S",
            }),
        );
        const run = await client.start("cloud facts", { question: "?" }, { key: "k" }).finished;
        assert.equal(requests[0].url, "/ling/workflows/cloud%20facts/runs/");
        assert.deepEqual(JSON.parse(requests[0].body), { input: { question: "?" }, key: "k" });
        assert.deepEqual(
            [requests[0].headers.Accept, requests[0].headers["X-CSRFToken"]],
            ["text/event-stream", "C"],
        );
        assert.deepEqual([run.id, run.token, run.share, run.status], [RUN, "T", "S", "finished"]);
        assert.deepEqual(ordinary(run.document), vectors.cases[0].document);
    });

    test("a stream that breaks is resumed with the id and the token", async () => {
        const cut = dialect.sse.indexOf("id: 1-4");
        const { client, requests } = overHttp((call) =>
            stream([call === 0 ? dialect.sse.slice(0, cut) : dialect.sse.slice(cut)]),
        );
        const run = await client.subscribe(RUN, { token: "T" }).finished;
        assert.deepEqual(
            requests.map(({ url }) => url),
            [`/ling/runs/${RUN}/events/`, `/ling/runs/${RUN}/events/?after=1-3`],
        );
        assert.equal(requests[1].headers.Authorization, "Ling T");
        assert.deepEqual(ordinary(run.document), vectors.cases[0].document);
    });

    for (const [status, body, code] of [
        [404, { error: { code: "not-found", message: "no such run", retryable: false } }, "not-found"],
        [403, "<h1>Forbidden</h1>", "http-403"],
    ]) {
        test(`status ${status} is a refusal: ${code}`, async () => {
            const { client } = overHttp(
                () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status }),
            );
            const run = client.subscribe(RUN);
            const faults = listen(run, "error");
            await assert.rejects(run.finished, { code });
            assert.equal(faults[0].code, code);
        });
    }

    test("a proxy's 502 is a lost connection", async () => {
        const { client, requests } = overHttp((call) =>
            call === 0 ? new Response("bad gateway", { status: 502 }) : stream([dialect.sse]),
        );
        assert.equal((await client.subscribe(RUN).finished).status, "finished");
        assert.equal(requests.length, 2);
    });

    test("cancel posts with the token", async () => {
        const { client, requests } = overHttp((call) =>
            call === 0 ? stream([], {}, { open: true }) : new Response(null, { status: 202 }),
        );
        const run = client.subscribe(RUN, { token: "T" });
        await settled();
        run.cancel();
        await settled();
        assert.deepEqual([requests[1].url, requests[1].method], [`/ling/runs/${RUN}/cancel/`, "POST"]);
        assert.equal(requests[1].headers.Authorization, "Ling T");
        run.close();
    });
});

function overSocket({ deaf = false, ...options } = {}) {
    const sockets = [];
    const open = () => {
        const socket = {
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
    const transports = { websocket: new SocketTransport("ws://test/", open), sse: fake().client };
    return { client: new Client({ transport: "websocket", ...options, transports }), sockets };
}

function overHttp(answer) {
    const requests = [];
    const fetch = async (url, init) => {
        requests.push({ url, ...init });
        return answer(requests.length - 1);
    };
    const sse = new SseTransport("/ling", { csrf: "C", fetch });
    return { client: new Client({ transport: "sse", transports: { sse } }), requests };
}

function stream(texts, headers = {}, { open = false } = {}) {
    const body = new ReadableStream({
        start(controller) {
            for (const text of texts) controller.enqueue(new TextEncoder().encode(text));
            if (!open) controller.close();
        },
    });
    return new Response(body, { status: 200, headers });
}

/** Leave no timer behind, or the process would wait for it. */
function close(...parts) {
    const socket = parts.pop();
    for (const run of parts) run.close();
    socket.onclose({});
}
