/** chat-turns: the turns that are shown, each in a copy of the page's template, and those that the server wrote. */

import { drawCards, stateOf } from "./chat-cards.js";
import { copyOf, part, show, tellTime, write } from "./chat-parts.js";

/** @import { Client } from "./client.js" */
/** @import { Conversation } from "./conversation.js" */
/** @import { Turn } from "./turn.js" */

const BY_PERSON = new Set(["user", "edit", "regenerate"]);

export class Turns {
    #chat;
    #client;
    #conversation;
    #list; // null where the page shows none
    #elements = new Map(); // by turn
    #written; // by the server, by run
    #boundary; // number of the last turn that was seen when the person left, or came
    #observer = new MutationObserver((records) => new Set(records.map(({ target }) => target)).forEach(markSources));

    /**
     * @param {HTMLElement} chat
     * @param {Client} client
     * @param {Conversation} conversation
     */
    constructor(chat, client, conversation) {
        this.#chat = chat;
        this.#client = client;
        this.#conversation = conversation;
        this.#list = part(chat, "turns");
        this.#written = new Map([...(this.#list?.children ?? [])].map((element) => [element.dataset.run, element]));
        this.#boundary = conversation.lastRead;
    }

    /** @param {number} [number] what comes behind this turn is new to the person; by default the last one */
    divide(number = this.#conversation.turns.at(-1)?.number ?? 0) {
        this.#boundary = number;
        this.#divide();
    }

