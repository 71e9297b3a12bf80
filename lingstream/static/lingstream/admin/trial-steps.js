/* The steps of a trial: each a bar in time with what the step was told and said behind it.

While the run goes on the frames say what there is: when a step's first field began, when one ended. The server is
asked for what it alone knows: which steps have started and when, and what was told and said of those that have ended.
Times are milliseconds since the run was made. */

import { make, pre, seconds, word } from "./trial-words.js";

const MOST_SEEN = 10_000; // fields whose beginning is remembered
const FIELDS = new Set(["string-response", "object-response"]);
const BESIDE = new Set(["reasoning", "preamble"]); // events that name their step with the first token

export class Steps {
  #place;
  #steps = new Map(); // by the name of the instance
  #seen = new Map(); // uri: when it was first written
  #now = 0;

  /** @param {HTMLElement} place an `ol` */
  constructor(place) {
    this.#place = place;
  }

  /** @returns {object[]} the steps, as far as they are known */
  get all() {
    return [...this.#steps.values()];
  }

  /** @returns {number | null} when the first token of all came */
  get first() {
    const known = this.all.map(({ first }) => first).filter(Number.isFinite);
    return known.length > 0 ? Math.min(...known) : null;
  }

  /**
   * @param {object[]} ops
   * @param {number} at
   */
  wrote(ops, at) {
    this.#now = at;
    for (const { uri } of ops) if (!this.#seen.has(uri) && this.#seen.size < MOST_SEEN) this.#seen.set(uri, at);
  }

  /**
   * @param {object} frame an event
   * @param {number} at
   */
  told({ bot, root = "", event, uri, data }, at) {
    if (typeof bot !== "string") return;
    this.#now = at;
    const step = this.#step(bot, root);
    step.last = at;
    if (BESIDE.has(event)) step.first ??= at;
    if (FIELDS.has(event)) {
      // Several steps may write below one root: of that itself nobody knows whose it was.
      const began = uri === root && step.first !== null ? at : (this.#seen.get(uri) ?? at);
      step.first = Math.min(step.first ?? at, began);
    }
    if (event === "reasoning" && typeof data === "string") step.reasoning += data;
    if (event === "response") step.status = "finished";
  }

  /** @param {{bot?: string}} fault of a step */
  failed({ bot }) {
    if (typeof bot === "string") this.#step(bot).status = "failed";
  }

  /**
   * @param {object[]} rows as they are stored
   * @param {number} created when the run was made, by the server's clock
   */
  stored(rows, created) {
    for (const row of rows) {
      const step = this.#step(row.instance, row.root);
      step.row = row;
      step.status = row.status;
      step.started = row.started - created;
      step.last = row.finished - created;
      if (row.first !== null) step.first = step.started + row.first * 1000;
      if (step.first !== null) step.first = Math.min(Math.max(step.first, step.started), step.last);
      step.reasoning = row.reasoning;
      this.#now = Math.max(this.#now, step.last);
      this.#fill(step);
    }
    this.#sort();
  }

  /**
   * @param {object[]} entries steps that have started and not ended
   * @param {number} created as above
   */
  going(entries, created) {
    for (const { instance, root, started, first } of entries) {
      const step = this.#step(instance, root);
      if (step.row) continue;
      step.started = started - created;
      if (first !== null) step.first = step.started + first * 1000;
      this.#now = Math.max(this.#now, step.first ?? step.started);
    }
    this.#sort();
  }

  draw() {
    const whole = Math.max(this.#now, 1);
    for (const step of this.all) {
      const { started, first, status } = step;
      const last = step.row || status !== "running" ? step.last : null;
      const begin = started ?? 0;
      const says = first ?? last ?? whole;
      place(step.waits, begin, says, whole);
      place(step.speaks, says, last ?? whole, whole);
      step.item.dataset.status = status;
      const numbers = { step: step.name, queued: seconds(begin), first: seconds(first), last: seconds(last) };
      step.bar.setAttribute("aria-label", word(first === null ? "barStored" : "bar", numbers));
      step.figures.textContent = figuresOf(step);
      if (!step.row && step.reasoning) this.#showReasoning(step);
    }
  }

  #step(name, root = "") {
    const known = this.#steps.get(name);
    if (known) return known;
    const [waits, speaks] = [make("span", { class: "ling-try-waits" }), make("span", { class: "ling-try-speaks" })];
    const bar = make("span", { class: "ling-try-bar", role: "img" }, waits, speaks);
    const figures = make("span", { class: "ling-try-figures" });
    const body = make("div", { class: "ling-try-told" });
    const title = make("span", { class: "ling-try-name" }, name);
    const summary = make("summary", {}, title, bar, figures);
    const item = make("li", {}, make("details", {}, summary, body));
    this.#place.append(item);
    const step = { name, root, item, bar, waits, speaks, figures, body, first: null, last: null, reasoning: "" };
    Object.assign(step, { started: null, status: "running", row: null });
    this.#steps.set(name, step);
    return step;
  }

  /** By their beginning, which the first event of a step says nothing of. */
  #sort() {
    const begin = ({ started }) => started ?? Infinity;
    const items = this.all.sort((one, other) => begin(one) - begin(other) || 0).map(({ item }) => item);
    if (items.some((item, index) => item !== this.#place.children[index])) this.#place.append(...items);
  }

  #showReasoning(step) {
    const shown = step.body.querySelector("pre");
    if (shown) Object.assign(shown, { textContent: step.reasoning, tabIndex: 0 }); // it grows, and scrolls then
    else step.body.append(make("h4", {}, word("reasoning")), pre(step.reasoning));
  }

  #fill({ row, body }) {
    const parts = [];
    if (row.error) {
      const { code, message } = row.error;
      parts.push(part("errors", make("p", { class: "errornote" }, `${code}: ${message}`)));
    }
    const about = [row.prompt, row.provider, row.model, row.finish, ...parametersOf(row.params)].filter(Boolean);
    if (about.length > 0) parts.push(make("p", { class: "ling-who" }, about.join(" · ")));
    for (const note of row.result ?? []) {
      if (note[0] === "note" && note[1] === "withheld") parts.push(part("withheld", pre(note[2])));
    }
    if (row.messages.length > 0) parts.push(part("messages", ...row.messages.flatMap(message)));
    if (row.request !== null) parts.push(part("request", pre(row.request)));
    if (row.reasoning) parts.push(part("reasoning", pre(row.reasoning)));
    if (row.output) parts.push(part("raw", pre(row.output)));
    if (row.repairs.length > 0) parts.push(part("repairList", pre(row.repairs)));
    body.replaceChildren(...parts);
    if (row.error) body.parentElement.open = true;
  }
}

/** @returns {number | null} tokens for each second of a row, of its answer alone where its beginning is known */
export function speedOf({ row, first, started, last }) {
  const time = last - (first ?? started);
  const tokens = row?.usage?.completion_tokens ?? 0;
  return tokens > 0 && time > 0 ? (tokens * 1000) / time : null;
}

function figuresOf(step) {
  const { row, first, started, last } = step;
  const parts = [];
  if (first !== null) parts.push(word("firstToken", { seconds: seconds(first - (started ?? 0)) }));
  if (row) parts.push(word("took", { seconds: seconds(last - started) }));
  const { prompt_tokens: asked = 0, completion_tokens: said = 0 } = row?.usage ?? {};
  if (asked || said) parts.push(word("tokens", { asked, said }));
  const speed = speedOf(step);
  if (speed !== null) parts.push(word("speed", { number: speed.toFixed(0) }));
  return parts.join(" · ");
}

function place(element, from, to, whole) {
  element.style.insetInlineStart = `${(100 * from) / whole}%`;
  element.style.inlineSize = `${(100 * Math.max(to - from, 0)) / whole}%`;
}

function part(title, ...inside) {
  return make("section", {}, make("h4", {}, word(title)), ...inside);
}

function message({ role, content }) {
  return [make("p", { class: "ling-name" }, String(role)), pre(content)];
}

function parametersOf(params) {
  return Object.entries(params ?? {}).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
}
