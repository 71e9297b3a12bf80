"""The client beside its peers in Chromium: ``python bench/client.py [--quick] [--check]``.

Each row is one stream, recorded once and replayed in a page by every contender in turn, at the same rate:
the server, its parser and the network are no part of it. What is measured is the main thread's CPU time for
script, style and layout, as Chromium's own metrics have it, and the longest task.

* **loop**: what one writes by hand, ``nodes[index].textContent += delta``.
* **lingstream**: ``fold`` and ``Bindings``, written once a frame, as ``<ling-stream>`` does.
* **Turbo**: an ``append`` stream for each delta.
* **marked**: the whole text so far through ``marked`` and DOMPurify at each frame; quadratic, so that it gets
  the first part only, and says so.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "lingstream" / "static" / "lingstream"
BIN = Path(sys.executable).parent
BUNDLE = HERE / ".peers" / "client.js"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
PAGE = b'<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><main></main>'

#: By stream: what ours may cost, times the loop's, as the client's specification has it.
BOUNDS = {"200 nodes": 1.1, "2,000 items": 1.4}
LONGEST_TASK = 50
METRICS = {"ScriptDuration", "LayoutDuration", "RecalcStyleDuration"}


class Stream(NamedTuple):
    """Ops in the order in which they come.

    :param batch: how many of them come with each tick of 10 ms.
    """

    markup: str
    start: Any
    ops: list[dict[str, Any]]
    batch: int


class Result(NamedTuple):
    """Milliseconds of the main thread, and of its longest task if that is over 50."""

    cpu: float
    longest: float


def streams(seconds: float) -> dict[str, Stream]:
    dice = random.Random(1)
    nodes = "".join(f'<p data-ling="{index}"></p>' for index in range(200))
    words = ("cloud ", "rain ", "of ", "a ", "mountain ", "云 ")
    rows = '<ul data-ling-each=""><template><li data-ling="."></li></template></ul>'
    return {
        "200 nodes": Stream(
            nodes,
            [""] * 200,
            [
                {"uri": str(dice.randrange(200)), "delta": dice.choice(words)}
                for _ in range(int(seconds * 1_000))
            ],
            10,
        ),
        "2,000 items": Stream(
            rows,
            [],
            [{"uri": str(index), "delta": word} for index in range(2_000) for word in ("a ", "b ")],
            int(4_000 / seconds / 100),
        ),
        "10,000 items at once": Stream(
            rows, [], [{"uri": "", "value": [f"item {index}" for index in range(10_000)]}], 1
        ),
        "1 MB of text": Stream(
            '<p data-ling="0"></p>',
            [""],
            [{"uri": "0", "delta": "a word or two, and more of them. " * 300} for _ in range(100)],
            1,
        ),
    }


def markdown(size: int) -> str:
    part = (
        "## A part\n\nSome *text* with **strong** words, `code` and [a link](https://example.com/).\n\n"
        "* one\n* two\n* three\n\n```py\nprint(1)\n```\n\n"
    )
    return (part * (size // len(part) + 1))[:size]


RUN = """async ([name, stream]) => {
    const root = document.querySelector("main");
    const { contenders } = await import("/contenders.js");
    const write = await contenders[name](root, stream);
    let longest = 0;
    const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    observer.observe({ type: "longtask" });
    window.replay = async () => {
        const { ops, batch } = stream;
        for (let start = 0; start < ops.length; start += batch) {
            write(ops.slice(start, start + batch));
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await write.end?.();
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 300)));
        return longest;
    };
}"""


class Files(SimpleHTTPRequestHandler):
    """The page, our modules as the wheel has them, and the peers' bundle."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def translate_path(self, path: str) -> str:
        own = {"/contenders.js": HERE / "peers" / "client_contenders.mjs", "/peers.js": BUNDLE}
        found = own.get(path)
        return str(found) if found else super().translate_path(path)

    def guess_type(self, path: Any) -> str:
        return "text/javascript" if str(path).endswith("js") else super().guess_type(path)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(STATIC)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def install_peers() -> None:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    if not all((HERE / "node_modules" / name).is_dir() for name in wanted):
        flags = ["--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([str(BIN / "npm"), "install", *flags], cwd=HERE, check=True)
    script = (
        "import { build } from 'esbuild'; const [entryPoint, outfile] = process.argv.slice(1);"
        "await build({ entryPoints: [entryPoint], outfile, bundle: true, minify: true, format: 'esm' });"
    )
    entry = HERE / "peers" / "client_entry.mjs"
    command = [str(BIN / "node"), "--input-type=module", "--eval", script, str(entry), str(BUNDLE)]
    subprocess.run(command, cwd=HERE, check=True)


def measure(browser: Browser, url: str, contender: str, stream: Stream) -> Result:
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.goto(url)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(RUN, [contender, stream._asdict()])
    before = task_time(session)
    longest = page.evaluate("replay()")
    spent = task_time(session) - before
    page.close()
    return Result(spent * 1000, longest)


def task_time(session: Any) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return sum(metric["value"] for metric in metrics if metric["name"] in METRICS)


def compare(browser: Browser, url: str, of: dict[str, Stream], rounds: int) -> dict[str, Result]:
    """In turn, so that what else the machine does falls on all."""
    seen: dict[str, list[Result]] = {name: [] for name in of}
    for _ in range(rounds):
        for name, stream in of.items():
            seen[name].append(measure(browser, url, name, stream))
    return {
        name: Result(*(statistics.median(column) for column in zip(*results, strict=True)))
        for name, results in seen.items()
    }


def print_row(name: str, results: dict[str, Result]) -> None:
    base = next(iter(results.values())).cpu
    for contender, result in results.items():
        longest = f"{result.longest:.0f}" if result.longest else "under 50"
        print(
            f"{name:22} {contender:12} {result.cpu:9.0f} {result.cpu / base:8.2f} {longest:>10}", flush=True
        )


def compare_markdown(browser: Browser, url: str, quick: bool) -> None:
    texts = {"Markdown, 50 KB": markdown(50_000), "Markdown, 3,000 items": "* one more item\n" * 3_000}
    for name, text in texts.items():
        parts = {"lingstream": text, "marked": text[: 2_000 if quick else 5_000]}
        for contender, part in parts.items():
            pieces = [{"uri": "", "delta": part[at : at + 20]} for at in range(0, len(part), 20)]
            result = measure(browser, url, f"{contender} (Markdown)", Stream("", "", pieces, 5))
            label = f"{name}" if part == text else f"{name}, first {len(part) // 1000}"
            print(
                f"{label:30} {contender:12} {result.cpu:9.0f} ms, {result.cpu / len(part) * 1000:.2f} ms/KB"
            )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="one round of short streams")
    options.add_argument("--check", action="store_true", help="fail past the bounds of the specification")
    arguments = options.parse_args()
    install_peers()
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    failures: list[str] = []
    with serve() as url, sync_playwright() as playwright:
        executable = chromium if Path(chromium).exists() else None
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        print(f"{'stream':22} {'what':12} {'CPU ms':>9} {'× loop':>8} {'longest':>10}")
        for name, stream in streams(1 if arguments.quick else 5).items():
            contenders = ["loop", "lingstream"] + (["Turbo"] if len(stream.ops) > 1 else [])
            results = compare(browser, url, dict.fromkeys(contenders, stream), 1 if arguments.quick else 3)
            print_row(name, results)
            failures += past_bounds(name, results["lingstream"], results["loop"])
        compare_markdown(browser, url, arguments.quick)
        browser.close()
    if arguments.check and failures:
        raise SystemExit("\n".join(failures))


def past_bounds(name: str, ours: Result, loop: Result) -> list[str]:
    failures = []
    if ours.cpu > BOUNDS.get(name, float("inf")) * loop.cpu:
        failures.append(f"{name}: {ours.cpu / loop.cpu:.2f} × the loop, expected at most {BOUNDS[name]}")
    if name.startswith("10,000") and ours.longest > LONGEST_TASK:
        failures.append(f"{name}: a task of {ours.longest:.0f} ms, expected at most {LONGEST_TASK}")
    if name.startswith("1 MB") and ours.longest > max(LONGEST_TASK, loop.longest):
        failures.append(f"{name}: a task of {ours.longest:.0f} ms, the loop's is {loop.longest:.0f}")
    return failures


if __name__ == "__main__":
    main()
