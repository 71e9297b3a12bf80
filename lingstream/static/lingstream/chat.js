/**
 * chat: `<ling-chat>`, which makes the page that the server wrote a live one. What it adds are copies of the page's
 * templates, and what a button does is its name, as where a form is sent without a script.
 */

import { ACTS } from "./chat-acts.js";
import { Composer, sends } from "./chat-composer.js";
import { followList } from "./chat-list.js";
import { part, show, tellTime, write } from "./chat-parts.js";
import { copy } from "./copying.js";
import { Scroll } from "./chat-scroll.js";
import { Turns } from "./chat-turns.js";
import { get } from "./jsonuri.js";

/** @import { Client } from "./client.js" */
/** @import { Conversation } from "./conversation.js" */

const PATIENCE = 1_500; // milliseconds without a connection of which nobody needs to know
const COPIED = 2_000;
const EARLY = 300; // pixels from the top: what is before that is fetched

/**
 * A chat with one workflow. Attributes: `workflow`, and `conversation`, the id of one that there is; `data-tells`, what
 * else tells of unread turns: `title` (of the page) and `badge` (of an app that is installed).
 */
export class LingChat extends HTMLElement {
    #client = null;
    #conversation = null;
    #turns;
    #composer;
    #scroll;
    #leaving = null;
    #frame = null;
    #changed = new Set();
    #away = null;
    #mark = ""; // before the page's title
    #badge = null;
    #isFetching = false;

    /** @type {Promise<void> | null} that the conversation is followed; rejects with why it cannot be */
    ready = null;

    /** @returns {Client | null} by default one whose visitor is the session's, as the page's is */
    get client() {
        return this.#client;
    }

    /** It is to be set before the element is on the page. */
    set client(client) {
        this.#client = client;
    }

    /** @returns {Conversation | null} null until it is followed */
    get conversation() {
        return this.#conversation;
    }

    connectedCallback() {
        this.#leaving = new AbortController();
        this.ready = this.#begin(this.#leaving.signal);
        this.ready.catch((error) => console.error("lingstream:", error.message));
    }

