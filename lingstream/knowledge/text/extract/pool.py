"""Files read by child processes, so that a bomb, a hang or a crash costs one document.

1. A child reads one file at a time. One that has failed in any way is killed, never used again.
2. No more than ``processes`` children live; further files wait for their turn.
3. What a child answers is data, and bounded; nothing that it says is executed.
4. A file that was cancelled is not read on: its child is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any, cast

from lingstream.core.phrases import Phrase, from_parts

from ...children import wire
from ...children.outside import command, environment
from .plain import utf8
from .result import MOST_BYTES, Extracted, ExtractionError
from .sniff import kind_of

__all__ = ["Extractor"]

#: Bytes of a text file that is read here, as it needs nothing but to be decoded.
SMALL = 65_536
#: Seconds for a child to come up; they do not count for its first file.
START_SECONDS = 60.0


class Extractor:
    """Reads files in child processes; of one event loop. They start with the first file that needs one.

    :param processes: how many at the same time; by default one for each processor.
    :param seconds: for one file.
    :param documents: after which a child is replaced, as libraries lose memory.
    """

    def __init__(self, processes: int | None = None, *, seconds: float = 60.0, documents: int = 200) -> None:
        self._turns = asyncio.Semaphore(processes or os.cpu_count() or 1)
        self._seconds = seconds
        self._documents = documents
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False

    async def extract(self, body: bytes, mime: str, url: str = "") -> Extracted:
        """Return the text of a file; see :func:`lingstream.knowledge.text.extract.extract`.

        :raises ExtractionError: beside that function's, ``timed-out`` and ``crashed``.
        """
        if len(body) > MOST_BYTES:
            message = Phrase("expected up to %(most)s bytes, got %(got)s", most=MOST_BYTES, got=len(body))
            raise ExtractionError("too-large", message)
        simple = len(body) <= SMALL and kind_of(body, mime, url) in ("plain", "markdown")
        if simple and (text := utf8(body)) is not None:
            return Extracted(text)
        async with self._turns:
            return await self._extract(body, {"mime": mime, "url": url, "size": len(body)})

    async def aclose(self) -> None:
        """End the children, those at work too; the extractor is not used afterwards."""
        self._closed = True
        children = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(child.kill() for child in children))

    async def _extract(self, body: bytes, asked: dict[str, Any]) -> Extracted:
        child = await self._child()
        self._busy.add(child)
        try:
            async with asyncio.timeout(self._seconds):
                found = _understood(await child.ask(asked, body))
            if child.asked < self._documents and not self._closed and getattr(found, "code", "") != "crashed":
                self._idle.append(child)
        except TimeoutError:
            seconds = f"{self._seconds:g}"
            message = Phrase("expected a file that is read within %(seconds)s s", seconds=seconds)
            found = ExtractionError("timed-out", message)
        finally:
            self._busy.discard(child)
            if child not in self._idle:
                await asyncio.shield(child.kill())
        if isinstance(found, ExtractionError):
            raise found
        return found

    async def _child(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.lives:
                return child
            await child.kill()
        return await _Child.start()


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._sending = cast(asyncio.StreamWriter, process.stdin)
        self._receiving = cast(asyncio.StreamReader, process.stdout)
        self.asked = 0

    @classmethod
    async def start(cls) -> _Child:
        process = await asyncio.create_subprocess_exec(
            *command(f"{__package__}.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # a Ctrl-C is for us; we end the children
        )
        child = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._answer()
        except BaseException as error:
            await asyncio.shield(child.kill())
            if isinstance(error, TimeoutError):
                raise ExtractionError("timed-out", Phrase("no process to read files came up")) from None
            raise
        return child

    @property
    def lives(self) -> bool:
        # asyncio hears late that the output has ended, and later that the child has. The system knows, but
        # Python cannot ask it on macOS before 3.13.
        if self._process.returncode is not None or self._receiving.at_eof():
            return False
        if not hasattr(os, "waitid"):
            return True
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # asyncio's thread has heard, and we have not
            return False

    async def ask(self, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Send a file and wait for the answer.

        :raises ExtractionError: ``crashed``, or ``timed-out`` by the system's clock.
        """
        self.asked += 1
        with contextlib.suppress(ConnectionError):  # what has become of it, the answer says
            self._sending.write(wire.pack(asked) + body)
            await self._sending.drain()
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        try:
            size = wire.head_size(await self._receiving.readexactly(wire.HEAD.size))
            return await asyncio.to_thread(wire.parsed, await self._receiving.readexactly(size))
        except (OSError, asyncio.IncompleteReadError, ValueError):
            raise await self._loss() from None

    async def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._sending.close()

    async def _loss(self) -> ExtractionError:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._process.wait()
        status = self._process.returncode
        if status == -getattr(signal, "SIGXCPU", 0):
            message = Phrase("expected a file that is read sooner: it took all its time")
            return ExtractionError("timed-out", message)
        message = Phrase("the process that read the file ended with %(status)s", status=status)
        return ExtractionError("crashed", message)


def _understood(answer: dict[str, Any]) -> Extracted | ExtractionError:
    try:
        if "found" in answer:
            return Extracted.from_wire(answer["found"])
        message = from_parts(str(answer["message"])[:1_000], answer.get("phrase"))
        return ExtractionError(str(answer["code"])[:50], message)
    except (LookupError, TypeError):
        return ExtractionError("crashed", Phrase("the process that read the file answered something else"))
