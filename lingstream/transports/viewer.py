"""A viewer of a run: finds its log, or what the database keeps of it, and reads at a bounded pace.

All transports stand on this module: the socket, SSE and JSONL differ in how they write frames down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from typing import Any, Self

from lingstream.access.faults import told_error, told_frames
from lingstream.access.tokens import make_share, make_token
from lingstream.core.engine.run import done_body
from lingstream.core.log.frames import Frame, FrameId, parse_id, parse_place
from lingstream.core.log.memory import MemoryLog
from lingstream.core.log.ports import LogReader, RunLog
from lingstream.execution.disconnect import watching
from lingstream.execution.observers import get_observers
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import Run

from .beat import beat_of
from .flow import Turn
from .looks import look

__all__ = ["Viewer", "at_end", "beginning", "started", "stored_frames", "stored_state"]

_LOOK_AFTER = 5.0  # seconds of silence after which a viewer asks what the database says


@contextmanager
def _observed(run: str) -> Iterator[None]:
    observers, begun = get_observers(), asyncio.get_running_loop().time()
    observers.tell("viewer_opened", run)
    try:
        yield
    finally:
        seconds = asyncio.get_running_loop().time() - begun
        observers.tell("viewer_closed", run, seconds)


def beginning() -> str:
    """Return the place before the first frame of the run's first execution: for who has just started it."""
    return str(FrameId(1, 0))


