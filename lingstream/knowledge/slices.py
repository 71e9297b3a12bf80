"""A slice of work on a source: steps 1 to 6 of :mod:`.sync`, as far as they come in its time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from django.db.models import Case, Count, F, QuerySet, When

from lingstream.core.engine.kinds import Services
from lingstream.core.exceptions import Fenced, LingError
from lingstream.core.phrases import Phrase
from lingstream.execution.away import AWAY
from lingstream.models.prepared import Prepared
from lingstream.models.rows import Among

from .claims import TAKEN, Held, Overtaken, due_documents
from .deletion import delete_missed, note_missing
from .embed import build_embedding
from .embedding import Call
from .hosts import HostDates
from .listing import BATCH, Noted, is_key, note
from .looking import Looking, told
from .models import Document, Source, Sync
from .outcomes import DEGRADED_AFTER, PUT_OFF, both, pause, put_off, trouble
from .passes import COUNTS, end_pass, save_pass, settle_vectors
from .pipeline import Rules
from .registry import keys_there
from .sources.port import Content, Listing, Ref, source_kind
from .text.extract.pool import Extractor

__all__ = ["Outcome", "Report", "Slice"]

#: Documents that are looked at together: so many turns of those that are fetched at the same time, or as many
#: as are so many bytes, where that is known before; at most.
_TURNS, _GROUP, _BYTES = 8, 128, 8_000_000
_LISTING = 480.0  # seconds that a listing may take; the run has 600 in all
_STILL = 0.2  # seconds to wait where all that is due is in somebody else's hands
_SAVED = 2.0  # seconds between two writes of the counts
_COUNTED = 5.0  # seconds between two counts of what is left


#: Hears what changes of ``{"phase", "seen", "changed", "deleted", "failed", "left", "current"}``.
Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a slice ended.

    :param status: ``finished``, ``unfinished`` (there is more to do at once), ``waiting`` (its source fails
        and is left alone for a while), ``failed``, ``busy`` (somebody else holds the source) or
        ``overtaken``.
    """

    status: str
    problem: str = ""


