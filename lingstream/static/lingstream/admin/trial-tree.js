/* The document of a run as a tree that grows: each op changes the one place that it is about.

Ops come as often as a model speaks and are drawn once for each frame of the screen. What a model writes is text
here, whatever it looks like. */

import { make, word } from "./trial-words.js";

const MOST_NODES = 3000;
const MOST_PENDING = 20_000; // ops; a page in the background is not drawn, and then it is drawn anew

export class Tree {
  #place;
  #jsonuri;
  #nodes = new Map(); // by uri: the item, the place of its value, its list of children
  #pending = [];
  #run;
  #frame = 0;
  #full = false;

  /**
   * @param {HTMLElement} place
   * @param {{join: Function, split: Function}} jsonuri of the client
   * @param {{document: unknown}} run
   */
  constructor(place, jsonuri, run) {
    this.#place = place;
    this.#jsonuri = jsonuri;
    this.#run = run;
    this.redraw();
  }

  /** @param {object[]} ops as they came */
  change(ops) {
    this.#pending.push(...ops);
    this.#later();
  }

  /** Draw all of the document. */
  redraw() {
    this.#pending = [];
    this.#nodes.clear();
    this.#full = false;
    this.#place.replaceChildren();
    if (this.#run.document !== null && this.#run.document !== undefined) this.#set("", this.#run.document);
  }

  /** Draw what has come. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#pending.length > MOST_PENDING) {
      this.redraw();
      return;
    }
    for (const op of this.#pending.splice(0)) {
      if (op.delta !== undefined) this.#append(op.uri, op.delta);
      else this.#set(op.uri, op.value);
      if (op.fix === true) this.mark(op.uri, word("fixed"), "fix");
    }
  }

  /**
   * Say something of a place: of the nearest one above it where it is not there.
   *
   * @param {string} uri
   * @param {string} text
   * @param {string} kind
   */
  mark(uri, text, kind) {
    const path = this.#split(uri);
    while (path.length > 0 && !this.#nodes.has(this.#jsonuri.join(...path))) path.pop();
    const node = this.#nodes.get(this.#jsonuri.join(...path));
    if (!node || [...node.head.children].some((each) => each.dataset.mark === text)) return;
    node.head.append(" ", make("mark", { class: `ling-try-mark ling-try-${kind}`, "data-mark": text }, text));
  }

  #later() {
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  #split(uri) {
    try {
      return this.#jsonuri.split(uri);
    } catch {
      return [];
    }
  }

  #append(uri, delta) {
    const node = this.#nodes.get(uri);
    if (node?.text) node.text.appendData(delta);
    else this.#set(uri, delta);
  }

  #set(uri, value) {
    if (uri === "" && value === null) return; // nothing has been written yet
    const node = this.#nodes.get(uri) ?? this.#create(uri);
    if (!node) return;
    for (const known of [...this.#nodes.keys()]) {
      if (known !== uri && (uri === "" || known.startsWith(`${uri}/`))) this.#nodes.delete(known);
    }
    const isContainer = value !== null && typeof value === "object";
    const isText = typeof value === "string";
    node.text = isText ? document.createTextNode(value) : null;
    const shown = isContainer ? (Array.isArray(value) ? "[ ]" : "{ }") : (node.text ?? JSON.stringify(value));
    node.value.className = `ling-try-value ling-try-${isText ? "string" : isContainer ? "container" : "literal"}`;
    node.value.replaceChildren(shown);
    node.children?.remove();
    node.children = null;
    if (!isContainer) return;
    const path = this.#split(uri);
    for (const [key, inner] of Object.entries(value)) this.#set(this.#jsonuri.join(...path, key), inner);
  }

  #create(uri) {
    if (this.#nodes.size >= MOST_NODES) {
      if (!this.#full) this.#place.append(make("p", { class: "help" }, word("more")));
      this.#full = true;
      return null;
    }
    const path = this.#split(uri);
    const key = String(path.at(-1) ?? "");
    const value = make("span");
    const head = make("span", { class: "ling-try-head" });
    if (path.length > 0) head.append(make("span", { class: "ling-try-key" }, key), " ");
    head.append(value);
    const item = make("li", {}, head);
    const node = { item, head, value, text: null, children: null };
    const list = path.length > 0 ? this.#listIn(path.slice(0, -1)) : this.#top();
    if (!list) return null;
    list.append(item);
    this.#nodes.set(uri, node);
    return node;
  }

  #top() {
    const list = make("ul", { class: "ling-try-tree" });
    this.#place.replaceChildren(list);
    return list;
  }

  #listIn(path) {
    const parent = this.#nodes.get(this.#jsonuri.join(...path));
    if (!parent) return null;
    if (!parent.children) {
      parent.children = make("ul");
      parent.item.append(parent.children);
    }
    return parent.children;
  }
}
