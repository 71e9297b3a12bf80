/* On a workflow's page: keep the step choices of triggers in step with the step names being typed above.
   Without this script the choices are those of the last save. */

const NAME = /^steps-(\d+)-name$/;
const PENDING = "name:";

function typedSteps() {
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
  if (event.target.matches?.('select[name^="triggers-"][name$="_step"]')) {
    event.target.dataset.lingIndex = event.target.selectedOptions[0]?.dataset.lingIndex ?? "";
  }
  if (event.target.matches?.('[name^="steps-"][name$="-DELETE"]')) update();
});
document.addEventListener("input", (event) => {
  if (NAME.test(event.target.name ?? "")) update();
});
document.addEventListener("formset:added", update);
document.addEventListener("formset:removed", update);
