/** chat-scroll: keeps the end of the conversation in sight, until the person looks at something else. */

import { kept, part, show, write } from "./chat-parts.js";

/** @import { Conversation } from "./conversation.js" */

const NEAR = 48; // pixels from the end
const UPWARD = new Set(["ArrowUp", "PageUp", "Home"]);

export class Scroll {
    #log;
    #turns;
    #jump;
    #conversation;
    #isPinned = true;
    #isLeaving = false;
    #top = 0;
    #touch = 0;
    #news = 0;

    /**
     * @param {HTMLElement} chat
     * @param {Conversation} conversation
     * @param {AbortSignal} signal
     */
    constructor(chat, conversation, signal) {
        this.#log = part(chat, "log");
        this.#turns = part(chat, "turns");
        this.#jump = part(chat, "jump");
        this.#conversation = conversation;
        const on = (type, handle) => this.#log.addEventListener(type, handle, { signal, passive: true });
        on("wheel", ({ deltaY }) => this.#head(deltaY < 0));
        on("touchstart", ({ touches }) => (this.#touch = touches[0].clientY));
        on("touchmove", ({ touches }) => this.#head(touches[0].clientY > this.#touch));
        on("keydown", ({ key }) => this.#head(UPWARD.has(key)));
        on("pointerdown", () => (this.#isLeaving = false)); // of the scrollbar, perhaps
        on("scroll", () => this.#look());
        this.#jump?.addEventListener("click", () => this.toEnd(), { signal });
        globalThis.addEventListener("pagehide", () => this.#keep(), { signal });
        // It is told after the layout and before the page is painted: in the frame in which the text was written.
        const observer = new ResizeObserver(() => this.#follow());
        for (const element of [this.#log, this.#turns]) observer.observe(element);
        signal.addEventListener("abort", () => observer.disconnect());
    }

    /** @returns {boolean} whether the person looks at the end */
    get isPinned() {
        return this.#isPinned;
    }

    /** Where the person was, or at the line above what is new, or at the end. */
    restore() {
        const [run, offset] = (kept(`place ${this.#conversation.id}`) ?? "").split(" ");
        const linked = location.hash.startsWith("#turn-") ? document.getElementById(location.hash.slice(1)) : null;
        const known = run ? document.getElementById(`turn-${run}`) : null;
        const news = this.#turns.querySelector("[data-unread]:not([hidden])");
        const place = known ?? (this.#turns.lastElementChild === linked ? news : (linked ?? news));
        if (!place) return this.toEnd();
        const top = place.getBoundingClientRect().top - this.#log.getBoundingClientRect().top;
        this.#log.scrollTop += top - (known ? Number(offset) : NEAR / 3);
        this.#top = this.#log.scrollTop;
        this.#pin(this.#distance < NEAR);
    }

    toEnd() {
        this.#isLeaving = false;
        this.#pin(true);
        this.#follow();
    }

    /** @param {number} count of turns that have come at the end */
    note(count) {
        if (!this.#isPinned) this.#news += count;
        this.#tell();
    }

    /**
     * What is read stays where it is while something is put above it.
     *
     * @param {() => void} write
     */
    hold(write) {
        const rest = this.#log.scrollHeight - this.#log.scrollTop;
        this.#log.toggleAttribute("data-pinned", true); // or the browser would hold it, too
        write();
        this.#log.scrollTop = this.#log.scrollHeight - rest;
        this.#top = this.#log.scrollTop;
        this.#log.toggleAttribute("data-pinned", this.#isPinned);
    }

    get #distance() {
        const { scrollHeight, scrollTop, clientHeight } = this.#log;
        return scrollHeight - scrollTop - clientHeight;
    }

    /** Who has just left the end is not there again because the text has grown, or the browser held its place. */
    #head(isUpward) {
        this.#isLeaving = isUpward;
        if (isUpward) this.#unpin();
    }

    /** A text that got shorter, or a box that got higher, has moved us to the end: that is nobody's will. */
    #look() {
        const { scrollTop } = this.#log;
        const isUpward = scrollTop < this.#top - 1 && this.#distance > 1;
        const isDownward = scrollTop > this.#top;
        this.#top = scrollTop;
        if (isUpward) this.#unpin();
        else if (isDownward && !this.#isLeaving && this.#distance <= NEAR) this.#pin(true);
    }

    #unpin() {
        if (this.#log.scrollHeight > this.#log.clientHeight) this.#pin(false);
    }

    #pin(isPinned) {
        this.#isPinned = isPinned;
        this.#log.toggleAttribute("data-pinned", isPinned);
        if (isPinned) this.#news = 0;
        this.#tell();
    }

    #follow() {
        if (!this.#isPinned) return this.#tell();
        this.#log.scrollTop = this.#log.scrollHeight;
        this.#top = this.#log.scrollTop;
    }

    #tell() {
        show(this.#jump, !this.#isPinned && this.#distance > NEAR);
        if (!this.#jump) return;
        show(part(this.#jump, "news"), this.#news > 0);
        write(part(this.#jump, "count"), this.#news > 0 ? String(this.#news) : "");
    }

    #keep() {
        const top = this.#log.getBoundingClientRect().top;
        const isSeen = (element) => element.getBoundingClientRect().bottom > top;
        const first = this.#isPinned ? null : [...this.#turns.children].find(isSeen);
        const place = first && `${first.dataset.run} ${first.getBoundingClientRect().top - top}`;
        kept(`place ${this.#conversation.id}`, place ?? null);
    }
}