async def at_end(run: Run, after: str | None) -> bool:
    """Whether a viewer that has the frame ``after`` has all there will ever be."""
    place = parse_id(after or "")
    if place is None:
        return False
    if run.ended and str(place) == run.log_id:
        return True
    log = await get_hub().find(str(run.pk))
    return log is not None and log.ended and place == log.last_id


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
    """Return a run's state for ``GET …/runs/<id>/``: live where this process can see its log.

    The row has all of a run that has ended, and more of another one than a log here that fell behind.
    """
    log = None if run.ended else await get_hub().find(str(run.pk))
    if log is not None and log.last_id.seq and log.last_id >= (parse_id(run.log_id) or _FIRST):
        status, document, place = log.state.status, log.state.document.value, str(log.last_id)
    else:
        status, document, place = run.status, run.document, run.log_id
    return {
        "run": str(run.pk),
        "workflow": run.workflow,
        "status": status,
        "document": document,
        "id": place,
        "usage": run.usage,
        "errors": [told_error(error) for error in run.errors],
        "conversation": _conversation_of(run),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def stored_frames(run: Run) -> list[dict[str, Any]]:
    """Return what the row has of a run, as its viewers get it: for pages that are rendered here.

    It reads the row's columns and nothing else, so a view may do it without a database, and in any thread.
    """
    place = parse_id(run.log_id)
    if run.ended:
        done = Frame(place or FrameId(run.epoch, 1), "done", {"status": run.status, "usage": run.usage})
        stored = [Frame(done.id._replace(seq=max(done.id.seq - 1, 0)), "snapshot", _stored_body(run)), done]
    else:
        stored = [Frame(place, "snapshot", _stored_body(run))] if place else []
    return [{"id": str(frame.id), frame.kind: frame.body} for frame in told_frames(stored)]


def _conversation_of(run: Run) -> str | None:
    return str(run.conversation_id) if run.conversation_id else None


class Viewer:
    """One viewer of a run: an async iterator over what it gets, batch by batch, to the run's end.

    The first batch comes at once, the next ones at least ``FRAME_INTERVAL`` apart, with what came in between
    merged: so a slow viewer costs no memory, and a fast model no more than a hundred writes a second. An
    empty batch is a heartbeat.

    It reads the run's log, and where that says nothing asks what the database says. So it comes to its end
    whatever becomes of the run: executed by a process whose log this one cannot read (then it gets the stored
    state, as often as that changes, and the log as soon as there is one), ended by a process that did not
    live to say so, or deleted.

    Who iterates calls :meth:`aclose`, however that ends: till then the viewer counts as one.

    :param after: id of the last frame that the viewer has.
    :param heartbeat: seconds of silence after which an empty batch comes.
    :param turn: taken before a batch is read, and ended when the next one is asked for: a viewer that may be
        sent nothing holds nothing.
    :param whole: errors with all that they say, for the site's staff; see :mod:`lingstream.access.faults`.
    """

    def __init__(
        self,
        run: Run,
        after: str | None = None,
        heartbeat: float | None = None,
        turn: Turn | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._run: Run | None = run  # until the first batch is asked for
        self._name = str(run.pk)
        self._running, self._epoch = not run.ended, run.epoch
        self._after = after
        self._heartbeat = heartbeat
        self._turn = turn
        self._whole = whole
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        place = parse_place(after or "")
        # What the viewer has. It may say anything; that an execution came which has not is not believed.
        self._place = place._replace(part=0) if place and place.epoch <= run.epoch else None
        # Whether it has more than that: the error "elsewhere", which need not be told then, or some of the
        # next frame, behind which no log goes on.
        self._inside = bool(self._place and place and place.part)
        self._log: RunLog = MemoryLog()
        self._reader: LogReader = self._log.reader()
        self._absent = False  # whether the hub could not tell of any log
        self._stored = False  # whether the viewer's place is that of a stored state, which the log may lack
        self._told = False  # whether it was told that the run is elsewhere
        self._ended = False
        self._look: asyncio.Future[Run | None] | None = None
        self._silence = _Silence(self._ring)
        self._looked_at = self._now()
        self._beat = beat_of(self._name)
        self._joins = True
        self._news: asyncio.Future[None] | None = None  # it is waited for
        self._listens = False  # whether the log is to tell of news
        self._rung = False  # whether something else than news came
        self._counted = ExitStack()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Frame]:
        batch: list[Frame] | None = None
        if self._turn:
            self._turn.end()
        if self._run:
            batch = await self._begin(self._run)
        while batch is None:
            if self._ended:
                raise StopAsyncIteration
            ready, rung = self._reader.ready, False
            # The first batch is not kept waiting for the beat of those who watch already.
            if not ready or not (self._joins or self._beat.due):
                if not self._rung:
                    try:
                        await self._expect(ready)
                    except asyncio.CancelledError:
                        self._leave()
                        raise
                rung, self._rung = self._rung, False
                ready = self._reader.ready
            if ready and not rung:
                self._joins = False
                self._beat.told()
                batch = await self._next()
            elif not ready:
                batch = await self._idle()
        self._silence.since = self._now()
        return batch if self._whole else told_frames(batch)

    async def aclose(self) -> None:
        """Watch no longer; nothing more comes."""
        self._ended = True
        if self._turn:
            self._turn.end()
        self._silence.end()
        self._counted.close()

    async def _begin(self, run: Run) -> list[Frame] | None:
        """Find the log; return what the database says, where that is to be said first."""
        self._run = None  # with its plan and its document it would weigh more than all else
        heartbeat = self._heartbeat or _LOOK_AFTER
        self._silence.begin(heartbeat / ceil(heartbeat / _LOOK_AFTER))
        self._counted.enter_context(watching(run))
        self._counted.enter_context(_observed(self._name))
        log = await self._find()
        if log is None and run.ended:
            await self._take_turn()
            self._ended = True
            return self._stored_end(run)
        self._read(log, self._after)
        if not get_hub().shared and self._behind(run):
            await self._take_turn()
            return self._elsewhere(run)
        return None

    def _expect(self, ready: bool) -> asyncio.Future[None]:
        """Return what is done when a batch may be read, or something else came."""
        self._news = self._loop.create_future()
        if ready:
            self._beat.news(self._wake)
        else:
            self._listens = True
            self._reader.listen(self._heard)
        return self._news

    def _leave(self) -> None:
        """Hear of nothing that was expected."""
        if self._listens:
            self._listens = False
            self._reader.listen(None)
        else:
            self._beat.leave(self._wake)

    def _heard(self) -> None:
        """The log has something."""
        self._listens = False
        self._beat.news(self._wake)

    def _wake(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)

    async def _next(self) -> list[Frame] | None:
        """What the log has."""
        if self._stored:
            self._reach()
            if not self._reader.ready:
                return None
        if self._turn:
            await self._turn.take()
            if not self._reader.ready:  # what there was to say has passed: the others do not wait for more
                self._turn.end()
                return None
        if batch := await self._reader.read():
            if self._place and self._stored:  # a notice about the log: it stands where the viewer is
                return [frame._replace(id=self._place) for frame in batch]
            self._place, self._inside = batch[-1].id, False
            return batch
        if self._log.ended or get_runner().draining:
            self._ended = True  # a viewer of a process that goes away resumes at another one
            return None
        if self._turn:
            self._turn.end()  # the others of this connection go on meanwhile
        self._read(await self._find(), self._behind_which())  # the log is gone
        self._ask()
        return None

    async def _idle(self) -> list[Frame] | None:
        """What there is to say where the log says nothing."""
        if self._look and self._look.done():
            look, self._look = self._look, None
            if batch := await self._seen(look.result()):
                await self._take_turn()
                return batch
        said_at = self._silence.since
        if self._absent and get_runner().draining:
            self._ended = True  # nobody will abandon a log that is not there
        elif self._now() - max(said_at, self._looked_at) >= _LOOK_AFTER * 0.9:
            self._ask()
        is_due = self._heartbeat and self._now() - said_at >= self._heartbeat * 0.9
        return [] if is_due and not self._ended else None

    async def _seen(self, run: Run | None) -> list[Frame] | None:
        """The database has been looked at."""
        if run is None:
            self._ended = True
            return _deleted(self._place or FrameId(self._epoch, 0))
        self._running, self._epoch = not run.ended, run.epoch
        if run.ended:
            self._ended = True
            return self._stored_end(run)
        if self._stored or self._absent:
            log = await self._find()
            if log is not None and log is not self._log:
                self._read(log, self._behind_which())
            self._ask()
        return (self._behind(run) and self._elsewhere(run)) or None

    def _behind(self, run: Run) -> bool:
        """Whether another process executes the run, and the database knows more of it than the log here."""
        if run.status != Run.Status.RUNNING or run.runner_id == get_runner().id:
            return False
        return (parse_id(run.log_id) or _FIRST) > self._log.last_id

    def _elsewhere(self, run: Run) -> list[Frame]:
        """The stored state, if the viewer has not seen more already, and once what that means."""
        place = parse_id(run.log_id) or FrameId(run.epoch, 0)
        batch = []
        if self._place is None or self._place < place:
            batch.append(Frame(place, "snapshot", _stored_body(run)))
            self._place, self._inside = place, False
        if not self._told and not self._inside:
            batch.append(Frame(self._place._replace(part=1), "error", _ELSEWHERE))
        self._told = True
        self._stored = True
        self._ask()
        return batch

    def _reach(self) -> None:
        """Go on in the log behind a stored state, as soon as the log is that far."""
        place = self._place
        if place is not None and not self._log.ended and self._log.last_id <= place:
            self._reader = self._log.reader(str(self._log.last_id))  # it waits for what is new
        else:
            self._reader = self._log.reader(self._behind_which())
            self._stored = False

    def _behind_which(self) -> str | None:
        """The id of the frame behind which the viewer can go on."""
        return None if self._place is None or self._inside else str(self._place)

    def _stored_end(self, run: Run) -> list[Frame]:
        """The end of a run as the database has it."""
        place = parse_id(run.log_id) or FrameId(run.epoch, 1)
        before = FrameId(place.epoch, max(place.seq - 1, 0))
        done = Frame(place, "done", done_body(run.status, run.usage, run.document))
        return (
            [done]
            if self._behind_which() == str(before)
            else [Frame(before, "snapshot", _stored_body(run)), done]
        )

    async def _find(self) -> RunLog | None:
        return await get_hub().find(self._name, running=self._running)

    def _read(self, log: RunLog | None, after: str | None) -> None:
        """Read ``log``; where there is none, wait for what looks at the database say."""
        self._absent = log is None
        self._log = log or MemoryLog()
        self._reader = self._log.reader(after)
        if self._absent:
            self._ask()

    def _ask(self) -> None:
        if self._look is None:
            self._looked_at = self._now()
            self._look = look(self._name)
            self._look.add_done_callback(lambda _: self._ring())

    def _ring(self) -> None:
        """Look at what else there may be to say."""
        self._rung = True
        self._leave()
        self._wake()

    async def _take_turn(self) -> None:
        if self._turn:
            await self._turn.take()


class _Silence:
    """Calls ``ring`` after a silence, with one timer that moves on instead of one per frame."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        """When something was said last: who says it sets this, for each batch."""
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """Listen; silence is that nothing is said for so long."""
        self._seconds = seconds
        self._timer = self._loop.call_later(seconds, self._check)

    def end(self) -> None:
        """Stop listening."""
        if self._timer:
            self._timer.cancel()

    def _check(self) -> None:
        end = self.since + self._seconds
        if end <= self._loop.time():
            self._ring()
            end = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(end, self._check)


def _stored_body(run: Run) -> dict[str, Any]:
    body = {"document": run.document, "reasoning": {}, "status": run.status, "bots": {}}
    return {**body, "error": run.failure} if run.ended and run.failure else body


def _deleted(place: FrameId) -> list[Frame]:
    """The end of a run that is no more."""
    error = {"code": "deleted", "message": "the run was deleted", "retryable": False}
    last = place.following.following
    return [Frame(place.following, "error", error), Frame(last, "done", {"status": "canceled", "usage": {}})]


_FIRST = FrameId(0, 1)
_ELSEWHERE = {
    "code": "elsewhere",
    "message": "the run is executed by another process, which this site's hub cannot reach; "
    "this is its last stored state, and the next ones follow",
    "retryable": True,
}
