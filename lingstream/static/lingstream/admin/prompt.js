/* On a prompt's page: who leaves it with a text that is not saved is asked first. */

const text = document.querySelector("textarea.ling-prompt");
let sending = false;

function isUnsaved() {
  return !sending && ("lingUnsaved" in text.dataset || text.value !== text.defaultValue);
}

if (text) {
  addEventListener("beforeunload", (event) => {
    if (isUnsaved()) event.preventDefault();
  });
  // What opens another page beside this one sends the text as well, and it stays as unsaved as it was.
  text.form.addEventListener("submit", (event) => {
    sending = event.submitter?.formTarget !== "_blank";
  });
  addEventListener("pageshow", () => {
    sending = false;
  });
}
