/** A site that the test plays: conversations, runs and notices over HTTP, for visitors by token. */

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

const PERSON = ["user", "edit", "regenerate"];

/** Serve one on a free port; `hasNotices: false` is a server from before there were any. */
export async function play({ hasNotices = true } = {}) {
    const site = new Site(hasNotices);
    const server = createServer((request, response) => site.serve(request, response));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    site.base = `http://127.0.0.1:${server.address().port}/ling/`;
    site.close = () => (server.close(), server.closeAllConnections());
    return site;
}

class Site {
    conversations = new Map();
    runs = new Map();
    /** What was asked, as `POST conversations/`. */
    asked = [];
    /** Called before a request is answered: gives another answer, `[status, code]`, or "cut" to end the connection. */
    before = () => undefined;
    /** How often each notice is told: 0 loses them. */
    times = 1;
    /** Whether the tokens of before are good. */
    epoch = 0;
    #hasNotices;
    #feeds = new Set();

    constructor(hasNotices) {
        this.#hasNotices = hasNotices;
    }

    async serve(request, response) {
        let text = "";
        for await (const piece of request) text += piece;
        const body = text && JSON.parse(text);
        const [path, query] = request.url.replace("/ling/", "").split("?");
        const shown = /^Ling-Visitor (.*)$/.exec(request.headers.authorization ?? "")?.[1];
        const name = `${request.method} ${path}`;
        this.asked.push({ name, body, visitor: shown, query: new URLSearchParams(query) });
        const other = await this.before(name, body);
        if (other === "cut") return request.socket.destroy();
        if (other) return fail(response, ...other);
        if (shown && !shown.endsWith(` ${this.epoch}`)) return fail(response, 403, "visitor");
        const visitor = shown ?? `${randomUUID()} ${this.epoch}`;
        const known = shown ? {} : { "Ling-Visitor": visitor };
        if (path === "events/") return this.#feed(request, response, body);
        const answer = this.#answer(request.method, path.split("/"), body, new URLSearchParams(query), visitor);
        if (typeof answer === "string") return fail(response, answer === "forbidden" ? 403 : 404, answer);
        const isNew = name === "POST conversations/";
        response.writeHead(answer ? 200 : 204, { "Content-Type": "application/json", ...(isNew ? known : {}) });
        return response.end(answer && JSON.stringify(answer));
    }

    /** A conversation that somebody has begun. */
    begin(visitor, { external_id = "", ...known } = {}) {
        const of = { visitor, external_id, seq: 0, title: "", read: 0, leaf: null, archived: false, turns: [] };
        const conversation = { id: randomUUID(), ...of, ...known };
        this.conversations.set(conversation.id, conversation);
        return conversation;
    }

    /** A turn, as of another tab, or of the bot. */
    add(conversation, { parent = conversation.leaf, cause = "user", text = null, key } = {}) {
        const before = conversation.turns.find((turn) => key && turn.key === key);
        if (before) return before;
        const message = text === null ? null : { parts: [{ type: "text", text }] };
        const number = conversation.turns.length + 1;
        const turn = { run: randomUUID(), number, parent, cause, message, key, status: "running", document: null };
        conversation.turns.push(turn);
        conversation.leaf = turn.run;
        this.runs.set(turn.run, { turn, conversation, log: [] });
        this.#log(turn.run, { snapshot: { document: { answer: "" }, status: "running" } });
        turn.document = { answer: "" };
        this.tell(conversation, "turn", turn.run);
        return turn;
    }

    write(run, delta) {
        this.runs.get(run).turn.document.answer += delta;
        this.#log(run, { ops: [{ uri: "answer", delta }] });
    }

    finish(run, status = "finished") {
        const { turn, conversation } = this.runs.get(run);
        turn.status = status;
        this.#log(run, { done: { status, usage: null, crc32: null } });
        this.tell(conversation, "ended", run);
    }

    /** Count a change, and tell of it. */
    tell(conversation, kind, run = null) {
        conversation.seq += 1;
        const notice = { conversation: conversation.id, seq: conversation.seq, kind, run };
        for (let time = 0; time < this.times; time += 1) this.#notify(notice);
    }

    count(name) {
        return this.asked.filter((each) => each.name === name).length;
    }

