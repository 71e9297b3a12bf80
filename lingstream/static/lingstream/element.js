/**
 * element: `<ling-stream>` starts or watches a run and keeps the bindings inside it up to date.
 *
 * Attributes and events are described in docs/client.md.
 */

import { Bindings } from "./bindings.js";
import { Client, refuse } from "./client.js";
import { Run } from "./run.js";

const clients = new Map();
const BUDGET = 8; // milliseconds of a frame that drawing may take
const FORWARDED = ["started", "ops", "event", "closed", "snapshot", "error", "status", "done"];

/** `<ling-stream workflow="…" data-input='{…}'>`; leaving the page stops the watching, not the run. */
export class LingStreamElement extends HTMLElement {
    static observedAttributes = ["aria-busy", "status"];
    #run = null;
    #ownsRun = false;
    #isResuming = false;
    #isAway = false;
    #listeners = null;
    #bindings = null;
    #frame = null;
    /** The `done` that is told when all of it is on the page. */
    #done = null;

    connectedCallback() {
        if (document.readyState === "loading") {
            document.addEventListener("DOMContentLoaded", () => this.#begin(), { once: true });
        } else {
            this.#begin();
        }
    }

    disconnectedCallback() {
        // An element that is moved is connected again in the same task.
        queueMicrotask(() => {
            if (!this.isConnected) this.#leave();
        });
    }

    /** @returns {import("./run.js").Run | null} the run that is shown */
    get run() {
        return this.#run;
    }

    /** @returns {"idle" | import("./run.js").Status} */
    get state() {
        return this.#run?.status ?? "idle";
    }

    /** @returns {unknown} the document so far: to be read, not to be changed */
    get document() {
        return this.#run?.document ?? null;
    }

    /** @returns {Record<string, string>} the models' reasoning by bot */
    get reasoning() {
        return this.#run?.reasoning ?? {};
    }

    /** @returns {Client} shared by all elements with the same addresses */
    get client() {
        const names = ["base", "socket", "transport"].filter((name) => this.hasAttribute(name));
        const options = Object.fromEntries(names.map((name) => [name, this.getAttribute(name)]));
        const key = JSON.stringify(options);
        if (!clients.has(key)) clients.set(key, new Client(options));
        return clients.get(key);
    }

    /**
     * Start a run and show it. The run that this element started before is canceled, unless it is the same one,
     * by its key, or shown elsewhere on the page too.
     *
     * @param {unknown} [input] in place of `data-input`
     * @param {{key?: string, conversation?: string}} [options]
     * @returns {import("./run.js").Run}
     */
    start(input, options = {}) {
        const isSame = options.key !== undefined && options.key === this.#run?.key;
        if (this.#ownsRun && !isSame && !this.#run.isShared) this.#run.cancel();
        const run = this.#start(input, options);
        this.#ownsRun = true;
        this.#follow(run);
        return run;
    }

    /** Cancel the run on the server; what has arrived stays on the page. */
    stop() {
        this.#run?.cancel();
    }

    /** Read the bindings again, after markup inside the element was changed. */
    refresh() {
        this.#bindings?.refresh();
        this.#schedule();
    }

    #begin() {
        if (!this.isConnected) return;
        if (this.#run !== null) {
            this.#comeBack();
            return;
        }
        const run = this.getAttribute("run");
        const stored = run ? null : this.#recall();
        if (run) {
            this.#subscribe(run, this.getAttribute("token"), this.getAttribute("share"));
        } else if (stored !== null) {
            this.#isResuming = this.#ownsRun = true;
            this.#subscribe(stored.run, stored.token, stored.share);
            this.#showShare();
        } else if (this.dataset.input !== undefined && !this.hasAttribute("manual")) {
            this.start();
        }
    }

    #subscribe(run, token, share) {
        const workflow = this.getAttribute("workflow") ?? undefined;
        this.#follow(this.client.subscribe(run, { token: token ?? undefined, share: share ?? undefined, workflow }));
    }

    #comeBack() {
        if (!this.#isAway) return;
        this.#isAway = false;
        const run = this.#run;
        this.#run = null; // closed when we left
        run.open();
        this.#follow(run);
    }

