// The npm peers of bench/parser.py: one JSON request per line in, one answer per line out.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { createRequire } from "node:module";
const require = createRequire(import.meta.url);

// Load the parser's own file: the package's index needs the whole chat stack.
const { JSONParser: LingParser } = require("./node_modules/@bearbobo/ling/lib/cjs/parser/index.js");
import { JSONParser as StreamParser } from "@streamparser/json";
import { parsePartialJson } from "ai";
import { Parser as HtmlParser } from "htmlparser2";
import { jsonrepair } from "jsonrepair";
import { parse as river } from "jsonriver";

const TEXT = "re-parsed";
const SHORTEST = 20_000; // chunks for one timing: short streams are read several times

const peers = {
  "@bearbobo/ling": async (chunks, until) => {
    const parser = new LingParser({ autoFix: true });
    let value;
    parser.on("finish", (data) => (value = data));
    const done = feed(chunks, until, (chunk) => parser.trace(chunk));
    return [done, value];
  },
  jsonriver: async (chunks) => {
    async function* stream() {
      yield* chunks;
    }
    let value;
    for await (value of river(stream()));
    return [chunks.length, value];
  },
  "@streamparser/json": async (chunks, until) => {
    const parser = new StreamParser({ emitPartialTokens: true, emitPartialValues: true });
    let value;
    parser.onValue = (info) => {
      if (info.stack.length === 0) value = info.value;
    };
    return [feed(chunks, until, (chunk) => parser.write(chunk)), value];
  },
  htmlparser2: async (chunks, until) => {
    const texts = [];
    const parser = new HtmlParser({ ontext: (text) => texts.push(text) });
    const done = feed(chunks, until, (chunk) => parser.write(chunk));
    parser.end();
    return [done, texts];
  },
  ai: Object.assign(async (text) => (await parsePartialJson(text)).value, { kind: TEXT }),
  jsonrepair: Object.assign(async (text) => JSON.parse(jsonrepair(text)), { kind: TEXT }),
};

/** Milliseconds of CPU time so far, of all threads. */
function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function feed(chunks, until, write) {
  let count = 0;
  for (const chunk of chunks) {
    write(chunk);
    if ((++count & 63) === 0 && performance.now() > until) break;
  }
  return count;
}

/** Seconds for the whole stream; what was cut off or only sampled is extrapolated and marked. */
async function time(name, chunks, cap) {
  if (peers[name].kind !== TEXT) {
    const start = cpu();
    const until = performance.now() + cap * 1000;
    let read = 0;
    let count = 0;
    while (read < SHORTEST && performance.now() < until) {
      [count] = await peers[name](chunks, until);
      read += count;
    }
    const seconds = (cpu() - start) / 1000;
    return { seconds: (seconds * chunks.length) / read, mark: count < chunks.length ? ">" : "" };
  }
  const step = Math.max(1, Math.floor(chunks.length / 24));
  let text = "";
  let spent = 0;
  let count = 0;
  for (let i = 0; i < chunks.length; i++) {
    text += chunks[i];
    if (i % step !== step - 1) continue;
    const begin = cpu();
    await peers[name](text).catch(() => undefined);
    spent += cpu() - begin;
    count++;
    if (spent > cap * 1000) return { seconds: ((spent / count) * chunks.length) / 1000, mark: ">" };
  }
  return { seconds: ((spent / count) * chunks.length) / 1000, mark: "~" };
}

async function repair(name, input) {
  try {
    if (peers[name].kind === TEXT) return await peers[name](input);
    return (await peers[name]([input], Infinity))[1];
  } catch {
    return undefined;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = request.cases
      ? await Promise.all(request.cases.map(async (input) => ({ value: await repair(request.peer, input) })))
      : await time(request.peer, JSON.parse(readFileSync(request.file, "utf8")), request.cap);
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
