/** conversation: the turns that are shown of one, kept as the server has them. */

import { Outbox, until } from "./outbox.js";
import { coalesced, persist } from "./syncing.js";
import { Turn } from "./turn.js";

/** @import { Notice } from "./notices.js" */
/** @import { Feedback, Part } from "./turn.js" */

/**
 * @typedef {object} ConversationOptions
 * @property {string} [workflow] whom to talk to, for a new one
 * @property {string} [externalId] a name of yours, for a new one: if there is one with it already, it is that one
 * @property {object} [data] of yours, for a new one
 * @property {string} [timezone] the person's; else the browser's
 * @property {object} [state] what the page has brought with it: what a GET of the conversation answers
 *
 * @typedef {string | {text?: string, parts?: Part[], input?: unknown, key?: string}} Said a text, or its parts; what
 *   else the workflow is given; the same key never sends a second turn
 */

const USUAL = 50; // turns that are shown at first
const NEWEST = 10; // that are asked for where only one is new
const MOST = 200; // in one answer
const TYPES_EACH = 15_000;
const CHANGES = ["started", "status", "ops", "snapshot", "error"];

/**
 * One conversation. Fires CustomEvents: `turn` (a Turn that is new, or in which something is), `change` (which turns
 * are shown, the title, what is unread …), `notice`, and `error` (a turn was not taken: a Refusal; or a Fault).
 */
export class Conversation extends EventTarget {
    #link;
    #options;
    #state = { id: null, title: "", workflow: "", seq: 0, unread: 0, read: 0, archived: false, data: {} };
    #path = [];
    #outbox;
    #hasMore = false;
    #isRemoved = false;
    #isClosed = false;
    #leave = null;
    #beginning = null;
    #typedAt = -TYPES_EACH;
    #reading = 0; // the number that the server is being told
    #wanted = 0; // the seq that a notice has told of
    #isStale = false;
    #isWhole = false; // whether more may be new than the last turns
    #catchUp = coalesced(() => this.#load());