    #answer(method, [kind, id, way], body, query, visitor) {
        if (kind === "runs") return this.#ofRun(id, way, body);
        if (!id) return method === "POST" ? this.#create(body, visitor) : this.#list(visitor);
        const conversation = this.conversations.get(id);
        if (!conversation || conversation.isDeleted) return "not-found";
        if (conversation.visitor !== visitor) return "forbidden";
        if (way === "stop") {
            const open = conversation.turns.filter(({ status }) => status === "running");
            open.forEach(({ run }) => this.finish(run, "canceled"));
            return { stopped: open.map(({ run }) => run) };
        }
        if (way === "typing") return null;
        if (way) return this.#say(conversation, way, body);
        if (method === "GET") return this.#shown(conversation, query);
        return method === "PATCH" ? this.#patch(conversation, body) : this.#delete(conversation);
    }

    #create({ external_id, workflow }, visitor) {
        const all = [...this.conversations.values()];
        const known = all.find((each) => external_id && each.external_id === external_id);
        return this.#meta(known ?? this.begin(visitor, { external_id, workflow }));
    }

    #list(visitor) {
        const all = [...this.conversations.values()].filter((each) => each.visitor === visitor && !each.isDeleted);
        return { conversations: all.map((each) => this.#meta(each)).reverse(), next: null };
    }

    #say(conversation, way, { run, parts, key }) {
        const beside = conversation.turns.find((turn) => turn.run === run);
        const text = (parts ?? beside.message.parts)[0].text;
        const cause = way === "messages" ? "user" : way;
        const parent = beside ? beside.parent : conversation.leaf;
        const turn = this.add(conversation, { parent, cause, text, key });
        return { run: turn.run, token: "T", share: "S", workflow: "w", status: "running" };
    }

    #patch(conversation, { leaf, ...changes }) {
        Object.assign(conversation, changes);
        while (leaf) {
            conversation.leaf = leaf;
            leaf = conversation.turns.findLast(({ parent }) => parent === leaf)?.run;
        }
        this.tell(conversation, "change");
        return this.#meta(conversation);
    }

    #delete(conversation) {
        conversation.isDeleted = true;
        this.tell(conversation, "remove");
        return null;
    }

    #ofRun(id, way, body) {
        const { turn, conversation } = this.runs.get(id);
        if (way === "feedback") {
            turn.feedback = body.value ? [{ uri: "", reason: "", comment: "", ...body }] : [];
            this.tell(conversation, "change");
            return { run: id, feedback: turn.feedback[0] ?? null };
        }
        this.finish(id, "canceled");
        return { run: id, status: "canceled" };
    }

    #path({ turns, leaf }) {
        const path = [];
        for (let turn = turns.find(({ run }) => run === leaf); turn; ) {
            path.unshift(turn);
            turn = turns.find(({ run }) => run === turn.parent);
        }
        return path;
    }

    #meta(conversation) {
        const { id, title, workflow = "w", seq, read, leaf, archived } = conversation;
        const path = this.#path(conversation);
        const unread = path.filter(({ cause, number }) => !PERSON.includes(cause) && number > read).length;
        const open = conversation.turns.some(({ status }) => status === "running");
        return { id, title, workflow, seq, unread, read, leaf, archived, open, data: {}, updated: "" };
    }

    #shown(conversation, query) {
        const path = this.#path(conversation).filter(({ number }) => number < (query.get("before") ?? Infinity));
        const turns = path.slice(-Number(query.get("limit") ?? 50)).map(({ key, ...turn }) => ({
            error: null,
            feedback: [],
            siblings: conversation.turns.filter(({ parent }) => parent === turn.parent).map(({ run }) => run),
            ...turn,
        }));
        return { ...this.#meta(conversation), turns, more: turns.length < path.length };
    }

    #log(run, frame) {
        const { log } = this.runs.get(run);
        log.push({ run, id: `1-${log.length + 1}`, ...frame });
        for (const feed of this.#feeds) feed.follow();
    }

    #notify(notice) {
        for (const feed of this.#feeds) {
            const isAttached = feed.attach.some(({ conversation }) => conversation === notice.conversation);
            const all = feed.all && (feed.polls ? this.#sum("change") : notice);
            feed.say([...(isAttached && all !== notice ? [notice] : []), ...(all ? [all] : [])].map((each) => ({ notice: each })));
        }
    }

    /** What who polls is told of all conversations. */
    #sum(kind) {
        const seq = [...this.conversations.values()].reduce((sum, each) => sum + each.seq + 1, 0);
        return { conversation: null, seq, kind, run: null };
    }

    #feed(request, response, { runs, attach = [], all = false, seq: known, wait }) {
        if (!this.#hasNotices) [attach, all] = [[], false];
        if (runs.length === 0 && attach.length === 0 && !all) return fail(response, 400, "bad-request");
        const places = new Map(runs.map(({ run, after }) => [run, Number(after?.split("-")[1] ?? 0)]));
        const polls = wait !== undefined;
        const feed = {
            all,
            polls,
            attach,
            say: (messages) => {
                if (messages.length === 0 || response.writableEnded) return;
                const lines = messages.map((each) => JSON.stringify(each));
                response.write(lines.map((line) => (wait === undefined ? `data: ${line}\n\n` : `${line}\n`)).join(""));
                if (wait !== undefined) end();
            },
            follow: () => {
                const news = [...places].flatMap(([run, place]) => this.runs.get(run).log.slice(place));
                for (const { run, id } of news) places.set(run, Number(id.split("-")[1]));
                feed.say(news);
                const isOver = [...places.keys()].every((run) => this.runs.get(run).log.at(-1).done);
                if (isOver && !all && attach.length === 0) end();
            },
        };
        const end = () => (clearTimeout(timer), this.#feeds.delete(feed), response.end());
        const timer = wait === undefined ? null : setTimeout(end, wait * 1_000);
        request.socket.on("close", end);
        this.#feeds.add(feed);
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        if (wait === undefined) response.write(": alive\n\n");
        const news = all && !polls ? [{ conversation: null, seq: null, kind: "attached", run: null }] : [];
        if (all && polls && this.#sum().seq !== known) news.push(this.#sum(known === undefined ? "attached" : "change"));
        for (const { conversation, seq } of attach) {
            const now = this.conversations.get(conversation).seq;
            if (!polls || !(seq >= now)) news.push({ conversation, seq: now, kind: "attached", run: null });
        }
        feed.say(news.map((notice) => ({ notice })));
        feed.follow();
        return undefined;
    }
}

function fail(response, status, code) {
    const isRetryable = status >= 500;
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ error: { code, message: `the site says ${code}`, retryable: isRetryable } }));
}
