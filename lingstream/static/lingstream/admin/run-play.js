/**
 * run-play: a run that is over, once more. The server plays its recording by the engine itself, ten times as fast,
 * and sends frames as it would to a viewer; the client's own fold makes the document of them.
 */

import { Run } from "../run.js";

const form = document.querySelector("form[data-play]");
const button = form?.querySelector("button");
const place = document.getElementById("ling-played");
const { states: words } = JSON.parse(document.getElementById("ling-graph-data").textContent);
const [status, text] = ["[role=status]", "pre"].map((selector) => place.querySelector(selector));

if (button) button.disabled = false; // from here on: by itself the form would get the frames as a file
form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    place.hidden = false;
    text.textContent = status.textContent = "";
    try {
        const headers = { accept: "application/jsonl" };
        await play(await fetch(form.action, { method: "POST", body: new FormData(form), headers }));
    } catch (error) {
        status.textContent = `${form.dataset.fault} ${error.message}`;
    } finally {
        button.disabled = false;
    }
});

async function play(response) {
    if (!response.ok) throw new Error(`${response.status}`);
    const run = new Run();
    run.finished.catch(() => {});
    for await (const line of lines(response.body)) {
        run.receive(JSON.parse(line));
        show(run);
    }
    await run.finished.catch(() => {}); // it may have failed then; its end is checked before it is told
    show(run);
}

function show(run) {
    text.textContent = JSON.stringify(run.document, null, 2) ?? "";
    const word = words[run.status] ?? run.status;
    status.textContent = run.error ? `${word} · ${run.error.code}: ${run.error.message}` : word;
}

async function* lines(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        const parts = (rest + piece.value).split("\n");
        rest = parts.pop();
        yield* parts;
    }
}
