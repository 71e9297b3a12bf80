"""What a source lists becomes rows: 400 at a time, and two statements for those that are as they were.

1. A document that is new or may have changed becomes ``pending``; of one that has not, only ``seen`` is set.
2. One whose text is only to be cut in another way says so in its fingerprint, and how often it had been asked
   for then: as long as nobody asks again, its source need not be.
3. What a document leads to is listed before the document counts as done, so that a crash in between loses
   nothing; what one that has not changed leads to is listed as well.
4. ``seen`` only grows, so that whoever was overtaken lets nothing look as if it had vanished.
5. What a listing has with it was read before its document was noted, and stands for one that nobody asks for
   afterwards. One that somebody is waiting for already is fetched: nobody knows which of the two came first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from django.db import connections, router
from django.db.models import Case, CharField, IntegerField, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Concat
from django.utils.timezone import is_naive, make_aware

from lingstream.core.phrases import Phrase
from lingstream.models.clock import Now
from lingstream.models.fields import decode, encode
from lingstream.models.locks import free
from lingstream.models.prepared import Prepared, PreparedUpdate
from lingstream.models.rows import Among, write_rows

from .claims import Held, atomically
from .hosts import host_of
from .models import Document
from .pipeline import HALF, is_same_text
from .sources.port import Ref

__all__ = [
    "BATCH",
    "Noted",
    "believed",
    "fitting",
    "is_changed",
    "is_key",
    "is_only_cut",
    "known_documents",
    "links_of",
    "note",
    "stored_links",
]

#: References in one statement.
BATCH = 400

_LONGEST_KEY, _LONGEST_URL = 500, 2_000
_MOST_LINKS = 2_000  # of one document
_ONLY_CUT = "="
_NO_LINKS = encode([])
_PENDING = Document.Status.PENDING
_UNFIT = re.compile("[\0\ud800-\udfff]")


class Noted(NamedTuple):
    """What came of a batch.

    :param seen: documents that this pass had not seen before.
    :param pending: keys that are to be looked at: how often somebody had asked for each when what the listing
        has with it was read; of those that somebody is waiting for, ``None``.
    :param new: keys among them of which nothing was known.
    :param links: what those that are as they were lead to.
    :param dropped: those there was no room for.
    :param dated: of the keys of which a host says when they have changed last: whether that was since the
        last look.
    """

    seen: int
    pending: dict[str, int | None]
    new: set[str]
    links: list[Ref]
    dropped: int
    dated: dict[str, bool]


class _Known(NamedTuple):
    """A document as a listing is compared with it; the names are those of columns.

    :param links_text: its links as they are stored: few documents have any, and of fewer they are wanted.
    """

    id: int
    key: str
    etag: str
    modified: str
    size: int
    pipeline: str
    status: str
    asked: int
    seen: int
    depth: int
    check_at: datetime | None
    check_every: int
    due: int
    links_text: str

    @property
    def leads_to(self) -> list[Ref]:
        """What it leads to."""
        return [] if self.links_text == _NO_LINKS else stored_links(decode(self.links_text), self.depth)


_Pair: TypeAlias = tuple[Ref, _Known]  # a document as it is listed, and as it is known


def note(
    held: Held,
    refs: Sequence[Ref],
    number: int,
    fingerprint: str,
    *,
    room: int,
    force: bool = False,
    distrusted: Sequence[str] = (),
) -> Noted:
    """Write down what a source lists.

    :param refs: at most :data:`BATCH` of them, each key once.
    :param number: of the pass.
    :param fingerprint: of the rules under which documents are indexed now.
    :param room: documents that the pass may see beside those that it has seen.
    :param force: look also at those that are not due, if the listing does not say that they are the same.
    :param distrusted: hosts whose dates are not believed.
    """
    known = {row.key: row for row in known_documents(held.source.pk, [ref.key for ref in refs], force=force)}
    dated = {ref.key: _is_news(ref, known[ref.key]) for ref in refs if ref.dated and ref.key in known}
    refs = believed(refs, distrusted)
    unseen = [ref for ref in refs if ref.key not in known or known[ref.key].seen < number]
    dropped = {ref.key for ref in unseen[max(room, 0) :]}
    nearer: defaultdict[int, list[int]] = defaultdict(list)
    for ref in refs:
        if (row := known.get(ref.key)) and ref.depth < row.depth and ref.key not in dropped:
            nearer[ref.depth].append(row.id)
            known[ref.key] = row._replace(depth=ref.depth)
    new: list[Ref] = []
    changed, waiting, same = list[_Pair](), list[_Pair](), list[_Pair]()
    for ref in refs:
        if ref.key in dropped:
            continue
        if (row := known.get(ref.key)) is None:
            new.append(ref)
        elif row.status == _PENDING:
            waiting.append((ref, row))
        elif is_changed(ref, row, number, fingerprint):
            changed.append((ref, row))
        else:
            same.append((ref, row))
    cut = {row.id for ref, row in changed if _is_only_cut(ref, row, fingerprint)}
    certain_cut = {row.id for ref, row in changed if row.id in cut and (ref.tag or ref.modified)}
    news = {row.id for ref, row in changed if _is_news(ref, row)}
    stale = {row.id for ref, row in waiting if _waits_for_cut(row) and _differs(ref, row)}
    certain = {row.id for ref, row in same if ref.tag or ref.modified}
    pending = {"status": _PENDING, "retry_at": None, "attempts": 0}
    for depth, pks in nearer.items():
        _mark(pks, number, depth=depth)
    _mark({row.id for _, row in changed} - cut - news, number, **pending)
    _mark(news, number, **pending, check_at=None)
    _mark(cut - certain_cut, number, **pending, pipeline=_only_cut(fingerprint))
    _mark(certain_cut, number, **pending, pipeline=_only_cut(fingerprint), misses=0)
    _mark(stale, number, pipeline="")
    _mark(certain, number, misses=0)
    _mark({row.id for _, row in (*waiting, *same)} - certain, number)
    _add(held, new, number)
    return Noted(
        len(unseen) - len(dropped),
        {
            **{ref.key: 0 for ref in new},
            **{row.key: row.asked for _, row in changed},
            **{row.key: None if row.asked else 0 for _, row in waiting},
        },
        {ref.key for ref in new},
        [link for _, row in same for link in row.leads_to],
        len(dropped),
        dated,
    )


def believed(refs: Sequence[Ref], distrusted: Sequence[str]) -> Sequence[Ref]:
    """Return references without the dates of hosts that are not believed."""
    if not distrusted:
        return refs
    return [ref._replace(dated=None) if ref.dated and host_of(ref.url) in distrusted else ref for ref in refs]


def is_key(key: str) -> bool:
    """Whether any database takes it for a key."""
    return 0 < len(key) <= _LONGEST_KEY and _UNFIT.search(key) is None


def fitting(text: str, most: int) -> str:
    """Return ``text`` as any database takes it, ``most`` characters of it; of a phrase all, or it is none."""
    if isinstance(text, Phrase) and len(text) <= most:
        return text.mapped(_fitting)
    return _fitting(text[:most])


def _fitting(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)


def links_of(refs: Iterable[Ref]) -> list[list[str]]:
    """Return links as the column has them: ``[key, url]``, and ``[key]`` where they are the same."""
    found = {ref.key: ref for ref in refs if is_key(ref.key) or ref.is_gap}
    return [[key] if ref.url == key else [key, ref.url] for key, ref in list(found.items())[:_MOST_LINKS]]


def stored_links(links: Sequence[Sequence[str]], depth: int) -> list[Ref]:
    """Return what a document at ``depth`` leads to, as its column has it."""
    return [Ref(key=link[0], url=link[-1], depth=depth + 1) for link in links]


def known_documents(source: int, keys: Sequence[str], *, force: bool = False) -> list[_Known]:
    """Return what there is of ``keys``, by one statement.

    :param force: also what is not due counts as due.
    """
    return [*map(_Known._make, _known.rows([source, int(force), [*keys]]))]


def is_changed(ref: Ref, row: _Known, number: int, fingerprint: str) -> bool:
    """Whether a pass has to look at a document that is listed as ``ref``."""
    if row.status == _PENDING:
        return False
    if row.seen == number:  # this pass has looked at it before it was taken up again
        hinted = ref.tag or ref.modified or _is_news(ref, row)
        if row.status == Document.Status.FAILED or not hinted:
            return False
    return row.pipeline != fingerprint or _differs(ref, row)


def is_only_cut(document: Document) -> bool:
    """Whether a document is looked at for nothing but another way to cut its text."""
    return document.pipeline[HALF:] == f"{_ONLY_CUT}{document.asked}"


def _is_only_cut(ref: Ref, row: _Known, fingerprint: str) -> bool:
    return is_same_text(row.pipeline, fingerprint) and not _differs(ref, row)


def _waits_for_cut(row: _Known) -> bool:
    """Whether it is pending for nothing else, as far as an earlier look at the listing could tell."""
    return row.status == Document.Status.PENDING and row.pipeline[HALF:].startswith(_ONLY_CUT)


def _only_cut(fingerprint: str) -> Concat:
    return Concat(Value(fingerprint[:HALF] + _ONLY_CUT), Cast("asked", CharField()))


def _differs(ref: Ref, row: _Known) -> bool:
    """Whether a document may be another one by what the listing says of it, or is due."""
    if ref.tag:
        return ref.tag != row.etag
    if ref.modified:
        return ref.modified != row.modified or (ref.size is not None and ref.size != row.size)
    return bool(row.due) or _is_news(ref, row)


def _is_news(ref: Ref, row: _Known) -> bool:
    """Whether a document has changed since it was looked at last, as far as that is known."""
    if ref.dated is None or row.check_at is None:
        return False
    looked = row.check_at - timedelta(seconds=row.check_every)
    return ref.dated > (make_aware(looked) if is_naive(looked) else looked)


def _mark(pks: Iterable[int], number: int, **columns: Any) -> None:
    """Set ``seen`` and more; a row that somebody's transaction has locked is about to be pending anyway."""
    pks = list(pks)
    if not pks:
        return
    if not columns:
        rows = _not_seen
    elif "pipeline" in columns and "status" in columns:
        rows = _not_asked_for
    else:
        rows = _there
    skips = connections[router.db_for_write(Document)].features.has_select_for_update_skip_locked
    context: AbstractContextManager[Any] = atomically() if skips else nullcontext()
    with context:
        rows.change([number, pks], seen=number, **columns)


