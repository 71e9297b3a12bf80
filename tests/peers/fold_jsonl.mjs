// A plain peer: folds our JSON lines with npm's jsonuri, as the client in Ling's README does, plus `value`.
//
//     curl -N … | node fold_jsonl.mjs             reads standard input
//     node fold_jsonl.mjs URL '{"input": …}'      posts the input itself
//
// Prints the document as one line of JSON; in the second form also the run's id and token.

import { Readable } from "node:stream";

import { get, set } from "jsonuri";

const [url, body] = process.argv.slice(2);
const names = [];
const reader = (await open(url, body)).getReader();
const decoder = new TextDecoder();
let document = null;
let rest = "";
let done = false;
while (!done) {
    const { value, done: doneReading } = await reader.read();
    done = doneReading;
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
        if (line.trim() === "") continue;
        const input = JSON.parse(line);
        if (input.snapshot) document = input.snapshot.document;
        else if ("uri" in input && !input.event) apply(input);
    }
}
console.log(JSON.stringify(document));
if (url !== undefined) names.forEach((name) => console.log(JSON.stringify(name)));

function apply({ uri, delta, value }) {
    if (uri === "") {
        document = delta === undefined ? value : (document ?? "") + delta; // jsonuri cannot set the root
    } else if (delta === undefined) {
        set(document, uri, value);
    } else {
        const content = get(document, uri);
        set(document, uri, (content || "") + delta);
    }
}

async function open(url, body) {
    if (url === undefined) return Readable.toWeb(process.stdin);
    const headers = { "Content-Type": "application/json", Accept: "application/jsonl" };
    const response = await fetch(url, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    names.push(response.headers.get("Ling-Run"), response.headers.get("Ling-Token"));
    return response.body;
}