class Slice:
    """One slice of work on a source.

    :param row: the pass, if it is one.
    :param rules: how documents are cut, and ``fingerprint``: of that, and of whose they are.
    :param call: calls functions that use the ORM.
    :param services: what the steps of a pipeline may ask for.
    :param report: hears how far it is.
    :param seconds: after which it ends.
    """

    def __init__(
        self,
        held: Held,
        row: Sync | None,
        rules: Rules,
        fingerprint: str,
        *,
        call: Call,
        services: Services,
        report: Report | None,
        seconds: float,
    ) -> None:
        self._held = held
        self._row = row
        self._rules, self._fingerprint = rules, fingerprint
        self._call = call
        self._services = services
        self._report = report
        self._kind = source_kind(held.source.kind)
        self._most = min(_TURNS * self._kind.concurrency, _GROUP)
        self._delete_after = held.source.delete_after or self._kind.delete_after
        self._hosts = HostDates(held.source.dates)
        self._distrusted = self._hosts.distrusted
        self._lists = row is not None and row.number is not None
        self._counts_looks = not self._lists  # as what was seen: nothing is listed
        self._number = held.source.number
        self._counts = Counter({name: getattr(row, name) if row else 0 for name in COUNTS})
        self._read = row.bytes if row else 0
        self._worked_before = row.seconds if row else 0.0
        self._followed: dict[str, int] = {}  # links of documents that are as they were, and their least depth
        self._limited = False
        self._listed_here = False
        self._has_looked = False
        self._put_off = False  # there was no time for what the listing had with it
        self._problem = row.problem if row else ""
        self._state: Any = None  # of the pass, as it was saved last
        now = time.monotonic()
        self._begun, self._until, self._saved, self._counted = now, now + seconds, now, 0.0

    async def run(self) -> Outcome:
        """Do what there is to do, or as much of it as a slice may."""
        async with AsyncExitStack() as stack:
            self._listing: Listing = await stack.enter_async_context(self._kind.open(self._held.source))
            self._looking = await self._prepared(stack)
            if not self._counts_looks:
                self._counts["seen"] = await self._call(self._seen)
            if self._row and not self._row.listed:
                await self._list()
            while await self._work():
                await self._finish()
                if await self._call(self._held.release):
                    await self._say_left(phase="finished", current="")
                    return Outcome("finished", self._problem)
            await self._save()  # what the next slice begins with
            await self._learn()
        if self._is_degraded:
            problem = await self._call(trouble, self._held)
            await self._call(pause, self._held, Source.State.DEGRADED, problem)
            self._say(phase="waiting", current="")
            return Outcome("waiting", problem)
        return Outcome("unfinished")

    async def _prepared(self, stack: AsyncExitStack) -> Looking:
        """Return what looks at documents; what it opens is closed by ``stack``."""
        reader = Extractor()
        stack.push_async_callback(reader.aclose)
        embedding = None
        if embedder := self._held.source.collection.embedder:
            embedding = build_embedding(embedder.to_plan())
            stack.push_async_callback(embedding.aclose)
        return Looking(
            held=self._held,
            listing=self._listing,
            reader=reader,
            embedding=embedding,
            services=self._services,
            rules=self._rules,
            fingerprint=self._fingerprint,
            call=self._call,
            note=self._note,
            hear=lambda key: self._say(current=key),
            took=self._took,
            judge=self._hosts.judge,
            number=self._number,
            delete_after=self._delete_after,
            concurrency=self._kind.concurrency,
            is_over=lambda: self._is_over or bool(self._full_after_a_look()),
        )

    # -- 1: what there is ----------------------------------------------------------------------------------

    async def _list(self) -> None:
        self._say(phase="listing")
        try:
            async with aclosing(self._listed()) as batches:
                async for batch in batches:
                    await self._note(batch)
                    self._check_time()
        except (Overtaken, Fenced, *AWAY):
            raise
        except Exception as error:
            where = Phrase("the listing of the source %(source)s", source=str(self._held.source))
            self._problem = told(error, where)
        if not self._put_off:  # else the next slice lists what it has with it again
            await self._save(listed=True)

    async def _listed(self) -> AsyncGenerator[Iterable[Ref]]:
        """What the listing gives, in batches, and what it gave before it failed or took too long."""
        refs, is_over = aiter(self._listing.refs()), False
        failure: Exception | None = None
        while not is_over:
            batch: dict[str, Ref] = {}
            try:
                async with asyncio.timeout(self._left_to_list) as clock:
                    is_over = await _fill(batch, refs)
            except AWAY as error:  # a database that fails it need not be ours
                message = Phrase("the listing: %(why)s", why=str(error))
                failure = LingError(message, code="listing", retryable=True)
                failure.__cause__ = error
            except Exception as error:
                failure = _late() if clock.expired() else error
            yield batch.values()
            if failure:
                raise failure

    def _check_time(self) -> None:
        """A listing goes on for longer than a slice, which would never come to its end; but not for ever."""
        if full := self._full():
            raise LingError(full, code="limit")
        if self._left_to_list < 0:
            raise _late()

    @property
    def _left_to_list(self) -> float:
        """Seconds."""
        return _LISTING - (time.monotonic() - self._begun)

    async def _note(self, refs: Iterable[Ref]) -> None:
        """Write down what is there, and what those that have not changed lead to."""
        queue = deque(refs)
        while queue:
            batch: dict[str, Ref] = {}
            while queue and len(batch) < BATCH:
                ref = queue.popleft()
                if ref.depth > self._held.source.max_depth:
                    continue
                if is_key(ref.key):
                    batch.setdefault(ref.key, ref)
                elif ref.is_gap:
                    self._limit(Phrase("there is more in %(url)s than is read of a page", url=ref.url))
            noted = await self._call(self._noted, list(batch.values()))
            if noted.dropped:
                self._limit(_more(self._held.source.max_documents))
            if not self._counts_looks:
                self._count(seen=noted.seen)
            for key, later in noted.dated.items():
                self._hosts.hear(key, batch[key].url, later)
            for link in noted.links:
                if link.depth < self._followed.get(link.key, link.depth + 1):
                    self._followed[link.key] = link.depth
                    queue.append(link)
            contents = {
                key: batch[key].document
                for key, asked in noted.pending.items()
                if batch[key].content and asked is not None
            }
            keys = await self._there(contents, noted.new)
            for start in range(0, len(keys), self._most):
                if self._full():
                    break
                if self._is_over:
                    self._put_off = True
                    break
                taken = await self._call(self._taken, keys[start : start + self._most])
                if current := [each for each in taken if each.asked == noted.pending[each.key]]:
                    await self._look(current, contents)
        if self._row and self._row.complete and (self._limited or self._listing.problem):
            await self._save()  # before the documents are done that tell so: no other slice looks at them

    def _limit(self, problem: str) -> None:
        """Note that the listing is not complete, and why."""
        self._limited = True
        self._problem = self._problem or problem

    async def _there(self, keys: Iterable[str], new: set[str]) -> list[str]:
        """Those of ``keys`` that nobody has deleted before they were noted, as those that are ``new`` may be.

        Who deletes one from now on deletes its document, too. The others are fetched.
        """
        new = new.intersection(keys)
        gone = new - await self._call(keys_there, self._held.source, new) if new else new
        return [key for key in keys if key not in gone]

    def _seen(self) -> int:
        return sum(number for (number,) in _counted.rows([self._held.source.pk, self._number]))

    def _noted(self, refs: Sequence[Ref]) -> Noted:
        seen = self._seen() if self._counts_looks else self._counts["seen"]
        room = self._held.source.max_documents - seen
        force = self._lists and self._row is not None and self._row.trigger == Sync.Trigger.MANUAL
        return note(
            self._held,
            refs,
            self._number,
            self._fingerprint,
            room=room,
            force=force,
            distrusted=self._distrusted,
        )

    # -- 2 to 5: what is pending ---------------------------------------------------------------------------

    async def _work(self) -> bool:
        """Look at what is due; return whether nothing is any more."""
        await self._say_left(phase="fetching", **self._counts)
        probing = self._is_degraded
        while not self._is_over:
            if full := self._full_after_a_look():
                self._problem = self._problem or full
                await self._save()  # that it is not complete, before what is left is out of sight
                await self._call(put_off, self._held, full)
                return True
            documents = await self._call(self._taken, None, 1 if probing else self._most)
            if not documents:
                return True
            counts = await self._look(documents, {})
            if self._is_degraded:
                return False
            probing = False
            if not counts["done"]:
                await asyncio.sleep(_STILL)
        return False

    def _taken(self, keys: Sequence[str] | None, most: int | None = None) -> list[Document]:
        """Documents that are due, among these keys, or among all as many as are looked at together.

        Those that the last pass had no room for come first, and then those of which there may be news.
        """
        source = self._held.source.pk
        if keys is not None:
            return _due(self._is_bounded).objects([source, [*keys]])
        rows: list[Document] = _due(self._is_bounded, most).objects([source])
        sizes = accumulate(row.size for row in rows)
        return rows[: max(1, sum(size <= _BYTES for size in sizes))]

    async def _look(self, documents: Sequence[Document], contents: Mapping[str, Content]) -> Counter[str]:
        counts = await self._looking.look(documents, contents)
        self._has_looked = True
        if self._counts_looks:
            self._counts["seen"] += counts["done"]
        self._count(**{name: counts[name] for name in ("changed", "failed")})
        now = time.monotonic()
        if now - self._counted > _COUNTED:
            await self._say_left()
            self._counted = time.monotonic()
        if now - self._saved > _SAVED:
            await self._save()
        return counts

    def _left(self) -> int:
        return Document.objects.filter(source=self._held.source, status=Document.Status.PENDING).count()

    # -- 6, and the end ------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        self._say(phase="deleting", current="")
        await self._save()
        await self._learn()
        row = self._row
        if row and row.complete:
            await self._call(note_missing, self._held, row)
        deleted, waiting = await self._call(delete_missed, self._held, self._number, self._delete_after)
        self._count(deleted=deleted)
        failing = await self._call(trouble, self._held) if self._held.source.failures else ""
        problem = self._problem
        state = Source.State.DEGRADED if problem or failing else Source.State.OK
        if waiting:
            state = Source.State.CONFIRM
            vanished = Phrase(
                "%(number)s documents have vanished, or are disowned by their site", number=waiting
            )
            problem = both(vanished, problem)
        tells = self._lists or waiting or deleted
        if row or tells:
            await self._save()
            ended = (Sync.Status.FINISHED, state if tells else None, problem, failing)
            await self._call(end_pass, self._held, row, *ended)
        if self._lists:
            await self._call(settle_vectors, self._held)
        self._row, self._lists = None, False

    async def _save(self, *, listed: bool = False) -> None:
        """Write down how far the pass is, and whether its listing is complete, before that is acted upon."""
        if self._row is None:
            return
        if listed:
            self._row.listed = self._row.complete = self._listed_here = True
        if self._row.listed:
            self._problem = self._problem or self._listing.problem
            whole = self._listing.complete or not self._listed_here
            self._row.complete &= whole and not self._limited and not self._problem
        self._row.problem = self._problem
        self._row.bytes, self._row.seconds = self._read, self._worked
        spent = self._worked if self._held.source.max_seconds else 0
        state = (self._row.listed, self._row.complete, self._problem, self._read, spent, dict(self._counts))
        if state != self._state:
            await self._call(save_pass, self._held, self._row, self._counts)
            self._state = state
        self._saved = time.monotonic()

    @property
    def _is_over(self) -> bool:
        """Whether the slice has had its time; one look is done in any case, so that each comes further."""
        return self._has_looked and time.monotonic() > self._until

    async def _learn(self) -> None:
        """Write down how right hosts were about when their documents have changed."""
        if (dates := self._hosts.learned()) is not None:
            await self._call(lambda: self._held.change(dates=dates))

    # -- how much of it the pass may do --------------------------------------------------------------------

    @property
    def _is_bounded(self) -> bool:
        return bool(self._held.source.max_bytes or self._held.source.max_seconds)

    @property
    def _worked(self) -> float:
        return self._worked_before + time.monotonic() - self._begun

    def _took(self, size: int) -> None:
        self._read += size

    def _full(self) -> str:
        """Why no further document is looked at in this pass, or ``""``; what somebody asks for is, always."""
        source = self._held.source
        if not self._lists:
            return ""
        if source.max_bytes and self._read >= source.max_bytes:
            return _full(self._read, Phrase("bytes"), source.max_bytes)
        if source.max_seconds and self._worked >= source.max_seconds:
            return _full(int(self._worked), Phrase("seconds"), source.max_seconds)
        return ""

    def _full_after_a_look(self) -> str:
        """The same, but one look is done however long the listing took, so that each pass comes further."""
        return self._full() if self._has_looked or self._read else ""

    @property
    def _is_degraded(self) -> bool:
        return self._held.source.failures >= DEGRADED_AFTER

    def _count(self, **more: int) -> None:
        self._counts.update(more)
        self._say(**{name: self._counts[name] for name, number in more.items() if number})

    def _say(self, **said: Any) -> None:
        if self._report and said:
            self._report(said)

    async def _say_left(self, **said: Any) -> None:
        """Say how much is left, with what else there is to say; where nobody hears it, it is not counted."""
        if self._report:
            left = await self._call(self._left)
            if self._counts_looks:
                said["seen"] = self._counts["seen"] + left
            self._report({**said, "left": left})


