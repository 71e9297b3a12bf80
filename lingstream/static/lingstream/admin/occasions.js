/* Of an occasion, show what its kind has. Without this script all of it is there. */

const KINDS = "select[data-ling-only]";

function showWhatItHas(select) {
  const row = select.closest(".inline-related") ?? select.form;
  for (const [name, kinds] of Object.entries(JSON.parse(select.dataset.lingOnly))) {
    for (const place of row.querySelectorAll(`.fieldBox.field-${name}, .form-row.field-${name}:not(:has(.fieldBox))`)) {
      const box = boxOf(place);
      box.hidden = !kinds.includes(select.value) && !box.querySelector(".errorlist");
    }
  }
  for (const line of row.querySelectorAll(".form-row:has(.fieldBox)")) {
    line.hidden = [...line.querySelectorAll(".fieldBox")].every((place) => boxOf(place).hidden);
  }
  for (const part of row.querySelectorAll("fieldset.module")) {
    part.hidden = [...part.querySelectorAll(".form-row")].every((line) => line.hidden);
  }
}

/* What holds a field with its errors and its help: these stand beside the field's box in Django 5.2, later in it. */
function boxOf(place) {
  const { parentElement } = place;
  return place.matches(".form-row") || parentElement.matches(".form-row") ? place : parentElement;
}

document.addEventListener("change", ({ target }) => target.matches?.(KINDS) && showWhatItHas(target));
document.addEventListener("formset:added", ({ target }) => {
  for (const select of target.querySelectorAll(KINDS)) showWhatItHas(select);
});
for (const select of document.querySelectorAll(KINDS)) showWhatItHas(select);
