"""The client beside its peers in Chromium: ``python bench/client.py [--quick] [--check]``.

Each row is one stream of deltas, played by one server (``bench/replay.py``) to a page of every contender
in turn, at the same rate and over one HTTP response. What is measured begins when the page is ready and
connected: the CPU time of its main thread, in all tasks and in the longest one, as Chromium's own metrics and
trace have it. It ends when the page shows the whole text, which is checked.

* **loop**: what one writes by hand, ``EventSource`` and ``nodes[index].textContent += delta``.
* **lingstream**: ``<ling-stream>`` over server-sent events.
* **Turbo**: ``<turbo-stream-source>``, an ``append`` for each delta.
* **htmx**: version 4 with its extension for server-sent events, an ``<hx-partial>`` with the swap
  ``beforeend`` for each delta.
* **useObject**: of ``@ai-sdk/react``, with React 19 and a ``memo`` component for each text. It reads the text
  of one JSON document, so it can have deltas in the document's order only.
* **marked**: the whole text so far through ``marked`` and DOMPurify, once a frame.

The last row is a chat, with contenders of its own: ``bench/chat.py``.

Of a task some is script and some the browser's own: styles, layout and paint of what a script has written.
For ``SCRIPTED`` the longest of each is told, by a trace in a round of its own, as that costs something.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Self

import chat
from playwright.sync_api import Browser, Page, sync_playwright
from replay import RUN, Player, Site, Stream, serve, streams

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "lingstream" / "static" / "lingstream"
BIN = Path(sys.executable).parent
BUNDLES = HERE / ".peers" / "client"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
PATIENCE = 300.0  # seconds, of what falls behind
ROUNDS = 3  # of which the median counts

#: By contender: the form in which it reads a stream.
FORMS = {
    "loop": "op",
    "lingstream": "frames",
    "Turbo": "turbo",
    "htmx": "htmx",
    "useObject": "json",
    "marked": "op",
}
IN_ORDER = "useObject"
#: By stream: what ours may cost, times the loop's, as the client's specification has it.
BOUNDS = {"200 nodes": 1.1, "2,000 items": 1.4}
LONGEST_TASK = LONGEST_SCRIPT = 50
MICROTASKS = "BlinkScheduler_PerformMicrotaskCheckpoint"
#: What a trace calls a script's turn: a callback, one of a frame, what waits for a promise.
SCRIPTS = {"FunctionCall", "FireAnimationFrame", "TimerFire", "EvaluateScript", MICROTASKS}
#: What it calls the browser's own work on what was written.
DRAWING = {"UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit"}
#: By stream: whose scripts are bounded, and whose are beside them.
SCRIPTED = {
    "200 of 10,000 nodes": ("lingstream", "loop"),
    "1 MB of text": ("lingstream", "loop"),
    chat.NAME: (chat.OURS, "by hand", "useChat"),
}
TASKS, TASK = "toplevel", "ThreadControllerImpl::RunTask"

OPEN = """async ([name, stream]) => {
    const { contenders } = await import("/client_contenders.js");
    await contenders[name](document.querySelector("main"), stream);
}"""
IS_SHOWN = "(text) => document.querySelector('main').textContent.includes(text)"
SETTLE = "new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 300)))"
BUNDLE = """
    import { build } from "esbuild";
    const [entry, outdir] = process.argv.slice(1);
    await build({
        entryPoints: [entry], outdir, bundle: true, minify: true, format: "esm", splitting: true,
        external: ["/index.js"], conditions: ["browser", "production"],
        define: { "process.env.NODE_ENV": '"production"' }, logLevel: "error",
    });
