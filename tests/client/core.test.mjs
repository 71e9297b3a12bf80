import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { canonical, checksum, crc32 } from "../../lingstream/static/lingstream/checksum.js";
import { fold } from "../../lingstream/static/lingstream/fold.js";
import { JsonUriError, ancestors, get, join, segments, set, split } from "../../lingstream/static/lingstream/jsonuri.js";
import { Run } from "../../lingstream/static/lingstream/run.js";
import { EventStreamParser } from "../../lingstream/static/lingstream/sse.js";
import { ordinary, over, toFrame, vectors } from "./vectors.mjs";

describe("jsonuri", () => {
    for (const { keys, uri } of vectors.uris) {
        test(`${JSON.stringify(keys)} is ${JSON.stringify(uri)} and back`, () => {
            assert.equal(join(...keys), uri);
            assert.deepEqual(split(uri), keys);
        });
    }

    test("containers of a uri, the nearest first", () => {
        assert.deepEqual(ancestors("a/b\\/c/0"), ["a/b\\/c", "a", ""]);
        assert.deepEqual(ancestors("a"), [""]);
        assert.deepEqual(ancestors(""), []);
    });

    test("segments of a uri stay escaped", () => {
        assert.deepEqual(segments("a/b\\/c/0"), ["a", "b\\/c", "0"]);
        assert.deepEqual(segments(""), []);
    });

    test("get reads own keys only", () => {
        assert.equal(get({}, "constructor"), undefined);
        assert.equal(get({}, "__proto__/toString"), undefined);
        assert.equal(get([], "length"), undefined);
        assert.equal(get("text", "length"), undefined);
        assert.equal(get({ a: [{ b: null }] }, "a/0/b"), null);
    });

    test("set at the root gives a new root", () => {
        assert.equal(set({ a: 1 }, "", 2), 2);
        assert.deepEqual(set({ a: [] }, "a/0", 1), { a: [1] });
    });
});

describe("fold", () => {
    for (const { name, document, op, uri } of vectors.faults) {
        test(`refuses: ${name}`, () => {
            assert.throws(
                () => fold(structuredClone(document), op),
                (error) => error instanceof JsonUriError && error.uri === uri,
            );
        });
    }

    test("nothing reaches a prototype", () => {
        let document = fold(null, { uri: "", value: {} });
        document = fold(document, { uri: "__proto__", value: { polluted: "yes" } });
        document = fold(document, { uri: "constructor", value: {} });
        document = fold(document, { uri: "constructor/prototype", value: {} });
        fold(document, { uri: "constructor/prototype/polluted", delta: "yes" });
        assert.equal({}.polluted, undefined);
        assert.equal(Object.getPrototypeOf(document), null);
    });

    test("a container in an op is copied", () => {
        const op = { uri: "", value: { list: [] } };
        fold(fold(null, op), { uri: "list/0", value: 1 });
        assert.deepEqual(op.value, { list: [] });
    });

    test("a megabyte in small pieces takes time linear in it", () => {
        let document = fold(null, { uri: "", value: {} });
        const begin = performance.now();
        for (let piece = 0; piece < 250_000; piece++) document = fold(document, { uri: "text", delta: "abcd" });
        assert.equal(document.text.length, 1_000_000);
        assert.ok(performance.now() - begin < 5_000);
    });
});

describe("checksum", () => {
    test("crc32 is zlib's", () => {
        assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
        assert.equal(crc32(new Uint8Array()), 0);
    });

    test("keys are sorted by UTF-16 code units", () => {
        assert.equal(
            canonical({ b: 1, a: [true, null, "ö"], "😀": 2, "\ufb33": 3 }),
            '{"a":[true,null,"ö"],"b":1,"😀":2,"\ufb33":3}',
        );
    });
});

describe("the vectors, frame by frame", () => {
    for (const { name, frames, document, status, crc32: expected, reasoning, ...more } of vectors.cases) {
        test(name, async () => {
            const run = watch(frames);
            const ended = await over(run);
            assert.deepEqual(ended.cut, Object.values(more.cut ?? {}).flat());
            const statuses = Object.entries(ended.bots).map(([bot, { status }]) => [bot, status]);
            assert.deepEqual(Object.fromEntries(statuses), more.bots ?? {});
            assert.deepEqual(ordinary(ended.document), ordinary(document));
            assert.equal(ended.status, status);
            assert.equal(checksum(ended.document), expected);
            assert.deepEqual(ordinary(ended.reasoning), reasoning ?? {});
            assert.deepEqual(
                run.faults.filter(({ code }) => ["fold", "checksum"].includes(code)),
                [],
            );
        });

        test(`${name}: every frame twice`, async () => {
            const run = watch(frames.flatMap((frame) => [frame, frame]));
            assert.equal(checksum((await over(run)).document), expected);
        });

        test(`${name}: a resume behind every frame overlaps`, async () => {
            for (let cut = 1; cut < frames.length; cut++) {
                const run = watch([...frames.slice(0, cut), ...frames.slice(Math.max(0, cut - 2))]);
                assert.equal(checksum((await over(run)).document), expected);
            }
        });
    }
});

