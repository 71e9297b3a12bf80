import assert from "node:assert/strict";
import { afterEach, describe, mock, test } from "node:test";

import "../../lingstream/static/lingstream/iteration.js"; // which a run loads when it is asked for
import { checksum } from "../../lingstream/static/lingstream/checksum.js";
import { fold } from "../../lingstream/static/lingstream/fold.js";
import { Run } from "../../lingstream/static/lingstream/run.js";
import { fake, listen, ordinary, settled, vectors } from "./vectors.mjs";

const { run: RUN } = vectors.cases[0].frames[0];
const GONE = { code: "provider", message: "gone", retryable: true };

afterEach(() => mock.timers.reset());

/** A run that is fed by hand. */
class Fed {
    #number = 0;

    constructor(document = {}) {
        this.run = new Run({ id: RUN });
        this.asked = 0;
        this.run.attach({ again: () => (this.asked += 1) });
        if (document !== undefined) this.snapshot(document);
    }

    receive(body) {
        this.#number += 1;
        this.run.receive({ run: RUN, id: `1-${this.#number}`, ...body });
    }

    snapshot(document) {
        this.receive({ snapshot: { document, status: "running", bots: {} } });
    }

    ops(...ops) {
        this.receive({ ops });
    }

    append(uri, ...deltas) {
        for (const delta of deltas) this.ops({ uri, delta });
    }

    set(uri, value) {
        this.ops({ uri, value });
    }

    closes(uri) {
        this.receive({ event: "string-response", bot: "a#1", step: "a", root: "", uri });
    }

    ends(status = "finished", more = {}) {
        this.receive({ done: { status, usage: null, ...more } });
    }

    fails() {
        this.receive({ error: GONE });
        this.ends("failed");
    }
}

async function all(iterable) {
    const found = [];
    for await (const each of iterable) found.push(each);
    return found;
}

describe("finished", () => {
    for (const [status, fault] of [
        ["failed", GONE],
        ["lost", { code: "lost", message: "the run is lost", retryable: false }],
    ]) {
        test(`rejects where the run is ${status}`, async () => {
            const fed = new Fed();
            if (status === "failed") fed.receive({ error: GONE });
            fed.ends(status);
            await assert.rejects(fed.run.finished, { name: "RunError", ...fault, run: fed.run });
            await assert.rejects(fed.run.finished, Error);
        });
    }

    for (const status of ["finished", "canceled"]) {
        test(`resolves where the run is ${status}, whatever one of its bots did`, async () => {
            const fed = new Fed();
            fed.receive({ error: { ...GONE, bot: "a#1" } });
            fed.ends(status);
            assert.equal((await fed.run.finished).status, status);
        });
    }

    test("is no unhandled rejection for who does not ask", async () => {
        const unhandled = [];
        const note = (error) => unhandled.push(error);
        process.on("unhandledRejection", note);
        new Fed().fails();
        await settled();
        await settled();
        process.off("unhandledRejection", note);
        assert.deepEqual(unhandled, []);
    });
});

