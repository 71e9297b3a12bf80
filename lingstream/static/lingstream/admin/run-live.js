/**
 * run-live: what a run does while its page is open. It listens to the page's own `<ling-stream>`, which has the
 * run over the ordinary transports; text of models is only ever text. The steps are drawn by the server, here as on
 * the page itself: anew when something happens in them, and between that their bars grow. At the end the page shows
 * what is stored.
 */

const MOST_EVENTS = 200;
const MOST_SHOWN = 100_000; // characters of the document
const MOST_TOLD = 500; // of what an event carries
const PIECES = ["reasoning", "preamble"]; // events that come with every token
const SETTLES = 600; // milliseconds that the last row of the journal may take
const GATHERS = 300; // milliseconds from an event to the steps anew
const RENEWS = 5_000; // the same without an event: where another process executes the run some things are told late
const GROWS = 250;

const stream = document.querySelector(".ling-live ling-stream");
const course = document.querySelector("[data-live-steps]");
const part = (name) => stream.querySelector(`[data-live="${name}"]`);
const steps = new Map(); // statuses by the name of the instance
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
        for (const [name, bot] of Object.entries(stream.run?.bots ?? {})) follow(name, bot.status ?? "running");
        tell();
    });
}

function follow(name, known) {
    const status = known === "inferred" ? "running" : known;
    if (steps.get(name) === status) return;
    steps.set(name, status);
    isTold = false;
    renewSoon();
}

/** How many runs of each step are in each state, for the drawing. */
function tell() {
    if (isTold) return;
    isTold = true;
    const states = {};
    for (const [name, status] of steps) {
        const step = (states[name.replace(/#\d+$/, "")] ??= {});
        step[status] = (step[status] ?? 0) + 1;
    }
    document.dispatchEvent(new CustomEvent("ling:steps", { detail: states }));
}

function note({ event, bot, uri, data }) {
    const row = document.createElement("li");
    row.textContent = [event, bot, uri].filter((text) => text !== undefined && text !== "").join(" ");
    if (data !== undefined) {
        const told = document.createElement("code");
        told.textContent = JSON.stringify(data).slice(0, MOST_TOLD);
        row.append(" ", told);
    }
    const list = part("events");
    list.append(row);
    while (list.childElementCount > MOST_EVENTS) list.firstElementChild.remove();
}

/* -- the steps ------------------------------------------------------------------------------------------------- */

let drawn = performance.now(); // when the server drew the steps that are shown
let [timer, isAsking, isStale] = [0, false, false];

function renewSoon(wait = GATHERS) {
    if (isAsking) isStale = true;
    else timer ||= setTimeout(renew, wait);
}

async function renew() {
    timer = 0;
    isAsking = true;
    const began = performance.now();
    const last = Math.max(0, ...[...course.querySelectorAll(".ling-step")].map(({ id }) => Number(id.slice(5))));
    const fresh = await fetched(`${course.dataset.liveSteps}?after=${last}`);
    if (fresh) show(fresh);
    isAsking = false;
    if (isStale) renewSoon(Math.max(GATHERS, 2 * (performance.now() - began))); // the busier the server, the later
    isStale = false;
}

/** A part of a page as elements: a request makes a document of it, which no policy of the page has to trust. */
function fetched(url) {
    return new Promise((resolve) => {
        const request = new XMLHttpRequest();
        request.open("GET", url);
        request.responseType = "document";
        request.onloadend = () => resolve(request.status === 200 && request.response?.querySelector(".ling-steps"));
        request.send();
    });
}

function show(fresh) {
    const [rows, others] = [course, fresh].map((place) => place.querySelector("tbody"));
    const place = rows.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    rows.replaceWith(others);
    if (place) others.querySelector(`[href="${CSS.escape(place)}"]`)?.focus({ preventScroll: true });
    course.append(...[...fresh.querySelectorAll(".ling-step")].filter(({ id }) => !document.getElementById(id)));
    drawn = performance.now();
}

function grow() {
    const since = (performance.now() - drawn) / 1000;
    for (const bar of course.querySelectorAll("svg[data-seconds]")) {
        const seconds = Number(bar.dataset.seconds);
        const width = (Number(bar.dataset.width) * (seconds + since)) / seconds;
        bar.setAttribute("viewBox", `0 0 ${width} 10`);
        const going = bar.querySelector(".ling-bar-running");
        going?.setAttribute("width", width - Number(going.getAttribute("x")));
    }
}

const clocks = [setInterval(grow, GROWS), setInterval(renewSoon, RENEWS)];

function state() {
    const place = part("status");
    place.textContent = place.dataset[stream.state] ?? stream.state;
}

stream.addEventListener("ling:ops", draw);
stream.addEventListener("ling:snapshot", draw);
stream.addEventListener("ling:status", state);
stream.addEventListener("ling:event", ({ detail }) => {
    if (!PIECES.includes(detail.event)) {
        note(detail);
        renewSoon(); // what settles may have begun another step
    }
    draw();
});
stream.addEventListener("ling:error", ({ detail }) => {
    part("error").textContent = `${detail.code}: ${detail.message}`;
});
stream.addEventListener("ling:done", () => {
    draw();
    clocks.forEach(clearInterval);
    // A run that was deleted has no page to show.
    if (stream.run?.error?.code !== "deleted") setTimeout(() => location.reload(), SETTLES);
});
document.addEventListener("ling:graph", () => { // it is there, and may have come after what has been told
    isTold = false;
    draw();
});
state();
draw();