describe("server-sent events", () => {
    for (const { name, sse } of vectors.dialects) {
        const { frames, document } = vectors.cases.find((each) => each.name === name);

        test(`${name}: cut anywhere`, async () => {
            for (const text of [sse, sse.replaceAll("\n", "\r\n"), sse.replaceAll("\n", "\r")]) {
                for (let cut = 0; cut <= text.length; cut += 7) {
                    assert.deepEqual(
                        ordinary(read([text.slice(0, cut), text.slice(cut)]).document),
                        ordinary(document),
                    );
                }
                assert.deepEqual(ordinary(read([...text]).document), ordinary(document));
            }
        });

        test(`${name}: the last op of a frame carries its id`, () => {
            const ids = new EventStreamParser().feed(sse).map(({ id }) => id);
            for (const { id } of frames) assert.ok(ids.includes(id));
        });
    }

    test("comments, unknown fields and unknown events are passed over", () => {
        const events = new EventStreamParser().feed(": alive\n\nretry: 10\nid: 1-1\nevent: later\ndata: {}\n\n");
        assert.deepEqual(events.map(toFrame), [null]);
    });

    test("data of several lines is joined", () => {
        const [{ data }] = new EventStreamParser().feed("data: a\ndata:b\ndata\n\n");
        assert.equal(data, "a\nb\n");
    });
});

describe("a run that does not fit", () => {
    const start = { id: "1-1", snapshot: { document: { a: "x" } } };
    const wrong = { id: "1-2", ops: [{ uri: "b/0", delta: "x" }] };
    const done = { id: "1-3", done: { status: "finished", usage: null, crc32: checksum({ a: "x" }) } };

    test("a fold that fails asks for one snapshot, and is deaf until it comes", async () => {
        const run = watch([]);
        assert.deepEqual(asked(run, [start, wrong, wrong, start, done]), [0, 1, 1, 1, 1]);
        assert.equal((await run.finished).status, "finished");
        assert.deepEqual(run.faults, []);
    });

    test("a second time is reported and ends the watching", async () => {
        const run = watch([]);
        for (const frame of [start, wrong, start, wrong]) run.receive(frame);
        await assert.rejects(run.finished, { code: "fold" });
        assert.equal(run.status, "lost");
        assert.deepEqual(
            run.faults.map(({ code }) => code),
            ["fold"],
        );
    });

    test("a checksum that differs asks once, then reports", async () => {
        const run = watch([start]);
        const other = { ...done, done: { ...done.done, crc32: 1 } };
        await new Promise((again) => {
            run.attach({ again });
            run.receive(other);
        });
        run.attach({ again: () => assert.fail("it asked twice") });
        for (const frame of [start, other]) run.receive(frame);
        assert.equal((await run.finished).status, "finished");
        assert.deepEqual(
            run.faults.map(({ code }) => code),
            ["checksum"],
        );
    });

    test("nothing changes after the end", () => {
        const run = watch([start, done]);
        run.receive({ id: "1-4", ops: [{ uri: "a", delta: "more" }] });
        assert.equal(run.document.a, "x");
    });
});

describe("what went wrong", () => {
    const begin = { id: "1-1", snapshot: { document: null, bots: {} } };
    const fault = (message, more = {}) => ({ code: "provider", message, retryable: false, ...more });

    test("closed fields say whether they were cut off", () => {
        const { frames } = vectors.cases.find(({ cut }) => cut);
        const run = new Run();
        const closed = [];
        run.addEventListener("closed", ({ detail: { uri, cut } }) => closed.push([uri, cut]));
        for (const frame of frames) run.receive(frame);
        assert.deepEqual(closed, [
            ["title", false],
            ["list/0", false],
            ["list/1", true],
            ["list", true],
            ["", true],
        ]);
        assert.equal(run.bots["bot#1"].finish, "length");
    });

    test("the last error stays", () => {
        const run = watch([begin, { id: "1-2", error: fault("one") }, { id: "1-3", error: fault("two") }]);
        assert.equal(run.error.message, "two");
        assert.equal(watch([begin]).error, null);
    });

    test("a bot keeps the error that it failed with, and its name", () => {
        const run = watch([begin, { id: "1-2", event: "reasoning", bot: "a#1", step: "a", root: "x", data: "" }]);
        for (const [id, message] of [["1-3", "one"], ["1-4", "two"]]) {
            run.receive({ id, error: fault(message, { bot: "a#1" }) });
        }
        assert.deepEqual(ordinary(run.bots), {
            "a#1": { step: "a", root: "x", status: "failed", error: fault("one") },
        });
    });

    test("a late viewer finds the error of the run, or of a bot, in its snapshot", () => {
        const bots = { "a#1": { status: "failed", error: fault("of a bot") }, "b#1": { status: "finished" } };
        const late = (more) => watch([{ id: "1-9", snapshot: { document: null, bots, ...more } }]).error.message;
        assert.equal(late({}), "of a bot");
        assert.equal(late({ error: fault("of the run") }), "of the run");
    });
});

/** How often the run has asked for a snapshot after each frame. */
function asked(run, frames) {
    let count = 0;
    run.attach({ again: () => (count += 1) });
    return frames.map((frame) => (run.receive(frame), count));
}

function watch(frames) {
    const run = new Run();
    run.faults = [];
    run.addEventListener("error", ({ detail }) => run.faults.push(detail));
    for (const frame of frames) run.receive(frame);
    return run;
}

function read(pieces) {
    const parser = new EventStreamParser();
    return watch(
        pieces
            .flatMap((piece) => parser.feed(piece))
            .map(toFrame)
            .filter(Boolean),
    );
}

describe("long messages", () => {
    for (const { name, frame, before, after, previous, messages, document, reasoning } of vectors.long) {
        test(name, () => {
            const run = new Run({ id: frame.run });
            const started = { document: before, reasoning: {}, status: "running", bots: {} };
            run.receive({ run: frame.run, id: after || "0-0", snapshot: started });
            if (previous) run.receive(previous);
            const seen = [];
            for (const message of messages) {
                run.receive(message);
                seen.push(run.last);
            }
            assert.deepEqual(seen, messages.map(({ id }) => id), "each is behind the one before");
            assert.equal(run.last, frame.id);
            assert.deepEqual(ordinary(run.document), document);
            assert.deepEqual(ordinary(run.reasoning), reasoning);
        });
    }
});
