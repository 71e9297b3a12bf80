/**
 * element: `<ling-stream>` starts or watches a run, goes on with it after a reload, and takes forms and commands.
 *
 * Attributes and events are described in docs/client.md.
 */

import { Client, refuse } from "./client.js";
import { block } from "./page.js";
import { RunRecord, ownerOf } from "./record.js";
import { Run } from "./run.js";
import { View, tell } from "./view.js";

/** @import { Status } from "./run.js" */

const clients = new Map();
const STARTS = "form[data-ling-start]";

/** `<ling-stream workflow="…" data-input='{…}'>`; leaving the page stops the watching, not the run. */
export class LingStreamElement extends HTMLElement {
    static observedAttributes = ["run", "share", "status", "aria-busy"];

    /** For modules that come by themselves, as the chat's does: who imports it gets another copy where it is minified. */
    static Client = Client;

    static {
        const isNative = "commandForElement" in HTMLButtonElement.prototype;
        if (!isNative) import("./commands.js").then(({ relayCommands }) => relayCommands(LingStreamElement));
    }

    #run = null;
    #ownsRun = false;
    #isResuming = false;
    #isReady = false;
    #isAway = false;
    #unwatch = null;
    #record = null;
    #form = null;
    #forms = null;
    #view = new View(this);
    #late = [];

