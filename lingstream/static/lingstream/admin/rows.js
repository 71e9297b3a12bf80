/* The rows of steps and triggers on a workflow's page, read from the form as it stands. */

const NAME = /^steps-(\d+)-name$/;

/** What the value of a choice begins with that names a step which is not stored yet. */
export const PENDING = "name:";

/** Which control of a row of steps holds its kind. */
export const KIND = /^steps-(\d+|__prefix__)-kind$/;

/** @param {Element} row */
export function kindSelect(row) {
  return [...row.querySelectorAll("select")].find((select) => KIND.test(select.name));
}

/** @param {EventTarget} control */
export const isName = (control) => NAME.test(control.name ?? "");

/**
 * The steps that have a name and stay, in the order of the page.
 *
 * @returns {{ value: string, name: string, index: string }[]}  the value is that of the choices of triggers
 */
export function typedSteps() {
  const steps = [];
  for (const input of document.querySelectorAll('input[name^="steps-"][name$="-name"]')) {
    const found = NAME.exec(input.name);
    const name = input.value.trim();
    if (!found || !name) continue;
    const id = document.getElementById(`id_steps-${found[1]}-id`)?.value;
    const deleted = document.getElementById(`id_steps-${found[1]}-DELETE`)?.checked;
    if (!deleted) steps.push({ value: id || PENDING + name, name, index: found[1] });
  }
  return steps;
}

/**
 * The rows of one kind, without the one that new ones are copied from.
 *
 * @param {"steps" | "triggers"} prefix
 * @returns {HTMLElement[]}
 */
export function rowsOf(prefix) {
  return [...document.querySelectorAll(`#${prefix}-group .inline-related:not(.empty-form)`)];
}

/**
 * A control of a row, by the name of its field.
 *
 * @param {HTMLElement} row
 * @param {string} field
 */
export function control(row, field) {
  return row.querySelector(`[name="${row.id}-${field}"]`);
}

/**
 * What a field of a row holds, or shows.
 *
 * @param {HTMLElement} row
 * @param {string} field
 */
export function valueOf(row, field) {
  return control(row, field)?.value.trim() ?? "";
}

/** @param {HTMLElement} row */
export const isDeleted = (row) => Boolean(control(row, "DELETE")?.checked);

/**
 * Write into a control as a person would: whoever listens hears of it.
 *
 * @param {HTMLElement} row
 * @param {string} field
 * @param {string} value
 */
export function write(row, field, value) {
  const found = control(row, field);
  if (!found) return;
  found.value = value;
  found.dispatchEvent(new Event("input", { bubbles: true }));
  found.dispatchEvent(new Event("change", { bubbles: true }));
}

/**
 * Add a row by the page's own link, as only that knows how.
 *
 * @param {"steps" | "triggers"} prefix
 * @returns {HTMLElement | undefined}
 */
export function addRow(prefix) {
  document.querySelector(`#${prefix}-group .add-row a`)?.click();
  return rowsOf(prefix).at(-1);
}

/**
 * @typedef {{ key: string, name: string, kind: string, prompt: string, root: string, input?: string, wrong?: boolean }} Step
 * @typedef {{ key: string, source: string, target: string, event: string, pattern: string, wrong?: boolean }} Trigger
 */

/**
 * The graph that the form describes; what is deleted or has no name yet is not in it.
 *
 * @returns {{ steps: Step[], triggers: Trigger[] }}
 */
export function readGraph() {
  const typed = typedSteps();
  const names = new Map(typed.map((step) => [step.value, step.name]));
  const steps = typed.map(({ name, index }) => {
    const row = document.getElementById(`steps-${index}`);
    return { key: row.id, name, ...stepOf(row) };
  });
  const triggers = rowsOf("triggers").filter((row) => !isDeleted(row)).map((row) => ({
    key: row.id,
    source: names.get(valueOf(row, "when_step")) ?? "",
    target: names.get(valueOf(row, "start_step")) ?? "",
    event: valueOf(row, "event"),
    pattern: valueOf(row, "pattern"),
    otherwise: Boolean(control(row, "otherwise")?.checked),
    root: valueOf(row, "root"),
    wrong: isWrong(row),
  }));
  return { steps, triggers };
}

function stepOf(row) {
  const prompt = control(row, "prompt");
  const kind = valueOf(row, "kind");
  return {
    kind,
    prompt: kind === "bot" && prompt?.value ? prompt.selectedOptions[0].text : "",
    root: valueOf(row, "root"),
    wrong: isWrong(row),
  };
}

const isWrong = (row) => Boolean(row.querySelector(".errorlist, .ling-warning"));
