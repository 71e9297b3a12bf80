/* What is wrong with what was to be tried: at its fields, as after a save, and in the panel with a way to each. */

import { open } from "./graph-rows.js";
import { make, word } from "./trial-words.js";

/** Take away what was said of the last try. */
export function clear() {
  for (const each of document.querySelectorAll(".ling-try-error")) each.remove();
  for (const each of document.querySelectorAll("#trial [aria-invalid]")) each.removeAttribute("aria-invalid");
}

/**
 * @param {HTMLFormElement} page
 * @param {HTMLElement} place for all of them
 * @param {Record<string, string[]>} errors messages by the name of a field
 * @param {HTMLElement} around the settings of the panel that are meant
 */
export function complain(page, place, errors, around) {
  for (const [name, messages] of Object.entries(errors)) {
    if (messages.length === 0) continue;
    const control = name ? (controlOf(page, name) ?? settingOf(around, name)) : null;
    const note = make("p", { class: "errornote ling-try-error" }, messages.join(" "));
    if (control) {
      showAt(control, messages);
      note.append(" ", way(control));
    }
    addOnce(place, note);
  }
}

/**
 * What to do about an error, and a way to where it is done for who may go there.
 *
 * @param {{ text: string, url: string, title: string }} remedy
 */
export function advice({ text, url, title }) {
  return make("p", { class: "ling-try-error" }, text, ...(url ? [" ", make("a", { href: url }, title)] : []));
}

/** Two columns may say the same. */
export function addOnce(place, note) {
  if (![...place.children].some((each) => each.textContent === note.textContent)) place.append(note);
}

function showAt(control, messages) {
  const row = control.closest(".fieldBox, .form-row, td") ?? control.closest("p") ?? control;
  if (control.closest("#trial")) control.setAttribute("aria-invalid", "true");
  if (row.querySelector(":scope > .ling-try-error")) return;
  const list = make("ul", { class: "errorlist ling-try-error" });
  list.append(...messages.map((message) => make("li", {}, message)));
  row.prepend(list);
  const folded = control.closest(".ling-folded");
  if (folded) open(folded);
  for (let fold = control.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

function way(control) {
  const button = make("button", { type: "button", class: "ling-try-way" }, word("shownAt"));
  button.addEventListener("click", () => {
    control.scrollIntoView({ block: "center" });
    control.focus();
  });
  return button;
}

/** The field; of a row as a whole (`steps-0-__all__`) its first one, of all rows (`steps`) their group. */
function controlOf(page, name) {
  const found = page.elements.namedItem(name);
  if (found) return found instanceof RadioNodeList ? found[0] : found;
  const row = /^(\w+-\d+)-/.exec(name)?.[1];
  const around = document.getElementById(row ?? `${name}-group`);
  return around?.querySelector("input:not([type=hidden]), select, textarea") ?? around;
}

function settingOf(around, name) {
  return around.querySelector(`[name="${CSS.escape(name.replace(/^trial-/, ""))}"]`);
}
