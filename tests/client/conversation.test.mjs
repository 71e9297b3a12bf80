import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, mock, test } from "node:test";

import { Client } from "../../lingstream/static/lingstream/core.js";
import { Fallback } from "../../lingstream/static/lingstream/fallback.js";
import { connect as connectFeed } from "../../lingstream/static/lingstream/feed.js";
import { SocketTransport } from "../../lingstream/static/lingstream/socket.js";
import { persist } from "../../lingstream/static/lingstream/syncing.js";
import { Visitor } from "../../lingstream/static/lingstream/visitor.js";
import { play } from "./site.mjs";
import { listen } from "./vectors.mjs";

const TRANSPORTS = ["sse", "poll"];
const TEXT = "Can I lie on a cloud?";

let site;
const opened = [];

before(async () => (site = await play()));
const leave = () => opened.splice(0).forEach((conversation) => conversation.close());
after(() => (leave(), site.close()));
beforeEach(() => {
    leave();
    Object.assign(site, { times: 1, before: () => undefined, asked: [] });
});

/** A client that speaks for somebody new, unless told for whom. */
function connect({ transport = "sse", visitor = null, at = site } = {}) {
    return new Client({ base: at.base, transport, visitor });
}

/** A conversation, and a second one for the same person's other tab. */
async function pair(transport, texts = []) {
    const visitor = `${crypto.randomUUID()} ${site.epoch}`;
    const known = site.begin(visitor);
    for (const text of texts) site.finish(site.add(known, { text }).run);
    const open = async () => {
        const conversation = await connect({ transport, visitor }).conversation(known.id);
        opened.push(conversation);
        const before = attached();
        await conversation.ready;
        await until(() => attached() > before);
        return conversation;
    };
    return [await open(), await open(), known];
}

async function begin(options = {}, more = {}) {
    const client = connect(more);
    const conversation = await client.conversation("new", { workflow: "w", ...options });
    opened.push(conversation);
    return { client, conversation };
}

/** Waits for events of a target, or of what changes without one. */
async function until(condition) {
    while (!condition()) await pause(2);
}

