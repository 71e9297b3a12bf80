/**
 * announcer: tells screen readers what becomes of a run. A region that grows with its text would be read out letter by
 * letter, or over and over; this one holds a line about the run, or whole sentences, and is otherwise left alone.
 */

import { written } from "./page.js";

const WORDS = {
    started: "The answer is being written.",
    finished: "The answer is complete.",
    failed: "There is no answer: something went wrong.",
    canceled: "The answer was stopped.",
};
const PAUSE = 1_000; // milliseconds between two announcements
const MOST = 10_000; // characters that are looked at for sentences at once
const HIDDEN =
    "[role=status] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); " +
    "white-space: nowrap; user-select: none }";

/**
 * One visually hidden `role="status"` for an element with `data-ling-announce="off|status|sentences"`, in its shadow
 * root: there it is nobody's text, and neither a morph nor a framework finds a child that is not theirs.
 */
export class Announcer {
    #element;
    #region;
    #isLive = false;
    #waiting = [];
    #writing = new Map(); // elements whose text grows, to how much of it was said
    #spokenAt = Date.now(); // a region that is new on the page is not listened to at once
    #timer = null;

    /** @param {Element} element */
    constructor(element) {
        this.#element = element;
        this.#region = element.ownerDocument.createElement("span");
        this.#region.setAttribute("role", "status");
        this.#region.setAttribute("aria-busy", "false"); // the element around it is
        hide(this.#region, element.shadowRoot ?? shadowOf(element));
    }

    /** A run was started here. */
    started() {
        this.#writing.clear();
        this.#isLive = true;
        this.#say("started");
    }

    /** There is more of the run than there was when we came. */
    grows() {
        this.#isLive = true;
    }

    /** The page was written. */
    look() {
        if (this.#mode !== "sentences") return;
        for (const place of this.#element.querySelectorAll("[data-ling-writing]")) {
            const isOurs = place.closest("ling-stream") === this.#element && !this.#writing.has(place);
            if (isOurs) this.#writing.set(place, 0);
        }
        if (this.#writing.size > 0) this.#schedule();
    }

    /**
     * What was seen to grow has ended; who comes after the end has missed nothing.
     *
     * @param {string} status
     */
    ended(status) {
        if (!this.#isLive) return;
        this.#isLive = false;
        this.#collect();
        this.#say(status === "lost" ? "failed" : status);
    }

    get #mode() {
        return this.#element.dataset.lingAnnounce ?? "status";
    }

    #say(word) {
        if (this.#mode === "off") return;
        const own = this.#element.getAttribute(`data-ling-${word}`);
        this.#waiting.push(own ?? written(word) ?? WORDS[word]);
        this.#schedule();
    }

    #schedule() {
        this.#timer ??= setTimeout(() => this.#speak(), this.#spokenAt + PAUSE - Date.now());
    }

    /** What waits is said in one. */
    #speak() {
        this.#timer = null;
        this.#collect();
        if (this.#waiting.length === 0) return;
        this.#spokenAt = Date.now();
        this.#region.textContent = this.#waiting.splice(0).join(" ");
    }

    #collect() {
        for (const [place, said] of this.#writing) {
            const text = place.textContent.slice(said, said + MOST);
            const isWhole = !this.#isLive || !place.hasAttribute("data-ling-writing");
            const isRest = isWhole && text.length < MOST;
            const length = isRest ? text.length : wholeSentences(text, place.closest("[lang]")?.lang);
            const sentences = text.slice(0, length).trim();
            if (sentences) this.#waiting.push(sentences);
            if (isWhole && length === text.length) this.#writing.delete(place);
            else this.#writing.set(place, said + length);
        }
    }
}

/** @returns {number} of characters, up to the sentence that is not known to be whole */
function wholeSentences(text, language) {
    const length = globalThis.Intl?.Segmenter
        ? segmenter(language).segment(text).containing(text.length - 1)?.index
        : /^[^]*(?:[.!?]\s|[。！？])/.exec(text)?.[0].length;
    return length || (text.length < MOST ? 0 : MOST);
}

function segmenter(language) {
    const options = { granularity: "sentence" };
    try {
        return new Intl.Segmenter(language, options);
    } catch {
        return new Intl.Segmenter(undefined, options); // no language that there is
    }
}

/** One that changes nothing about how the element's content is shown. */
function shadowOf(element) {
    const root = element.attachShadow({ mode: "open" });
    root.append(element.ownerDocument.createElement("slot"));
    return root;
}

/** A policy may forbid styles in elements and attributes, but none that a script makes. */
function hide(region, root) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(HIDDEN);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    root.append(region);
}
