/* The patterns of triggers are completed by what their source writes, and one that meets nothing there is marked
   while it is typed. */

import { meets } from "./graph-patterns.js";
import { control, readGraph, rowsOf, valueOf } from "./rows.js";

const FIELDS = ["format", "root", "schema", "prompt", "label"];
const CLOSES = { "string-response": "string", "object-response": "container" };
const SHOWN = 6;
const NOTHING = { from: "", places: [], rooted: 0 };
const data = JSON.parse(document.getElementById("ling-graph-data").textContent);
const asked = new Map();

const isPattern = (element) => /^triggers-\d+-pattern$/.test(element.name ?? "");

function sourceOf(row) {
  const name = readGraph().triggers.find((each) => each.key === row.id)?.source;
  return rowsOf("steps").find((each) => name && valueOf(each, "name") === name);
}

/** What a step writes; the same question is asked once. */
function placesOf(step) {
  const query = new URLSearchParams({ slug: document.getElementById("id_slug")?.value ?? "", step: valueOf(step, "name") });
  for (const field of FIELDS) query.set(field, valueOf(step, field));
  const key = query.toString();
  if (!asked.has(key)) {
    const answer = ask(query).catch(() => asked.delete(key) && NOTHING);
    if (asked.size > 50) asked.clear();
    asked.set(key, answer);
  }
  return asked.get(key);
}

async function ask(body) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const response = await fetch(data.places, { method: "POST", body, headers: { "X-CSRFToken": token } });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function help(row) {
  const step = sourceOf(row);
  const found = step ? await placesOf(step) : NOTHING;
  const input = control(row, "pattern");
  if (!input || step !== sourceOf(row)) return;
  const type = CLOSES[valueOf(row, "event")];
  const uris = type ? [...new Set(found.places.filter((each) => each.type === type).map((each) => each.uri))] : [];
  complete(input, uris);
  const unmet = uris.length > 0 && input.value.trim() && !uris.some((uri) => meets(input.value.trim(), uri, found.rooted));
  mark(input, unmet ? note(found.from, uris) : "");
}

function note(from, uris) {
  const shown = uris.filter(Boolean).slice(0, SHOWN).join(", ") + (uris.length > SHOWN ? ", …" : "");
  return data.words.nothing.replace("%(from)s", data.words[from]).replace("%(places)s", shown);
}

function complete(input, uris) {
  const id = `${input.id}-places`;
  let list = document.getElementById(id);
  if (!list) {
    list = document.createElement("datalist");
    list.id = id;
    input.after(list);
    input.setAttribute("list", id);
  }
  list.replaceChildren(...uris.filter(Boolean).map((uri) => new Option("", uri)));
}

function mark(input, text) {
  const id = `${input.id}-unmet`;
  let place = document.getElementById(id);
  if (!place && text) {
    place = document.createElement("p");
    place.id = id;
    place.className = "ling-unmet";
    place.setAttribute("role", "status");
    input.closest(".fieldBox, .form-row").append(place);
    input.setAttribute("aria-describedby", [input.getAttribute("aria-describedby"), id].filter(Boolean).join(" "));
  }
  if (place) place.textContent = text;
}

function listen(event) {
  const row = event.target.closest?.(".inline-related");
  if (row && /^triggers-\d+$/.test(row.id) && (isPattern(event.target) || event.type === "change")) help(row);
}

for (const name of ["focusin", "input", "change"]) document.addEventListener(name, listen);
