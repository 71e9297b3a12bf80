/** The demo page's own: what came over the wire beside each stream but the chat's, and the choice of the transport. */

import { Wire } from "./wire.js";

for (const stream of document.querySelectorAll(".workflow > ling-stream")) {
    new Wire(stream);
    rememberTransport(stream.querySelector("[data-transport]"), stream);
}

/** The choice outlives a reload, as the run does. */
function rememberTransport(choice, stream) {
    const key = `demo transport ${stream.id}`;
    const apply = () => {
        const { value } = choice.querySelector(":checked");
        sessionStorage.setItem(key, value);
        stream.setAttribute("transport", value);
    };
    const known = choice.querySelector(`[value="${sessionStorage.getItem(key) ?? "auto"}"]`);
    if (known) known.checked = true;
    choice.addEventListener("change", apply);
    apply();
}
