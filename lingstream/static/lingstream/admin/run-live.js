/**
 * run-live: what a run does while its page is open. It listens to the page's own `<ling-stream>`, which has the
 * run over the ordinary transports; text of models is only ever text. At the end the page shows what is stored.
 */

const MOST_EVENTS = 200;
const MOST_SHOWN = 100_000; // characters of the document
const TOLD = ["string-response", "object-response", "inference-done", "response", "error"];
const SETTLES = 600; // milliseconds that the last row of the journal may take

const stream = document.querySelector(".ling-live ling-stream");
const part = (name) => stream.querySelector(`[data-live="${name}"]`);
const { states: words } = JSON.parse(document.getElementById("ling-graph-data").textContent);
const steps = new Map(); // by the name of the instance
let isTold = true;

/** Draw at most once per frame of the screen. */
let isDue = false;
function draw() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
        isDue = false;
        const text = JSON.stringify(stream.document, null, 2) ?? "";
        part("document").textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text;
        for (const [name, bot] of Object.entries(stream.run?.bots ?? {})) show(name, bot.status ?? "running");
        tell();
    });
}

/** How many runs of each step are in each state, for the drawing. */
function tell() {
    if (isTold) return;
    isTold = true;
    const states = {};
    for (const [name, { status }] of steps) {
        const step = (states[name.replace(/#\d+$/, "")] ??= {});
        step[status] = (step[status] ?? 0) + 1;
    }
    document.dispatchEvent(new CustomEvent("ling:steps", { detail: states }));
}

function show(name, known) {
    const status = known === "inferred" ? "running" : known;
    let step = steps.get(name);
    if (step === undefined) {
        const [row, badge] = ["li", "span"].map((tag) => document.createElement(tag));
        row.append(`${name} `, badge);
        part("steps").append(row);
        steps.set(name, (step = { badge, status: "" }));
    }
    if (step.status === status) return;
    step.status = status;
    step.badge.textContent = words[status] ?? status;
    step.badge.className = `ling-status ling-status-${status}`;
    isTold = false;
}

function note({ event, bot, uri }) {
    const row = document.createElement("li");
    row.textContent = [event, bot, uri].filter((text) => text !== undefined && text !== "").join(" ");
    const list = part("events");
    list.append(row);
    while (list.childElementCount > MOST_EVENTS) list.firstElementChild.remove();
}

function state() {
    const place = part("status");
    place.textContent = place.dataset[stream.state] ?? stream.state;
}

stream.addEventListener("ling:ops", draw);
stream.addEventListener("ling:snapshot", draw);
stream.addEventListener("ling:status", state);
stream.addEventListener("ling:event", ({ detail }) => {
    if (TOLD.includes(detail.event)) note(detail);
    draw();
});
stream.addEventListener("ling:error", ({ detail }) => {
    part("error").textContent = `${detail.code}: ${detail.message}`;
});
stream.addEventListener("ling:done", () => {
    draw();
    // A run that was deleted has no page to show.
    if (stream.run?.error?.code !== "deleted") setTimeout(() => location.reload(), SETTLES);
});
document.addEventListener("ling:graph", () => { // it is there, and may have come after what has been told
    isTold = false;
    draw();
});
state();
draw();