"""


class Result(NamedTuple):
    """Milliseconds of the main thread's CPU time, of all tasks and of the longest."""

    cpu: float
    longest: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="streams of a second; their CPU is held to no bound"
    )
    options.add_argument("--check", action="store_true", help="fail past the bounds of the specification")
    options.add_argument("--only", nargs="+", metavar="STREAM", help="of the streams' names")
    arguments = options.parse_args()
    install_peers()
    failures: list[str] = []
    print(f"{'stream':22} {'what':12} {'CPU ms':>9} {'least':>7} {'most':>7} {'× first':>8} {'longest':>10}")
    seconds = 1 if arguments.quick else 5
    all_streams = {**streams(seconds), chat.NAME: chat.stream(seconds)}
    with serve(BUNDLES, STATIC, STATIC.parent.parent) as (site, url), chromium() as browser:
        for name, stream in all_streams.items():
            if arguments.only and name not in arguments.only:
                continue
            if name == chat.NAME:
                site.pages = {**site.pages, **chat.pages()}
            results = compare(browser, url, site, contenders_of(name, stream), stream)
            print_row(name, results)
            # In one second a client does not make up for what its first ops cost, such as compiling it.
            failures += past_bounds(name, results, {} if arguments.quick else BOUNDS)
            if name in SCRIPTED:
                failures += check_scripts(browser, url, site, name, stream)
    if arguments.check and failures:
        raise SystemExit("\n".join(failures))


