/* The graph on a workflow's page: drawn from the form as it is typed, and written into it. What is chosen in the
   drawing or in the list beside it opens its fields; "start another step" makes a trigger between two steps. On the
   page of a run it is drawn as it went, and what is chosen opens what it was told and said. */

import { draggable } from "./graph-drag.js";
import { Drawing } from "./graph-drawing.js";
import { addRow, control, readGraph, rowsOf, typedSteps, valueOf, write } from "./rows.js";
import { foldRows, open as openRow } from "./graph-rows.js";
import { told } from "./graph-states.js";

const FIRST_INPUT = "{{ input.question }}";

const panel = document.getElementById("ling-graph");
const data = JSON.parse(document.getElementById("ling-graph-data").textContent);
const part = (name) => panel.querySelector(`[data-part="${name}"]`);
const drawing = new Drawing(part("drawing"), data, choose);

let chosen = "";
let connecting = "";
let waiting = 0;

const graph = () => (data.editable ? readGraph() : data.graph);
const stepOf = (key) => graph().steps.find((step) => step.key === key);

function words(name, values = {}) {
  return Object.entries(values).reduce((text, [key, value]) => text.replaceAll(`%(${key})s`, value), data.words[name]);
}

function say(text) {
  part("said").textContent = text;
}

// -- drawing -------------------------------------------------------------------------------------------------

function draw() {
  waiting = 0;
  const found = graph();
  if (![...found.steps, ...found.triggers].some((each) => each.key === chosen)) chosen = "";
  const drawn = drawing.draw(found, connecting || chosen);
  part("empty").hidden = found.steps.length > 0;
  part("large").hidden = drawn;
  list(found);
  if (data.editable) offer(found);
}

function drawSoon() {
  waiting ||= requestAnimationFrame(draw);
}

