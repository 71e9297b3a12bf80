/* Of an occasion, show what its kind has. Without this script all of it is there. */

const KINDS = "select[data-ling-only]";

function showWhatItHas(select) {
  const row = select.closest(".inline-related") ?? select.form;
  for (const [name, kinds] of Object.entries(JSON.parse(select.dataset.lingOnly))) {
    for (const place of row.querySelectorAll(`.fieldBox.field-${name}, .form-row.field-${name}:not(:has(.fieldBox))`)) {
      const box = place.matches(".fieldBox") ? place.parentElement : place; // with its errors and its help
      box.hidden = !kinds.includes(select.value) && !box.querySelector(".errorlist");
    }
  }
  for (const line of row.querySelectorAll(".form-row:has(.fieldBox)")) hideIfAll(line, ":has(> .fieldBox)");
  for (const part of row.querySelectorAll("fieldset")) hideIfAll(part, ".form-row");
}

function hideIfAll(place, inner) {
  place.hidden = [...place.querySelectorAll(inner)].every((each) => each.hidden);
}

document.addEventListener("change", ({ target }) => target.matches?.(KINDS) && showWhatItHas(target));
document.addEventListener("formset:added", ({ target }) => {
  for (const select of target.querySelectorAll(KINDS)) showWhatItHas(select);
});
for (const select of document.querySelectorAll(KINDS)) showWhatItHas(select);