    /**
     * @param {object} link
     * @param {string} id or `new`
     * @param {ConversationOptions} [options]
     */
    constructor(link, id, options = {}) {
        super();
        this.#link = link;
        this.#options = options;
        this.#outbox = new Outbox(link, {
            post: (...asked) => this.#post(...asked),
            shown: (turn) => this.#show(turn),
            taken: (turn, place) => this.#place(turn, place),
            refused: (refusal) => this.#refuse(refusal),
        });
        if (id !== "new") this.#state.id = id;
        this.#state.workflow = options.workflow ?? "";
        /** @type {Promise<void>} what there is of it is here; rejects with an Error that is a Fault, too */
        this.ready = this.#open();
        this.ready.catch(() => {});
    }

    /** @returns {string | null} null until a new one has begun */
    get id() {
        return this.#state.id;
    }

    get title() {
        return this.#state.title;
    }

    get workflow() {
        return this.#state.workflow;
    }

    /** @returns {number} counts its changes */
    get seq() {
        return this.#state.seq;
    }

    /** @returns {number} turns shown that a bot began and nobody has seen */
    get unread() {
        return this.#state.unread;
    }

    /** @returns {number} of the last turn that was seen */
    get lastRead() {
        return this.#state.read;
    }

    get archived() {
        return this.#state.archived;
    }

    get data() {
        return this.#state.data;
    }

    /** @returns {boolean} whether it was deleted */
    get removed() {
        return this.#isRemoved;
    }

    /** @returns {boolean} whether a turn has not ended */
    get open() {
        return this.turns.some(({ isBusy }) => isBusy);
    }

    /** @returns {boolean} whether there are turns before the first one here */
    get hasMore() {
        return this.#hasMore;
    }

    /** @returns {Turn[]} the path that is shown, the oldest first, with those that are being sent */
    get turns() {
        return this.#outbox.onto(this.#path);
    }

    /**
     * Begin it now, and not with the first message: so that a bot may speak first.
     *
     * @returns {Promise<void>}
     */
    begin() {
        return persist(() => this.#begun(), () => this.#isClosed);
    }

    /**
     * The turn is shown at once. Over a lost connection it is sent again, under the same key.
     *
     * @param {Said} said
     * @returns {Promise<Turn>} once the server has taken it; rejects with a Refusal
     */
    send(said) {
        const { text, parts, input, key } = typeof said === "string" ? { text: said } : said;
        const message = messageOf(text, parts);
        return this.#outbox.send("messages", new Turn({ message }), { ...message, input }, null, key);
    }

    /**
     * Keep a file for a message to come: `{type: "file", attachment: id}` is its part of that.
     *
     * @param {File} file
     * @returns {Promise<{id: string, name: string, content_type: string, size: number}>}
     */
    async upload(file) {
        if (this.id === null) await this.begin();
        const form = new FormData();
        form.append("conversation", /** @type {string} */ (this.id));
        form.append("file", file);
        return this.#link.ask("POST", "attachments/", form);
    }

    /**
     * @param {Turn | string} turn or its id: what is said now stands beside it
     * @param {Said} said
     * @returns {Promise<Turn>}
     */
    edit(turn, said) {
        const { text, parts, key } = typeof said === "string" ? { text: said } : said;
        const message = messageOf(text, parts);
        const run = idOf(turn);
        return this.#outbox.send("edit", new Turn({ cause: "edit", message }), { ...message, run }, run, key);
    }

    /**
     * @param {Turn | string} turn or its id: the same is answered once more beside it
     * @param {{key?: string}} [options]
     * @returns {Promise<Turn>}
     */
    regenerate(turn, { key } = {}) {
        const run = idOf(turn);
        const { cause = "regenerate", message } = this.#path.find(({ id }) => id === run) ?? {};
        const again = new Turn({ cause: message ? "regenerate" : cause, message });
        return this.#outbox.send("regenerate", again, { run }, run, key);
    }

    /**
     * Show another path: to this turn, and on to the newest behind it.
     *
     * @param {Turn | string} turn or its id, as among `siblings`
     * @returns {Promise<void>}
     */
    async switch(turn) {
        await this.#patch({ leaf: idOf(turn) });
        await this.#sync();
    }

    /** @returns {Promise<void>} every turn that has not ended is being stopped */
    async stop() {
        this.#outbox.cancel();
        if (this.id) await this.#ask("POST", "stop/");
    }

    /** @param {string} title `""`: that which a model gives it */
    async rename(title) {
        await this.#patch({ title });
    }

    async archive(flag = true) {
        await this.#patch({ archived: flag });
    }

    /** Delete it, for good. */
    async remove() {
        if (this.id) await this.#ask("DELETE", "");
        this.#end();
    }

    /** @param {number} [number] of the last turn that was seen; else of the last one shown */
    async read(number = this.#path.at(-1)?.number ?? 0) {
        if (number <= Math.max(this.lastRead, this.#reading)) return;
        this.#reading = number;
        try {
            await this.#patch({ read: number });
        } finally {
            if (this.#reading === number) this.#reading = 0;
        }
    }

    /**
     * @param {Turn | string} turn or its id
     * @param {1 | -1 | 0} value 0 takes it back
     * @param {{uri?: string, reason?: string, comment?: string}} [about]
     * @returns {Promise<Feedback | null>} what is kept
     */
    async feedback(turn, value, about = {}) {
        const path = `runs/${idOf(turn)}/feedback/`;
        const { feedback } = await this.#link.ask("POST", path, { value, ...about });
        await this.#sync();
        return feedback;
    }

    /** @returns {Promise<boolean>} whether there were turns before the first one here, which are here now */
    async older() {
        const first = this.#path.find(({ number }) => number !== null);
        if (!first || !this.#hasMore) return false;
        const { turns, more } = await this.#ask("GET", `?before=${first.number}&limit=${USUAL}`);
        if (this.#path[0] !== first || turns.length === 0) return false; // another path by now
        this.#path = [...turns.map((told) => this.#told(told)), ...this.#path];
        this.#hasMore = more;
        this.#fire("change");
        return true;
    }

    /** The person is writing: the bot does not interrupt. */
    typing() {
        if (!this.id || Date.now() - this.#typedAt < TYPES_EACH) return;
        this.#typedAt = Date.now();
        const isTold = this.#link.notices.tell(this.id, "typing");
        if (!isTold) this.#ask("POST", "typing/").catch(() => {}); // a hint: without it the bot may interrupt
    }

    /** Follow it no more; its turns go on. */
    close() {
        if (this.#isClosed) return;
        this.#isClosed = true;
        this.#leave?.();
        for (const { run } of this.turns) run?.close();
    }

    async #open() {
        const { state, externalId } = this.#options;
        if (state) this.#take(state, true);
        if (this.id === null) return externalId ? this.begin() : undefined;
        if (!state) await this.#sync();
        this.#follow();
    }

    /** @returns {Promise<void>} one attempt, however many wait for it */
    #begun() {
        if (this.id === null) this.#beginning ??= this.#create().finally(() => (this.#beginning = null));
        return this.#beginning;
    }

    async #create() {
        const { workflow, externalId: external_id, data, timezone = zone() } = this.#options;
        const body = { workflow, external_id, data, timezone };
        this.#adopt(await this.#link.ask("POST", "conversations/", body));
        if (this.#state.leaf) await this.#sync();
        this.#follow();
    }

    #follow() {
        if (this.#isClosed) return;
        const wake = () => this.#look();
        this.#leave ??= this.#link.notices.follow(this.id, { hear: (notice) => this.#hear(notice), wake });
    }

    /** @param {Notice} notice of a turn, or its end: seen in the last turns, unless others were lost before it */
    #hear(notice) {
        this.#fire("notice", notice);
        const { seq, kind } = notice;
        this.#wanted = Math.max(this.#wanted, seq);
        if (kind === "remove") this.#end();
        else if (seq > this.seq) {
            this.#isWhole ||= !["turn", "ended"].includes(kind);
            this.#heed(this.#catchUp());
        }
    }

    /** @param {boolean} [isWhole] whether more may be new than the last turns */
    #sync(isWhole = true) {
        this.#isStale = true;
        this.#isWhole ||= isWhole;
        return this.#catchUp();
    }

    #look() {
        this.#heed(this.#sync());
    }

    /** Nobody waits for it. */
    #heed(syncing) {
        syncing.catch((fault) => {
            if (fault.code === "not-found") this.#end();
            else if (!this.#isClosed) this.#fire("error", fault);
        });
    }

    /** What is told while a turn is being sent may have that turn in it, or not: it is asked again then. */
    async #load() {
        if (this.#isClosed || !this.#outbox.isEmpty || !(this.#isStale || this.#wanted > this.seq)) return;
        const isWhole = this.#isWhole;
        this.#wanted = 0;
        this.#isStale = this.#isWhole = false;
        const path = this.#path;
        const limit = isWhole ? Math.min(MOST, Math.max(USUAL, path.length)) : NEWEST;
        const told = await persist(() => this.#ask("GET", `?limit=${limit}`), () => this.#isClosed);
        if (this.#isClosed) return;
        const isOurs = this.#outbox.isEmpty && this.#path === path;
        if (!isOurs || !this.#take(told, isWhole)) this.#sync().catch(() => {});
    }

    /** @returns {boolean} false if more must be asked for to know what is shown */
    #take({ turns, more, ...state }, isWhole) {
        const joint = this.#path.findIndex(({ id }) => id === turns[0]?.parent);
        if (!isWhole && (state.seq > this.seq + 1 || (joint === -1 && more))) return false;
        const before = this.#path.slice(0, joint + 1);
        const left = new Set(this.#path);
        this.#path = [...before, ...turns.map((told) => this.#told(told))];
        if (joint === -1) this.#hasMore = more;
        for (const turn of this.#path) left.delete(turn);
        for (const { run } of left) run?.close();
        this.#state = state;
        this.#fire("change");
        return true;
    }

    /** The turn that the server tells of, followed while it goes on. */
    #told(told) {
        const turn = this.#path.find(({ id }) => id === told.run) ?? new Turn();
        const isNew = turn.take(told);
        if (turn.isBusy && !turn.run && !this.#isClosed) {
            turn.run = this.#link.client.subscribe(told.run);
            this.#watch(turn, turn.run);
        }
        if (isNew) this.#fire("turn", turn);
        return turn;
    }

    #watch(turn, run) {
        const tell = () => turn.id && !this.#isClosed && this.#path.includes(turn) && this.#fire("turn", turn);
        for (const type of CHANGES) run.addEventListener(type, tell);
        const end = () => turn.id && !this.#isClosed && this.#heed(this.#sync(false));
        run.addEventListener("done", end, { once: true });
    }

    /** @returns {Promise<object>} what the server says of a start; a new conversation is begun before */
    async #post(way, body, signal) {
        await this.#begun();
        return this.#ask("POST", `${way}/`, body, signal);
    }

    #show(turn) {
        this.#watch(turn, turn.run);
        this.#fire("turn", turn);
        this.#fire("change");
    }

    /** @returns {Turn} it, or the one that was sent before with its key */
    #place(turn, place) {
        const known = this.#path.find(({ id }) => id === turn.id);
        if (known) turn.run.close();
        else this.#path = [...until(this.#path, place), turn];
        this.#fire("change");
        this.#heed(this.#sync(false));
        return known ?? turn;
    }

    #refuse(refusal) {
        this.#fire("change");
        this.#fire("error", refusal);
        this.#heed(this.#catchUp());
    }

    async #patch(changes) {
        this.#adopt(await this.#ask("PATCH", "", changes));
    }

    /** What the server answers to a change: with a greater `seq` than that makes there is more that is new. */
    #adopt(state) {
        const { seq } = this;
        const isNext = state.seq <= seq + 1;
        this.#state = isNext ? state : { ...state, seq };
        if (!isNext) this.#look();
        this.#fire("change");
    }

    #ask(method, path, body, signal) {
        return this.#link.ask(method, `conversations/${encodeURIComponent(this.id)}/${path}`, body, signal);
    }

    #end() {
        this.#isRemoved = true;
        this.close();
        this.#fire("change");
    }

    #fire(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}

function messageOf(text, parts) {
    return { parts: parts ?? [{ type: "text", text }] };
}

function idOf(turn) {
    return turn.id ?? turn;
}

function zone() {
    return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