    /**
     * @param {number} bottom of what is in sight
     * @returns {number} of the last turn that begins above that
     */
    numberAbove(bottom) {
        const seen = [...this.#elements].filter(([, element]) => element.getBoundingClientRect().top < bottom);
        return seen.at(-1)?.[0].number ?? 0;
    }

    /**
     * @param {Element} element inside a turn
     * @returns {Turn | undefined}
     */
    of(element) {
        return this.#conversation.turns.find((turn) => this.#elements.get(turn)?.contains(element));
    }

    /**
     * @param {Set<Turn>} changed
     * @returns {number} how many are new at the end
     */
    show(changed) {
        if (!this.#list) return 0;
        const last = this.#list.lastElementChild;
        const before = this.#elements;
        const drawn = this.#conversation.turns.map((turn) => [turn, before.get(turn) ?? this.#elementOf(turn)]);
        this.#elements = new Map(drawn.filter(([, element]) => element));
        for (const [turn, element] of this.#elements) {
            if (changed.has(turn) || !before.has(turn)) this.#fill(element, turn);
        }
        this.#arrange([...this.#elements.values()]);
        if (!this.#divide() && before.size === 0) this.#boundary = Infinity; // who looks sees what comes
        const place = [...this.#list.children].indexOf(last);
        return before.size === 0 ? 0 : this.#list.children.length - 1 - place;
    }

    #elementOf({ id }) {
        const written = this.#written.get(id);
        this.#written.delete(id);
        return written ?? copyOf(this.#chat, "turn");
    }

    /** What is gone first, so that what stays is not moved; a button that is gone has its like in the same place. */
    #arrange(elements) {
        const focused = document.activeElement;
        const shown = new Set(elements);
        let index = -1;
        [...this.#list.children].forEach((element, place) => {
            if (shown.has(element)) return;
            if (element.contains(focused)) index = place;
            element.remove();
        });
        let place = this.#list.firstElementChild;
        for (const element of elements) {
            if (element === place) place = place.nextElementSibling;
            else this.#list.insertBefore(element, place);
        }
        if (index !== -1) focusLike(this.#list.children[index] ?? this.#list.lastElementChild, focused);
    }

    #fill(element, turn) {
        const { id, isBusy, number } = turn;
        if (id) element.id = `turn-${id}`;
        Object.assign(element.dataset, { run: id ?? "", number: number ?? "" });
        this.#fillSaid(element, turn);
        this.#fillAnswer(element, turn);
        this.#fillActions(element, turn);
        show(part(element, "deeds"), !isBusy && id !== null);
        tellTime(part(element, "time"), turn.created);
    }

    #fillSaid(element, { id, message, text }) {
        show(part(element, "said"), message !== null);
        write(part(element, "text"), text);
        const edit = part(element, "edit");
        show(edit, id !== null);
        if (edit && !edit.open) edit.querySelector("textarea").defaultValue = text;
        const files = (message?.parts ?? []).filter(({ type }) => type === "file");
        const list = part(element, "files");
        show(list, files.length > 0);
        if (!list || list.children.length === files.length) return;
        list.replaceChildren(...files.map((file) => this.#fileOf(file)).filter(Boolean));
    }

    #fileOf({ attachment, name = "" }) {
        const item = copyOf(this.#chat, "file");
        if (!item) return null;
        const link = item.querySelector("a");
        link.href = `${this.#chat.dataset.files}${attachment}/`;
        link.download = name;
        write(part(item, "name"), name);
        return item;
    }

    #fillAnswer(element, turn) {
        const stream = element.querySelector("ling-stream");
        const state = part(element, "state");
        const cards = part(element, "cards");
        if (turn.isBusy && !stream.run) cards?.replaceChildren(); // what the server had of it so far
        const isOther = turn.run ? stream.run !== turn.run : isOver(stream, turn);
        if (isOther) stream.run = turn.run ?? this.#client.subscribe(turn.id, { frames: framesOf(turn) });
        const stale = JSON.stringify(turn.stale ?? []);
        if (stream.dataset.stale !== stale) stream.dataset.stale = stale;
        const sources = part(element, "sources");
        if (sources) {
            this.#observer.observe(sources, { childList: true }); // the element draws them when it comes to it
            markSources(sources);
        }
        write(state, stateOf(turn.document) || (state?.dataset.word ?? ""));
        drawCards(this.#chat, cards, turn.document, (uri) => !turn.isBusy || stream.run.hasClosed(uri));
    }

    #fillActions(element, { id, siblings, feedback }) {
        const value = feedback.find(({ uri }) => uri === "")?.value ?? 0;
        for (const button of element.querySelectorAll("[name=regenerate], [name=edit]")) button.value = id ?? "";
        for (const button of element.querySelectorAll("[data-judge]")) {
            const isPressed = Number(button.dataset.judge) === value;
            button.setAttribute("aria-pressed", String(isPressed));
            button.value = `${isPressed ? 0 : button.dataset.judge} ${id}`;
        }
        const place = siblings.indexOf(id);
        show(part(element, "siblings"), siblings.length > 1);
        write(part(element, "position"), `${place + 1}/${siblings.length}`);
        lead(part(element, "previous"), siblings[place - 1]);
        lead(part(element, "next"), siblings[place + 1]);
    }

    /**
     * A line before the first turn that the bot began and nobody has seen.
     *
     * @returns {boolean} whether there is one
     */
    #divide() {
        let isNext = true;
        for (const [{ number, cause }, element] of this.#elements) {
            const isNew = isNext && number > this.#boundary && !BY_PERSON.has(cause);
            show(part(element, "unread"), isNew);
            isNext &&= !isNew;
        }
        return !isNext;
    }
}

/**
 * Say at the sources below an answer which of them have changed since, as their element does of the numbers in it.
 *
 * @param {HTMLElement} list
 */
function markSources(list) {
    const { stale = "" } = list.closest("ling-stream").dataset;
    [...list.querySelectorAll(":scope > [data-ling-item]")].forEach((item, index) => {
        const isStale = stale.includes(JSON.stringify(`${list.dataset.lingEach}/${index}`));
        item.querySelector("a")?.toggleAttribute("data-stale", isStale);
        show(part(item, "changed"), isStale);
    });
}

/** Whether what has ended elsewhere is not what is shown. */
function isOver(stream, turn) {
    return stream.run?.id !== turn.id || (!stream.run.isBusy && stream.run.status !== turn.status);
}

function framesOf({ document, status, error }) {
    const snapshot = { document, status, bots: {}, ...(error && { error }) };
    return [{ id: "1-1", snapshot }, { id: "1-2", done: { status, usage: null } }];
}

function lead(button, run) {
    if (!button) return;
    button.disabled = !run;
    button.value = run ?? "";
}

function focusLike(element, { name, dataset }) {
    const likes = [...(element?.querySelectorAll(`button[name="${CSS.escape(name ?? "")}"]`) ?? [])];
    const like = likes.find((button) => "next" in button.dataset === "next" in dataset && !button.disabled);
    (like ?? likes.find((button) => !button.disabled) ?? element)?.focus();
}