function pause(milliseconds) {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function attached() {
    return site.asked.filter(({ body }) => body?.attach).length;
}

function said({ turns }) {
    return turns.map(({ text, status }) => [text, status]);
}

describe("a visitor without a session", () => {
    test("has a second turn, as the token is kept and shown", async () => {
        const { client, conversation } = await begin();
        const tokens = [];
        await client.on("visitor", (token) => tokens.push(token));
        const first = await conversation.send("one");
        site.finish(first.id);
        const second = await conversation.send("two");
        assert.equal(tokens.length, 1);
        assert.deepEqual(new Set(site.asked.map(({ visitor }) => visitor)), new Set([undefined, tokens[0]]));
        assert.deepEqual(conversation.turns, [first, second]);
    });

    test("whose token is taken no more begins anew", async () => {
        const { client, conversation } = await begin({}, { visitor: `somebody ${site.epoch - 1}` });
        const tokens = [];
        await client.on("visitor", (token) => tokens.push(token));
        await conversation.begin();
        assert.deepEqual([tokens[0].startsWith("somebody"), tokens[1], tokens.length], [true, "", 3]);
        assert.equal(site.count("POST conversations/"), 2);
    });

    test("of two clients in one process is nobody else's", async () => {
        const [one, other] = [await begin(), await begin()];
        await one.conversation.begin();
        await other.conversation.begin();
        const again = await one.client.conversation(other.conversation.id);
        await assert.rejects(again.ready, { code: "forbidden" });
    });
});

describe("a new conversation", () => {
    test("begins with the first message, and not before", async () => {
        const { conversation } = await begin({ data: { order: 7 }, timezone: "Asia/Taipei" });
        await conversation.ready;
        const begun = () => site.asked.filter(({ name }) => name === "POST conversations/");
        assert.deepEqual([conversation.id, begun()], [null, []]);
        await conversation.send(TEXT);
        const [{ body }] = begun();
        assert.deepEqual(body, { workflow: "w", data: { order: 7 }, timezone: "Asia/Taipei" });
        assert.equal(site.count("POST conversations/"), 1);
    });

    test("begins once, however often it is asked for", async () => {
        const { conversation } = await begin();
        await Promise.all([conversation.begin(), conversation.begin(), conversation.send("one")]);
        await conversation.begin();
        assert.equal(site.count("POST conversations/"), 1);
    });

    test("with a name that there is already is that one", async () => {
        const [, , known] = await pair("sse", [TEXT]);
        known.external_id = "order-7";
        const { conversation } = await begin({ externalId: "order-7" }, { visitor: known.visitor });
        await conversation.ready;
        assert.deepEqual([conversation.id, said(conversation)], [known.id, [[TEXT, "finished"]]]);
    });

    test("that somebody else has, or nobody, is told so", async () => {
        const [, , known] = await pair("sse");
        const client = connect();
        await assert.rejects((await client.conversation(known.id)).ready, { code: "forbidden" });
        await assert.rejects((await client.conversation("none")).ready, { code: "not-found" });
    });
});

describe("a turn that is sent", () => {
    for (const transport of TRANSPORTS) {
        test(`is shown at once, answered live, and then the server's, over ${transport}`, async () => {
            const [conversation] = await pair(transport);
            const sending = conversation.send(TEXT);
            assert.deepEqual(said(conversation), [[TEXT, "sending"]]);
            assert.equal(conversation.open, true);
            const turn = await sending;
            site.write(turn.id, "No");
            await until(() => turn.run.document?.answer === "No");
            assert.deepEqual([turn.status, turn.run.status], ["running", "running"]);
            site.write(turn.id, ".");
            site.finish(turn.id);
            await until(() => turn.run === null);
            assert.deepEqual([turn.number, turn.status, turn.document], [1, "finished", { answer: "No." }]);
            assert.deepEqual([conversation.turns, conversation.open], [[turn], false]);
        });
    }

    test("is told of by `turn` while it grows, and never after the page has closed it", async () => {
        const [conversation] = await pair("sse");
        const told = listen(conversation, "turn");
        const turn = await conversation.send(TEXT);
        site.write(turn.id, "No");
        await until(() => told.at(-1).document?.answer === "No");
        conversation.close();
        const { length } = told;
        site.write(turn.id, ".");
        await pause(20);
        assert.equal(told.length, length);
    });

    for (const [name, way] of [
        ["message", (conversation) => conversation.send("worse")],
        ["edit", (conversation, [, turn]) => conversation.edit(turn, "worse")],
        ["answer once more", (conversation, [, turn]) => conversation.regenerate(turn)],
    ]) {
        test(`and refused is gone, and given back: ${name}`, async () => {
            const [conversation] = await pair("sse", ["one", "two", "three"]);
            const { turns } = conversation;
            const [faults, told] = [listen(conversation, "error"), listen(conversation, "turn")];
            site.before = (asked) => (/messages|edit|regenerate/.test(asked) ? [429, "rate-limited"] : undefined);
            const refused = await way(conversation, turns).catch((fault) => fault);
            const text = name === "answer once more" ? "two" : "worse";
            assert.deepEqual([refused.code, refused.text, refused.retryable], ["rate-limited", text, false]);
            assert.deepEqual([faults, conversation.turns], [[refused], turns]);
            const { length } = told;
            await pause(20);
            assert.deepEqual([told.length, length], [1, 1]);
        });
    }

    test("whose answer is lost is sent again, and is one turn", async () => {
        const [conversation, , known] = await pair("sse");
        let times = 0;
        site.before = (asked, { parts, key } = {}) => {
            if (!/messages/.test(asked) || (times += 1) > 2) return undefined;
            site.add(known, { text: parts[0].text, key });
            return "cut";
        };
        await conversation.send(TEXT);
        await until(() => conversation.seq === known.seq);
        assert.deepEqual([times, said(conversation)], [3, [[TEXT, "running"]]]);
    });

    test("is not seen twice by a look that is under way, and knows it before this tab does", async () => {
        const [conversation, , known] = await pair("sse");
        const lengths = [];
        conversation.addEventListener("change", () => lengths.push(conversation.turns.length));
        site.before = async (asked, { parts, key } = {}) => {
            if (asked.startsWith("GET")) return void (await pause(30));
            if (!asked.includes("messages")) return;
            site.add(known, { text: parts[0].text, key });
            await pause(80);
        };
        site.tell(known, "change");
        await until(() => site.asked.some(({ name }) => name.startsWith("GET") && name.includes(known.id)));
        site.asked = [];
        site.tell(known, "change");
        await until(() => site.asked.some(({ name }) => name.startsWith("GET")));
        await conversation.send(TEXT);
        await until(() => conversation.seq === known.seq);
        assert.deepEqual([Math.max(...lengths), said(conversation)], [1, [[TEXT, "running"]]]);
    });

    test("twice under one key is one turn", async () => {
        const [conversation, , known] = await pair("sse");
        const said = { text: TEXT, key: "k".repeat(32) };
        const [first, second] = await Promise.all([conversation.send(said), conversation.send(said)]);
        const third = await conversation.send(said);
        assert.deepEqual([first === second, first === third, known.turns.length], [true, true, 1]);
        assert.deepEqual(conversation.turns, [first]);
    });

    test("with parts and an input has them", async () => {
        const [conversation] = await pair("sse");
        const parts = [{ type: "text", text: "this?" }, { type: "file", attachment: "7" }];
        await conversation.send({ parts, input: { lang: "en" }, key: "k" });
        const { body } = site.asked.find(({ name }) => name.includes("messages"));
        assert.deepEqual(body, { parts, input: { lang: "en" }, key: "k" });
    });

    test("after others of the same tab keeps their order", async () => {
        const [conversation, , known] = await pair("sse");
        const first = await conversation.send("one");
        const sending = [conversation.send("two"), conversation.send("three")];
        assert.deepEqual(said(conversation).map(([text]) => text), ["one", "two", "three"]);
        await Promise.all(sending);
        site.finish(first.id);
        await until(() => conversation.seq === known.seq);
        assert.deepEqual(known.turns.map(({ run }) => run), conversation.turns.map(({ id }) => id));
    });

    for (const [name, hinder] of [
        ["arrives late", () => pause(40)],
        ["is cut off", () => "cut"],
        ["is refused", () => [429, "rate-limited"]],
    ]) {
        test(`before another one of the same tab stands before it, even if it ${name}`, async () => {
            const [conversation, , known] = await pair("sse");
            let isFirst = true;
            site.before = (asked) => {
                if (!/messages/.test(asked) || !isFirst) return undefined;
                isFirst = false;
                return hinder();
            };
            const sending = [conversation.send("one"), conversation.send("two")];
            await Promise.allSettled(sending);
            const texts = known.turns.map(({ message }) => message.parts[0].text);
            assert.deepEqual(texts, name === "is refused" ? ["two"] : ["one", "two"]);
        });
    }

    test("waits as long as a request may take: the server may have it already", async (context) => {
        const [conversation, , known] = await pair("sse");
        let answer;
        const answering = new Promise((resolve) => (answer = resolve));
        site.before = (asked) => (/messages/.test(asked) ? answering : undefined);
        context.mock.timers.enable({ apis: ["setTimeout"] });
        const sending = conversation.send(TEXT);
        while (!site.asked.some(({ name }) => /messages/.test(name))) await new Promise(setImmediate);
        context.mock.timers.tick(20_000);
        answer();
        assert.equal((await sending).id, known.leaf);
    });
});

describe("what a person does", () => {
    const texts = ["one", "two", "three"];
    const shown = (conversation) => conversation.turns.map(({ text, cause }) => [text, cause]);
    const path = (...all) => all.map((each) => each.split(" ")).map(([text, cause = "user"]) => [text, cause]);
    for (const [name, act, expected] of [
        ["edits", (talk, [, turn]) => talk.edit(turn, "other"), path("one", "other edit")],
        ["edits by id", (talk, [, { id }]) => talk.edit(id, { text: "other" }), path("one", "other edit")],
        ["has it answered once more", (talk, [, turn]) => talk.regenerate(turn), path("one", "two regenerate")],
        ["stops", (talk) => talk.stop(), path("one", "two", "three")],
    ]) {
        test(`${name}: this tab and another one show it`, async () => {
            const [conversation, other, known] = await pair("sse", texts);
            await act(conversation, conversation.turns);
            assert.deepEqual(shown(conversation), expected);
            for (const tab of [conversation, other]) {
                await until(() => tab.seq === known.seq);
                assert.deepEqual(shown(tab), expected);
            }
        });
    }

    test("switches to another path, and back", async () => {
        const [conversation] = await pair("sse", texts);
        const before = conversation.turns;
        const edited = await conversation.edit(before[1], "other");
        site.finish(edited.id);
        await until(() => edited.siblings.length === 2);
        await conversation.switch(edited.siblings[0]);
        assert.deepEqual(shown(conversation), path(...texts));
        assert.equal(conversation.turns[0], before[0]);
        await conversation.switch(edited);
        assert.deepEqual(shown(conversation), path("one", "other edit"));
    });

    test("stops what is running", async () => {
        const [conversation] = await pair("sse");
        const turn = await conversation.send(TEXT);
        await conversation.stop();
        await until(() => turn.status === "canceled");
    });

    for (const [name, act, read, expected] of [
        ["a title", (talk) => talk.rename("Clouds"), (talk) => talk.title, "Clouds"],
        ["the archive", (talk) => talk.archive(), (talk) => talk.archived, true],
        ["its reading", (talk) => talk.read(), (talk) => [talk.unread, talk.lastRead], [0, 4]],
        [
            "feedback",
            (talk) => talk.feedback(talk.turns[0], 1, { comment: "good" }),
            (talk) => talk.turns[0].feedback,
            [{ uri: "", value: 1, reason: "", comment: "good" }],
        ],
    ]) {
        test(`gives it ${name}, in every tab`, async () => {
            const [conversation, other, known] = await pair("sse", texts);
            site.finish(site.add(known, { cause: "silence" }).run);
            for (const tab of [conversation, other]) await until(() => tab.unread === 1 && tab.seq === known.seq);
            await act(conversation);
            assert.deepEqual(read(conversation), expected);
            await until(() => other.seq === known.seq);
            assert.deepEqual(read(other), expected);
        });
    }

    test("reads what was read before: nothing is asked", async () => {
        const [conversation] = await pair("sse", texts);
        await conversation.read(3);
        const { length } = site.asked;
        await conversation.read(2);
        assert.equal(site.asked.length, length);
    });

    test("reads what the server is being told of: it is told once", async () => {
        const [conversation] = await pair("sse", texts);
        const [first] = [conversation.read(2), conversation.read(2), conversation.read(1)];
        await Promise.all([first, conversation.read(3)]);
        const told = site.asked.filter(({ name }) => name.startsWith("PATCH")).map(({ body }) => body.read);
        assert.deepEqual(told, [2, 3]);
    });

    test("removes it: every tab says so, and follows it no more", async () => {
        const [conversation, other] = await pair("sse", texts);
        await conversation.remove();
        await until(() => other.removed);
        assert.equal(conversation.removed, true);
    });

    test("looks for older turns, page by page, and what comes meanwhile stays at its place", async () => {
        const texts = Array.from({ length: 120 }, (_, number) => `t${number + 1}`);
        const [conversation, other] = await pair("sse", texts);
        assert.deepEqual([conversation.turns.length, conversation.hasMore], [50, true]);
        await conversation.older();
        await other.send("more");
        await until(() => conversation.turns.at(-1).text === "more");
        assert.deepEqual([conversation.turns.length, conversation.turns[0].text], [101, "t21"]);
        assert.equal(await conversation.older(), true);
        assert.deepEqual([conversation.turns.length, conversation.hasMore], [121, false]);
        assert.equal(await conversation.older(), false);
    });
});

describe("that somebody types", () => {
    const EACH = 15_000;
    beforeEach(() => mock.timers.enable({ apis: ["Date"], now: Date.now() }));
    afterEach(() => mock.timers.reset());

    const asked = () => site.asked.filter(({ name }) => name.endsWith("/typing/")).map(({ name }) => name);

    for (const transport of TRANSPORTS) {
        test(`is a request of its own, now and then, over ${transport}`, async () => {
            const [conversation, , known] = await pair(transport);
            const name = `POST conversations/${known.id}/typing/`;
            for (let key = 0; key < 5; key += 1) conversation.typing();
            await until(() => asked().length > 0);
            mock.timers.tick(EACH - 1);
            conversation.typing();
            mock.timers.tick(1);
            conversation.typing();
            await until(() => asked().length > 1);
            await conversation.rename("later");
            assert.deepEqual(asked(), [name, name]);
        });
    }

    test("is said to nobody before there is a conversation", async () => {
        const { conversation } = await begin();
        conversation.typing();
        await conversation.begin();
        conversation.typing();
        await until(() => asked().length > 0);
        assert.deepEqual(asked(), [`POST conversations/${conversation.id}/typing/`]);
    });

    for (const [what, answer] of [["refused", [404, "not-found"]], ["lost", "cut"]]) {
        test(`and is ${what} disturbs nobody`, async () => {
            const [conversation] = await pair("sse");
            const faults = listen(conversation, "error");
            site.before = (name) => (name.endsWith("/typing/") ? answer : undefined);
            conversation.typing();
            await until(() => asked().length > 0);
            await conversation.rename("later");
            assert.deepEqual([conversation.removed, faults], [false, []]);
        });
    }

    test("goes by a socket for as long as that is attached, else by a request", async () => {
        const [, , known] = await pair("sse");
        const visitor = new Visitor(site.base, known.visitor);
        const sockets = [];
        const websocket = new SocketTransport("ws://127.0.0.1/", visitor, () => {
            const send = (text) => socket.sent.push(JSON.parse(text));
            const socket = { protocol: "lingstream.v1", sent: [], send, close() {} };
            sockets.push(socket);
            return socket;
        });
        const sse = new Fallback(async () => connectFeed("sse", site.base, { visitor }));
        const client = new Client({ transport: "websocket", transports: { websocket, sse } });
        const conversation = await client.conversation(known.id);
        opened.push(conversation);
        await conversation.ready;
        const told = () => sockets[0].sent.filter(({ type }) => type === "typing");
        const say = (notice) => sockets[0].onmessage({ data: JSON.stringify({ notice }) });
        const type = () => (mock.timers.tick(EACH), conversation.typing());

        type();
        await until(() => asked().length === 1);
        sockets[0].onopen({});
        say({ conversation: "another", seq: 1, kind: "attached", run: null });
        type();
        await until(() => asked().length === 2);
        say({ conversation: known.id, seq: known.seq, kind: "attached", run: null });
        type();
        assert.deepEqual(told(), [{ type: "typing", conversation: known.id }]);
        sockets[0].onclose({});
        type();
        await until(() => asked().length === 3);
        assert.equal(told().length, 1);
    });
});

describe("notices", () => {
    for (const transport of TRANSPORTS) {
        test(`bring another tab's turn, live, over ${transport}`, async () => {
            const [conversation, other] = await pair(transport);
            const turn = await other.send(TEXT);
            await until(() => conversation.turns.length === 1);
            site.write(turn.id, "No");
            await until(() => conversation.turns[0].document.answer === "No");
            assert.deepEqual(said(conversation), [[TEXT, "running"]]);
        });

        test(`of one's own turn show it once, over ${transport}`, async () => {
            const [conversation, , known] = await pair(transport);
            site.times = 3;
            const turn = await conversation.send(TEXT);
            site.finish(turn.id);
            await until(() => conversation.seq === known.seq);
            assert.deepEqual(conversation.turns, [turn]);
        });
    }

    test("that are lost are made up for by the next one, whatever they were of", async () => {
        const texts = Array.from({ length: 15 }, (_, number) => `t${number + 1}`);
        const [conversation, , known] = await pair("sse", texts);
        site.times = 0;
        const { run } = site.add(known, { text: "more" });
        known.turns[0].feedback = [{ uri: "", value: -1, reason: "", comment: "" }];
        site.tell(known, "change");
        site.times = 1;
        site.finish(run);
        await until(() => conversation.seq === known.seq);
        assert.deepEqual(said(conversation).slice(14), [["t15", "finished"], ["more", "finished"]]);
        assert.equal(conversation.turns[0].feedback.length, 1);
    });

    test("in any number cost one look under way, and one that waits", async () => {
        const [conversation, other, known] = await pair("sse");
        other.close();
        let [underWay, most, looks] = [0, 0, 0];
        site.before = async (asked) => {
            if (!asked.startsWith("GET")) return;
            most = Math.max(most, (underWay += 1));
            looks += 1;
            await pause(30);
            underWay -= 1;
        };
        site.times = 5;
        for (let number = 0; number < 50; number += 1) site.tell(known, "change");
        await until(() => conversation.seq === known.seq);
        await pause(60);
        assert.deepEqual([most, looks <= 2], [1, true]);
    });

    test("of what is known already ask for nothing", async () => {
        const [conversation, , known] = await pair("sse", ["one"]);
        const heard = listen(conversation, "notice");
        const looks = () => site.asked.filter(({ name }) => name.startsWith("GET")).length;
        const before = looks();
        known.seq -= 1;
        site.tell(known, "change");
        await until(() => heard.some(({ kind }) => kind === "change"));
        assert.equal(looks(), before);
    });

    test("that a look fails for are looked for again", async () => {
        const [conversation, , known] = await pair("sse", ["one"]);
        let times = 0;
        site.before = (asked) => (asked.startsWith("GET") && (times += 1) < 3 ? "cut" : undefined);
        site.add(known, { text: "two" });
        await until(() => conversation.turns.length === 2);
        assert.ok(times >= 3);
    });

    test("come to who asks for those of all conversations", async () => {
        const [conversation, , known] = await pair("sse");
        const client = connect({ visitor: known.visitor });
        const told = [];
        const end = await client.on("notice", (notice) => told.push(notice));
        await until(() => site.asked.some(({ body }) => body?.all));
        await conversation.rename("Clouds");
        await until(() => told.length === 1);
        assert.deepEqual(told[0], { conversation: known.id, seq: known.seq, kind: "change", run: null });
        end();
    });

    test("are heard again after a server was away for longer than it was tried", async (context) => {
        const visitor = `${crypto.randomUUID()} ${site.epoch}`;
        const known = site.begin(visitor);
        const tries = () => site.count("POST events/");
        let isAway = true;
        site.before = (asked) => (isAway && asked === "POST events/" ? "cut" : undefined);
        context.mock.timers.enable({ apis: ["setTimeout"] });
        const pass = async (milliseconds, condition) => {
            for (let left = 2_000; left > 0 && !condition(); left--) {
                context.mock.timers.tick(milliseconds);
                await new Promise(setImmediate);
            }
            assert.ok(condition());
        };
        const client = new Client({ base: site.base, transport: "sse", visitor, retries: 1 });
        const conversation = await client.conversation(known.id);
        opened.push(conversation);
        await conversation.ready;
        await pass(10, () => tries() === 2);
        isAway = false;
        site.add(known, { text: TEXT });
        await pass(100, () => conversation.turns.length === 1);
        await pass(10, () => tries() > 2);
    });

    test("are heard again where another token is shown", async () => {
        const [, , known] = await pair("sse");
        const client = connect({ visitor: known.visitor });
        const conversation = await client.conversation(known.id);
        opened.push(conversation);
        await conversation.ready;
        await until(() => attached() === 3);
        site.before = (asked) => (asked.startsWith("PATCH") ? [403, "visitor"] : undefined);
        await conversation.rename("x").catch(() => {});
        await until(() => attached() === 4);
    });
});

describe("a server without notices", () => {
    let former;
    before(async () => (former = await play({ hasNotices: false })));
    after(() => former.close());

    for (const transport of TRANSPORTS) {
        test(`is looked at when a turn has ended, and when the page is seen again, over ${transport}`, async () => {
            const page = new EventTarget();
            globalThis.addEventListener = page.addEventListener.bind(page);
            globalThis.removeEventListener = page.removeEventListener.bind(page);
            const client = connect({ transport, at: former });
            const conversation = await client.conversation("new", { workflow: "w" });
            const faults = listen(conversation, "error");
            const turn = await conversation.send(TEXT);
            former.finish(turn.id);
            await until(() => turn.run === null && turn.number === 1);
            const known = former.conversations.get(conversation.id);
            former.finish(former.add(known, { text: "elsewhere" }).run);
            assert.equal(conversation.turns.length, 1);
            await until(() => former.asked.some(({ body }) => body?.attach && body.runs.length === 0));
            while (conversation.turns.length < 2) {
                page.dispatchEvent(new Event("online"));
                await pause(20);
            }
            assert.deepEqual(faults, []);
            conversation.close();
            delete globalThis.addEventListener;
            delete globalThis.removeEventListener;
        });
    }
});

describe("what is asked until there is an answer", () => {
    let listeners;
    before(() => {
        listeners = new Set();
        globalThis.addEventListener = (type, listener) => type === "online" && listeners.add(listener);
        globalThis.removeEventListener = (type, listener) => listeners.delete(listener);
    });
    after(() => {
        delete globalThis.addEventListener;
        delete globalThis.removeEventListener;
    });

    test("is asked again after a pause, or when there is a network, and listens for that no longer", async (context) => {
        context.mock.timers.enable({ apis: ["setTimeout"] });
        const heard = []; // how many listen while it is asked
        let fails = 3;
        const ask = async () => {
            heard.push(listeners.size);
            if (fails-- > 0) throw Object.assign(new Error("away"), { retryable: true });
            return "here";
        };
        const asking = persist(ask, () => false);
        const wait = () => context.mock.timers.tick(2_000);
        const ways = [wait, () => listeners.forEach((tell) => tell()), wait];
        for (const [place, go] of ways.entries()) {
            while (heard.length <= place || listeners.size === 0) await new Promise(setImmediate);
            go();
        }
        assert.equal(await asking, "here");
        assert.deepEqual([heard, listeners.size], [[0, 0, 0, 0], 0]);
    });
});

describe("a list of conversations", () => {
    for (const transport of TRANSPORTS) test(`has the newest first, and follows them, over ${transport}`, async () => {
        const [conversation, , known] = await pair("sse");
        const list = await connect({ transport, visitor: known.visitor }).conversations();
        opened.push(list);
        await list.ready;
        assert.deepEqual(list.items.map(({ id, title }) => [id, title]), [[known.id, ""]]);
        await until(() => site.asked.some(({ body }) => body?.all));
        await conversation.rename("Clouds");
        await until(() => list.items[0].title === "Clouds");
        await conversation.remove();
        await until(() => list.items.length === 0);
        assert.deepEqual([list.hasMore, await list.more()], [false, false]);
    });

    test("misses nothing that happens between two polls", async () => {
        const [, , known] = await pair("sse");
        const client = connect({ transport: "poll", visitor: known.visitor });
        const told = [];
        await client.on("notice", (notice) => told.push(notice));
        const list = await client.conversations();
        opened.push(list);
        const polled = () => site.asked.filter(({ body }) => body?.all && body.seq !== undefined).length;
        await until(() => polled() === 1);
        // What came has been answered, and nobody has asked again: the next question waits for this.
        let go;
        const held = new Promise((resolve) => (go = resolve));
        site.before = (asked, body) => (asked === "POST events/" && body.all ? held : undefined);
        site.begin(known.visitor, { title: "first" });
        site.tell(known, "change");
        await until(() => polled() === 2 && told.length === 1);
        site.tell(Object.assign(known, { title: "unheard" }), "change");
        go();
        await until(() => list.items.some(({ title }) => title === "unheard"));
        assert.ok(told.every(({ conversation, kind }) => conversation === null && kind === "change"));
    });

    test("asks for what is wanted", async () => {
        const list = await connect().conversations({ workflow: "w", q: "cloud", archived: true });
        opened.push(list);
        await list.ready;
        const { query } = site.asked.find(({ name }) => name.startsWith("GET"));
        const wanted = { workflow: "w", q: "cloud", archived: "1", limit: "50", after: "" };
        assert.deepEqual(Object.fromEntries(query), wanted);
    });
});