    constructor() {
        super();
        this.addEventListener("submit", (event) => this.#submit(event));
        this.addEventListener("command", ({ command }) => this.#obey(command));
    }

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

    /** What we wrote and somebody took away is written again; another run is shown. */
    attributeChangedCallback(name, _, value) {
        if (!this.#isReady || value === this.#attributes[name]) return;
        queueMicrotask(() => {
            const run = this.getAttribute("run"); // its share may have been set behind it
            if (name === "run" && run !== null && run !== this.#run?.id) this.#watch(run);
            else this.#reflect();
        });
    }

    /** @returns {Run | null} the run that is shown */
    get run() {
        return this.#run;
    }

    /** @param {Run | string | null} run to be shown; its id will do */
    set run(run) {
        if (typeof run === "string") this.setAttribute("run", run);
        else if (run !== this.#run && (run || this.#run)) this.#show(run ?? null);
    }

    /** @returns {"idle" | Status} */
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
     * @template [Output=unknown] the document
     * @param {unknown} [input] in place of `data-input`
     * @param {{key?: string, conversation?: string, signal?: AbortSignal}} [options]
     * @returns {Run<Output>}
     */
    start(input, options = {}) {
        const isSame = options.key !== undefined && options.key === this.#run?.key;
        if (this.#ownsRun && !isSame && !this.#run.isShared) this.#run.cancel();
        const run = this.#start(input, options);
        this.#isResuming = false;
        this.#ownsRun = true;
        this.#form = null;
        this.#follow(run);
        this.#remember();
        this.#view.started();
        return run;
    }

    /** Cancel the run on the server; what has arrived stays on the page. */
    stop() {
        this.#run?.cancel();
    }

    /**
     * Go on where the connection or the start has failed, or else ask the same in a new run.
     *
     * @returns {Run}
     */
    retry() {
        const run = this.#run;
        return run?.isBusy || run?.retry() ? run : this.start(run?.input);
    }

    /** Look at all that is bound again; what a MutationObserver sees needs no call. */
    refresh() {
        this.#view.refresh();
    }

    #begin() {
        if (!this.isConnected) return;
        if (Object.hasOwn(this, "run")) this.#upgrade();
        this.#isReady = true;
        if (this.#run === null) this.#open();
        else this.#comeBack();
        this.#reflect();
        this.#view.schedule();
    }

    /** A property that was set before the element was defined hides ours. */
    #upgrade() {
        const { run } = this;
        delete this.run;
        this.run = run;
    }

    /** The run that the page names, or of before the reload unless the page asks something else now, or a new one. */
    #open() {
        const isFresh = this.hasAttribute("restart");
        const run = isFresh ? null : this.getAttribute("run");
        const kept = isFresh ? null : this.#kept.read();
        const isOurs = kept !== null && (run === null || run === kept.run);
        if (isOurs && kept.written === this.#written) this.#resume(kept);
        else if (run && !(isOurs && this.#startsItself)) this.#watch(run);
        else if (this.#startsItself) this.start();
    }

    get #startsItself() {
        return this.dataset.input !== undefined && !this.hasAttribute("manual");
    }

    get #written() {
        return this.dataset.input ?? null;
    }

    #resume({ run, token, share, input, key }) {
        if (run === null) {
            this.start(input, { key }); // the page left before the answer: the same key pays for no second run
            return;
        }
        this.#isResuming = this.#ownsRun = true;
        this.#subscribe(run, { token, share, input, key });
    }

    #watch(run) {
        this.#isResuming = this.#ownsRun = false;
        this.#subscribe(run, { token: this.getAttribute("token"), share: this.getAttribute("share") });
    }

    #subscribe(run, known) {
        const workflow = this.getAttribute("workflow");
        this.#follow(this.client.subscribe(run, { ...known, workflow, frames: block(run) }));
    }

    /** Show a run that others hold, too. */
    #show(run) {
        run?.open();
        this.#isResuming = this.#ownsRun = false;
        this.#follow(run);
        if (!this.isConnected) this.#leave();
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
        this.#unwatch?.();
        this.#run?.close();
    }

    #follow(run) {
        const previous = this.state;
        this.#unwatch?.();
        this.#run?.close();
        this.#run = run;
        this.#late = [];
        this.#unwatch = run?.watch((type, detail) => this.#observe(type, detail, run));
        this.#view.show(run);
        this.#reflect();
        if (this.state !== previous) tell(this, "status", { status: this.state, previous });
    }

    #observe(type, detail, run) {
        if (type === "error") {
            const isNew = run.status === "connecting" && run.last === null && !detail.retryable;
            if (isNew && this.#isResuming) return this.#startOver();
            if (this.#form && detail.uri) this.#forms.showFault(this.#form, detail);
        }
        if (type === "started") this.#remember();
        this.#view.note(type, detail);
        if (type === "ops") return; // the view tells of them
        if (run.isBusy) {
            this.#reflect();
            tell(this, type, detail);
        } else {
            this.#late.push([type, detail]);
            if (type === "done") this.#view.finish(() => this.#finish());
        }
    }

    /** The page shows all of it: now it may be said. */
    #finish() {
        const late = this.#late;
        this.#late = [];
        if (this.#run.id === null && this.#run.error?.code !== "unanswered") this.#kept.remove();
        this.#reflect();
        for (const [type, detail] of late) tell(this, type, detail);
    }

    /** What was to be resumed is not there any more. */
    #startOver() {
        this.#kept.remove();
        this.#isResuming = this.#ownsRun = false;
        this.#follow(null);
        if (this.#startsItself) this.start();
    }

    /** What the element says of itself: the share, which only reads, and never the token. */
    get #attributes() {
        const { id = null, share = null, status = null, isBusy } = this.#run ?? {};
        return { run: id, share, status, "aria-busy": this.#run && String(isBusy) };
    }

    #reflect() {
        if (this.#late.length > 0) return; // the end is still being written
        for (const [name, value] of Object.entries(this.#attributes)) {
            if (this.getAttribute(name) === value) continue;
            if (value === null) this.removeAttribute(name);
            else this.setAttribute(name, value);
        }
    }

    #start(input, options) {
        const workflow = this.getAttribute("workflow");
        const conversation = this.getAttribute("conversation") ?? undefined;
        try {
            const asked = input === undefined ? this.#input() : input;
            return this.client.start(workflow, asked, { conversation, ...options });
        } catch (error) {
            return refuse(new Run({ workflow }), error);
        }
    }

    #input() {
        try {
            return JSON.parse(this.#written);
        } catch (error) {
            throw new TypeError(`expected JSON in data-input: ${error.message}`, { cause: error });
        }
    }

    /** The page may empty the form at once, so what it holds is taken before what reads it is loaded. */
    async #submit(event) {
        const form = event.target;
        if (event.defaultPrevented || !form.matches(STARTS) || form.closest(this.localName) !== this) return;
        event.preventDefault();
        const data = new FormData(form, event.submitter);
        try {
            this.#forms ??= await import("./forms.js");
            this.#ask(this.#forms.inputOf(form, data, this.getAttribute("workflow")));
            this.#form = form;
        } catch (error) {
            this.#follow(refuse(new Run(), error));
        }
    }

    /** Who asks the same again while it is being answered has pressed a key twice. */
    #ask(input) {
        const isAsked = this.#run?.isBusy && JSON.stringify(this.#run.input) === JSON.stringify(input);
        if (!isAsked) this.start(input);
    }

    #obey(command) {
        if (command === "--stop") this.stop();
        if (command === "--retry") this.retry();
        if (command !== "--start") return;
        const form = [...this.querySelectorAll(STARTS)].find((inside) => inside.closest(this.localName) === this);
        if (form) form.requestSubmit();
        else if (!this.#run?.isBusy) this.start();
    }

    get #kept() {
        if (this.#record?.owner !== ownerOf(this)) this.#record = new RunRecord(this);
        return this.#record;
    }

    #remember() {
        const { id: run, token, share, input = null, key } = this.#run;
        if (!this.#ownsRun || key === null || this.hasAttribute("restart")) return;
        this.#kept.write({ run, token, share, input, key, written: this.#written });
    }
}
