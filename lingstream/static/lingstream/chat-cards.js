/** chat-cards: what a document has beside the answer, a card for each of its fields. */

import { escape, split } from "./jsonuri.js";
import { copyOf, part, write } from "./chat-parts.js";

const STATE = "state"; // what steps say that they are at
/** Lists that are shown at the answer, by what each of their items has. */
const AT_ANSWER = { citations: "source", sources: "score" };
const DEEPEST = 8;
const MOST = 200; // entries of a list or an object

/**
 * Draw the fields of a document that have no card yet. Text grows in it, as it is bound; all else is drawn once it is
 * complete.
 *
 * @param {HTMLElement} chat
 * @param {HTMLElement | null} place for the cards, where the workflow's template has one
 * @param {any} document
 * @param {(uri: string) => boolean} isWhole
 */
export function drawCards(chat, place, document, isWhole) {
    if (!place || document === null || typeof document !== "object") return;
    const known = new Set([...place.children].map((card) => card.dataset.card));
    const told = new Set([STATE, ...ownFields(chat, document)]);
    for (const [name, value] of Object.entries(document)) {
        if (told.has(name) || known.has(name)) continue;
        const uri = escape(name);
        if (typeof value === "object" && value !== null && !isWhole(uri)) continue;
        const card = cardOf(chat, name, uri, value);
        if (card) place.append(card);
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

/** The fields that the template shows by itself. */
function ownFields(chat, document) {
    const { answer = "", suggestions = "" } = chat.dataset;
    const [spoken] = split(answer);
    const isText = answer.includes("/") || typeof document[spoken] === "string";
    const cited = Object.keys(AT_ANSWER).filter((name) => isListOf(document[name], AT_ANSWER[name]));
    return [...(isText ? [spoken] : []), ...split(suggestions).slice(0, 1), ...cited];
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
