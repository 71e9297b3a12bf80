/** source-note: shows what a source says, beside the number that stands for it, while that is looked at. */

import { written } from "./page.js";
import { toText } from "./places.js";

/** @import { Source } from "./cite.js" */

const WORDS = {
    verified: "The source says so.",
    unverified: "The source does not say this in these words.",
    stale: "The source has changed since.",
};
const AROUND = 300; // code points that are shown before and behind a quote
const LEAVING = 200; // milliseconds to come from the number to the note
const GAP = 6;
/** As weak as can be, so that a page's own styles win. */
const STYLE = `
    :where(.ling-note) { position: fixed; inset: auto; margin: 0; box-sizing: border-box; max-width: min(26rem, 100vw - 1rem);
        max-height: 40vh; overflow: auto; padding: .75rem 1rem; border: 1px solid color-mix(in srgb, currentcolor 25%, transparent);
        border-radius: .5rem; background: Canvas; color: CanvasText; font-size: .875rem; line-height: 1.5; overflow-wrap: anywhere }
    :where(.ling-note p) { margin: 0 }
    :where(.ling-note-title) { font-weight: 600 }
    :where(.ling-note blockquote) { margin: .375rem 0; white-space: pre-line }
    :where(.ling-note mark) { background: Mark; color: MarkText }`;

const KEPT = 60_000; // milliseconds for which an answer is one
const stale = new Map(); // by run: the uris of the citations whose documents have changed

let note = null;
let sheet = null;
let shownAt = null;
let timer;

/**
 * @param {HTMLElement} mark
 * @param {Source | null} source
 */
export function showNote(mark, source) {
    if (source === null) return;
    clearTimeout(timer);
    if (shownAt === mark) return;
    hide();
    shownAt = mark;
    fill(noteFor(mark), source);
    note.showPopover();
    place(mark.getBoundingClientRect());
    mark.setAttribute("aria-describedby", note.id);
    for (const type of ["blur", "pointerleave"]) mark.addEventListener(type, leave);
    addEventListener("keydown", escape, true);
    addEventListener("scroll", hide, { capture: true, passive: true, once: true });
    tellStale(mark, source);
}

function hide() {
    clearTimeout(timer);
    if (shownAt === null) return;
    for (const type of ["blur", "pointerleave"]) shownAt.removeEventListener(type, leave);
    shownAt.removeAttribute("aria-describedby");
    shownAt = null;
    removeEventListener("keydown", escape, true);
    if (note.isConnected) note.hidePopover();
}

/** Whoever wants to read a long one moves the pointer to it. */
function leave() {
    clearTimeout(timer);
    timer = setTimeout(() => (note.matches(":hover") || shownAt?.matches(":hover, :focus-visible") ? leave() : hide()), LEAVING);
}

function escape(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    hide();
}

/** One for all, in the same tree as the number, or that could not name it, and in the same landmark. */
function noteFor(mark) {
    const root = mark.getRootNode();
    const home = mark.closest("dialog, ling-stream") ?? root.body ?? root;
    if (note === null) {
        note = element("div", { className: "ling-note", id: "ling-note", popover: "manual" });
        note.setAttribute("role", "tooltip");
    }
    if (note.parentNode !== home) {
        home.append(note);
        style(root);
    }
    return note;
}

/** A policy may forbid styles in elements and attributes, but none that a script makes. */
function style(root) {
    if (sheet === null) {
        sheet = new CSSStyleSheet();
        sheet.replaceSync(STYLE);
    }
    if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}

function fill(place, { number, title, verified, citation, passage }) {
    const points = [...(toText(passage?.text ?? citation?.quote) ?? "")];
    const { start, end } = (passage && citation) ?? {}; // of the quote, in code points
    const isFound = Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= points.length;
    const [from, to] = isFound ? [start, end] : [0, 0];
    const slice = (first, last) => points.slice(first, last).join("");
    const begin = Math.max(0, from - AROUND);
    const stop = to + AROUND;
    const quote = element("blockquote", { dir: "auto" }, begin > 0 ? "… " : "", slice(begin, from));
    if (isFound) quote.append(element("mark", {}, slice(from, to)));
    quote.append(slice(to, stop), stop < points.length ? " …" : "");
    const children = [element("p", { className: "ling-note-title", dir: "auto" }, `${number}. ${title}`), quote];
    if (verified !== undefined) {
        const word = verified ? "verified" : "unverified";
        children.push(element("p", { className: "ling-note-state" }, `${verified ? "✓" : "⚠"} ${wordFor(word)}`));
    }
    place.replaceChildren(...children);
}

/** Below the number, or above where there is more room. */
function place({ left, top, bottom }) {
    const { clientWidth: width, clientHeight: height } = document.documentElement;
    const isBelow = bottom + GAP + note.offsetHeight <= height || height - bottom >= top;
    note.style.left = `${Math.max(GAP, Math.min(left, width - note.offsetWidth - GAP))}px`;
    note.style.top = isBelow ? `${bottom + GAP}px` : `${Math.max(GAP, top - GAP - note.offsetHeight)}px`;
}

/** Whether the document has changed since is asked of a run that has ended, where nobody keeps it beside the answer. */
async function tellStale(mark, { uri }) {
    const stream = mark.closest("ling-stream");
    const run = stream?.run;
    const isAsked = uri !== null && run?.id && !run.isBusy && stream.dataset.stale === undefined;
    const isChanged = isAsked ? (await asked(stream, run)).has(uri) : "stale" in mark.dataset;
    if (isChanged && shownAt === mark) note.append(element("p", { className: "ling-note-state" }, `⚠ ${wordFor("stale")}`));
}

function asked(stream, run) {
    if (!stale.has(run.id)) {
        stale.set(run.id, load(stream, run));
        setTimeout(() => stale.delete(run.id), KEPT);
    }
    return stale.get(run.id);
}

async function load(stream, run) {
    const base = stream.getAttribute("base") ?? written("base") ?? "/ling/";
    const headers = run.share ? { Authorization: `Ling ${run.share}` } : {};
    const response = await fetch(`${base}knowledge/runs/${run.id}/citations/`, { headers }).catch(() => null);
    const told = response?.ok ? await response.json().catch(() => null) : null;
    return new Set(told?.stale);
}

function wordFor(name) {
    return written(name) ?? WORDS[name];
}

function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}
