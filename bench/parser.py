"""The parser beside its peers: ``python bench/parser.py [--quick]``.

Every contestant reads the same token streams (``tests/cases/chunks``), in turn, and the table shows the
median of the rounds, in CPU time (a busy machine disturbs it less). Parsers that only take whole texts parse
all of the text again on each chunk, as their users do. Theirs are quadratic, so they are timed at 24 places
of a stream and the sum is extrapolated (``~``); what is not through after ``--cap`` seconds is stopped, its
figure is a lower bound (``>``). ``nan``: it raised an error.

``growth`` is the exponent of the time from a 10 KB to a 1 MB string: 1.00 is linear.
``repairs`` is how many of the broken texts in ``tests/cases/repair.jsonl`` come out right.
``no parser`` is a coroutine that makes one op of each chunk and looks for two characters in it: what this
Python can do on this machine at best, and the measure to compare two machines by.

A second table has our other readers: strict mode, with a JSON schema, and HTML, that one beside peers.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent  # tests/requirements.txt brings a Node
CASES = HERE.parent / "tests" / "cases"
sys.path.insert(0, str(HERE.parent))

HTML = "html"
STREAMS = ("outline", "mixed", "essay100k")
NODE = ("jsonriver", "@streamparser/json", "@bearbobo/ling", "ai", "jsonrepair")
JSON_READERS = ["lingstream, strict", "lingstream, schema"]
HTML_READERS = ["lingstream, HTML", "htmlparser2", "html.parser"]
PLACES = 24
SHORTEST = 20_000  # chunks for one timing: short streams are read several times


class Timing(NamedTuple):
    seconds: float
    mark: str = ""


def ours(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from lingstream.core.parsing import StreamParser

    return read(StreamParser(), chunks)


def read(parser: Any, chunks: list[str]) -> tuple[Any, int]:
    feed = parser.feed
    for chunk in chunks:
        feed(chunk)
    parser.close()
    return getattr(parser, "value", ...), len(chunks)


def strict(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from lingstream.core.parsing import StreamParser

    return read(StreamParser(repair=False), chunks)


def guided(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from lingstream.core.parsing import StreamParser
    from lingstream.core.parsing.schema import SchemaParser

    return read(SchemaParser(StreamParser(), SCHEMA), chunks)


def markup(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from lingstream.core.parsing.html import HtmlParser

    return read(HtmlParser(), chunks)


def stdlib_html(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from html.parser import HTMLParser

    class Listener(HTMLParser):
        def handle_data(self, data: str) -> None:
            texts.append(data)

    texts: list[str] = []
    return read(Listener(), chunks)


def no_parser(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    from lingstream.core.document.ops import Append, make

    def coroutine() -> Any:
        parts: list[str] = []
        ops: list[Any] = []
        while True:
            chunk = yield ops
            ops = []
            if '"' in chunk or "\\" in chunk:
                continue
            parts.append(chunk)
            ops.append(make(Append, ("a/0/text", chunk)))

    reading = coroutine()
    next(reading)
    feed = reading.send
    for chunk in chunks:
        feed(chunk)
    return ..., len(chunks)


def ijson_items(chunks: list[str], until: float = math.inf) -> tuple[Any, int]:
    import ijson

    values = ijson.sendable_list()
    coroutine = ijson.items_coro(values, "")
    count = 0
    with suppress(ijson.IncompleteJSONError):
        for count, chunk in enumerate(chunks, 1):
            coroutine.send(chunk.encode())
            if count & 63 == 0 and time.perf_counter() > until:
                break
        coroutine.close()
    return values[-1] if values else ..., count


def jiter_text(text: str) -> Any:
    import jiter

    return jiter.from_json(text.encode(), partial_mode="trailing-strings")


def json_repair_text(text: str) -> Any:
    import json_repair

    return json_repair.loads(text)


def partial_json_text(text: str) -> Any:
    import partial_json_parser

    return partial_json_parser.loads(text)


STREAMING: dict[str, Callable[..., tuple[Any, int]]] = {
    "lingstream": ours,
    "no parser": no_parser,
    "ijson": ijson_items,
    "lingstream, strict": strict,
    "lingstream, schema": guided,
    "lingstream, HTML": markup,
    "html.parser": stdlib_html,
}
WHOLE: dict[str, Callable[[str], Any]] = {
    "jiter": jiter_text,
    "partial-json-parser": partial_json_text,
    "json-repair": json_repair_text,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "author": {"type": "string"},
        "lang": {"enum": ["en", "zh"]},
        "outline": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"topic": {"type": "string"}, "summary": {"type": "string"}},
                "required": ["topic"],
            },
        },
    },
}
NOTES = {
    "no parser": "one op per chunk: the least that Python needs",
    "html.parser": "withholds a text up to the next tag",
    "ijson": "shows no partial strings",
    "jiter": "Rust, parses all again",
    "partial-json-parser": "parses all again",
    "json-repair": "parses all again",
    "ai": "parses all again",
    "jsonrepair": "parses all again, whole texts only",
}


class Node:
    """The npm peers, in one node process that answers line by line."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(BIN / "node"), str(HERE / "parser_peers.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def time(self, peer: str, path: Path, cap: float) -> Timing:
        answer = self.ask(peer=peer, file=str(path), cap=cap)
        return Timing(answer.get("seconds", math.nan), answer.get("mark", ""))

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(10)