describe("reading a run with for await", () => {
    test("gives what there is, then each change", async () => {
        const fed = new Fed({ a: "x" });
        const reading = all(fed.run);
        await settled();
        fed.append("a", "y");
        await settled();
        fed.set("list", []);
        fed.ends();
        assert.deepEqual(ordinary(await reading), [
            { uri: "", value: { a: "x" } },
            { uri: "a", delta: "y" },
            { uri: "list", value: [] },
        ]);
    });

    for (const [name, feed, expected] of [
        ["appends at one uri", (fed) => fed.append("a", "1", "2", "3"), [{ uri: "a", delta: "123" }]],
        [
            "appends across others",
            (fed) => (fed.append("a", "1"), fed.append("b", "x"), fed.append("a", "2")),
            [{ uri: "a", delta: "12" }, { uri: "b", delta: "x" }],
        ],
        ["appends to a set", (fed) => (fed.set("a", "0"), fed.append("a", "1")), [{ uri: "a", value: "01" }]],
        ["a set over appends", (fed) => (fed.append("a", "1"), fed.set("a", 5)), [{ uri: "a", value: 5 }]],
        [
            "a set above others, which are no more",
            (fed) => (fed.set("c", {}), fed.append("c/d", "x"), fed.set("c", []), fed.append("c/0", "y")),
            [{ uri: "c", value: [] }, { uri: "c/0", delta: "y" }],
        ],
        [
            "a snapshot over all",
            (fed) => (fed.append("a", "1"), fed.snapshot({ b: "new" }), fed.append("b", "er")),
            [{ uri: "", value: { b: "new" } }, { uri: "b", delta: "er" }],
        ],
    ]) {
        test(`merges ${name} for who is slow`, async () => {
            const fed = new Fed({});
            const ops = fed.run[Symbol.asyncIterator]();
            await ops.next();
            feed(fed);
            fed.ends();
            assert.deepEqual(ordinary(await all(ops)), expected);
        });
    }

    test("folds to the same document at whatever pace", async () => {
        const { frames, document } = vectors.cases[1];
        for (const every of [1, 2, 5, 1000]) {
            const run = new Run({ id: RUN });
            const ops = run[Symbol.asyncIterator]();
            let ours = null;
            const reading = (async () => {
                for await (const op of ops) ours = fold(ours, op);
            })();
            for (const [index, frame] of frames.entries()) {
                run.receive(frame);
                if (index % every === 0) await settled();
            }
            await reading;
            assert.deepEqual(ordinary(ours), document);
        }
    });

    test("costs a slow reader what the document costs, and no time over its length", async () => {
        const fed = new Fed({ list: [] });
        const ops = fed.run[Symbol.asyncIterator]();
        assert.equal((await ops.next()).value.uri, "");
        for (let item = 0; item < 5_000; item += 1) {
            fed.set(`list/${item}`, {});
            for (let word = 0; word < 10; word += 1) fed.append(`list/${item}/text`, "word ");
        }
        for (let round = 0; round < 5_000; round += 1) fed.set("again", { round });
        fed.ends();
        const began = performance.now();
        assert.equal((await all(ops)).length, 2 * 5_000 + 1);
        assert.ok(performance.now() - began < 2_000);
    });

    test("throws where the run failed, behind what had come", async () => {
        const fed = new Fed({});
        const seen = [];
        const reading = (async () => {
            for await (const op of fed.run) {
                seen.push(op);
                if (seen.length > 1) continue;
                fed.append("a", "half");
                fed.fails();
            }
        })();
        await assert.rejects(reading, { code: "provider", message: "gone" });
        assert.equal(seen.at(-1).delta, "half");
    });

    test("a break leaves the run alone and no listener behind", async () => {
        const fed = new Fed({ a: "" });
        const removed = mock.method(fed.run, "addEventListener").mock;
        for await (const _ of fed.run) break;
        const signals = removed.calls.map(({ arguments: [, , { signal }] }) => signal);
        assert.ok(signals.length > 0 && signals.every(({ aborted }) => aborted));
        assert.equal(fed.run.status, "running");
    });

    test("a reader that waits can be sent away", async () => {
        const ops = new Fed(null).run[Symbol.asyncIterator]();
        const [first, second] = [ops.next(), ops.next()];
        await ops.return();
        assert.deepEqual([(await first).done, (await second).done], [true, true]);
    });

    test("begins behind the end, too", async () => {
        const fed = new Fed({ a: 1 });
        fed.ends();
        assert.deepEqual(ordinary(await all(fed.run)), [{ uri: "", value: { a: 1 } }]);
    });
});

describe("the text of one field", () => {
    for (const [name, begin, feed, expected] of [
        ["in pieces", {}, (fed) => fed.append("a", "one ", "two"), "one two"],
        ["that is there in part", { a: "one " }, (fed) => fed.append("a", "two"), "one two"],
        ["beside others", {}, (fed) => (fed.append("ab", "no"), fed.append("a", "yes")), "yes"],
        ["that goes on in a snapshot", { a: "one" }, (fed) => fed.snapshot({ a: "one two" }), "one two"],
        ["that is set", {}, (fed) => (fed.set("a", "one"), fed.append("a", " two")), "one two"],
        ["that is written anew", { a: "x" }, (fed) => (fed.snapshot({}), fed.append("a", "one")), "xone"],
        ["that is no string", {}, (fed) => fed.set("a", 5), ""],
    ]) {
        test(`${name}, to its end`, async () => {
            const fed = new Fed(begin);
            const reading = all(fed.run.text("a"));
            await settled();
            feed(fed);
            fed.closes("a");
            const pieces = await Promise.race([reading, settled().then(settled)]);
            assert.equal(pieces.join(""), expected);
            assert.equal(fed.run.status, "running", "the run goes on");
        });
    }

    test("that has closed before ends at once, one that opened again does not", async () => {
        const fed = new Fed({ a: "x", b: { c: "y" } });
        fed.closes("a");
        fed.closes("b");
        assert.deepEqual(await all(fed.run.text("a")), ["x"]);
        assert.deepEqual(await all(fed.run.text("b/c")), ["y"]);
        fed.set("a", "");
        const reading = all(fed.run.text("a"));
        await settled();
        fed.append("a", "z");
        fed.ends();
        assert.deepEqual(await reading, ["z"]);
    });

    test("is not copied at each piece", async () => {
        const fed = new Fed({ a: "" });
        const text = fed.run.text("a");
        const began = performance.now();
        for (let piece = 0; piece < 50_000; piece += 1) fed.append("a", "twenty characters. .");
        fed.ends();
        assert.equal((await all(text)).join("").length, 1_000_000);
        assert.ok(performance.now() - began < 2_000);
    });

    test("throws where the run fails before the field ends", async () => {
        const fed = new Fed({});
        const reading = all(fed.run.text("a"));
        fed.fails();
        await assert.rejects(reading, { code: "provider" });
    });
});