    #leave() {
        this.#isAway = true;
        this.#listeners?.abort();
        this.#run?.close();
    }

    #follow(run) {
        const previous = this.state;
        this.#listeners?.abort();
        this.#run?.close();
        this.#listeners = new AbortController();
        this.#run = run;
        for (const type of FORWARDED) {
            const handle = (event) => this.#observe(type, event.detail, run);
            run.addEventListener(type, handle, { signal: this.#listeners.signal });
        }
        this.#tellDone();
        this.#bindings?.reset();
        this.#reflect();
        this.#schedule();
        if (run.status !== previous) this.#emit("status", { status: run.status, previous });
    }

    #observe(type, detail, run) {
        if (type === "error" && this.#isResuming && run.status === "connecting" && run.last === null && !detail.retryable) {
            this.#startOver();
            return;
        }
        if (type === "started") {
            this.#remember();
            this.#showShare();
        }
        if (type === "ops") this.#bindings?.note(detail.ops);
        if (type === "closed") this.#bindings?.settle(detail.uri, detail.cut);
        if (type === "event" && detail.event === "response") this.#bindings?.settle(detail.root ?? "");
        if (type === "snapshot") this.#bindings?.reset(run.cut);
        if (type === "status") this.#reflect();
        this.#touch(type);
        if (type === "done") this.#done = detail;
        else this.#emit(type, detail);
        if (run.ended) this.#finish();
        else this.#schedule();
    }

    #finish() {
        this.#bindings?.settle("");
        this.#render();
    }

    /** What `@…` reads may have changed. */
    #touch(type) {
        const names = { status: ["status", "busy"], error: ["error"], event: ["reasoning"], done: ["usage"] };
        for (const name of names[type] ?? []) this.#bindings?.touch(name);
    }

    get #about() {
        const busy = ["connecting", "running"].includes(this.state);
        const { error = null, usage = null } = this.#run ?? {};
        return { status: this.state, busy, error, usage, reasoning: this.reasoning };
    }

    /** What was to be resumed is not there any more. */
    #startOver() {
        this.#forget();
        this.#listeners.abort();
        this.#run = null;
        this.#isResuming = this.#ownsRun = false;
        this.#reflect();
        this.#begin();
    }

    #reflect() {
        const status = this.#run?.status ?? null;
        const busy = String(this.#about.busy);
        if (status === null) this.removeAttribute("status");
        else if (this.getAttribute("status") !== status) this.setAttribute("status", status);
        if (this.getAttribute("aria-busy") !== busy) this.setAttribute("aria-busy", busy);
    }

    /** Somebody else has written there, such as a morph with the server's markup. */
    attributeChangedCallback(name, _, value) {
        const ours = name === "status" ? (this.#run?.status ?? null) : String(this.#about.busy);
        if (this.#bindings !== null && value !== ours) this.#schedule();
    }

    /** At most one write per frame, however many ops came. */
    #schedule() {
        this.#frame ??= requestAnimationFrame(() => this.#render());
    }

    #render() {
        cancelAnimationFrame(this.#frame);
        this.#frame = null;
        this.#reflect();
        const detail = { document: this.document, draw: () => this.#draw() };
        if (this.#emit("draw", detail, { cancelable: true })) this.#draw(performance.now() + BUDGET);
        else this.#tellDone();
    }

    /** Write what has changed; what takes longer than until the deadline follows in the next frame. */
    #draw(deadline = Infinity) {
        if (this.#bindings === null) {
            this.#bindings = new Bindings(this, { about: () => this.#about });
            this.#bindings.reset(this.#run?.cut);
        }
        // A hidden page has no frames, and nobody who waits for one.
        const isWhole = this.#bindings.render(this.document, document.hidden ? Infinity : deadline);
        this.#showError();
        if (!isWhole) {
            this.#schedule();
            return;
        }
        this.#emit("render", { document: this.document });
        this.#tellDone();
    }

    #tellDone() {
        const done = this.#done;
        this.#done = null;
        if (done !== null) this.#emit("done", done);
    }

    /**
     * Say why there is no answer, in the elements with `data-ling-error`; a page that has none and got nothing to
     * show gets one, so that it is not white without a word.
     */
    #showError() {
        const error = ["failed", "lost"].includes(this.state) ? this.#run.error : null;
        const inside = [...this.querySelectorAll("[data-ling-error]")];
        const places = inside.filter((place) => place.closest("ling-stream") === this);
        if (error !== null && places.length === 0 && isEmpty(this.document)) {
            const place = this.ownerDocument.createElement("p");
            place.setAttribute("role", "alert");
            place.setAttribute("data-ling-error", "");
            this.append(place);
            places.push(place);
        }
        for (const place of places) {
            const text = error?.message ?? "";
            if (place.textContent !== text) place.textContent = text;
            if (place.hidden !== (text === "")) place.hidden = text === "";
        }
    }

    #emit(type, detail, more = {}) {
        return this.dispatchEvent(new CustomEvent(`ling:${type}`, { detail, bubbles: true, composed: true, ...more }));
    }

    #start(input, options) {
        const workflow = this.getAttribute("workflow");
        const conversation = this.getAttribute("conversation") ?? undefined;
        try {
            return this.client.start(workflow, input === undefined ? this.#input() : input, { conversation, ...options });
        } catch (error) {
            return refuse(new Run({ workflow }), error);
        }
    }

    #input() {
        try {
            return JSON.parse(this.dataset.input ?? "null");
        } catch (error) {
            throw new TypeError(`expected JSON in data-input: ${error.message}`, { cause: error });
        }
    }

    get #storageKey() {
        const name = this.getAttribute("resume") || this.id || this.getAttribute("workflow");
        return `lingstream ${location.pathname} ${name}`;
    }

    /** The page gets what only reads: whoever copies it, or a script that looks at it, cannot stop the run. */
    #showShare() {
        const { share } = this.#run;
        if (share) this.setAttribute("share", share);
        else this.removeAttribute("share");
    }

    #remember() {
        if (!this.hasAttribute("resume")) return;
        const { id: run, token, share } = this.#run;
        const input = this.dataset.input ?? null;
        const known = JSON.stringify({ run, token, share, input });
        withStorage((storage) => storage.setItem(this.#storageKey, known));
    }

    /** The run of before the reload, unless the page asks something else now. */
    #recall() {
        if (!this.hasAttribute("resume")) return null;
        const stored = withStorage((storage) => JSON.parse(storage.getItem(this.#storageKey)));
        return stored?.input === (this.dataset.input ?? null) ? stored : null;
    }

    #forget() {
        withStorage((storage) => storage.removeItem(this.#storageKey));
    }
}

function isEmpty(value) {
    return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

/** Storage may be forbidden or full; a page without resume is still a page. */
function withStorage(use) {
    try {
        return use(sessionStorage);
    } catch {
        return null;
    }
}
