"""The messages of one run among many: what the socket and the responses for many runs send alike."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from lingstream.access.faults import told
from lingstream.core.exceptions import LingError
from lingstream.core.log.frames import FrameId
from lingstream.core.wire.json import dumps
from lingstream.core.wire.socket import SocketMessages
from lingstream.models import Run

from .flow import Turn
from .viewer import frames

__all__ = ["MOST_RUNS", "batches", "lost", "refusal"]

logger = logging.getLogger("lingstream")

MOST_RUNS = 100
"""Runs that one connection may follow at the same time."""


async def batches(
    run: Run, after: str | None, turn: Turn, heartbeat: float | None = None
) -> AsyncGenerator[Iterator[tuple[FrameId, str]], None]:
    """Yield the messages of a run, each with its frame's id, batch by batch to the run's end.

    It is this viewer's turn until the next batch is asked for. An empty batch is a heartbeat.

    :param after: id of the last frame that the viewer has.
    :param heartbeat: seconds of silence after which one comes.
    """
    messages = SocketMessages(str(run.pk), after)
    read = frames(run, after, heartbeat, turn.take)
    del run
    try:
        async with aclosing(read):  # type: ignore[type-var]
            async for batch in read:
                yield ((frame.id, text) for frame in batch for text in messages.encode(frame))
                turn.end()
    finally:
        turn.end()


def refusal(run: str | None, error: LingError) -> dict[str, Any]:
    """Return the message that a run is not, or no longer, followed; without an id it is none of its log.

    :param run: ``None`` where what was asked for names none.
    """
    return {"run": run, "error": told(error)}


def lost(run: str, error: Exception) -> str:
    """Log what a viewer failed with; return what its client is told."""
    logger.warning("a viewer of run %s was lost: %r", run, error)
    fault = LingError("the run cannot be followed at the moment; subscribe again", retryable=True)
    return dumps(refusal(run, fault)).decode()