describe("a stream of the ops", () => {
    test("is JSON lines", async () => {
        const fed = new Fed({ a: "x" });
        const text = new Response(fed.run.toReadableStream()).text();
        await settled();
        fed.append("a", "é");
        fed.ends();
        assert.equal(await text, '{"uri":"","value":{"a":"x"}}\n{"uri":"a","delta":"é"}\n');
    });

    test("breaks where the run fails", async () => {
        const fed = new Fed({});
        const text = new Response(fed.run.toReadableStream()).text();
        fed.fails();
        await assert.rejects(text, { code: "provider" });
    });

    test("that is canceled leaves the run alone", async () => {
        const fed = new Fed(null);
        const reader = fed.run.toReadableStream().getReader();
        const reading = reader.read();
        await reader.cancel();
        assert.equal((await reading).done, true);
        assert.equal(fed.run.status, "running");
    });
});

describe("a snapshot", () => {
    test("is the same object until something changes, and shares what did not", () => {
        const fed = new Fed({ a: { b: "x" }, list: [{ n: 1 }, { n: 2 }] });
        const first = fed.run.snapshot();
        assert.equal(fed.run.snapshot(), first);
        fed.append("list/1/t", "new");
        fed.append("list/1/t", "er");
        const second = fed.run.snapshot();
        assert.deepEqual(ordinary(first), { a: { b: "x" }, list: [{ n: 1 }, { n: 2 }] });
        assert.deepEqual(ordinary(second), ordinary(fed.run.document));
        assert.equal(second.a, first.a);
        assert.equal(second.list[0], first.list[0]);
        assert.notEqual(second.list, first.list);
        assert.notEqual(second.list[1], first.list[1]);
    });

    test("follows the document through every vector", () => {
        for (const { frames } of vectors.cases) {
            const run = new Run({ id: RUN });
            const seen = [];
            for (const frame of frames) {
                run.receive(frame);
                const picture = run.snapshot();
                assert.deepEqual(ordinary(picture), ordinary(run.document));
                seen.push([picture, JSON.stringify(picture)]);
            }
            for (const [picture, text] of seen) assert.equal(JSON.stringify(picture), text, "nobody changed it");
        }
    });

    test("costs what has changed", () => {
        const fed = new Fed({ list: [] });
        for (let item = 0; item < 3_000; item += 1) fed.set(`list/${item}`, { text: "x".repeat(100) });
        fed.run.snapshot();
        const began = performance.now();
        for (let round = 0; round < 3_000; round += 1) {
            fed.append(`list/${round}/text`, "y");
            fed.run.snapshot();
        }
        assert.ok(performance.now() - began < 2_000);
    });
});

describe("the checksum of a long document", () => {
    const document = { text: "é😀 ".repeat(300_000) };

    async function end(fed, crc32) {
        fed.ends("finished", { crc32 });
        const slices = await new Promise((resolve) => {
            let count = 0;
            const look = () => (fed.run.isBusy && fed.asked === 0 ? setImmediate(look, (count += 1)) : resolve(count));
            look();
        });
        return slices;
    }

    test("is made in slices, and only then the run has finished", async () => {
        const fed = new Fed(document);
        const done = listen(fed.run, "done");
        assert.ok((await end(fed, checksum(document))) > 1);
        assert.equal(done.length, 1);
        assert.equal(fed.run.status, "finished");
    });

    test("that differs asks for a snapshot, once, however often the end is told", async () => {
        const fed = new Fed(document);
        fed.ends("finished", { crc32: 1 });
        fed.ends("finished", { crc32: 1 });
        await end(fed, 1);
        assert.deepEqual([fed.asked, fed.run.ended, fed.run.status], [1, false, "running"]);
        fed.snapshot(document);
        fed.ends("finished", { crc32: checksum(document) });
        assert.equal((await fed.run.finished).status, "finished");
    });
});