def _add(held: Held, refs: Sequence[Ref], number: int) -> None:
    rows = [
        (held.source.pk, ref.key, fitting(ref.url, _LONGEST_URL), ref.depth, ref.size or 0, number)
        for ref in refs
    ]
    names = ["source", "key", "url", "depth", "size", "seen"]
    write_rows(Document, names, rows, unique=["source", "key"])


def _listed(values: Sequence[Any]) -> QuerySet[Document, tuple[Any, ...]]:
    source, force, keys = values
    look = Q(check_at=None) | Q(check_at__lte=Now())
    # Numbers and texts, which come as they are: to make a truth value and a list of each takes longer.
    due = Case(When(look, then=Value(1)), default=Value(force), output_field=IntegerField())
    rows = Document.objects.filter(Among("key", keys), source=source).order_by()
    rows = rows.annotate(due=due, links_text=Cast("links", TextField()))
    return rows.values_list(*_Known._fields)


def _seen_before(values: Sequence[Any]) -> QuerySet[Document]:
    number, pks = values
    return free(Document.objects.filter(Among("pk", pks), seen__lt=number))


def _seen(values: Sequence[Any]) -> QuerySet[Document]:
    number, pks = values
    return Document.objects.filter(Among("pk", pks), seen__lte=number)


_known = Prepared(Document, _listed)
_there = PreparedUpdate(Document, lambda values: free(_seen(values)), locks=True)
# What somebody has asked for since is pending for another reason.
_not_asked_for = PreparedUpdate(
    Document, lambda values: free(_seen(values).exclude(status=Document.Status.PENDING)), locks=True
)
_not_seen = PreparedUpdate(Document, _seen_before, locks=True)
