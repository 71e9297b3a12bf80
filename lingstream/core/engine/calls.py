"""One call of a step: its tries, each within its time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Protocol, TypeVar

from lingstream.core.ending import consume, fault_before
from lingstream.core.exceptions import (
    Fenced,
    LimitExceeded,
    LingError,
    RateLimited,
    RequestFailure,
    StepTimeout,
)
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message

from .journal import Call
from .kinds import NOBODY, Identity, Said, Services, StepCall, StepKind
from .observers import RunInfo

__all__ = ["Caller", "Enough", "make", "within"]

T = TypeVar("T")

logger = logging.getLogger("lingstream")

_PAUSE, _LONGEST = 0.5, 30.0  # seconds before the second try, doubled from one to the next, up to the longest


class Enough(Exception):  # no error: what a call was made for is there
    """Raised by who takes what a kind says: the rest of it is not wanted, and its stream is closed."""


class Caller(Protocol):
    """What a call needs of the run that makes it.

    :cvar acts: whether its steps may act on the world.
    """

    info: RunInfo
    acts: bool
    history: Sequence[Message]
    services: Services

    async def identity(self) -> Identity:
        """Return who has started the run."""
        ...


async def make(
    caller: Caller,
    kind: StepKind,
    call: Call,
    take: Callable[[Said], Awaitable[None] | None],
    answered: Callable[[], bool],
) -> None:
    """Make a call, and again as often as its step says; what it has begun to say is never said twice.

    :param take: is given what the kind says.
    :param answered: whether that has begun.
    :raises StepTimeout: the last try took too long.
    :raises LingError: it failed, as the kind says; so does whatever else the kind raises.
    """
    identity = await caller.identity() if kind.asks_who else NOBODY
    key = hashlib.sha256(json.dumps([caller.info.id, *call.key]).encode()).hexdigest()
    work = kind.run if caller.acts or not kind.has_effects(call.plan) else kind.rehearse
    for attempt in count(1):
        tried = StepCall(
            input=call.input,
            options=call.options,
            plan=call.plan,
            root=call.root,
            identity=identity,
            history=caller.history,
            services=caller.services,
            idempotency_key=key,
            attempt=attempt,
            run=caller.info.id,
        )
        try:
            await within(call.plan.timeout, call.instance, consume(work(tried), take))
            return
        except Enough:
            return
        except Exception as error:
            if answered() or attempt > call.plan.retries or not _may_pass(error):
                raise
            pause = _pause(attempt, error)
            logger.warning(
                "%s failed, try %d follows in %.1f s: %s", call.instance, attempt + 1, pause, error
            )
            await asyncio.sleep(pause)


def within(seconds: float | None, instance: str, work: Awaitable[T]) -> Awaitable[T]:
    """Return what gives what ``work`` gives.

    :param seconds: that it may take; ``None`` for as long as it likes.
    :param instance: of the step, for the error.
    :raises StepTimeout: it took longer. What ended it before is raised instead, where only its stream was
        still closing.
    """
    return work if seconds is None else _within(seconds, instance, work)


async def _within(seconds: float, instance: str, work: Awaitable[T]) -> T:
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            return await work
    except TimeoutError as error:
        if not deadline.expired():
            raise  # the kind's own
        if fault := fault_before(error):
            raise fault  # noqa: B904  # it has a cause of its own, or none
        message = Phrase("%(step)s took more than %(seconds)s seconds", step=instance, seconds=f"{seconds:g}")
        raise StepTimeout(message, retryable=True) from error


def _may_pass(error: Exception) -> bool:
    """Whether another try may go better: of an error that says nothing of it, whoever set retries knows."""
    if isinstance(error, (Fenced, LimitExceeded)):
        return False
    return error.retryable if isinstance(error, LingError) else True


def _pause(attempt: int, error: Exception) -> float:
    if isinstance(error, (RateLimited, RequestFailure)) and error.retry_after is not None:
        return min(float(error.retry_after), _LONGEST)
    longest = min(_PAUSE * 2.0 ** (attempt - 1), _LONGEST)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # a pace, not a secret