    disconnectedCallback() {
        this.#leaving.abort();
        this.#conversation?.close();
        if (!this.#isPage) this.#markTitle("");
        if (this.#badge) navigator.clearAppBadge?.().catch(() => {});
        this.#badge = null;
        cancelAnimationFrame(this.#frame);
        this.#frame = null;
    }

    async #begin(signal) {
        const { Client } = await customElements.whenDefined("ling-stream");
        if (signal.aborted) return;
        this.#client ??= new Client({ visitor: null });
        const known = this.querySelector(":scope > script");
        const conversation = await this.#client.conversation(this.getAttribute("conversation") ?? "new", {
            workflow: this.getAttribute("workflow"),
            state: known ? JSON.parse(known.text) : undefined,
        });
        if (signal.aborted) return conversation.close();
        if (this.dataset.begins !== undefined && conversation.id === null) await conversation.begin();
        await conversation.ready;
        this.#follow(conversation, signal);
        await followList(this, this.#client, signal);
    }

    #follow(conversation, signal) {
        this.#conversation = conversation;
        this.#turns = new Turns(this, this.#client, conversation);
        const scrolls = part(this, "log") && part(this, "turns");
        this.#scroll = scrolls ? new Scroll(this, conversation, signal) : null;
        this.#composer = new Composer(this, conversation, { signal, sent: () => this.#sent() });
        const on = (target, type, handle, more) => target?.addEventListener(type, handle, { signal, ...more });
        on(conversation, "turn", ({ detail }) => this.#schedule(detail));
        on(conversation, "change", () => this.#schedule());
        on(conversation, "error", ({ detail }) => detail.turn || this.#composer.tell(detail.message));
        on(this, "submit", (event) => this.#submit(event));
        on(this, "click", (event) => this.#click(event));
        on(this, "keydown", (event) => this.#key(event));
        on(this, "ling:copy", ({ target, detail }) => this.#tellCopied(target, detail.isCopied)); // of a block of code
        on(this, "toggle", ({ target }) => target.open && target.querySelector("textarea")?.focus(), { capture: true });
        on(part(this, "log"), "scroll", () => this.#look(), { passive: true });
        on(document, "visibilitychange", () => (document.hidden ? this.#turns.divide() : this.#look()));
        for (const type of ["online", "offline"]) on(globalThis, type, () => this.#schedule());
        for (const time of this.querySelectorAll("time[datetime]")) tellTime(time, time.dateTime);
        this.#render();
        this.#scroll?.restore();
    }

    /** Once a frame, whatever came; a page that nobody sees has no frames. */
    #schedule(turn) {
        if (turn) this.#changed.add(turn);
        if (document.hidden) this.#render();
        else this.#frame ??= requestAnimationFrame(() => this.#render());
    }

    #render() {
        this.#frame = null;
        if (this.#leaving.signal.aborted) return;
        const count = this.#turns.show(this.#changed);
        this.#changed.clear();
        this.#scroll?.note(count);
        this.#composer.update();
        this.#showConversation();
        this.#showConnection();
        this.#look();
    }

    #showConversation() {
        const { id, title, turns, hasMore, unread, removed } = this.#conversation;
        if (removed) return this.#leave();
        if (id && this.getAttribute("conversation") !== id) this.#name(id);
        const shown = title || this.dataset.title;
        write(part(this, "title"), shown);
        const renaming = this.querySelector("[name=title]");
        if (renaming) renaming.defaultValue = title; // which changes nothing that somebody is typing
        this.#tell(unread, shown);
        show(part(this, "menu"), id !== null);
        show(part(this, "empty"), turns.length === 0 && !part(this, "greeting"));
        show(part(this, "earlier"), hasMore);
    }

    #tell(unread, title) {
        const ways = (this.dataset.tells ?? (this.#isPage ? "title" : "")).split(" ");
        if (ways.includes("title")) this.#markTitle(unread > 0 ? `(${unread}) ` : "", this.#isPage ? title : undefined);
        if (!ways.includes("badge") || unread === this.#badge) return;
        this.#badge = unread;
        navigator.setAppBadge?.(unread).catch(() => {}); // nobody has allowed it
    }

    /** By default the title stays what it is behind the mark. */
    #markTitle(mark, title = this.#unmarked(document.title)) {
        this.#mark = mark;
        if (document.title !== (mark + title).trim()) document.title = mark + title;
    }

    /** A title has no space at its ends, whatever was written. */
    #unmarked(title) {
        const mark = this.#mark.trimEnd();
        return title.startsWith(mark) ? title.slice(mark.length).trimStart() : title;
    }

    /** A conversation that was begun here: a reload, and a form that no script sends, find it. */
    #name(id) {
        const url = `${this.dataset.url}${id}/`;
        this.setAttribute("conversation", id);
        for (const form of this.querySelectorAll("form[method=post]")) form.action = url;
        if (this.#isPage) history.replaceState(history.state, "", url);
    }

    /** That a connection is gone for a moment is nobody's concern. */
    #showConnection() {
        const isAway = !navigator.onLine || this.#conversation.turns.some(({ run }) => isInterrupted(run));
        const banner = part(this, "banner");
        clearTimeout(this.#away);
        if (!isAway) write(banner, "");
        else this.#away = setTimeout(() => write(banner, banner?.dataset.words ?? ""), PATIENCE);
    }

    /** What is in view, on a page in sight, was read; what begins in view goes on where one looks. */
    #look() {
        const { hasMore, unread } = this.#conversation;
        const log = part(this, "log");
        if (hasMore && log?.scrollTop < EARLY) this.#older();
        if (unread === 0 || document.hidden || this.inert) return;
        const number = this.#turns.numberAbove(log?.getBoundingClientRect().bottom ?? innerHeight);
        this.#conversation.read(number).catch(() => {}); // it is unread, then
    }

    async #older() {
        if (this.#isFetching) return;
        this.#isFetching = true;
        try {
            if (!(await this.#conversation.older())) return;
            if (this.#scroll) this.#scroll.hold(() => this.#render());
            else this.#render();
        } catch (error) {
            this.#composer.tell(error.message);
        } finally {
            this.#isFetching = false;
        }
    }

    /** The person has said something: what is above has been seen. */
    #sent() {
        this.#turns.divide(Infinity);
        this.#scroll?.toEnd();
        this.#composer.focus();
    }

    #submit(event) {
        const { target: form, submitter } = event;
        if (form.method !== "post") return;
        event.preventDefault();
        if (form === part(this, "composer")) this.#composer.submit();
        else if (submitter?.name === "text") this.#composer.send({ text: submitter.value }).catch(() => {});
        else if (Object.hasOwn(ACTS, submitter?.name)) this.#press(submitter.name, submitter.value, form);
    }

    async #press(name, value, form) {
        const asked = { conversation: this.#conversation, turn: this.#turns.of(form), value, form };
        form.closest("details")?.removeAttribute("open");
        try {
            await this.#composer.attempt(() => ACTS[name](asked));
            if (name === "archive" || name === "delete") this.#leave();
        } catch {
            // the page says why
        }
    }

    #click(event) {
        for (const menu of this.querySelectorAll(".ling-menu[open]")) menu.open = menu.contains(event.target);
        const button = event.target.closest("button, a");
        if (!button || !this.contains(button)) return;
        const isAgain = event.detail > 1 && button.matches("[name=text], [name=regenerate]");
        if (isAgain) event.preventDefault(); // who clicks twice asks once
        else if (button.matches("[data-copy]")) this.#copy(button, this.#answerAt(button));
        else if (button.closest("[data-earlier]")) {
            event.preventDefault();
            this.#older();
        }
    }

    /** As it was written; where there is no such text, all of it as data. */
    #answerAt(button) {
        const { document: answer } = this.#turns.of(button);
        const text = get(answer, this.dataset.answer);
        return typeof text === "string" ? text : JSON.stringify(answer, null, 2);
    }

    async #copy(button, text) {
        this.#tellCopied(button, await copy(text));
    }

    #tellCopied(button, isCopied) {
        const told = part(this, "told");
        if (!isCopied) return this.#composer.tell(told?.dataset.notCopied ?? "");
        button.dataset.copied = "";
        write(told, told?.dataset.copied ?? "");
        setTimeout(() => {
            delete button.dataset.copied;
            write(told, "");
        }, COPIED);
    }

    /** Whatever moves can be stopped by a key, too. */
    #key(event) {
        const { target } = event;
        if (target.matches("[data-edit] textarea") && sends(event)) {
            event.preventDefault();
            return target.form.requestSubmit(target.form.elements.edit);
        }
        if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
        const list = part(this, "conversations");
        if (list?.contains(target) || list?.matches(":popover-open")) return; // it is the list's key
        const opened = target.closest("details[open]");
        if (opened && this.contains(opened)) {
            opened.open = false;
            opened.querySelector("summary").focus();
        } else if (this.#conversation.open) this.#press("stop", "", this);
    }

    get #isPage() {
        return this.dataset.back === undefined;
    }

    /** There is nothing here any more. */
    #leave() {
        this.#leaving.abort();
        if (this.#isPage) location.assign(this.dataset.url);
        else location.reload();
    }
}

function isInterrupted(run) {
    return run?.status === "connecting" && run.last !== null;
}

customElements.define("ling-chat", LingChat);
