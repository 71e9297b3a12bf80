/* One trial and what comes of it: its settings, its document, its steps, its events. */

import { advice } from "./trial-faults.js";
import { Steps, speedOf } from "./trial-steps.js";
import { Tree } from "./trial-tree.js";
import { make, seconds, word } from "./trial-words.js";

const MOST_EVENTS = 500;
const SOON = 150; // milliseconds from what a step does to the question what the server knows of it
const AGAIN = 1_000; // the same while a step has said nothing: no frame tells of its first token
const PIECES = new Set(["reasoning", "preamble"]); // events that come with every token

export class Column {
  #element;
  #client;
  #server;
  #run = null;
  #stop = () => {};

  /**
   * @param {HTMLElement} element
   * @param {object} client the site's client, and its functions for uris
   * @param {import("./trial-server.js").Server} server
   */
  constructor(element, client, server) {
    this.#element = element;
    this.#client = client;
    this.#server = server;
    this.#stopButton.addEventListener("click", () => this.cancel());
  }

  get element() {
    return this.#element;
  }

  get side() {
    return this.#element.dataset.side;
  }

  get isShown() {
    return !this.#element.hidden;
  }

  set isShown(shown) {
    this.#element.hidden = !shown;
  }

  /** @returns {boolean} whether more is to come */
  get isBusy() {
    return this.#run?.isBusy ?? false;
  }

  /** @returns {Record<string, string>} its settings, as a start sends them */
  get fields() {
    const found = {};
    for (const control of this.#element.querySelectorAll(".ling-try-settings [name]")) {
      found[`trial-${control.name}`] = control.value;
    }
    return found;
  }

  /** @param {string} text how it stands, where there is no run to say it */
  say(text) {
    this.#stop();
    this.#run = null;
    this.#stopButton.disabled = true;
    this.#result.hidden = true;
    delete this.#state.dataset.told;
    this.#state.textContent = text;
  }

  cancel() {
    this.#run?.cancel();
  }

  /** @param {HTMLElement[]} offers what can be done with what came of it */
  offer(offers) {
    this.#result.prepend(make("p", { class: "ling-commands" }, ...offers));
  }

  /**
   * Show a run as it goes on.
   *
   * @param {{run: string, token: string, now: number, after: string}} started
   * @returns {Promise<void>} settles when it has ended
   */
  async show({ run: id, token, now, after }) {
    this.#stop();
    // From its first frame on, however far it has got: a snapshot would have no events.
    const run = this.#client.subscribe(id, { token, frames: [{ id: after, ops: [] }] });
    this.#run = run;
    const place = this.#result;
    place.hidden = false;
    const view = new View(place, run, this.#client);
    const clock = performance.now();
    let created = now;
    let [timer, isAsking, isStale, asked, last] = [0, false, false, 0, 0];
    const at = () => now + (performance.now() - clock) - created;
    const ask = async () => {
      const number = ++asked;
      clearTimeout(timer);
      [timer, isAsking, isStale] = [0, true, false];
      const told = await this.#server.trial(id, last).catch(() => null);
      if (number !== asked || this.#run !== run) return;
      isAsking = false;
      if (told) {
        last = told.last ?? last;
        created = told.created;
        view.stored(told);
        this.#tell(view, run, told);
      }
      if (isStale) askSoon();
      else if (view.waits) askSoon(AGAIN);
    };
    const askSoon = (wait = SOON) => {
      if (isAsking) isStale = true;
      else if (run.isBusy) timer ||= setTimeout(ask, wait);
    };
    const unwatch = run.watch((type, detail) => {
      view.take(type, detail, at());
      this.#tell(view, run);
      // What settles may have started another step.
      if (type === "error" || (type === "event" && !PIECES.has(detail.event))) askSoon();
    });
    this.#stop = () => {
      unwatch();
      clearTimeout(timer);
      run.close();
    };
    this.#tell(view, run);
    askSoon();
    await run.finished.catch(() => {});
    if (this.#run === run) await ask();
  }

  #tell(view, run, stored) {
    const waits = run.status === "connecting" || (run.isBusy && !view.hasBegun);
    const status = stored && stored.ended ? stored.status : waits ? "queued" : run.status;
    const parts = [make("span", { class: `ling-status ling-status-${status}` }, word(status))];
    const told = view.figures(stored).join(" · ");
    this.#stopButton.disabled = !run.isBusy;
    if (this.#state.dataset.told === status + told) return;
    this.#state.dataset.told = status + told;
    this.#state.replaceChildren(...parts, " ", told);
  }

  /** Shown where there are two: beside that of the panel, which stops both. */
  get #stopButton() {
    return this.#element.querySelector("[data-part=stop]");
  }

  get #state() {
    return this.#element.querySelector(".ling-try-state");
  }

