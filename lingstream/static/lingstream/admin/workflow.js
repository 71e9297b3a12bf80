/* On a workflow's page: show of each step what its kind has, and keep the step choices of triggers in step with
   the step names being typed above. Without this script all kinds are there, folded away, and the choices are
   those of the last save. */

import { KIND, PENDING, isName, kindSelect, typedSteps } from "./rows.js";

/* Who may only look has no choice, and sees the kind as text. */
function shownText(row) {
  return row.querySelector(".field-kind .readonly")?.textContent.trim();
}

function isBlank(control) {
  const { lingPreset } = control.dataset;
  if (control.type === "checkbox") return control.checked === (lingPreset !== undefined);
  return control.value === "" || control.value === lingPreset;
}

/* What is hidden is sent all the same, as it may be shown again; but not what is blank, as Django takes no
   more than 1,000 fields. */
function showFieldset(fieldset, shown, opened = shown) {
  fieldset.hidden = !shown;
  if (!fieldset.classList.contains("ling-options")) return;
  for (const control of fieldset.querySelectorAll("input, select, textarea")) {
    control.disabled = !shown && isBlank(control);
  }
  const details = fieldset.querySelector("details");
  if (details && !details.querySelector(".errorlist")) details.open = opened;
}

function showKind(row) {
  const select = kindSelect(row);
  const kind = select?.value ?? shownText(row);
  const asStored = select ? kind === select.dataset.lingUnknown : kind !== "bot";
  for (const fieldset of row.querySelectorAll(".ling-kind")) {
    const { classList } = fieldset;
    if (classList.contains("ling-stored-options")) showFieldset(fieldset, asStored);
    else {
      const shown = !asStored && classList.contains(`ling-kind-${kind}`);
      showFieldset(fieldset, shown, shown && kind !== "bot"); // whose options are few, and rare
    }
  }
}

function showKinds() {
  for (const row of document.querySelectorAll("#steps-group .inline-related")) showKind(row);
}

function refill(select, steps) {
  const chosen = select.value;
  const previous = select.dataset.lingIndex;
  const empty = [...select.options].find((option) => option.value === "");
  select.replaceChildren();
  if (empty) select.append(empty);
  for (const step of steps) {
    const option = new Option(step.name, step.value);
    option.dataset.lingIndex = step.index;
    select.append(option);
  }
  const same = [...select.options].find((option) => option.value === chosen);
  // A new step's value is its name, which is what changes while it is typed: follow its row.
  const row = chosen.startsWith(PENDING) && [...select.options].find((o) => o.dataset.lingIndex === previous);
  const keep = same ?? (row || undefined);
  if (keep) keep.selected = true;
  else if (chosen && !chosen.startsWith(PENDING)) select.append(new Option(`${chosen} ?`, chosen, true, true));
}

function update() {
  const steps = typedSteps();
  for (const select of document.querySelectorAll('select[name^="triggers-"][name$="_step"]')) {
    refill(select, steps);
  }
}

document.addEventListener("change", (event) => {
  if (KIND.test(event.target.name ?? "")) showKind(event.target.closest(".inline-related"));
  if (event.target.matches?.('select[name^="triggers-"][name$="_step"]')) {
    event.target.dataset.lingIndex = event.target.selectedOptions[0]?.dataset.lingIndex ?? "";
  }
  if (event.target.matches?.('[name^="steps-"][name$="-DELETE"]')) update();
});
// Half a number is sent as none, which would remove the option: Django's forms ask browsers not to mind.
document.addEventListener("submit", (event) => {
  const numbers = event.target.querySelectorAll(".ling-options:not([hidden]) input[type=number]");
  const half = [...numbers].find((input) => input.validity.badInput);
  if (!half) return;
  event.preventDefault();
  half.reportValidity();
});
/* The panel's Ctrl + Enter tries what is in the form; with Shift it is published. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
  const publish = document.querySelector("[name=_publish]");
  if (!publish) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  publish.form.requestSubmit(publish);
});
document.addEventListener("input", (event) => {
  if (isName(event.target)) update();
});
document.addEventListener("formset:added", (event) => {
  if (event.detail?.formsetName === "steps") showKind(event.target);
  update();
});
document.addEventListener("formset:removed", update);
// Browsers fill a page again to which one goes back, after scripts have run.
addEventListener("pageshow", showKinds);
showKinds();
// Django puts the cursor into the first control of an empty form, which is a button where those are on top;
// its script is an async one.
if (document.getElementById("django-admin-form-add-constants")?.dataset.modelName) {
  addEventListener("load", () => document.getElementById("id_slug")?.focus());
}
