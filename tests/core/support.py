"""What the tests of the core share: random documents and ops, Node, and runs with scripted models."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.canonical import crc32
from lingstream.core.document.ops import Append, Op, Set, copy_json, fold
from lingstream.core.engine.journal import Call, CallResult
from lingstream.core.engine.kinds import Services
from lingstream.core.engine.plan import Limits, Plan, ProviderPlan
from lingstream.core.engine.registry import workflow
from lingstream.core.engine.run import Run, RunResult
from lingstream.core.log.frames import Frame
from lingstream.core.log.memory import MemoryLog
from lingstream.providers.scripted import ScriptedProvider
from lingstream.testing.log_contract import PATIENCE, Viewer

from ..node import node

ROOT = Path(__file__).parents[2]

KEYS = (
    "a",
    "b",
    "",
    ".",
    "..",
    "@first",
    "[@last]",
    "0",
    "01",
    "-1",
    "٣",
    "*",
    "**",
    "x/y",
    "\\",
    "\\0",
    "云",
)

keys = st.sampled_from(KEYS) | st.text(max_size=4)
texts = st.text(max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def in_node(script: str, data: Any) -> Any:
    """Run an ES module with ``input`` bound to ``data``; return what it assigns to ``output``."""
    source = (
        "import { readFileSync } from 'node:fs';\n"
        "const input = JSON.parse(readFileSync(0, 'utf8'));\nlet output;\n"
        f"{script}\nprocess.stdout.write(JSON.stringify(output));\n"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", source],
        input=json.dumps(data).encode(),
        capture_output=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


ALL = 1_000_000


class Deaf:
    """Code that loses its first ``cancels`` cancels and goes on; ``ALL`` of them."""

    def __init__(self, cancels: int) -> None:
        self.cancels = cancels
        self.heard = 0
        self.waits = asyncio.Event()
        self.released = asyncio.Event()

    async def work(self) -> str:
        # Where a test fails before it releases us, its event loop must not wait for ever.
        asyncio.get_running_loop().call_later(20, self.released.set)
        while not self.released.is_set():
            try:
                self.waits.set()
                await self.released.wait()
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self.cancels:
                    raise
        return "an answer"

    async def items(self) -> AsyncGenerator[int, None]:
        """Yield at once, then wait, and go on after each lost cancel."""
        yield 0
        while True:
            yield len(await self.work())

    async def closes(self) -> AsyncGenerator[int, None]:
        """Yield once; what loses cancels is the clean-up."""
        try:
            yield 0
            yield 1
        finally:
            await self.work()

    async def started(self) -> asyncio.Task[str]:
        task = asyncio.create_task(self.work(), name="deaf")
        await self.waits.wait()
        return task


@contextmanager
def counted(function: Callable[..., Any]) -> Iterator[list[None]]:
    """Collect one item for each call of ``function`` in here, which stays as it is."""
    assert isinstance(function, FunctionType)
    calls: list[None] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is function.__code__:
            calls.append(None)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def walk(document: Any, uri: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every place of ``document`` with its value, the root first."""
    yield uri, document
    if isinstance(document, dict):
        for key, item in document.items():
            yield from walk(item, jsonuri.concat(uri, jsonuri.escape(key)))
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from walk(item, jsonuri.concat(uri, str(index)))


def folded(ops: Any, document: Any = None) -> Any:
    """Return the reference fold of ``ops``."""
    for op in ops:
        document = fold(document, op)
    return document


def random_ops(seed: int, count: int) -> list[Op]:
    """Ops that fit the document each: growth, replacement of whole subtrees, appends to settled strings."""
    dice = random.Random(seed)
    document: Any = None
    ops: list[Op] = []
    for _ in range(count):
        op = _next_op(dice, document)
        ops.append(op)
        document = fold(document, op)
    return ops


# A seed instead of Hypothesis's own draws: thousands of sequences in the time of tens; the length shrinks.
op_sequences = st.builds(random_ops, st.integers(0, 2**32), st.integers(0, 16))


def _next_op(dice: random.Random, document: Any) -> Op:
    places = list(walk(document))
    containers = [uri for uri, value in places if isinstance(value, (dict, list))]
    strings = [uri for uri, value in places if isinstance(value, str)]
    if strings and dice.random() < 0.5:
        return Append(dice.choice(strings), _text(dice))
    if not containers or dice.random() < 0.05:
        return dice.choice([Set("", {}), Set("", []), Set("", {"a": {"b": []}}, True), Set("", "x")])
    head = dice.choice(containers)
    container = jsonuri.get(document, head)
    if isinstance(container, list):
        uri = jsonuri.concat(head, str(dice.randint(0, len(container))))
    else:
        uri = jsonuri.concat(head, jsonuri.escape(dice.choice(KEYS)))
    if isinstance(jsonuri.get(document, uri, ""), str) and dice.random() < 0.5:
        return Append(uri, _text(dice))
    return Set(uri, random_value(dice), dice.random() < 0.2)


