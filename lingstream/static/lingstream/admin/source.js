/**
 * source: a source's page. A pass goes on in one run after another, and the page's `<ling-stream>` follows one: when
 * that has ended, how the source is comes anew from the server, with the next run if there is one. While a pass goes on
 * and there is none to follow, how the source is comes anew every two seconds: between two runs, while the source is
 * left alone, and for who may only look at sources, as a run names what it reads.
 */

const PAUSE = 2_000; // milliseconds

const place = document.querySelector("[data-state]");

place?.addEventListener("ling:ops", showPhase);
place?.addEventListener("ling:snapshot", showPhase);
place?.addEventListener("ling:done", renew);
again();

function again() {
    if (place?.querySelector("[data-again]")) setTimeout(() => renew().catch(again), PAUSE);
}

function showPhase({ target }) {
    const phase = target.querySelector("[data-phase]");
    phase.textContent = phase.dataset[target.document?.phase] ?? phase.textContent;
}

async function renew() {
    const response = await fetch(place.dataset.state);
    if (!response.ok || response.redirected) return; // who was signed out meanwhile is asked to sign in
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
    place.replaceChildren(...page.body.childNodes);
    const buttons = [...place.querySelectorAll("a, button")];
    if (focused !== null) buttons.find((button) => button.textContent === focused)?.focus();
    again();
}
