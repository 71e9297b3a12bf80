/* The input of a trial: fields made from its JSON schema, or JSON where there is none or it is asked for.

What the schema does not list is kept and sent along. The server judges; here nothing is refused but what is no
JSON. */

import { make, word } from "./trial-words.js";

const LONG = 200; // characters from which a text gets a box

export class InputForm {
  #place;
  #schema = null;
  #controls = new Map(); // by the name of the property
  #asJson = false;
  #rest = {};
  #box;

  /** @param {HTMLElement} place where the fields go */
  constructor(place) {
    this.#place = place;
    this.#box = make("textarea", { class: "ling-code", rows: "6", id: "trial-json", spellcheck: "false" });
    this.#box.value = "{}";
    this.#draw({});
  }

  /** @returns {boolean} whether there are fields to choose beside JSON */
  get hasFields() {
    return propertiesOf(this.#schema).length > 0;
  }

  /** @param {unknown} schema */
  set schema(schema) {
    if (JSON.stringify(schema) === JSON.stringify(this.#schema)) return;
    const value = this.#read();
    for (const name of this.#controls.keys()) if (value[name] === "") delete value[name]; // nobody has asked for it
    this.#schema = schema;
    this.#draw(value);
  }

  /** @param {boolean} asJson */
  set asJson(asJson) {
    const value = this.#read();
    this.#asJson = asJson;
    this.#draw(value);
  }

  /** @param {unknown} value */
  set value(value) {
    this.#draw(value);
  }

  /** @returns {string} JSON text, as it was typed where it was */
  get text() {
    return this.#controls.size > 0 ? JSON.stringify(this.#read()) : this.#box.value;
  }

  /**
   * Go to where nothing has been typed yet, if that is all of it.
   *
   * @returns {boolean} whether it is
   */
  focusEmpty() {
    if (this.#controls.size === 0) {
      if (this.#box.value.trim() !== "{}") return false;
      this.#box.focus();
      this.#box.select(); // what is typed takes its place
      return true;
    }
    const controls = [...this.#controls.values()].map(({ control }) => control);
    if (controls.some((each) => each.type !== "checkbox" && each.value !== "")) return false;
    controls[0].focus();
    return true;
  }

  /**
   * @param {string[]} messages
   * @param {string} [uri] in the input
   */
  complain(messages, uri) {
    const name = uri?.split("/")[0];
    const control = this.#controls.get(name)?.control ?? this.#box;
    for (const said of this.#place.querySelectorAll(".ling-try-error")) said.remove();
    const list = make("ul", { class: "errorlist ling-try-error" });
    list.append(...messages.map((message) => make("li", {}, message)));
    (control.closest("p") ?? this.#place.firstElementChild).before(list);
    control.setAttribute("aria-invalid", "true");
  }

  #draw(value) {
    this.#controls.clear();
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    const properties = this.#asJson || !(isObject || value === undefined) ? [] : propertiesOf(this.#schema);
    if (properties.length === 0) {
      if (value !== undefined) this.#box.value = JSON.stringify(value, null, 2);
      this.#place.replaceChildren(row(this.#box, word("asJson")));
      return;
    }
    this.#rest = { ...value };
    this.#place.replaceChildren(...properties.map(([name, schema]) => this.#field(name, schema, value?.[name])));
  }

  #field(name, schema, value) {
    const required = this.#schema.required?.includes(name) ?? false;
    const { control, read } = controlOf(schema, value ?? schema.default, required);
    control.id = `trial-input-${name}`;
    this.#controls.set(name, { control, read });
    delete this.#rest[name];
    const title = typeof schema.title === "string" ? schema.title : name;
    return row(control, title, required, schema.description);
  }

  /** @returns {unknown} undefined where the box holds no JSON */
  #read() {
    if (this.#controls.size === 0) return parsed(this.#box.value);
    const found = { ...this.#rest };
    for (const [name, { read }] of this.#controls) {
      const value = read();
      if (value !== undefined) found[name] = value;
    }
    return found;
  }
}

/** @returns {[string, object][]} */
function propertiesOf(schema) {
  const properties = schema?.properties;
  if (properties === null || typeof properties !== "object") return [];
  return Object.entries(properties).filter(([, each]) => each !== null && typeof each === "object");
}

function controlOf(schema, value, required) {
  if (Array.isArray(schema.enum)) return choice(schema.enum, value, required);
  if (schema.type === "boolean") return tick(value);
  if (schema.type === "number" || schema.type === "integer") return number(schema, value);
  const isText = value === undefined || typeof value === "string";
  if (schema.type === "string" && isText) return text(schema, value, required);
  return json(value);
}

function choice(values, value, required) {
  const control = make("select");
  if (!required) control.append(new Option("–", ""));
  values.forEach((each, index) => control.append(new Option(String(each), String(index))));
  const chosen = values.indexOf(value);
  if (chosen >= 0) control.value = String(chosen);
  return { control, read: () => (control.value === "" ? undefined : values[Number(control.value)]) };
}

function tick(value) {
  const control = make("input", { type: "checkbox" });
  control.checked = value === true;
  return { control, read: () => control.checked };
}

function number(schema, value) {
  const control = make("input", { type: "number", step: schema.type === "integer" ? "1" : "any" });
  if (value !== undefined) control.value = String(value);
  return { control, read: () => (control.value === "" ? undefined : Number(control.value)) };
}

function text(schema, value = "", required = false) {
  const isLong = (schema.maxLength ?? LONG + 1) > LONG;
  const control = isLong ? make("textarea", { rows: "2" }) : make("input", { class: "vTextField" });
  control.value = value;
  return { control, read: () => (control.value === "" && !required ? undefined : control.value) };
}

function json(value) {
  const control = make("textarea", { class: "ling-code", rows: "3", spellcheck: "false" });
  if (value !== undefined) control.value = JSON.stringify(value, null, 2);
  // What is no JSON is sent as the text that it is: the server says what it wants in its place.
  return { control, read: () => (control.value.trim() === "" ? undefined : parsed(control.value) ?? control.value) };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function row(control, title, required = false, help = "") {
  const label = make("label", { for: control.id, ...(required ? { class: "required" } : {}) }, title);
  const found = make("p", {}, label, " ", control);
  if (typeof help === "string" && help) found.append(" ", make("span", { class: "help" }, help));
  return found;
}
