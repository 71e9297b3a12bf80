/* What can be done with a trial that went well: its text or its settings become the draft, or go live. */

import { control, rowsOf, valueOf, write } from "./rows.js";
import { data, make, word } from "./trial-words.js";

/**
 * @param {import("./trial-column.js").Column} column
 * @param {HTMLFormElement} page the page's form
 * @returns {HTMLElement[]} what there is to do
 */
export function offers(column, page) {
  if (data.targets) return ofPrompt(column.version, page);
  const { "trial-provider": provider, "trial-model": model, "trial-temperature": temperature } = column.fields;
  return provider || model || temperature ? [button("makeDraft", () => adopt(column.fields))] : [];
}

function ofPrompt(version, page) {
  if (version === "") {
    const tick = page.elements.namedItem("publish");
    return tick ? [button("publish", () => publishDraft(page, tick))] : [];
  }
  const found = [make("a", { class: "button", href: `?from=${version}` }, word("makeDraft"))];
  if (data.may.publish) found.push(publishing(version));
  return found;
}

/** By the page's own save, with all that it checks. */
function publishDraft(page, tick) {
  tick.checked = true;
  page.querySelector("[name=_continue]").click();
}

/** The page has a form that makes a version live. */
function publishing(version) {
  const asked = { form: "ling-publish", formaction: data.publish, name: "version", value: version };
  return make("button", { ...asked, class: "button" }, word("publish"));
}

/** Put the settings of a column into the fields of its step, or of all bots. */
function adopt(fields) {
  const { "trial-step": step, "trial-provider": provider } = fields;
  const { "trial-model": model, "trial-temperature": temperature } = fields;
  for (const row of rowsOf("steps")) {
    if (!["", valueOf(row, "name")].includes(step) || valueOf(row, "kind") !== "bot") continue;
    const option = [...control(row, "provider").options].find(({ text }) => text === provider);
    if (provider && option) write(row, "provider", option.value);
    if (model || provider) write(row, "model", model);
    if (!temperature) continue;
    write(row, "params", JSON.stringify({ ...known(valueOf(row, "params")), temperature: Number(temperature) }));
  }
}

function known(text) {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return {};
  }
}

function button(name, act) {
  const found = make("button", { type: "button", class: "button" }, word(name));
  found.addEventListener("click", () => act());
  return found;
}
