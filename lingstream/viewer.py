"""A viewer of a run: finds its log, or what the database keeps of it, and reads at a bounded pace.

All transports stand on this module: the socket, SSE and JSONL differ in how they write frames down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from .access.faults import told_error, told_frames
from .access.tokens import make_share, make_token
from .conf import app_settings
from .core.frames import Frame, FrameId, parse_id
from .core.log import LogReader
from .core.workflow import done_body
from .hubs import get_hub
from .models import Run
from .runner import get_runner
from .storage import in_database, load_run
from .watch import watching

Turn = Callable[[], Awaitable[None]]

__all__ = ["at_end", "beginning", "frames", "started", "stored_state"]


async def frames(
    run: Run,
    after: str | None = None,
    heartbeat: float | None = None,
    turn: Turn | None = None,
    *,
    whole: bool = False,
) -> AsyncIterator[list[Frame]]:
    """Yield what a viewer of ``run`` gets, batch by batch, to its end.

    The first batch comes at once, the next ones at least ``FRAME_INTERVAL`` apart, with what came in between
    merged: so a slow viewer costs no memory, and a fast model no more than a hundred writes a second.

    :param after: id of the last frame that the viewer has.
    :param heartbeat: seconds of silence after which an empty batch is yielded.
    :param whole: errors with all that they say, for the site's staff; see :mod:`.access.faults`.
    :param turn: awaited before a batch is read: a viewer that may be sent nothing holds nothing.
    """
    with watching(run):
        async with aclosing(_frames(run, after, heartbeat, turn)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                yield batch if whole else told_frames(batch)


async def _frames(
    run: Run, after: str | None, heartbeat: float | None, turn: Turn | None
) -> AsyncIterator[list[Frame]]:
    while log := await get_hub().find(str(run.pk), running=not run.ended):
        async with aclosing(_read(log.reader(after), heartbeat, turn)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                yield batch
        if log.ended or get_runner().draining:
            return  # a viewer of a process that goes away resumes at another one
        run, after = await in_database(load_run, run.pk), None  # the log is gone; has the run ended?
    yield _stored_frames(await in_database(load_run, run.pk))


async def _read(reader: LogReader, heartbeat: float | None, turn: Turn | None) -> AsyncIterator[list[Frame]]:
    """Yield what ``reader`` gives, an empty batch for each heartbeat."""
    interval = app_settings().frame_interval
    now = asyncio.get_running_loop().time
    silence = _Silence(heartbeat, reader.wake) if heartbeat else None
    due = 0.0
    try:
        while True:
            await reader.wait()
            if reader.ready:
                # Not after each batch: at the pace of most models this takes no timer at all.
                if (pause := due - now()) > 0:
                    await asyncio.sleep(pause)
                if turn:
                    await turn()
                if not (batch := await reader.read()):
                    return
                due = now() + interval
            else:
                batch = []
            if silence:
                silence.broken()
            yield batch
    finally:
        if silence:
            silence.end()


def beginning() -> str:
    """Return the place before the first frame of the run's first execution: for who has just started it."""
    return str(FrameId(1, 0))


async def at_end(run: Run, after: str | None) -> bool:
    """Whether a viewer that has the frame ``after`` has all there will ever be."""
    place = parse_id(after or "")
    log = await get_hub().find(str(run.pk))
    if log is not None:
        return log.ended and place == log.last_id
    return run.ended and place is not None and str(place) == run.log_id


def started(run: Run) -> dict[str, Any]:
    """Return what who starts a run is told: its id, the tokens that open it, and its conversation."""
    return {
        "run": str(run.pk),
        "token": make_token(run.pk),
        "share": make_share(run.pk),
        "workflow": run.workflow,
        "conversation": _conversation_of(run),
    }


async def stored_state(run: Run) -> dict[str, Any]:
    """Return a run's state for ``GET …/runs/<id>/``: live where this process can see its log."""
    log = await get_hub().find(str(run.pk))
    live = log is not None and bool(log.last_id.seq)
    return {
        "run": str(run.pk),
        "workflow": run.workflow,
        "status": log.state.status if log is not None and live and not run.ended else run.status,
        "document": log.state.document.value if log is not None and live else run.document,
        "id": str(log.last_id) if log is not None and live else run.log_id,
        "usage": run.usage,
        "errors": [told_error(error) for error in run.errors],
        "conversation": _conversation_of(run),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def _conversation_of(run: Run) -> str | None:
    return str(run.conversation_id) if run.conversation_id else None


class _Silence:
    """Calls ``ring`` after ``seconds`` of silence, with one timer that moves on instead of one per frame."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self._seconds = seconds
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._check)

    def broken(self) -> None:
        """Something was said."""
        self._since = self._loop.time()

    def end(self) -> None:
        """Stop listening."""
        self._timer.cancel()

    def _check(self) -> None:
        end = self._since + self._seconds
        if end <= self._loop.time():
            self._ring()
            end = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(end, self._check)


def _stored_frames(run: Run) -> list[Frame]:
    """What the database has: the end of an ended run, or the last checkpoint of one that runs elsewhere."""
    place = parse_id(run.log_id) or FrameId(run.epoch, 0)
    body = {"document": run.document, "reasoning": {}, "status": run.status, "bots": {}}
    if run.ended:
        if run.failure:
            body["error"] = run.failure
        before = FrameId(place.epoch, max(place.seq - 1, 0))
        done = done_body(run.status, run.usage, run.document)
        return [Frame(before, "snapshot", body), Frame(place, "done", done)]
    error = {
        "code": "elsewhere",
        "message": "the run is executed by another process, which this site's hub cannot reach; "
        "this is its last stored state",
        "retryable": True,
    }
    return [Frame(place, "snapshot", body), Frame(place, "error", error)]
