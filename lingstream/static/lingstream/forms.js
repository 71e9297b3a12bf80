/** forms: `<form data-ling-start>` as the input of a run, typed by the workflow's schema or else by its controls. */

import { child, put, split } from "./jsonuri.js";
import { block } from "./page.js";

const NOT_SENT = "csrfmiddlewaretoken";
const NUMBERS = ["number", "range"];

/**
 * @param {HTMLFormElement} form
 * @param {FormData} data of when it was submitted
 * @param {string | null} workflow
 * @returns {object} the fields; those whose name is a path, such as `a/b`, are inside others
 * @throws {Error} a file, which no input can hold, or a name that is no path
 */
export function inputOf(form, data, workflow) {
    const schema = block(`schema-${workflow}`);
    const input = Object.create(null);
    // Boxes that are not ticked are missing from the data, where they mean false.
    const boxes = [...form.elements].filter((control) => control.matches("[type=checkbox][name]:not(:disabled)"));
    for (const name of new Set([...data.keys(), ...boxes.map((box) => box.name)])) {
        const wanted = split(name).reduce((at, key) => child(at?.properties, key) ?? at?.items, schema);
        const value = name === NOT_SENT ? undefined : valueOf(form, name, data.getAll(name), wanted);
        if (value !== undefined) setAt(input, name, value);
    }
    return input;
}

/**
 * Show at its control what the server refused, until something is changed.
 *
 * @param {HTMLFormElement} form
 * @param {{uri?: string, message: string}} fault
 */
export function showFault(form, { uri, message }) {
    const control = [...form.elements].find(({ name }) => name && `${uri}/`.startsWith(`${name}/`));
    if (!control?.setCustomValidity) return;
    control.setCustomValidity(message);
    form.addEventListener("input", () => control.setCustomValidity(""), { once: true });
    control.reportValidity();
}

function valueOf(form, name, entries, schema) {
    if (entries.some((entry) => entry.name)) throw new TypeError(`expected text in the field "${name}", got a file`);
    const controls = [...form.elements].filter((control) => control.name === name);
    const has = (...kinds) => controls.some(({ type }) => kinds.includes(type));
    const fallback = has(...NUMBERS) ? "number" : "string";
    const texts = entries.filter((entry) => typeof entry === "string");
    const type = typeOf(schema);
    const isSeveral = has("select-multiple") || texts.length > 1 || (has("checkbox") && controls.length > 1);
    if (isSeveral || type === "array") {
        return texts.map((text) => typed(text, schema?.items, fallback)).filter((item) => item !== undefined);
    }
    if (has("checkbox") && (type ?? "boolean") === "boolean") return texts.length > 0;
    return texts.length > 0 ? typed(texts[0], schema, fallback) : undefined;
}

/** A number that is not written is left out: it is not 0. What is none goes as it is, for the server to refuse. */
function typed(text, schema, fallback) {
    const listed = schema?.enum?.find((choice) => String(choice) === text);
    if (listed !== undefined) return listed;
    const type = typeOf(schema) ?? fallback;
    if (type === "boolean") return !["", "0", "false", "off"].includes(text);
    if (type !== "number" && type !== "integer") return text;
    if (text.trim() === "") return undefined;
    return Number.isNaN(Number(text)) ? text : Number(text);
}

function typeOf(schema) {
    return [schema?.type].flat().find((type) => type !== "null");
}

function setAt(input, name, value) {
    const keys = split(name);
    const last = keys.pop();
    const parent = keys.reduce((place, key, index) => {
        const isArray = (keys[index + 1] ?? last) === "0";
        if (child(place, key) === undefined) put(place, key, isArray ? [] : Object.create(null), name);
        return child(place, key);
    }, input);
    put(parent, last, value, name);
}
