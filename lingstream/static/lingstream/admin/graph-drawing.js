/* The drawing of a workflow: steps as boxes, triggers as arrows with event and pattern. It shows what it is
   given, and tells of what is chosen; whose fields these are, its page knows. */

import { layout } from "./graph-layout.js";
import { told, worst } from "./graph-states.js";

const SVG = "http://www.w3.org/2000/svg";
const LINE = 17; // pixels from one line of text to the next
const LETTER = 6.7; // pixels of one letter, about
const LONGEST = 34; // letters of a line
const MARGIN = 12;
const MOST = { steps: 80, triggers: 200 }; // beyond that nobody sees anything

/**
 * @typedef {import("./rows.js").Step & { states?: Record<string, number> }} Step  of a run: with what became of it
 * @typedef {import("./rows.js").Trigger} Trigger
 */

export class Drawing {
  #host;
  #choose;
  #words;
  #chosen = "";

  /**
   * @param {HTMLElement} host  is filled with the drawing
   * @param {{ kinds: Record<string, string>, states: Record<string, string>, otherwise: string }} words  for kinds and
   *   states of steps, and for triggers that start something only where no other does
   * @param {(key: string) => void} choose  hears of the step or trigger that has been clicked, or entered; `""`
   *   is what lies between them
   */
  constructor(host, words, choose) {
    this.#host = host;
    this.#words = words;
    this.#choose = choose;
    host.addEventListener("click", (event) => this.#pick(event) || choose(""));
    host.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      if (this.#pick(event)) event.preventDefault();
    });
  }

  /**
   * Draw a graph in place of the one before; the focus stays on what has it.
   *
   * @param {{ steps: Step[], triggers: Trigger[] }} graph
   * @param {string} chosen  the key of what is marked
   * @returns {boolean}  whether it is small enough to be drawn
   */
  draw(graph, chosen) {
    this.#chosen = chosen;
    const focused = this.#host.contains(document.activeElement) ? keyOf(document.activeElement) : "";
    const drawn = graph.steps.length <= MOST.steps && graph.triggers.length <= MOST.triggers;
    this.#host.replaceChildren(...(drawn && graph.steps.length ? [this.#picture(graph)] : []));
    if (focused) this.focus(focused);
    return drawn;
  }

  /** @param {string} key  of what gets the focus */
  focus(key) {
    this.#host.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  #pick(event) {
    const key = keyOf(event.target.closest?.("[data-key]"));
    if (key) this.#choose(key);
    return Boolean(key);
  }

  #picture({ steps, triggers }) {
    const texts = new Map(steps.map((step) => [step.key, this.#linesOf(step)]));
    const keys = new Map(steps.map((step) => [step.name, step.key]));
    const labels = triggers.map((each) => labelOf(each, this.#words.otherwise));
    const found = layout(
      steps.map(({ key }) => ({ id: key, ...sizeOf(texts.get(key)) })),
      triggers.map((each, at) => ({
        from: keys.get(each.source) ?? "",
        to: keys.get(each.target) ?? "",
        ...sizeOf(labels[at], 4),
      })),
    );
    const picture = make("svg", {
      viewBox: [-MARGIN, -MARGIN, found.width + 2 * MARGIN, found.height + 2 * MARGIN].join(" "),
      width: found.width + 2 * MARGIN,
      height: found.height + 2 * MARGIN,
      role: "group",
    });
    picture.append(arrowHead());
    for (const step of steps) picture.append(this.#box(step, texts.get(step.key), found.boxes.get(step.key)));
    triggers.forEach((each, at) => {
      if (found.lines[at]) picture.append(this.#arrow(each, labels[at], found.lines[at]));
    });
    return picture;
  }

  #linesOf(step) {
    const kind = this.#words.kinds[step.kind] ?? step.kind;
    const what = step.prompt ? `${step.kind} · ${step.prompt}` : kind;
    return [step.name, what, step.root && `→ ${step.root}`, told(step.states, this.#words.states)].filter(Boolean);
  }

  #box(step, texts, place) {
    const state = worst(step.states);
    const group = this.#item(`ling-box${state && ` ling-state-${state}`}`, step, texts.join(" "));
    group.append(make("rect", { ...place, rx: 6 }));
    group.append(...lines(texts, place.x + place.width / 2, place.y, place.height));
    return group;
  }

  #arrow(trigger, texts, line) {
    const group = this.#item("ling-arrow", trigger, `${trigger.source} → ${trigger.target}: ${texts.join(" ")}`);
    const path = line.loop ? loopPath(line.points) : linePath(line.points);
    group.append(make("path", { d: path, "marker-end": "url(#ling-arrow-head)" }));
    group.append(make("rect", { ...line.label, rx: 4 }));
    group.append(...lines(texts, line.label.x + line.label.width / 2, line.label.y, line.label.height));
    return group;
  }

  /* A button, for who sees and for who hears. */
  #item(name, each, label) {
    const marks = [name, each.wrong && "ling-wrong", each.key === this.#chosen && "ling-chosen"];
    const group = make("g", {
      class: marks.filter(Boolean).join(" "),
      "data-key": each.key,
      tabindex: 0,
      role: "button",
      "aria-pressed": String(each.key === this.#chosen),
      "aria-label": label,
    });
    const title = make("title");
    title.textContent = label;
    group.append(title);
    return group;
  }
}

const keyOf = (element) => element?.dataset?.key ?? "";

function labelOf(trigger, otherwise) {
  return [trigger.event, trigger.pattern, trigger.otherwise && otherwise].filter(Boolean);
}

function cut(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

function sizeOf(texts, padding = 8) {
  const longest = Math.max(1, ...texts.map((text) => widthOf(cut(text))));
  return { width: Math.ceil(longest * LETTER) + 20, height: texts.length * LINE + 2 * padding };
}

/* Letters of Chinese, Japanese and Korean are two wide. */
function widthOf(text) {
  return [...text].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e7f ? 2 : 1), 0);
}

function lines(texts, x, top, height) {
  const first = top + (height - texts.length * LINE) / 2 + 12.5;
  return texts.flatMap((text, at) => {
    const line = make("text", { x, y: first + at * LINE, "text-anchor": "middle" });
    line.textContent = cut(text);
    return [line, " "]; // or who hears them hears one word of two
  });
}

function linePath(points) {
  const parts = [`M ${points[0].join(" ")}`];
  for (let at = 1; at < points.length; at += 1) {
    const [[x, y], [toX, toY]] = [points[at - 1], points[at]];
    const middle = (y + toY) / 2;
    parts.push(`C ${x} ${middle} ${toX} ${middle} ${toX} ${toY}`);
  }
  return parts.join(" ");
}

function loopPath([[x, y], [outX, outY], [toX, toY]]) {
  return `M ${x} ${y} Q ${outX} ${y} ${outX} ${outY} Q ${outX} ${toY} ${toX} ${toY}`;
}

function arrowHead() {
  const marker = make("marker", {
    id: "ling-arrow-head",
    viewBox: "0 0 10 10",
    refX: 9,
    refY: 5,
    markerWidth: 12,
    markerHeight: 12,
    markerUnits: "userSpaceOnUse",
    orient: "auto",
  });
  marker.append(make("path", { d: "M 0 1 L 9 5 L 0 9 z" }));
  const definitions = make("defs");
  definitions.append(marker);
  return definitions;
}

function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
