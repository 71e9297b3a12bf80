/* Many trials: what was asked of real runs, asked again of each column, in a table. */

import { areEqual } from "./trial-equal.js";
import { make, seconds, word } from "./trial-words.js";

const AT_ONCE = 3; // inputs; each of them is as many runs as there are columns

export class Table {
  #form;
  #client;
  #server;
  #panel;
  #runs = new Set();
  #stopped = false;

  /**
   * @param {HTMLFormElement} form the panel's
   * @param {object} client
   * @param {import("./trial-server.js").Server} server
   * @param {object} panel what the panel has and does: columns, startOf, target, refuse, clear
   */
  constructor(form, client, server, panel) {
    this.#form = form;
    this.#client = client;
    this.#server = server;
    this.#panel = panel;
    form.elements.many.addEventListener("click", () => this.#start());
    this.#stopButton.addEventListener("click", () => this.#stop());
  }

  async #start() {
    const { clear, columns, refuse, target } = this.#panel;
    clear();
    this.#stopped = false;
    this.#setBusy(true);
    try {
      const shown = columns.filter((column) => column.isShown);
      const n = this.#form.elements.last.value;
      const inputs = await this.#server.inputs({ workflow: target().workflow, n });
      await this.#runAll(inputs, shown);
    } catch (error) {
      refuse(error);
    } finally {
      this.#setBusy(false);
    }
  }

  #stop() {
    this.#stopped = true;
    for (const run of this.#runs) run.cancel();
  }

  async #runAll(inputs, columns) {
    const body = this.#draw(columns.map(({ side }) => side.toUpperCase()));
    this.#progress(0, inputs.length);
    if (inputs.length === 0) return;
    const bases = new Map(); // the first trial of each column, whose plan the others have
    let done = 0;
    const one = async (each) => {
      const row = make("tr", {}, make("td", {}, short(each.input)));
      body.append(row);
      const outcomes = await Promise.all(columns.map((column) => this.#outcome(column, each.input, bases)));
      fill(row, outcomes);
      this.#progress(++done, inputs.length);
    };
    const waiting = [...inputs];
    await one(waiting.shift());
    const worker = async () => {
      while (waiting.length > 0 && !this.#stopped) await one(waiting.shift());
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  /** Start one trial, wait for its end, and return what came of it. */
  async #outcome(column, input, bases) {
    const text = JSON.stringify(input);
    const base = bases.get(column);
    const started = base
      ? await this.#server.again(base, text)
      : await this.#panel.startOf(column, { "trial-input": text });
    bases.set(column, base ?? started.run);
    const run = this.#client.subscribe(started.run, { token: started.token });
    this.#runs.add(run);
    if (this.#stopped) run.cancel();
    await run.finished.catch(() => {});
    this.#runs.delete(run);
    return { document: run.document, told: await this.#server.trial(started.run) };
  }

  #draw(sides) {
    const titles = [word("input"), ...sides];
    if (sides.length > 1) titles.push(word("equal"));
    titles.push(word("repairsColumn"), word("timeColumn"), word("tokensColumn"));
    const body = make("tbody");
    const head = make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)));
    this.#part("table").replaceChildren(make("table", {}, make("thead", {}, head), body));
    return body;
  }

  #progress(done, all) {
    const bar = this.#form.querySelector("progress");
    bar.hidden = false;
    bar.max = Math.max(all, 1);
    bar.value = done;
    const text = all > 0 ? word("progress", { done, all }) : word("noInputs");
    this.#form.querySelector("#trial-progress").textContent = text;
  }

  #setBusy(busy) {
    this.#form.elements.many.disabled = busy;
    this.#stopButton.disabled = !busy;
  }

  #part(name) {
    return this.#form.querySelector(`[data-part=${name}]`);
  }

  get #stopButton() {
    return this.#form.elements["stop-many"];
  }
}

function fill(row, outcomes) {
  for (const { document, told } of outcomes) row.append(make("td", {}, resultOf(document, told)));
  if (outcomes.length > 1) {
    const equal = areEqual(outcomes);
    row.append(make("td", {}, equal === null ? "–" : word(equal ? "yes" : "no")));
  }
  const each = (figure) => outcomes.map(({ told }) => figure(told)).join(" / ");
  row.append(
    make("td", {}, each(({ steps }) => steps.reduce((sum, { repairs }) => sum + repairs.length, 0))),
    make("td", {}, each(({ created, finished }) => (finished ? `${seconds(finished - created)} s` : "–"))),
    make("td", {}, each(({ usage }) => `${usage.prompt_tokens ?? 0} + ${usage.completion_tokens ?? 0}`)),
  );
}

function resultOf(document, { status, errors }) {
  if (status === "finished") return short(document);
  const badge = make("span", { class: `ling-status ling-status-${status}` }, word(status));
  return make("span", {}, badge, " ", errors[0]?.message ?? "");
}

/** The start of it, and the whole behind that. */
function short(value) {
  const text = JSON.stringify(value);
  if (text.length <= 120) return make("code", {}, text);
  const whole = make("pre", { class: "ling-pre" }, JSON.stringify(value, null, 2));
  return make("details", {}, make("summary", {}, make("code", {}, `${text.slice(0, 120)}…`)), whole);
}