async def _fill(batch: dict[str, Ref], refs: AsyncIterator[Ref]) -> bool:
    """Take a batch of what is listed; return whether that is the end."""
    async for ref in refs:
        batch.setdefault(ref.key, ref)
        if len(batch) == BATCH:
            return False
    return True


def _late() -> LingError:
    message = Phrase("expected a listing to end within %(seconds)s s", seconds=f"{_LISTING:g}")
    return LingError(message, code="listing")


@cache
def _due(is_bounded: bool, most: int | None = None) -> Prepared:
    """Documents of a source that are due, in the order in which they are looked at; all, or some keys'.

    :param is_bounded: whether a pass may leave some of them to the next one.
    :param most: how many; a number that is written into the SQL.
    """

    def make(values: Sequence[Any]) -> QuerySet[Document]:
        source, *keys = values
        due = due_documents().filter(*(Among("key", some) for some in keys), source=source).only(*TAKEN)
        waited = [Case(When(error_code=PUT_OFF, then=0), default=1)] if is_bounded else []
        return due.order_by(*waited, F("check_at").asc(nulls_first=True), "pk")[:most]

    return Prepared(Document, make)


def _in_pass(values: Sequence[Any]) -> QuerySet[Document, tuple[Any, ...]]:
    source, number = values
    rows = Document.objects.filter(source=source, seen=number).order_by()
    return rows.values("source").annotate(number=Count("pk")).values_list("number")


_counted = Prepared(Document, _in_pass)


def _more(most: int) -> Phrase:
    return Phrase(
        "there are more than %(most)s documents, which is as many as this source may have: what is beyond "
        "them is not found, and nothing that has vanished is deleted",
        most=most,
    )


def _full(done: int, unit: Phrase, most: int) -> Phrase:
    return Phrase(
        "the pass has %(done)s %(unit)s behind it, and may have %(most)s: what is left waits for the next "
        "one, and nothing that has vanished is deleted",
        done=done,
        unit=unit,
        most=most,
    )