/* The same for who cannot see a drawing, or has a small screen. */
function list({ steps, triggers }) {
  const entries = steps.map((step) => {
    const kind = data.kinds[step.kind] ?? step.kind;
    const entry = item(step.key, [step.name, kind, step.prompt, step.root, told(step.states, data.states)]);
    const starts = triggers.filter((each) => each.source === step.name).map((each) => {
      const when = [each.event, each.pattern].filter(Boolean).join(" ");
      return item(each.key, [`${when} → ${each.target || "?"}`]);
    });
    if (starts.length) {
      const inner = document.createElement("ul");
      inner.append(...starts);
      entry.append(inner);
    }
    return entry;
  });
  const focused = part("list").contains(document.activeElement) && document.activeElement.dataset.key;
  part("list").replaceChildren(...entries);
  if (focused) part("list").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function item(key, texts) {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.key = key;
  button.textContent = texts.filter(Boolean).join(" · ");
  if (key === chosen) button.setAttribute("aria-current", "true");
  entry.append(button);
  return entry;
}

/* What can be done with what is chosen. */
function offer({ steps }) {
  const step = stepOf(chosen);
  part("next").textContent = step ? words("next", { step: step.name }) : words(steps.length ? "more" : "first");
  part("connect").hidden = !step;
  part("connect").setAttribute("aria-pressed", String(Boolean(connecting)));
  panel.classList.toggle("ling-connecting", Boolean(connecting));
}

// -- choosing ------------------------------------------------------------------------------------------------

function choose(key) {
  if (connecting && stepOf(key)) {
    connect(connecting, key);
    return;
  }
  chosen = key;
  connecting = "";
  say("");
  const row = document.getElementById(data.editable ? key : (stepOf(key)?.place ?? ""));
  if (row) (data.editable ? show : unfold)(row);
  drawSoon();
}

/* Open a row, and go to what is asked there first. */
function show(row) {
  openRow(row);
  row.scrollIntoView({ block: "start" });
  (control(row, "pattern") ?? control(row, "name"))?.focus({ preventScroll: true });
}

/* Open what is told of a step. */
function unfold(place) {
  place.open = true;
  place.scrollIntoView({ block: "start" });
  place.querySelector("summary").focus({ preventScroll: true });
}

/* How the steps of a run stand that goes on; those of a function are not known before. */
function follow(states) {
  const { steps } = data.graph;
  for (const name of Object.keys(states)) {
    if (steps.some((step) => step.name === name)) continue;
    steps.push({ key: `ran-${name}`, name, kind: "", prompt: "", root: "" });
  }
  for (const step of steps) step.states = states[step.name] ?? {};
  drawSoon();
}

/* From the fields back to where they were chosen. */
function comeBack(event) {
  const row = event.target.closest?.("#steps-group .inline-related, #triggers-group .inline-related");
  if (!row || event.key !== "Escape" || event.defaultPrevented) return;
  chosen = row.id;
  draw();
  drawing.focus(row.id);
}

/* What the tools do, for who is at a box. */
function press(event) {
  const key = event.target.closest("[data-key]")?.dataset.key;
  if (!key || event.ctrlKey || event.metaKey || event.altKey || !stepOf(key)) return;
  const act = { n: addStep, c: beginToConnect }[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  chosen = key;
  act();
}

function beginToConnect() {
  connecting = connecting ? "" : chosen;
  say(connecting ? words("connecting", { step: stepOf(chosen).name }) : "");
  drawSoon();
}

// -- writing -------------------------------------------------------------------------------------------------

function connect(from, to) {
  connecting = "";
  const [source, target] = [stepOf(from), stepOf(to)];
  const row = addTrigger(source.name, target.name);
  if (!row) return;
  chosen = row.id;
  say(words("connected", { source: source.name, target: target.name }));
  show(row);
  drawSoon();
}

function addTrigger(source, target) {
  const row = addRow("triggers");
  const value = (name) => typedSteps().find((step) => step.name === name)?.value ?? "";
  if (row) {
    write(row, "when_step", value(source));
    write(row, "start_step", value(target));
  }
  return row;
}

function addStep() {
  const source = stepOf(chosen);
  const row = addRow("steps");
  if (!row) return;
  const name = freeName(part("kind").value === "bot" ? "step" : part("kind").value);
  write(row, "kind", part("kind").value);
  write(row, "name", name);
  if (source) addTrigger(source.name, name);
  else if (part("kind").value === "bot") write(row, "input", firstInput());
  chosen = row.id;
  show(row);
  control(row, "name").select();
  say(words("added", { step: name }));
  drawSoon();
}

function freeName(base) {
  const taken = new Set(typedSteps().map((step) => step.name));
  for (let number = 1; ; number += 1) {
    const name = `${base}-${rowsOf("steps").length + number - 1}`;
    if (!taken.has(name)) return name;
  }
}

/* Where a run starts there is no trigger's value: ask for a part of the input that the schema tells of. */
function firstInput() {
  try {
    const [name] = Object.keys(JSON.parse(document.getElementById("id_input_schema").value).properties);
    return /^[A-Za-z_]\w*$/.test(name) ? `{{ input.${name} }}` : FIRST_INPUT;
  } catch {
    return FIRST_INPUT;
  }
}

/* A template that is offered for what the started step has not got yet: each match has a place of its own. */
function offerRoot(row) {
  const { steps, triggers } = graph();
  const name = triggers.find((each) => each.key === row.id)?.target;
  const target = steps.find((step) => step.name === name);
  const stars = valueOf(row, "pattern").split("/");
  if (!target || target.root || !stars.includes("*") || stars.includes("**")) return;
  let count = 0;
  const above = stars.slice(0, -1).map((each) => (each === "*" ? `{{ match[${count++}] }}` : each));
  if (stars.at(-1) === "*") above.push(`{{ match[${count}] }}`);
  write(document.getElementById(target.key), "root", [...above, target.name].join("/"));
  say(words("rooted", { step: target.name }));
}

// -- the page ------------------------------------------------------------------------------------------------

/* What the last save was told of, at its field. */
function warn({ row: prefix, id, field, message }) {
  const row = rowsOf(prefix).find((each) => valueOf(each, "id") === String(id));
  const place = row && (control(row, field) ?? control(row, "name"))?.closest(".fieldBox, .form-row");
  if (!place) return;
  const note = document.createElement("p");
  note.className = "ling-warning";
  note.textContent = message;
  place.append(note);
}

panel.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.key) choose(button.dataset.key);
  if (button === part("add")) addStep();
  if (button === part("connect")) beginToConnect();
});
panel.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && connecting) {
    beginToConnect();
  } else if (event.key === "Escape") choose("");
  else if (data.editable) press(event);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".ling-convert");
  const box = button?.closest(".form-row, .fieldBox")?.querySelector("textarea");
  if (!box) return;
  box.value = button.dataset.lingSchema;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  button.closest(".errorlist").remove();
  box.focus();
});

if (data.editable) {
  foldRows();
  draggable(part("drawing"), connect);
  for (const each of data.warnings) warn(each);
  document.addEventListener("keydown", comeBack);
  for (const name of ["input", "change", "formset:added", "formset:removed"]) document.addEventListener(name, drawSoon);
  document.addEventListener("change", (event) => {
    if (/^triggers-\d+-pattern$/.test(event.target.name ?? "")) offerRoot(event.target.closest(".inline-related"));
  });
  part("tools").hidden = false;
}
document.addEventListener("ling:steps", ({ detail }) => follow(detail));
panel.hidden = false;
addEventListener("pageshow", drawSoon);
draw();
document.dispatchEvent(new CustomEvent("ling:graph"));
