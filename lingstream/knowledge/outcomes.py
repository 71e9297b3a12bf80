"""What a look at a document came to, if not to a new text: it is as it was, it is gone, it has failed.

1. Attempts are each document's own, and stored: a document that fails is in no other's way.
2. A failure that may pass is tried again after a pause that doubles, or after what its source asks for; one
   that is left keeps the document's old version.
3. After many such failures in a row, of whatever documents, the source is left alone for a while; then one
   document is tried, and the others only if it comes. While it is, a failure is none of the document's.
4. Each of these is done once, however often it is tried while the database is away.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from lingstream.core.phrases import Phrase
from lingstream.models.clock import Now
from lingstream.models.locks import free

from .claims import Held, due_documents
from .listing import fitting
from .models import Chunk, Document, Source, Sync
from .removal import remove_contents, remove_documents
from .sources.port import Failed, Gone
from .staleness import tell_of

__all__ = [
    "DEGRADED_AFTER",
    "PUT_OFF",
    "both",
    "close",
    "closing",
    "fail",
    "in_order",
    "keep",
    "leave_out",
    "miss",
    "pause",
    "put_off",
    "recovered",
    "trouble",
]

#: Failures in a row after which a source is left alone.
DEGRADED_AFTER = 20
#: The code of a document that a pass had no room for: the next one that lists begins with it.
PUT_OFF = "put-off"

_BACKOFF = (2.0, 600.0)  # seconds before the second try, and at most
_MOST_ASKED = 86_400.0  # seconds that a source may ask us to wait
_PROBES = (60.0, 3_600.0)  # seconds before a degraded source is tried, and at most
_SLOWEST = 32  # times the source's period, for a document that never changes
_LONGEST_CODE, _LONGEST = 50, 2_000
_NEVER = timedelta(days=36_500)  # a retry that only a pass brings nearer
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_UNKNOWN = {"etag": "", "modified": "", "attempts": 0, "retry_at": None}


def in_order(document: Document, source: Source, number: int, *, changed: bool) -> dict[str, Any]:
    """Return the columns of a document that was looked at with success, and when to look again."""
    columns = {
        "seen": max(document.seen, number),
        "misses": 0,
        "attempts": 0,
        "retry_at": None,
        "error_code": "",
        "error": "",
    }
    if not source.every:
        return {**columns, "check_every": 0, "check_at": None}
    factor = 0.5 if changed else 1.5
    every = round((document.check_every or source.every) * factor)
    every = max(source.every, min(every, _SLOWEST * source.every))
    return {**columns, "check_every": every, "check_at": _after(every)}


@lru_cache(maxsize=64)
def _after(seconds: int) -> Any:
    """One expression for all documents of a pass: a new one is looked up by its value, which takes 30 µs."""
    return Now() + timedelta(seconds=seconds)


def closing(document: Document, asked: int, **columns: Any) -> dict[str, Any]:
    """Return what is written in a locked row; it stays to be looked at if somebody has asked for it since.

    :param asked: how often somebody had when it was taken.
    """
    if document.asked != asked:
        columns |= {"status": Document.Status.PENDING, "retry_at": Now()}
    return columns


def close(document: Document, asked: int, **columns: Any) -> None:
    """Write :func:`closing` in a locked row."""
    Document.objects.filter(pk=document.pk).update(**closing(document, asked, **columns))


def keep(held: Held, taken: Document, number: int, read: Mapping[str, Any], *, asked: bool = True) -> bool:
    """It is as it was; return false if it is in somebody else's hands.

    :param read: columns that say what was read; nothing, if the source itself says that nothing has changed.
    :param asked: whether the source was.
    """
    with held.transaction():
        if (row := held.document(taken.pk)) is None:
            return False
        columns = in_order(row, held.source, number, changed=False)
        close(row, taken.asked, **{**read, **columns, "status": Document.Status.INDEXED})
    if asked:
        recovered(held)
    return True


def miss(held: Held, taken: Document, gone: Gone | Failed, number: int, delete_after: int) -> bool:
    """Its source does not have it; what nobody can have found goes at once, the rest with the delete pass.

    :param gone: or what its source says of it instead.
    """
    for_good = isinstance(gone, Gone) and gone.for_good
    said = _said(gone if isinstance(gone, Failed) else Failed("", ""))
    with held.transaction():
        if (row := held.document(taken.pk)) is None:
            return False
        if not row.text_hash:
            remove_documents([*Document.objects.filter(pk=row.pk)])
        else:
            misses = delete_after if for_good else row.misses + (row.missed != number)
            columns = {"misses": max(misses, row.misses), "missed": number, "attempts": 0, "retry_at": None}
            # The next pass looks again, however seldom it would: at what it has moved to, too.
            close(row, taken.asked, status=Document.Status.INDEXED, check_at=None, **columns, **said)
    recovered(held)
    return True


def leave_out(
    held: Held, taken: Document, number: int, status: str, why: Failed, columns: Mapping[str, Any]
) -> bool:
    """It has no passages, and shall have none; return false if it is in somebody else's hands.

    :param status: ``empty`` or ``skipped``.
    :param columns: what else is known of it.
    """
    with held.transaction():
        chunks = Chunk.objects.filter(document=taken.pk)
        held.revise(chunks.order_by().values_list("collection_id", flat=True).distinct())
        if (row := held.document(taken.pk)) is None:
            return False
        remove_contents(row.pk)
        if had := bool(row.text_hash):
            tell_of([row.pk])
        order = in_order(row, held.source, number, changed=had)
        nothing = {"raw_hash": "", "text_hash": "", "version": row.version + had}
        close(row, taken.asked, **{**order, **columns, **nothing, **_said(why), "status": status})
    recovered(held)
    return True


def fail(
    held: Held, taken: Document, why: Failed, read: Mapping[str, Any], whose: Mapping[str, Any] = _NOTHING
) -> bool:
    """Write down a failure; return whether it is one that stays.

    :param read: columns that say what was read, if it is that which cannot be used.
    :param whose: columns that say who may find it by now: nobody else finds the old version either.
    """
    if whose:
        whose = {**whose, "pipeline": ""}  # so that it is not taken for what was read last
    is_its_own = not why.untried and held.source.failures < DEGRADED_AFTER
    attempts = taken.attempts + is_its_own
    again = why.retryable and attempts <= held.source.retries
    with held.transaction():
        if (row := held.document(taken.pk)) is None:
            return False
        if again:
            retry_at = Now() + _wait(max(attempts, 1), why.retry_after)
            close(row, taken.asked, **_said(why), **whose, attempts=attempts, retry_at=retry_at)
        else:
            known = {**_UNKNOWN, **({} if why.retryable else read), "raw_hash": ""}
            close(row, taken.asked, **{**known, **_said(why), **whose, "status": Document.Status.FAILED})
        if why.retryable and not why.untried:
            held.change(failures=held.source.failures + 1)
    return not again


def put_off(held: Held, why: str) -> None:
    """Leave what was listed and is still due to the next pass that lists; not what somebody has asked for."""
    with held.transaction():
        due = due_documents().filter(source=held.source, retry_at=None)
        # Who holds one is asking for it: to wait could be a deadlock.
        free(due).update(retry_at=Now() + _NEVER, **_said(Failed(PUT_OFF, why)))


def pause(held: Held, state: str, problem: str) -> None:
    """Leave a source alone that fails; the longer, the more often it has."""
    least, most = _PROBES
    tries = max(held.source.failures - DEGRADED_AFTER, 0)
    wait = timedelta(seconds=min(least * 2 ** min(tries, 10), most))
    held.change(state=state, problem=problem, probe_at=Now() + wait)


def trouble(held: Held) -> str:
    """Return in words that documents fail one after the other, and how."""
    failing = Document.objects.filter(source=held.source).exclude(error_code__in=["", PUT_OFF])
    status = (Document.Status.PENDING, Document.Status.FAILED)
    last = failing.filter(status__in=status).order_by("-pk").values_list("error", flat=True).first()
    number = held.source.failures
    if not last:
        return Phrase("%(number)s failures in a row", number=number)
    return Phrase("%(number)s failures in a row, such as: %(last)s", number=number, last=last)


def both(first: str, second: str) -> str:
    """Return two problems in one sentence, or the one that there is."""
    if not (first and second):
        return first or second
    return Phrase("%(first)s; %(second)s", first=first, second=second)


def recovered(held: Held) -> None:
    """A document has come: the source answers, and is as well as its last pass."""
    if not held.source.failures:
        return
    columns = {}
    if held.source.state == Source.State.DEGRADED:
        passes = Sync.objects.filter(source=held.source, number__isnull=False).order_by("-number")
        problem = passes.values_list("problem", flat=True).first() or ""
        state = Source.State.DEGRADED if problem else Source.State.OK
        columns = {"state": state, "problem": problem}
    held.change(failures=0, probe_at=None, **columns)


def _said(why: Failed) -> dict[str, str]:
    return {"error_code": fitting(why.code, _LONGEST_CODE), "error": fitting(why.message, _LONGEST)}


def _wait(attempts: int, asked: float | None) -> timedelta:
    if asked is not None:
        return timedelta(seconds=min(max(asked, 1.0), _MOST_ASKED))
    least, most = _BACKOFF
    return timedelta(seconds=min(least * 2 ** min(attempts - 1, 20), most) * random.uniform(0.8, 1.2))  # noqa: S311