def random_value(dice: random.Random, depth: int = 2) -> Any:
    """Return a document of at most ``depth`` containers inside each other."""
    kind = dice.randint(0, 7)
    if kind < 2 and depth:
        return [random_value(dice, depth - 1) for _ in range(dice.choice([0, 0, 1, 3]))]
    if kind < 4 and depth:
        names = dice.sample(KEYS, dice.choice([0, 0, 1, 3]))
        return {name: random_value(dice, depth - 1) for name in names}
    return dice.choice([None, True, False, 0, -1.5, 10**20, "", "text"])


def _text(dice: random.Random) -> str:
    return "".join(dice.choices('ab"\\/云😀\n', k=dice.randint(0, 4)))


def frames_of(log: MemoryLog) -> list[Frame]:
    """Return all that a log keeps, as it was written."""
    return log.buffer.frames()


class Outcome:
    """A run that has ended, and all that its log holds."""

    def __init__(self, run: Run, log: MemoryLog, result: RunResult) -> None:
        self.run = run
        self.result = result
        self.status = result.status
        self.document = result.document
        self.frames = frames_of(log)
        assert [frame.id.seq for frame in self.frames] == list(range(1, len(self.frames) + 1))
        assert self.frames[-1].kind == "done"
        start = copy_json(self.frames[0].body["document"])
        seen = folded((op for frame in self.frames if frame.kind == "ops" for op in frame.body), start)
        assert seen == result.document
        assert self.done["crc32"] == crc32(seen)
        assert self.done["status"] == result.status

    @property
    def done(self) -> dict[str, Any]:
        return self.frames[-1].body

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [frame.body for frame in self.frames if frame.kind == "error"]

    def events(self, bot: str | None = None) -> list[tuple[str, str | None]]:
        """Names and uris of the events, of one bot or of the run itself."""
        bodies = [frame.body for frame in self.frames if frame.kind == "event"]
        return [(body["event"], body.get("uri")) for body in bodies if body.get("bot") == bot]

    def texts(self, event: str, bot: str) -> str:
        bodies = [frame.body for frame in self.frames if frame.kind == "event"]
        return "".join(body["data"] for body in bodies if body["event"] == event and body["bot"] == bot)

    def status_of(self, bot: str) -> str:
        return next(each.status for each in self.run.steps if each.id == bot)


def make_run(
    plan: Plan | Callable[[Run], Any], answers: Any = None, *, input: Any = None, **more: Any
) -> tuple[Run, MemoryLog]:
    """Return a run of a plan, or of a workflow function, whose models play ``answers``, and its log.

    :param answers: for a :class:`ScriptedProvider` without pauses, or a provider, or a dict of them by name.
    :param more: arguments of :class:`Run`, and ``limits`` of a function's.
    """
    if not isinstance(plan, Plan):
        workflow("test")(plan)
        plan = Plan("test", python=True, providers=(ProviderPlan(),), limits=more.pop("limits", Limits()))
    if not hasattr(answers, "stream"):
        answers = ScriptedProvider(answers, rate=None)
    log = MemoryLog()
    more.setdefault("services", Services(lambda _: answers))
    return Run(plan, input, log=log, **more), log


async def outcome(
    plan: Plan | Callable[[Run], Any], answers: Any = None, *, input: Any = None, **more: Any
) -> Outcome:
    """Execute :func:`make_run` to its end."""
    run, log = make_run(plan, answers, input=input, **more)
    async with asyncio.timeout(PATIENCE):
        result = await run.execute()
    return Outcome(run, log, result)


class MemoryJournal:
    """Keeps finished calls, as the database does."""

    def __init__(self) -> None:
        self.results: dict[tuple[str, str, str, int], CallResult] = {}

    def recorded(self, call: Call) -> CallResult | None:
        result = self.results.get(call.key)
        return result if result and result.status == "finished" else None

    async def finish(self, call: Call, result: CallResult) -> None:
        self.results[call.key] = result


async def seen(log: MemoryLog, found: Callable[[Any], bool]) -> None:
    """Wait until the document of a live log is as asked, reading it as a viewer does."""
    viewer = Viewer(log.reader())
    while viewer.state is None or not found(viewer.document):
        assert await viewer.read(), "the run ended before"