def time_python(name: str, chunks: list[str], cap: float) -> Timing:
    if name in STREAMING:
        start, until, read = time.process_time(), time.perf_counter() + cap, 0
        while read < SHORTEST and time.perf_counter() < until:
            _, count = STREAMING[name](chunks, until)
            read += count
        seconds = time.process_time() - start
        return Timing(seconds * len(chunks) / read, ">" if count < len(chunks) else "")
    step = max(1, len(chunks) // PLACES)
    spent, count = 0.0, 0
    for end in range(step, len(chunks) + 1, step):
        text = "".join(chunks[:end])
        start = time.process_time()
        with suppress(Exception):
            WHOLE[name](text)
        spent += time.process_time() - start
        count += 1
        if spent > cap:  # the texts so far were the shorter ones
            return Timing(spent / count * len(chunks), ">")
    return Timing(spent / count * len(chunks), "~")


def repaired(name: str, node: Node) -> int:
    cases = [json.loads(line) for line in (CASES / "repair.jsonl").read_text("utf-8").splitlines()]
    if name in NODE:
        answers = node.ask(peer=name, cases=[case["input"] for case in cases])
        values = [answer.get("value", ...) for answer in answers]
    else:
        values = [value_of(name, case["input"]) for case in cases]
    return sum(
        any(value == expected for expected in [case["expected"], *case.get("also", [])])
        for case, value in zip(cases, values, strict=True)
    )


def value_of(name: str, text: str) -> Any:
    with suppress(Exception):
        return STREAMING[name]([text])[0] if name in STREAMING else WHOLE[name](text)
    return ...


def essay(size: int) -> list[str]:
    """One string of ``size`` characters, in the tokens of the recorded essay."""
    tokens = [token for token in stream("essay100k") if not set('"\\\n{}') & set(token)]
    chunks, length = ['{"', "text", '":', ' "'], 0
    while length < size:
        for token in tokens:
            chunks.append(token)
            length += len(token)
            if length >= size:
                break
    return [*chunks, '"', "}"]


def stream(name: str) -> list[str]:
    chunks: list[str] = json.loads((CASES / "chunks" / f"{name}.json").read_text("utf-8"))
    return chunks


def html_stream() -> list[str]:
    """The recorded essay as markup, in tokens: a heading, a paragraph and a list in turn."""
    words = [token for token in stream("essay100k") if not set('"\\\n{}<&') & set(token)]
    chunks: list[str] = []
    for start in range(0, len(words), 60):
        heading, body, item = (
            words[start : start + 6],
            words[start + 6 : start + 40],
            words[start + 40 : start + 60],
        )
        chunks += ["<h", "2", ">", *heading, "</", "h", "2", ">\n", "<p", ' class="', "lead", '">', *body]
        chunks += ["</", "p", ">\n", "<ul", "><", "li", ">", *item, "</", "li", "></", "ul", ">\n"]
    return chunks


def withholding() -> str:
    """How many tokens after its quote a string field closes, because the next key has to prove the quote."""
    delays = sorted(
        late - early
        for name in STREAMS
        for late, early in zip(closings(name, repair=True), closings(name, repair=False), strict=True)
    )
    worst = delays[int(len(delays) * 0.95)]
    return f"a string field closes {statistics.median(delays):.0f} tokens after its quote (95 %: {worst})"


def closings(name: str, *, repair: bool) -> list[int]:
    from lingstream.core.document.ops import Closed
    from lingstream.core.parsing import StreamParser

    parser = StreamParser(repair=repair)
    return [
        index
        for index, chunk in enumerate(stream(name))
        for op in parser.feed(chunk)
        if isinstance(op, Closed) and isinstance(op.value, str)
    ]


def median(timings: list[Timing]) -> Timing:
    return Timing(statistics.median(timing.seconds for timing in timings), timings[-1].mark)


def measure(
    names: list[str], streams: dict[str, list[str]], rounds: int, cap: float, node: Node
) -> dict[str, dict[str, Timing]]:
    """Time all of them in turn, ``rounds`` times; peers that take long run once."""
    seen: dict[str, dict[str, list[Timing]]] = {name: {key: [] for key in streams} for name in names}
    with tempfile.TemporaryDirectory() as folder:

        def once(name: str, key: str, cap: float = cap) -> Timing:
            if name not in STREAMING and name not in WHOLE:
                return node.time(name, Path(folder) / f"{key}.json", cap)
            return time_python(name, streams[key], cap)

        for key, chunks in streams.items():
            (Path(folder) / f"{key}.json").write_text(json.dumps(chunks), "utf-8")
        for name in names:
            once(name, next(iter(streams)), 0.5)  # imports and just-in-time compilers
        for _ in range(rounds):
            for key in streams:
                for name in names:
                    if not seen[name][key] or seen[name][key][-1].seconds <= 2:
                        seen[name][key].append(once(name, key))
    return {name: {key: median(timings) for key, timings in of.items()} for name, of in seen.items()}


def cells(timings: dict[str, Timing], streams: dict[str, list[str]]) -> str:
    return "".join(
        f"{t.mark}{t.seconds / len(streams[key]) * 1e6:.2f}".rjust(12) for key, t in timings.items()
    )


def install_peers() -> None:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    if not all((HERE / "node_modules" / name).is_dir() for name in wanted):
        command = [
            str(BIN / "npm"),
            "install",
            "--ignore-scripts",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
        ]
        subprocess.run([*command, "--silent"], cwd=HERE, check=True)


def main() -> None:
    options = argparse.ArgumentParser(description="lingstream's parser beside its peers")
    options.add_argument("--quick", action="store_true", help="one round, growth up to 100 KB")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--cap", type=float, default=4.0, help="seconds for one run of one peer")
    arguments = options.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    large = 100_000 if arguments.quick else 1_000_000

    cap = 2.0 if arguments.quick else arguments.cap

    install_peers()
    node = Node()
    names = ["lingstream", *NODE, "no parser", "ijson", *WHOLE]
    streams = {name: stream(name) for name in STREAMS}
    times = measure(names, streams, rounds, cap, node)
    sizes = {"small": essay(10_000), "large": essay(large)}
    growth = measure(names, sizes, rounds, cap, node)

    print(f"median of {rounds} rounds, µs per chunk; growth from 10 KB to {large // 1000} KB")
    print(f"{'':22}" + "".join(f"{name:>12}" for name in STREAMS) + f"{'growth':>9}{'repairs':>9}")
    for name in names:
        ratio = growth[name]["large"].seconds / growth[name]["small"].seconds
        exponent = math.log(ratio) / math.log(large / 10_000)
        mended = "" if name == "no parser" else f"{repaired(name, node)}/56"
        print(
            f"{name:22}"
            + cells(times[name], streams)
            + f"{growth[name]['large'].mark.replace('~', '')}{exponent:.2f}".rjust(9)
            + mended.rjust(9)
            + f"  {NOTES.get(name, '')}".rstrip()
        )

    print()
    print(f"{'':22}" + "".join(f"{name:>12}" for name in (*STREAMS, HTML)))
    others = {"lingstream": times["lingstream"], **measure(JSON_READERS, streams, rounds, cap, node)}
    pages = {HTML: html_stream()}
    markups = measure(HTML_READERS, pages, rounds, cap, node)
    for name in others:
        print(f"{name:22}" + cells(others[name], streams))
    for name in HTML_READERS:
        blank = " " * 12 * len(STREAMS)
        print(f"{name:22}" + blank + cells(markups[name], pages) + f"  {NOTES.get(name, '')}".rstrip())
    print(withholding())
    node.close()


if __name__ == "__main__":
    main()