describe("again", () => {
    test("a run that was lost is watched again, behind what it has", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake({ transport: "sse", retries: 0 });
        const run = client.subscribe(RUN, { token: "T" });
        calls[0].sink.frame({ run: RUN, id: "1-1", snapshot: { document: { a: "x" } } });
        calls[0].sink.lost({ opened: true });
        await assert.rejects(run.finished, { code: "connection" });
        assert.equal(run.retry(), true);
        assert.equal(run.retry(), false, "it is on its way");
        assert.deepEqual([run.status, run.error], ["connecting", null]);
        assert.deepEqual([calls[1].request.run, calls[1].request.after], [RUN, "1-1"]);
        calls[1].sink.frame({ run: RUN, id: "1-2", done: { status: "finished" } });
        assert.equal((await run.finished).status, "finished");
        assert.equal(run.retry(), false);
    });

    for (const fault of [GONE, { code: "rate-limited", message: "…", retryable: true, retry_after: 5 }]) {
        test(`a start that was refused (${fault.code}) is made again with its key`, async () => {
            const { client, calls } = fake();
            const run = client.start("w", { q: 1 });
            calls[0].sink.refused(fault);
            await assert.rejects(run.finished, fault);
            assert.equal(run.retry(), true);
            assert.deepEqual(calls[1].request, calls[0].request);
            calls[1].sink.started({ run: RUN });
            calls[1].sink.frame({ run: RUN, id: "1-1", done: { status: "finished" } });
            assert.equal((await run.finished).id, RUN);
        });
    }

    test("a start that was not answered, also one that was canceled meanwhile", async () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake();
        const run = client.start("w", { q: 1 });
        run.cancel();
        mock.timers.tick(10_000);
        await assert.rejects(run.finished, { code: "unanswered" });
        assert.equal(run.retry(), true);
        assert.equal(calls[1].request.key, calls[0].request.key);
        calls[1].sink.started({ run: RUN });
        await settled();
        assert.deepEqual(calls[1].canceled, []);
        run.close();
    });

    test("a run that has failed is another one's business", async () => {
        const { client, calls } = fake();
        const run = client.start("w", {});
        calls[0].sink.started({ run: RUN });
        calls[0].sink.frame({ run: RUN, id: "1-1", done: { status: "failed" } });
        await assert.rejects(run.finished, { code: "failed" });
        assert.equal(run.retry(), false);
        assert.equal(calls.length, 1);
    });

    test("for all who watch it, and it ends with the last of them", () => {
        mock.timers.enable({ apis: ["setTimeout", "Date"] });
        const { client, calls } = fake({ transport: "sse", retries: 0 });
        const run = client.subscribe(RUN);
        client.subscribe(RUN);
        calls[0].sink.lost({ opened: true });
        run.close();
        run.retry();
        assert.ok(!calls[1].closed);
        assert.equal(client.subscribe(RUN), run);
        run.close();
        assert.ok(!calls[1].closed);
        run.close();
        assert.ok(calls[1].closed);
    });
});

describe("a signal", () => {
    test("cancels the run", () => {
        const { client, calls } = fake();
        const controller = new AbortController();
        const run = client.start("w", {}, { signal: controller.signal });
        assert.equal(run.signal, controller.signal);
        calls[0].sink.started({ run: RUN, token: "T" });
        controller.abort();
        assert.deepEqual(calls[0].canceled, [[RUN, "T"]]);
        run.close();
    });

    test("that was aborted before asks for nothing", async () => {
        const { client, calls } = fake();
        const run = client.start("w", {}, { signal: AbortSignal.abort() });
        assert.equal((await run.finished).status, "canceled");
        assert.deepEqual(calls, []);
    });

    test("that lives longer than the run keeps none of it", async () => {
        const { client, calls } = fake();
        const { signal } = new AbortController();
        const removed = mock.method(signal, "removeEventListener").mock;
        const run = client.start("w", {}, { signal });
        calls[0].sink.frame({ run: RUN, id: "1-1", done: { status: "finished" } });
        await run.finished;
        assert.equal(removed.callCount(), 1);
    });
});

describe("who watches a run", () => {
    test("is told what its listeners are told, until that is ended", () => {
        const fed = new Fed();
        const told = [];
        const end = fed.run.watch((type, detail) => told.push([type, detail]));
        const heard = ["ops", "closed"].map((type) => listen(fed.run, type));
        fed.append("a", "x");
        fed.closes("a");
        end();
        fed.append("a", "y");
        assert.deepEqual(told.map(([type]) => type), ["ops", "event", "closed"]);
        assert.deepEqual(told[0][1], heard[0][0]);
        assert.deepEqual(told[2][1], heard[1][0]);
        assert.equal(heard[0].length, 2);
    });

    test("is told neither after it was ended by another, nor of what was there before it", () => {
        const fed = new Fed();
        const told = [];
        fed.run.watch((type) => {
            told.push(["first", type]);
            end();
            fed.run.watch((type) => told.push(["late", type]));
        });
        const end = fed.run.watch((type) => told.push(["ended", type]));
        fed.append("a", "x");
        assert.deepEqual(told, [["first", "ops"]]);
        fed.append("a", "y");
        assert.deepEqual(told.slice(1, 3), [["first", "ops"], ["late", "ops"]]);
    });
});
