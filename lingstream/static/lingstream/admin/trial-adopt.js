/* What can be done with a trial that went well: what it ran becomes the draft, or goes live. */

import { control, rowsOf, valueOf, write } from "./rows.js";
import { data, make, word } from "./trial-words.js";

const CHANGES = ["trial-provider", "trial-model", "trial-temperature", "trial-params"];

/**
 * @param {Record<string, string>} tried the settings of its column, as a start sent them
 * @param {HTMLFormElement} page the page's form
 * @returns {HTMLElement[]} what there is to do
 */
export function offers(tried, page) {
  if (data.targets) return ofPrompt(tried["trial-version"] ?? "", page);
  return ofWorkflow(tried, page);
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

function ofWorkflow(tried, page) {
  const isChanged = CHANGES.some((name) => tried[name].trim() !== "");
  const version = tried["trial-version"] ?? "";
  if (version === "" || version === "saved") return ofDraft(version, tried, isChanged, page);
  const number = version === "published" ? String(data.published) : version;
  const isLive = number === String(data.published);
  const found = [];
  if (data.may.rewrite && (isChanged || data.differs || !isLive)) {
    found.push(button("makeDraft", () => post(page, { ...tried, action: "take-up", number })));
  }
  if (data.may.rewrite && data.may.publish && !isChanged && !isLive) {
    found.push(button("publish", () => post(page, { action: "roll-back", number })));
  }
  return found;
}

function ofDraft(version, tried, isChanged, page) {
  const found = isChanged ? [button("makeDraft", () => adopt(tried))] : [];
  const save = page.elements.namedItem("_publish");
  if (version === "" && save) {
    const publish = () => {
      if (isChanged) adopt(tried);
      save.click(); // by the page's own save, with all that it checks
    };
    found.push(button("publish", publish));
  } else if (version === "saved" && data.may.publish && !isChanged && (data.differs || !data.published)) {
    found.push(button("publish", () => post(page, { action: "publish" })));
  }
  return found;
}

/** Have the page of versions do something, and come back. */
function post(page, fields) {
  if (contentOf(page) !== opened && !confirm(word("unsaved"))) return;
  const { csrfmiddlewaretoken, base } = page.elements;
  const all = { csrfmiddlewaretoken: csrfmiddlewaretoken.value, base: base.value, ...fields };
  const hidden = Object.entries(all).map(([name, value]) => make("input", { type: "hidden", name, value }));
  const form = make("form", { method: "post", action: data.publish, hidden: "" }, ...hidden);
  document.body.append(form);
  form.submit();
}

/** What the page's form would send. */
function contentOf(page) {
  return new URLSearchParams(new FormData(page)).toString();
}

const opened = contentOf(document.getElementById(document.getElementById("trial").dataset.form));

/** Put the settings of a column into the fields of its step, or of all bots. */
function adopt(tried) {
  const { "trial-step": step, "trial-provider": provider, "trial-model": model } = tried;
  const params = known(tried["trial-params"]);
  if (tried["trial-temperature"]) params.temperature = Number(tried["trial-temperature"]);
  for (const row of rowsOf("steps")) {
    if (!["", valueOf(row, "name")].includes(step) || valueOf(row, "kind") !== "bot") continue;
    const option = [...control(row, "provider").options].find(({ text }) => text === provider);
    if (provider && option) write(row, "provider", option.value);
    if (model || provider) write(row, "model", model);
    if (Object.keys(params).length === 0) continue;
    write(row, "params", JSON.stringify({ ...known(valueOf(row, "params")), ...params }));
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