  get #result() {
    return this.#element.querySelector(".ling-try-result");
  }
}

/** What is drawn of one run. */
class View {
  #steps;
  #tree;
  #events;
  #count;
  #errors;
  #shown = 0;
  #frame = 0;
  hasBegun = false;

  constructor(place, run, jsonuri) {
    const document_ = make("div", {}, make("p", { class: "help" }, word("empty")));
    const steps = make("ol", { class: "ling-try-steps" });
    this.#errors = make("div");
    this.#events = make("ol", { class: "ling-try-events" });
    this.#count = make("summary", {}, word("events"));
    place.replaceChildren(
      this.#errors,
      make("h3", {}, word("document")),
      document_,
      make("h3", {}, word("steps")),
      steps,
      make("details", {}, this.#count, this.#events),
    );
    this.#tree = new Tree(document_, jsonuri, run);
    this.#steps = new Steps(steps);
  }

  /**
   * @param {string} type of what the run tells
   * @param {any} detail
   * @param {number} at milliseconds since the run was made
   */
  take(type, detail, at) {
    this.hasBegun = true;
    if (type === "ops") {
      this.#tree.change(detail.ops);
      this.#steps.wrote(detail.ops, at);
    } else if (type === "snapshot") {
      this.#tree.redraw();
    } else if (type === "event") {
      this.#steps.told(detail, at);
      if (!PIECES.has(detail.event)) this.#note(detail, at);
      if (detail.cut) this.#tree.mark(detail.uri, word("cut"), "cut");
    } else if (type === "error") {
      this.#steps.failed(detail);
      this.#complain([detail]);
    } else if (type === "done") {
      this.#tree.flush();
    }
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** @returns {boolean} whether a step has started, as far as is known, that has said nothing */
  get waits() {
    return this.#steps.all.some(({ row, first }) => !row && first === null);
  }

  /** @param {object} told what the server knows of it */
  stored({ steps, going, created, errors }) {
    this.#steps.stored(steps, created);
    this.#steps.going(going, created);
    this.#tree.flush();
    for (const { repairs } of steps) {
      for (const { kind, uri } of repairs) this.#tree.mark(uri, word("repaired", { kind }), "repair");
    }
    if (errors.length > 0) this.#complain(errors);
    this.#draw();
  }

  /** @returns {string[]} the run in numbers */
  figures(stored) {
    const { first, all } = this.#steps;
    const found = [];
    if (first !== null) found.push(word("firstToken", { seconds: seconds(first) }));
    if (stored?.finished) found.push(word("took", { seconds: seconds(stored.finished - stored.created) }));
    const { prompt_tokens: asked = 0, completion_tokens: said = 0 } = stored?.usage ?? {};
    if (asked || said) found.push(word("tokens", { asked, said }));
    const speeds = all.map(speedOf).filter((each) => each !== null);
    if (stored && speeds.length > 0) found.push(word("speed", { number: Math.max(...speeds).toFixed(0) }));
    const repairs = all.reduce((sum, { row }) => sum + (row?.repairs.length ?? 0), 0);
    if (repairs > 0) found.push(word(repairs === 1 ? "repair" : "repairs", { number: repairs }));
    return found;
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#steps.draw();
  }

  #note({ event, bot, uri, data: more }, at) {
    this.#shown += 1;
    this.#count.textContent = `${word("events")} (${this.#shown})`;
    const about = [bot, event, uri].filter(Boolean).join(" · ");
    const line = make("li", {}, make("span", { class: "ling-who" }, seconds(at)), " ", about);
    if (more !== undefined) line.append(" ", make("code", {}, JSON.stringify(more).slice(0, 500)));
    this.#events.append(line);
    if (this.#events.childElementCount > MOST_EVENTS) this.#events.firstElementChild.remove();
  }

  /** The whole of them: what the frames say is what any viewer may know, and less. */
  #complain(errors) {
    const lines = errors.map(({ bot, code, message }) => `${bot ? `${bot}: ` : ""}${code}: ${message}`);
    const remedies = new Map(errors.map(({ remedy }) => [remedy?.text, remedy]));
    remedies.delete(undefined);
    this.#errors.replaceChildren(
      ...lines.map((line) => make("p", { class: "errornote" }, line)),
      ...[...remedies.values()].map(advice),
    );
  }
}