def install_peers() -> None:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    if not all((HERE / "node_modules" / name).is_dir() for name in wanted):
        flags = ["--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([str(BIN / "npm"), "install", *flags], cwd=HERE, check=True)
    entry = HERE / "peers" / "client_contenders.mjs"
    command = [str(BIN / "node"), "--input-type=module", "--eval", BUNDLE, str(entry), str(BUNDLES)]
    subprocess.run(command, cwd=HERE, check=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path if Path(path).exists() else None, args=ARGUMENTS
        )
        yield browser
        browser.close()


def contenders_of(name: str, stream: Stream) -> list[str]:
    """The first one is what the others are compared with."""
    if name == chat.NAME:
        return list(chat.FORMS)
    if name.startswith("Markdown"):
        return ["marked", "lingstream"]
    places = [int(op["uri"] or 0) for op in stream.ops]
    is_in_order = places == sorted(places)
    return [each for each in FORMS if each != "marked" and (is_in_order or each != IN_ORDER)]


def compare(
    browser: Browser, url: str, site: Site, contenders: list[str], stream: Stream
) -> dict[str, list[Result]]:
    """In turn, so that what else the machine does falls on all."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name in contenders:
            results[name].append(measure(browser, url, site, name, stream))
    return results


def measure(
    browser: Browser,
    url: str,
    site: Site,
    contender: str,
    stream: Stream,
    during: AbstractContextManager[Any] | None = None,
) -> Result:
    """Play a stream to a page.

    :param during: is entered while it is played, and has the browser's one trace for itself.
    """
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    player = site.player = Player(stream, (FORMS | chat.FORMS)[contender])
    try:
        page.goto(url + chat.ADDRESS if contender == chat.OURS else url)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(OPEN, [contender, {"markup": stream.markup, "start": stream.start, "run": RUN}])
        wait(player.asked)
        page.evaluate(SETTLE)
        if during is None:
            browser.start_tracing(page=page, categories=[TASKS])
        before = task_time(session)
        with during or nullcontext():
            player.begun.set()
            wait(player.ended)
            await_text(page, stream.expected())
        spent = task_time(session) - before
        events = [] if during else json.loads(browser.stop_tracing())["traceEvents"]
        return Result(spent * 1000, longest_task(events))
    finally:
        player.left.set()
        page.close()


def wait(event: Any) -> None:
    if not event.wait(PATIENCE):
        raise RuntimeError("the page did not ask for its stream, or does not read it")


def await_text(page: Page, text: str) -> None:
    for _ in range(int(PATIENCE)):
        page.evaluate(SETTLE)
        if page.evaluate(IS_SHOWN, text):
            return
    raise RuntimeError(f"expected {text[-80:]!r} at the end, got {page.inner_text('main')[-80:]!r}")


def task_time(session: Any) -> float:
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def longest_task(events: list[dict[str, Any]]) -> float:
    """In milliseconds, on the main thread of the page that has worked most."""
    names = [event for event in events if event["name"] == "thread_name"]
    mains = {thread_of(name) for name in names if name["args"]["name"] == "CrRendererMain"}
    tasks: dict[tuple[int, int], list[float]] = {thread: [0.0] for thread in mains}
    for event in events:
        if event["name"] == TASK and thread_of(event) in mains:
            tasks[thread_of(event)].append(event.get("tdur", 0) / 1000)  # none where the trace ends first
    return max(max(tasks.values(), key=sum, default=[0.0]))


def thread_of(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]


class Scripts:
    """Watches how long scripts run in the pages of a browser, by a trace: in CPU time, whatever else it does.

    :ivar longest: milliseconds of the longest one, with the layouts that it asked for.
    :ivar drawing: of the browser's longest piece of work on what was written.
    """

    longest = drawing = 0.0

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def __enter__(self) -> Self:
        self._browser.start_tracing(categories=["devtools.timeline", "toplevel"])
        return self

    def __exit__(self, *_: object) -> None:
        events = json.loads(self._browser.stop_tracing())["traceEvents"]
        self.longest, self.drawing = (longest_of(events, names) for names in (SCRIPTS, DRAWING))


def longest_of(events: list[dict[str, Any]], names: set[str]) -> float:
    return max((event.get("tdur", 0) / 1000 for event in events if event["name"] in names), default=0.0)


def check_scripts(browser: Browser, url: str, site: Site, name: str, stream: Stream) -> list[str]:
    ours, *_ = SCRIPTED[name]
    longest: dict[str, float] = {}
    for contender in SCRIPTED[name]:
        scripts = Scripts(browser)
        measure(browser, url, site, contender, stream, scripts)
        longest[contender] = scripts.longest
        told = f"ms of CPU in its longest script, {scripts.drawing:.0f} in the browser's own work on that"
        print(f"{name:22} {contender:12} {scripts.longest:9.0f} {told}", flush=True)
    if longest[ours] <= LONGEST_SCRIPT:
        return []
    return [f"{name}: a script of {longest[ours]:.0f} ms, expected at most {LONGEST_SCRIPT}"]


def print_row(name: str, results: dict[str, list[Result]]) -> None:
    first = median(next(iter(results.values()))).cpu
    for contender, all_rounds in results.items():
        cpu, longest = median(all_rounds)
        rounds = sorted(result.cpu for result in all_rounds)
        spread = f"{rounds[0]:7.0f} {rounds[-1]:7.0f}"
        print(f"{name:22} {contender:12} {cpu:9.0f} {spread} {cpu / first:8.2f} {longest:10.0f}", flush=True)


def median(results: list[Result]) -> Result:
    return Result(*(statistics.median(column) for column in zip(*results, strict=True)))


def past_bounds(name: str, results: dict[str, list[Result]], bounds: dict[str, float]) -> list[str]:
    if "loop" not in results:
        return []
    ours, loop = median(results["lingstream"]), median(results["loop"])
    failures = []
    if ours.cpu > bounds.get(name, float("inf")) * loop.cpu:
        failures.append(f"{name}: {ours.cpu / loop.cpu:.2f} × the loop, expected at most {bounds[name]}")
    if name.startswith("10,000") and ours.longest > LONGEST_TASK:
        failures.append(f"{name}: a task of {ours.longest:.0f} ms, expected at most {LONGEST_TASK}")
    if name.startswith("1 MB") and ours.longest > max(LONGEST_TASK, loop.longest):
        failures.append(f"{name}: a task of {ours.longest:.0f} ms, the loop's is {loop.longest:.0f}")
    return failures


if __name__ == "__main__":
    main()
