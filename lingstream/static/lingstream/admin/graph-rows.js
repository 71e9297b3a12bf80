/* Rows of steps and triggers are one line each until they are opened, and of each sort one is open at a time.
   What is wrong stays open. */

import { control, isDeleted, readGraph, rowsOf, valueOf } from "./rows.js";

const SORTS = ["steps", "triggers"];

/**
 * Open a row, and close the other ones of its sort.
 *
 * @param {HTMLElement} row
 */
export function open(row) {
  for (const other of rowsOf(sortOf(row))) {
    if (other !== row && !isStuck(other)) fold(other, true);
  }
  fold(row, false);
}

const sortOf = (row) => row.id.replace(/-\d+$/, "");
const isStuck = (row) => Boolean(row.querySelector(".errorlist"));
const button = (row) => row.querySelector(":scope > h3 > .ling-fold");

function fold(row, folded) {
  row.classList.toggle("ling-folded", folded);
  button(row)?.setAttribute("aria-expanded", String(!folded));
}

function prepare(row) {
  const heading = row.querySelector(":scope > h3");
  if (!heading || button(row)) return;
  const made = document.createElement("button");
  made.type = "button";
  made.className = "ling-fold";
  made.addEventListener("click", () => (row.classList.contains("ling-folded") ? open(row) : fold(row, true)));
  const label = heading.querySelector(".inline_label");
  heading.querySelector("b")?.classList.add("ling-sort");
  label.replaceWith(made);
  made.append(label);
}

/* "details · bot · outline/*\/topic → outline/{{ match[0] }}/details" */
function lineOf(step, triggers) {
  const seen = triggers.filter((each) => each.target === step.name).map((each) => each.pattern || each.event);
  const way = [seen.join(", "), triggers.find((each) => each.target === step.name)?.root || step.root];
  return [step.name, step.prompt ? `${step.kind} ${step.prompt}` : step.kind, way.filter(Boolean).join(" → ")]
    .filter(Boolean).join(" · ");
}

function sentenceOf(trigger) {
  const when = [trigger.source || "?", trigger.event, trigger.pattern].filter(Boolean).join(" · ");
  return `${when} → ${trigger.target || "?"}`;
}

function tell() {
  const { steps, triggers } = readGraph();
  const texts = new Map([
    ...steps.map((step) => [step.key, lineOf(step, triggers)]),
    ...triggers.map((trigger) => [trigger.key, sentenceOf(trigger)]),
  ]);
  for (const row of SORTS.flatMap(rowsOf)) {
    const label = row.querySelector(".ling-fold > .inline_label");
    if (label && texts.has(row.id)) label.textContent = texts.get(row.id);
    row.classList.toggle("ling-deleted", isDeleted(row));
  }
}

/* A new row is open, and so is what has no name yet. */
function begin() {
  for (const sort of SORTS) {
    for (const row of rowsOf(sort)) {
      prepare(row);
      fold(row, !isStuck(row) && Boolean(valueOf(row, "id") || control(row, "name") === null));
    }
  }
  tell();
}

/** Fold the rows of the page, and keep their lines up to date. */
export function foldRows() {
  begin();
  document.addEventListener("formset:added", (event) => {
    if (!SORTS.includes(event.detail?.formsetName)) return;
    prepare(event.target);
    open(event.target);
    tell();
  });
  for (const name of ["input", "change", "formset:removed"]) document.addEventListener(name, tell);
}
