"""What others hear of a step run: the fields that settle, its events, and its end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator
from typing import Any, NamedTuple, Self

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.lifecycle import StepStatus
from lingstream.core.phrases import Phrase

from .plan import EVENTS
from .trace import CAUSE, Cause, Origin, Times

__all__ = ["ENDED", "FIELD_EVENTS", "REPLACED", "Field", "Listener", "StepEvents"]

#: Events of a value that has settled; the uri of the others is the root of the step.
FIELD_EVENTS = ("string-response", "object-response")

#: What observers of a step run hear last; nothing else can wait for it.
ENDED = " ended"  # the space makes it a name that no kind can give

#: What they alone hear of a ``fix``: another value stands at the uri, whatever had settled there or below.
REPLACED = " replaced"


class Field(NamedTuple):
    """A value that has settled, or the end of a step (then ``uri`` is its root and ``value`` all it wrote).

    :param match: what the stars of the pattern stood for.
    :param cut: the model's answer was cut off inside it.
    """

    uri: str
    value: Any
    match: tuple[str, ...] = ()
    cut: bool = False


Listener = Callable[[Any, str, Field], None]
"""Called with the step run, the event's name and what settled."""


class StepEvents:
    """The part of a step run that others wait for.

    :param instance: its name in the run, ``details#3``.
    :param root: uri below which it writes.
    :param spawn: runs a coroutine in the run's task group.
    :param events: that it may emit.
    """

    def __init__(
        self,
        instance: str,
        root: str,
        spawn: Callable[[Awaitable[None]], None],
        events: Collection[str] = EVENTS,
    ) -> None:
        self.id = instance
        self.root = root
        self.origin = Origin()
        self.times = Times()
        self.status: StepStatus = "waiting"
        self.error: LingError | None = None
        self.replaying = False
        """Asked, and not yet at the point where it calls a model or has played back what it said before."""
        self._spawn = spawn
        self._events = events
        self._settled: list[Field] = []
        self._observers: list[Listener] = []
        self._relay: Callable[[str, Field], None] | None = None
        self._over = False
        self._news: asyncio.Event | None = None  # made for who waits: it takes three quarters of a KB

    @property
    def value(self) -> Any:
        """What has been written so far."""
        raise NotImplementedError

    def on(self, event: str, callback: Callable[[Field], Any], *, partial: bool = False) -> Self:
        """Call ``callback(field)`` at each ``event`` of this step run; return the step run.

        A coroutine function runs beside it, in the run's task group. What a callback raises counts as raised
        by the workflow: it does not fail the step.

        :param partial: call it, too, for a field that was cut off with the model's answer.
        :raises UsageError: an event that its kind does not have.
        """
        if event not in self._events:
            raise _no_event(self._events, event)

        def observe(_: StepEvents, name: str, field: Field) -> None:
            if name == event and (partial or not field.cut):
                before = CAUSE.set(Cause(self, event))
                try:
                    try:
                        result = callback(field)
                    except Exception as error:
                        result = _raise(error)
                    if inspect.isawaitable(result):
                        self._spawn(result)
                finally:
                    CAUSE.reset(before)

        return self.observe(observe)

    async def fields(self, pattern: str = "**", *, partial: bool = False) -> AsyncIterator[Field]:
        """Yield each value that settles at a uri matching ``pattern``, from the first one on.

        :param pattern: glob of absolute uris (the step's root included).
        :param partial: yield, too, a field that was cut off with the model's answer.
        :raises LingError: the step failed.
        :raises UsageError: it has not been started.
        """
        self._check_started()
        position = 0
        while True:
            while position < len(self._settled):
                field = self._settled[position]
                position += 1
                if field.cut and not partial:
                    continue
                if (found := jsonuri.match(pattern, field.uri)) is not None:
                    before, cause = CAUSE.get(), Cause(self, _event_of(field.value))
                    CAUSE.set(cause)
                    try:
                        yield field._replace(match=found)
                    finally:
                        cause.over = True  # of who leaves the loop, too: that closes it in another context
                    CAUSE.set(before)
            if self._over:
                break
            await self._next_news()
        if self.error:
            raise self.error

    async def result(self) -> Any:
        """Wait for the end and return what the step wrote; awaiting the step run itself does the same.

        :raises LingError: the step failed.
        :raises UsageError: it has not been started.
        """
        self._check_started()
        while not self._over:
            await self._next_news()
        if self.error:
            raise self.error
        return self.value

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    def observe(self, observer: Listener) -> Self:
        """Call ``observer(step_run, event, field)`` at every event; return the step run."""
        self._observers.append(observer)
        return self

    def relay(self, to: Callable[[str, Field], None]) -> None:
        """Tell ``to`` of each value that settles, with the event ``""``, and of each event."""
        self._relay = to

    def _settle(self, field: Field) -> None:
        """A field has settled; who iterates hears of it."""
        self._settled.append(field)
        self._tell_readers()
        if self._relay:
            self._relay("", field)

    def _emit(self, event: str, field: Field) -> None:
        for observer in self._observers:
            observer(self, event, field)
        if self._relay:
            self._relay(event, field)

    def _check_started(self) -> None:
        if self.status == "waiting":
            raise _not_started(self.id)

    def _end(self) -> None:
        self.replaying = False
        self._over = True
        self._tell_readers()
        self._emit(ENDED, Field(self.root, None))

    async def _next_news(self) -> None:
        self._news = self._news or asyncio.Event()
        await self._news.wait()

    def _tell_readers(self) -> None:
        if self._news:
            self._news.set()
            self._news = None


def _event_of(value: Any) -> str:
    """The event of a value that has settled; of numbers and the like there is none."""
    if isinstance(value, str):
        return FIELD_EVENTS[0]
    return FIELD_EVENTS[1] if isinstance(value, dict | list) else ""


async def _raise(error: Exception) -> None:
    raise error


def _no_event(known: Collection[str], got: str) -> UsageError:
    message = Phrase("expected one of the events %(known)s, got %(got)r", known=", ".join(known), got=got)
    return UsageError(message)


def _not_started(step: str) -> UsageError:
    message = Phrase(
        "expected a step at work, but %(step)s was not started: call its chat() first", step=step
    )
    return UsageError(message)
