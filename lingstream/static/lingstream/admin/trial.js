/* Try it: executes what stands in the page's form, as a run that nobody else sees, and shows it as it goes on. */

import { isName, typedSteps } from "./rows.js";
import { offers } from "./trial-adopt.js";
import { Column } from "./trial-column.js";
import { addOnce, advice, clear, complain } from "./trial-faults.js";
import { InputForm } from "./trial-input.js";
import { Refused, Server } from "./trial-server.js";
import { Table } from "./trial-table.js";
import { data, make, word } from "./trial-words.js";

const panel = document.getElementById("trial");
const page = document.getElementById(panel.dataset.form);
const TEMPLATE = /^((steps|triggers)-\d+-(input|root)|text)$/; // fields whose text may read the input
const READ = /\binput\.([A-Za-z_]\w*)\b(?!\s*[.([]|\s+is\b)/g; // as _READ in prompts/trying.py
const STILL = 8; // pixels: who moves further between pressing and releasing a button wants no click
const form = panel.querySelector("form");
const { keep, many, start, stop } = form.elements;
const server = new Server(data);
const input = new InputForm(panel.querySelector("[data-part=fields]"));
const client = await connected();
const columns = [...panel.querySelectorAll(".ling-try-column")].map((each) => new Column(each, client, server));
const shown = () => columns.filter((column) => column.isShown);

/** The site's client, of the same module that the page has loaded already. */
async function connected() {
  const { Client, join, split } = await import(document.querySelector("script[data-lingstream]").src);
  return Object.assign(new Client(), { join, split });
}

/** What is to be tried, beside the page's form. */
function fieldsOf(column) {
  const fields = { ...column.fields, "trial-input": input.text };
  if (form.elements.acts?.checked) fields["trial-acts"] = "on";
  if (form.elements.target) fields["trial-target"] = form.elements.target.value;
  return fields;
}

async function run() {
  clear();
  const going = shown();
  for (const column of going) column.cancel();
  setBusy(true);
  await Promise.all(going.map(runColumn));
  setBusy(false);
}

async function runColumn(column) {
  column.say(word("starting"));
  const settings = column.fields;
  try {
    await column.show(await startOf(column));
    const found = offers(settings, page);
    if (found.length > 0) column.offer(found);
  } catch (error) {
    column.say(word("notStarted"));
    refuse(error);
  }
}

/** Start what is to be tried; what is wrong with the settings of the column is said there. */
async function startOf(column, changes = {}) {
  try {
    return await server.start(page, { ...fieldsOf(column), ...changes });
  } catch (error) {
    error.column = column;
    throw error;
  }
}

function refuse(error) {
  if (!(error instanceof Refused)) throw error;
  const { "trial-input": ours, ...others } = error.errors;
  if (ours) input.complain(ours, error.uri);
  const faults = panel.querySelector("[data-part=faults]");
  complain(page, faults, others, error.column?.element ?? panel);
  if (error.remedy) addOnce(faults, advice(error.remedy));
}

function setBusy(busy) {
  start.disabled = busy;
  stop.disabled = !busy;
}

/* -- where the input comes from ------------------------------------------------------------------------------ */

const offered = new Map([["", undefined]]); // inputs by the value of the choice

/** The target that is chosen on a prompt's page; a workflow's page is its own. */
function target() {
  const chosen = form.elements.target?.value;
  return data.targets?.find(({ value }) => value === chosen) ?? { workflow: data.workflow };
}

function schemaNow() {
  if (data.targets) return target().schema;
  const box = page.elements.input_schema;
  try {
    return JSON.parse(box?.value || "{}");
  } catch {
    return null; // half of it is typed
  }
}

/** What the page's templates read of the input, for where no schema lists it: a text each. */
function readByTemplates() {
  const texts = [...page.querySelectorAll("textarea, input[type=text]")].filter(({ name }) => TEMPLATE.test(name));
  const names = new Set(texts.flatMap(({ value }) => [...value.matchAll(READ)].map(([, name]) => name)));
  return { properties: Object.fromEntries([...names].map((name) => [name, { type: "string" }])), required: [...names] };
}

function followSchema() {
  const schema = schemaNow();
  if (schema === null) return;
  input.schema = schema?.properties ? schema : readByTemplates();
  panel.querySelector("[data-part=as-json]").hidden = !input.hasFields;
}

async function offerInputs() {
  const select = form.elements.from;
  const { workflow } = target();
  offered.clear();
  select.replaceChildren(new Option(word("byHand"), ""));
  offer(word("examples"), "example", data.examples.filter((each) => each.workflow === workflow), ({ name }) => name);
  const keeping = panel.querySelector("[data-part=keep]");
  if (keeping) keeping.hidden = !workflow;
  if (many) panel.querySelector("[data-part=many]").hidden = !workflow;
  if (!data.may.inputs || !workflow) return;
  const found = await server.inputs({ workflow, n: "20" }).catch(() => []);
  if (target().workflow === workflow) offer(word("realInputs"), "run", found, titleOf);
}

function titleOf({ title, input: value }) {
  return `${title}: ${JSON.stringify(value).slice(0, 60)}`;
}

function offer(label, kind, rows, name) {
  if (rows.length === 0) return;
  const group = make("optgroup", { label });
  rows.forEach((row, index) => {
    offered.set(`${kind}-${index}`, row.input);
    group.append(new Option(name(row), `${kind}-${index}`));
  });
  form.elements.from.append(group);
}

/** Another page may send us here with a run whose input is to be tried: `?trial_run=…`. */
async function takeInputOf(run) {
  panel.scrollIntoView();
  const [found] = await server.inputs({ run }).catch(() => []);
  if (found) input.value = found.input;
}

async function keepExample() {
  const place = panel.querySelector("[data-part=kept]");
  clear();
  const fields = { workflow: target().workflow, name: form.elements.name.value, "trial-input": input.text };
  try {
    const row = await server.keep(fields);
    data.examples.push({ workflow: target().workflow, ...row });
    place.textContent = word("kept");
    await offerInputs();
  } catch (error) {
    place.textContent = "";
    refuse(error);
  }
}

/* -- what is listened to --------------------------------------------------------------------------------------- */

/** The steps that are being typed, to choose one of. */
function followSteps() {
  const names = typedSteps().map(({ name }) => name);
  for (const select of form.querySelectorAll("[name=step]")) {
    const chosen = select.value;
    select.replaceChildren(new Option(word("allSteps"), ""), ...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) select.value = chosen;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (panel.contains(event.target) || !input.focusEmpty()) run();
});
// Pressing a button ends what was typed, which may add a field to the input and move the button away before it is
// released: the browser makes no click of that.
form.addEventListener("pointerdown", (down) => {
  const button = down.button === 0 && down.target.closest("button");
  if (!button) return;
  const over = new AbortController();
  const released = ({ target, screenX, screenY }) => {
    over.abort();
    const still = Math.hypot(screenX - down.screenX, screenY - down.screenY) < STILL;
    if (still && !button.contains(target)) button.click();
  };
  addEventListener("pointerup", released, { signal: over.signal });
  addEventListener("pointercancel", () => over.abort(), { signal: over.signal });
});
stop.addEventListener("click", () => shown().forEach((column) => column.cancel()));
keep?.addEventListener("click", keepExample);
form.addEventListener("change", ({ target: changed }) => {
  if (changed.name === "beside") columns[1].isShown = changed.checked;
  if (changed.name === "as-json") input.asJson = changed.checked;
  if (changed.name === "from" && offered.has(changed.value)) input.value = offered.get(changed.value);
  if (changed.name !== "target") return;
  followSchema();
  offerInputs();
});
page.addEventListener("input", ({ target: changed }) => {
  if (changed.name === "input_schema") followSchema();
  if (isName(changed)) followSteps();
});
page.addEventListener("change", followSchema); // not while a name is typed: each beginning would be one
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || !(event.ctrlKey || event.metaKey) || start.disabled) return;
  if (!page.contains(event.target) && !panel.contains(event.target)) return;
  event.preventDefault();
  if (panel.contains(event.target) || !input.focusEmpty()) run();
});
// A save comes back to the top, where it is told, whatever part of the page was shown.
if (!page.hasAttribute("action")) page.setAttribute("action", location.pathname + location.search);
if (many) new Table(form, client, server, { columns, startOf, target, refuse, clear });

followSchema();
followSteps();
await offerInputs();
const asked = new URLSearchParams(location.search).get("trial_run");
if (asked) await takeInputOf(asked);
panel.dataset.ready = "";
