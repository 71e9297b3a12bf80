/** view: how a run is shown in an element: its bindings, its error and what screen readers are told. */

import { Bindings } from "./bindings.js";
import { isTrue } from "./places.js";

/** @import { Run } from "./run.js" */

const WRITE_FOR = 4; // milliseconds of a frame: to lay out what was written takes the browser several times as long
const HIDDEN_FRAME = 100;
const MOST_OPS = 1_000; // that wait for a frame
const PLACES = ["status", "busy", "error", "input", "usage", "reasoning"];
const TOUCHED = { status: PLACES.slice(0, 3), error: ["error"], snapshot: ["reasoning"], done: ["usage"] };
const OWN_ERRORS = "[data-ling^='@error'], [data-ling-if^='@error']";

/** Writes a run into the page, at most once per frame, however much of it came. */
export class View {
    #element;
    #run = null;
    #bindings = null;
    #announcer = null;
    #frame = null;
    #whenWritten = null;
    #news = null; // ops since the last frame

    /** @param {Element} element */
    constructor(element) {
        this.#element = element;
    }

    /** @param {Run | null} run */
    show(run) {
        this.#run = run;
        if (run !== null) this.#announce();
        this.#whenWritten = null;
        this.#news = null;
        this.#bindings?.reset(run?.cut);
        this.#touch(PLACES);
        this.schedule();
    }

    /** What the run's event says; it is written with the next frame. */
    note(type, detail) {
        this.schedule();
        if (type === "ops") {
            this.#news ??= { ops: [] };
            for (const op of detail.ops) this.#news.ops.push(op);
            this.#news.id = detail.id;
            if (this.#news.ops.length < MOST_OPS && !document.hidden) return;
        }
        this.#tellNews();
        if (type === "closed") this.#bindings?.settle(detail.uri, detail.cut);
        if (detail.event === "response") this.#bindings?.settle(detail.root ?? "");
        if (detail.event === "reasoning") this.#touch(["reasoning"]);
        if (type === "snapshot") this.#bindings?.reset(this.#run.cut);
        this.#touch(TOUCHED[type]);
    }

    /** A run was started here, so somebody waits for it. */
    started() {
        this.#announce((announcer) => announcer.started());
    }

    /** @param {() => void} then called when the page shows all of the run: at once, if a frame is enough for it */
    finish(then) {
        this.#bindings?.settle("");
        this.#whenWritten = () => {
            const { status } = this.#run;
            this.#announce((announcer) => announcer.ended(status));
            then();
        };
        this.#render();
    }

    /** Look at all that is bound again. */
    refresh() {
        this.#bindings?.refresh();
        this.schedule();
    }

    /** At most one write per frame, however much came. */
    schedule() {
        this.#frame ??= requestAnimationFrame(() => this.#render());
    }

    #render() {
        cancelAnimationFrame(this.#frame);
        this.#frame = null;
        this.#tellNews();
        const detail = { document: this.#element.document, draw: () => this.#draw() };
        // A hidden page has no frames to keep.
        const deadline = document.hidden ? Infinity : performance.now() + WRITE_FOR;
        if (tell(this.#element, "draw", detail, true)) this.#draw(deadline);
        else this.#conclude();
        if (this.#run?.isBusy) this.#announce((announcer) => announcer.look());
    }

    /** One event for all ops, however many frames of the run they came in. */
    #tellNews() {
        const news = this.#news;
        if (!news) return;
        this.#news = null;
        this.#announce((announcer) => announcer.grows());
        this.#bindings?.note(news.ops);
        tell(this.#element, "ops", news);
    }

    /** What takes longer than until the deadline follows in the next frame. */
    #draw(deadline = Infinity) {
        this.#tellNews();
        if (this.#bindings === null) {
            this.#bindings = new Bindings(this.#element, { about: () => this.#about() });
            this.#bindings.reset(this.#run?.cut);
            if (this.#run?.ended) this.#bindings.settle(""); // before there was anything to settle
        }
        const { document } = this.#element;
        const isWhole = this.#bindings.render(document, deadline);
        this.#showError();
        if (!isWhole) {
            this.#goOn();
            return;
        }
        tell(this.#element, "render", { document });
        this.#conclude();
    }

    /** Who says it is loaded with the first run. */
    #announce(say) {
        this.#announcer ??= import("./announcer.js").then(({ Announcer }) => new Announcer(this.#element));
        this.#announcer.then(say, () => {}); // who cannot hear of the run can read it
    }

    /** What is being loaded for a hidden page is waited for without frames: it has none. */
    #goOn() {
        if (document.hidden) setTimeout(() => this.#render(), HIDDEN_FRAME);
        else this.schedule();
    }

    #conclude() {
        const then = this.#whenWritten;
        this.#whenWritten = null;
        then?.();
    }

    /** What uris that begin with `@` show. */
    #about() {
        const { isBusy = false, failure = null, input = null, usage = null } = this.#run ?? {};
        const { state: status, reasoning } = this.#element;
        return { status, busy: isBusy, error: failure, input, usage, reasoning };
    }

    #touch(names = []) {
        for (const name of names) this.#bindings?.touch(name);
    }

    /**
     * Say why there is no answer, in the elements with `data-ling-error`; a page that has none and got nothing to
     * show gets one, so that it is not white without a word.
     */
    #showError() {
        const error = this.#run?.failure ?? null;
        const places = this.#within("[data-ling-error]");
        if (error !== null && !isTrue(this.#run.document) && places.length + this.#within(OWN_ERRORS).length === 0) {
            const place = this.#element.ownerDocument.createElement("p");
            place.setAttribute("role", "alert");
            place.setAttribute("data-ling-error", "");
            this.#element.append(place);
            places.push(place);
        }
        for (const place of places) {
            const text = error?.message ?? "";
            if (place.textContent !== text) place.textContent = text;
            if (place.hidden !== (text === "")) place.hidden = text === "";
        }
    }

    #within(selector) {
        const inside = [...this.#element.querySelectorAll(selector)];
        return inside.filter((place) => place.closest("ling-stream") === this.#element);
    }
}

/** @returns {boolean} whether nobody has canceled what was to come */
export function tell(element, type, detail, cancelable = false) {
    const options = { detail, bubbles: true, composed: true, cancelable };
    return element.dispatchEvent(new CustomEvent(`ling:${type}`, options));
}
