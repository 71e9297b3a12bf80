/** The demo page: forms that start the streams, and what came over the wire beside them. */

import { Wire } from "./wire.js";

const WORDS = {
    idle: "Ready",
    connecting: "Connecting…",
    running: "Writing…",
    finished: "Finished",
    failed: "Failed",
    canceled: "Stopped",
    lost: "Connection lost",
};

for (const section of document.querySelectorAll(".workflow")) setUp(section);

function setUp(section) {
    const form = section.querySelector("form.ask");
    const stream = section.querySelector("ling-stream");
    const stop = form.querySelector("[data-stop]");
    const status = form.querySelector("[data-status]");
    const wire = new Wire(section);
    let problem = "";
    const showStatus = () => {
        const state = stream.state ?? "idle"; // the element may not be defined yet
        const isBusy = ["connecting", "running"].includes(state);
        const words = WORDS[state];
        status.textContent = isBusy || problem === "" ? words : `${words}: ${problem}`;
        form.dataset.status = state;
        stop.disabled = !isBusy;
    };

    form.addEventListener("submit", (event) => {
        event.preventDefault();
        problem = "";
        wire.clear();
        stream.start({ [form.dataset.field]: form.elements.question.value });
    });
    stop.addEventListener("click", () => stream.stop());
    rememberTransport(form, stream);

    section.addEventListener("click", ({ target }) => {
        const suggestion = target.closest?.(".suggestion");
        if (!suggestion) return;
        form.elements.question.value = suggestion.textContent;
        form.requestSubmit();
    });
    section.addEventListener("ling:error", ({ detail }) => (problem = detail.message));
    section.addEventListener("ling:status", showStatus);
    showStatus();
}

/** The choice outlives a reload, as the run does. */
function rememberTransport(form, stream) {
    const key = `demo transport ${form.dataset.for}`;
    form.elements.transport.value = sessionStorage.getItem(key) ?? "auto";
    const apply = () => {
        sessionStorage.setItem(key, form.elements.transport.value);
        stream.setAttribute("transport", form.elements.transport.value);
    };
    form.addEventListener("change", apply);
    apply();
}
