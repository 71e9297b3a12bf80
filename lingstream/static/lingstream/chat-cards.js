/** chat-cards: what a document has beside the answer, a card for each of its fields. */

import { escape, split } from "./jsonuri.js";
import { copyOf, part, show, write } from "./chat-parts.js";

const STATE = "state"; // what steps say that they are at
/** Lists that are shown at the answer, by what each of their items has. */
const AT_ANSWER = { citations: "source", sources: "score" };
const DEEPEST = 8;
const MOST = 200; // entries of a list or an object

/** What each card shows that was drawn, or found, here. */
const looks = new WeakMap();

/**
 * Have a card for each field of a document that is now in it. Text grows in its card, as it is bound; all else is drawn
 * once it is complete, and anew where something below it has changed since.
 *
 * @param {HTMLElement} chat
 * @param {HTMLElement | null} place for the cards, where the workflow's template has one
 * @param {any} document
 * @param {(uri: string) => boolean} isWhole
 */
export function drawCards(chat, place, document, isWhole) {
    if (!place || document === null) return;
    const fields = fieldsOf(chat, document);
    const known = new Map([...place.children].map((card) => [card.dataset.card, card]));
    for (const [name, card] of known) if (name !== undefined && !fields.has(name)) card.remove();
    for (const [name, { uri, value }] of fields) {
        const before = known.get(name);
        const look = typeof value === "string" ? "text" : JSON.stringify(value);
        if (before && !looks.has(before)) looks.set(before, look); // the server has drawn it
        const isOpen = typeof value === "object" && value !== null && !isWhole(uri);
        if (isOpen || (before && looks.get(before) === look)) continue;
        const card = cardOf(chat, name, uri, value);
        if (!card) continue;
        looks.set(card, look);
        if (before) before.replaceWith(card);
        else place.append(card);
    }
}

/**
 * @param {any} document
 * @returns {string} the last thing that a step says that it is at
 */
export function stateOf(document) {
    const texts = Object.values(document?.[STATE] ?? {}).filter((text) => typeof text === "string");
    return texts.at(-1) ?? "";
}

/** The fields that are cards, by their names; what is no object is one by itself. */
function fieldsOf(chat, document) {
    const { answer = "", suggestions = "" } = chat.dataset;
    if (typeof document !== "object" || Array.isArray(document)) {
        const isAnswer = answer === "" && typeof document === "string";
        return new Map(isAnswer ? [] : [["", { uri: "", value: document }]]);
    }
    const [spoken] = split(answer);
    const isText = answer.includes("/") || typeof document[spoken] === "string";
    const cited = Object.keys(AT_ANSWER).filter((name) => isListOf(document[name], AT_ANSWER[name]));
    const told = new Set([STATE, ...(isText ? [spoken] : []), ...split(suggestions).slice(0, 1), ...cited]);
    const entries = Object.entries(document).filter(([name]) => !told.has(name));
    return new Map(entries.map(([name, value]) => [name, { uri: escape(name), value }]));
}

function isListOf(value, key) {
    return Array.isArray(value) && value.every((each) => each !== null && typeof each === "object" && key in each);
}

function cardOf(chat, name, uri, value) {
    const card = copyOf(chat, "card");
    if (!card) return null;
    const text = part(card, "value");
    card.dataset.card = name;
    write(card.querySelector("h3"), titleOf(name));
    show(card.querySelector("h3"), name !== "");
    if (typeof value === "string") text?.setAttribute("data-ling-markdown", uri);
    else text?.replaceWith(valueOf(value));
    return card;
}

function valueOf(value, level = 0) {
    const isPlain = value === null || typeof value !== "object";
    if (isPlain || level === DEEPEST) {
        const text = typeof value === "string" ? value : value === null ? "" : JSON.stringify(value);
        return element("span", { className: "ling-text", dir: "auto" }, text);
    }
    const entries = Object.entries(value);
    const shown = entries.slice(0, MOST);
    const more = entries.length > MOST ? `… ${entries.length - MOST}` : "";
    if (Array.isArray(value)) {
        const items = shown.map(([, entry]) => element("li", {}, valueOf(entry, level + 1)));
        return element("ul", {}, ...items, ...(more ? [element("li", {}, more)] : []));
    }
    const members = shown.flatMap(([name, entry]) => [
        element("dt", {}, titleOf(name)),
        element("dd", {}, valueOf(entry, level + 1)),
    ]);
    return element("dl", {}, ...members);
}

function titleOf(name) {
    return name.replaceAll("_", " ").trim();
}

function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}
