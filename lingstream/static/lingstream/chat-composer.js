/** chat-composer: where a message is written. */

import { copyOf, kept, part, show, write } from "./chat-parts.js";
import { randomKey } from "./keys.js";

/** @import { Conversation } from "./conversation.js" */

const IME = 229; // Safari ends a composition before it tells of the key that did
const GROWS = CSS.supports("field-sizing", "content");

export class Composer {
    #chat;
    #conversation;
    #form;
    #field;
    #refused;
    #files = [];
    #again = null; // what was given back: sent unchanged it is no second turn
    #sent = () => {};

    /**
     * @param {HTMLElement} chat
     * @param {Conversation} conversation
     * @param {{signal: AbortSignal, sent: () => void}} options sent: called when something is being sent
     */
    constructor(chat, conversation, { signal, sent }) {
        this.#chat = chat;
        this.#conversation = conversation;
        this.#form = part(chat, "composer");
        this.#refused = part(chat, "refused");
        this.#sent = sent;
        if (!this.#form) return; // this person may only read
        this.#field = this.#form.elements.text;
        this.#field.required = false; // a file may do without a text
        const on = (target, type, handle) => target?.addEventListener(type, handle, { signal });
        on(this.#field, "input", () => this.#input());
        on(this.#field, "keydown", (event) => this.#key(event));
        on(this.#field, "paste", (event) => this.#take(event, event.clipboardData));
        on(chat, "dragover", (event) => this.#picker && event.preventDefault());
        on(chat, "drop", (event) => this.#take(event, event.dataTransfer));
        on(this.#picker, "change", () => this.#pick());
        on(part(this.#form, "waiting"), "click", ({ target }) => this.#drop(target.closest("button")));
        this.#field.value ||= kept(this.#draft) ?? "";
        this.#giveBack(...this.#unsent());
        this.update();
    }

    /** Where that opens no keyboard over the page. */
    focus() {
        if (!isCoarse()) this.#field?.focus();
    }

    /** @param {string} message why something was refused; `""`: nothing was */
    tell(message) {
        write(this.#refused, message);
        show(this.#refused, message !== "");
    }

    /** Say what was written. */
    async submit() {
        const text = this.#field.value.trim();
        const files = this.#files;
        if (text === "" && files.length === 0) return;
        const key = this.#again?.text === text ? this.#again.key : randomKey();
        const forget = this.#keepSending({ text, key, after: this.#newest });
        this.#again = null;
        this.#write("");
        this.#setFiles([]);
        try {
            await this.send(files.length > 0 ? { parts: await this.#upload(text, files) } : { text, key });
        } catch {
            this.#giveBack({ text, key });
            this.#setFiles([...files, ...this.#files]);
            this.focus();
        } finally {
            forget();
        }
    }

    /**
     * @param {object} said as `Conversation.send` takes it
     * @throws {Error} it was refused, and the page says why
     */
    send(said) {
        this.#sent();
        return this.attempt(() => this.#conversation.send(said));
    }

    /**
     * @template T
     * @param {() => Promise<T>} ask
     * @returns {Promise<T>}
     * @throws {Error} it was refused, and the page says why
     */
    async attempt(ask) {
        this.tell("");
        try {
            return await ask();
        } catch (error) {
            this.tell(error.message);
            throw error;
        }
    }

    /** Send becomes Stop while an answer is written and nothing else is. */
    update() {
        if (!this.#form) return;
        const isBusy = this.#conversation.open;
        const isEmpty = this.#field.value.trim() === "" && this.#files.length === 0;
        const [send, stop] = [part(this.#form, "send"), part(this.#form, "stop")];
        const isStop = isBusy && isEmpty && stop !== null;
        if (document.activeElement === (isStop ? send : stop)) this.focus();
        show(stop, isStop);
        show(send, !isStop);
    }

    get #draft() {
        return `draft ${this.#conversation.id ?? this.#conversation.workflow}`;
    }

    /** @returns {number} of the last turn that the server has taken */
    get #newest() {
        return Math.max(0, ...this.#conversation.turns.map(({ number }) => number ?? 0));
    }

    /**
     * A page may be loaded anew before the server has taken what was said.
     *
     * @returns {() => void} it has, or has refused it
     */
    #keepSending(said) {
        const name = `sending ${this.#draft}`;
        kept(name, JSON.stringify([...listOf(name), said]));
        return () => {
            const left = listOf(name).filter(({ key }) => key !== said.key);
            kept(name, left.length > 0 ? JSON.stringify(left) : null);
        };
    }

    /** What the page before this one was sending, and the server has not taken. */
    #unsent() {
        const name = `sending ${this.#draft}`;
        const sending = listOf(name);
        kept(name, null);
        const { turns } = this.#conversation;
        return sending.filter(({ text, after }) => !turns.some((turn) => turn.number > after && turn.text === text));
    }

    /** Into the field, before what is written in it. */
    #giveBack(...said) {
        if (said.length === 0) return;
        this.#again = said.at(-1);
        this.#write([...said.map(({ text }) => text), this.#field.value].filter(Boolean).join("\n"));
    }

    get #picker() {
        return this.#form.elements.file;
    }

    #write(text) {
        this.#field.value = text;
        kept(this.#draft, text);
        this.#grow();
        this.update();
    }

    #input() {
        kept(this.#draft, this.#field.value);
        if (this.#field.value) this.#conversation.typing();
        this.#grow();
        this.update();
    }

    /** Where the browser does not see to it. */
    #grow() {
        if (GROWS) return;
        this.#field.style.height = "auto";
        this.#field.style.height = `${this.#field.scrollHeight}px`;
    }

    #key(event) {
        if (!sends(event)) return;
        event.preventDefault();
        this.#form.requestSubmit();
    }

    #take(event, data) {
        const files = [...(data?.files ?? [])];
        if (!this.#picker || files.length === 0) return;
        event.preventDefault();
        this.#setFiles([...this.#files, ...files]);
    }

    #pick() {
        this.#setFiles([...this.#files, ...this.#picker.files]);
        this.#picker.value = "";
    }

    #drop(button) {
        if (!button) return;
        this.#setFiles(this.#files.filter((_, index) => String(index) !== button.value));
        this.focus();
    }

    #setFiles(files) {
        const most = Number(this.#picker?.dataset.most ?? 0);
        this.#files = files.slice(0, most);
        const list = part(this.#form, "waiting");
        list?.replaceChildren(...this.#files.map(({ name }, index) => this.#chipOf(name, index)).filter(Boolean));
        show(list, this.#files.length > 0);
        this.update();
    }

    #chipOf(name, index) {
        const item = copyOf(this.#chat, "chip");
        if (!item) return null;
        write(part(item, "name"), name);
        item.querySelector("button").value = index;
        return item;
    }

    async #upload(text, files) {
        const kept = await this.attempt(() => Promise.all(files.map((file) => this.#conversation.upload(file))));
        const parts = kept.map(({ id, name }) => ({ type: "file", attachment: id, name }));
        return text ? [{ type: "text", text }, ...parts] : parts;
    }
}

/** What the page keeps under a name, of which there may be several. */
function listOf(name) {
    return JSON.parse(kept(name) ?? "[]");
}

/** Whether a key sends what it is pressed in; a keyboard on glass has no other one for a new line. */
export function sends({ key, shiftKey, isComposing, keyCode }) {
    return key === "Enter" && !shiftKey && !isComposing && keyCode !== IME && !isCoarse();
}

function isCoarse() {
    return matchMedia("(pointer: coarse)").matches;
}
