// Peer: Ling's own server, as its README and its test server show it: one bot behind express, SSE.
import { pipeline } from "node:stream/promises";
import { createRequire } from "node:module";

import express from "express";

// Its ES modules import without file names, which Node does not take.
const { Ling } = createRequire(import.meta.url)("@bearbobo/ling");

const config = { model_name: "bench", api_key: process.env.BENCH_KEY, endpoint: process.env.BENCH_MODEL };
const app = express();

app.get("/stream", async (request, response) => {
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    Connection: "keep-alive",
  });
  const ling = new Ling({ ...config, sse: true });
  ling.on("error", () => ling.cancel());
  const bot = ling.createBot();
  bot.addPrompt('Answer as JSON: {"answer": "…"}');
  bot.chat("What time is it?").catch(() => ling.cancel());
  ling.close(); // waits for its bots
  try {
    await pipeline(ling.stream, response);
  } catch {
    ling.cancel(); // the viewer left
  }
});

app.listen(Number(process.argv[2]), "127.0.0.1");
