"""A pass over a source, as a row: how it begins, how far it is, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from lingstream.models.clock import Now
from lingstream.models.locks import free, locked
from lingstream.models.prepared import Prepared, PreparedUpdate

from .claims import Held
from .indexer import BY_WORDS, without_vectors
from .listing import fitting
from .models import Collection, Document, Source, Sync
from .outcomes import PUT_OFF, both, pause
from .pipeline import HALF, Rules, check_pipeline, digest
from .sources.port import source_kinds

__all__ = ["COUNTS", "begin_pass", "end_pass", "rules_in", "rules_of", "save_pass", "settle_vectors"]

_LONGEST = 2_000  # characters of a problem

#: What is counted of a pass; names of columns, and of what its viewers see.
COUNTS = ("seen", "changed", "deleted", "failed")

_SAVED = ("listed", "complete", "problem", "bytes", "seconds", *COUNTS)


def begin_pass(held: Held, full: bool, trigger: str, run: UUID | None) -> Sync | None:
    """Return the pass that has not ended, or a new one, if there is to be one.

    One that somebody has begun by asking for documents has no number: it lists nothing, and a pass that does
    takes over what is left of it.

    :param full: whether all is to be listed.
    :param run: the run that goes on with it.
    """
    with held.transaction(begins=True):
        row = next(iter(_running.objects([held.source.pk])), None)
        if row and row.number is None and full:
            _passes.change([row.pk], status=Sync.Status.FINISHED, ended_at=Now())
            row = None
        if row is None and full:
            number = held.source.number + 1
            held.change(number=number)
            row = Sync.objects.create(source=held.source, number=number, trigger=trigger)
            _put_off.change([held.source.pk], retry_at=None)
        elif row is None and trigger != Sync.Trigger.SCHEDULE:
            row = Sync.objects.create(source=held.source, number=None, trigger=trigger, listed=True)
        if row and run:
            _passes.change([row.pk], run=run)
    return row


def save_pass(held: Held, row: Sync, counts: Mapping[str, int]) -> None:
    """Write down how far a pass is."""
    for name in COUNTS:
        setattr(row, name, counts[name])
    row.problem = fitting(row.problem, _LONGEST)
    with held.transaction():
        _passes.change([row.pk], **{name: getattr(row, name) for name in _SAVED})


def end_pass(
    held: Held, row: Sync | None, status: str, state: str | None, problem: str, failing: str = ""
) -> None:
    """Write down how a pass has ended, and what that says of its source.

    :param row: ``None``: it was no pass, but what was pending.
    :param state: of the source, ``None``: as it was; one that has failed is left alone for a while.
    :param failing: what else is wrong with the source, until its documents come again.
    """
    problem = fitting(problem, _LONGEST)
    with held.transaction():
        if row:
            _passes.change([row.pk], status=status, problem=problem, ended_at=Now())
        if state is None:
            return
        held.change(state=state, problem=both(problem, failing))
    if status == Sync.Status.FAILED:
        pause(held, state, problem)


def rules_of(source: Source) -> tuple[Rules, str]:
    """Return how the documents of a source are cut, and a fingerprint of that and of the source.

    The first :data:`.pipeline.HALF` of it is of what their texts and columns come from: whose they are, and
    what the source's configuration makes of them.

    :raises UsageError: the collection's pipeline cannot be used.
    """
    collection = source.collection
    rules = rules_in(collection)
    kind = source_kinds().get(source.kind)  # a site that no longer has it may still have its documents
    shapes = {name: value for name, value in source.config.items() if not kind or name not in kind.lists_by}
    config = f"\0{json.dumps(shapes, sort_keys=True)}" if shapes else ""
    read = digest(f"{rules.reading}\0{source.owner_id}\0{source.scope}{config}")
    cut = digest(f"{rules.fingerprint}\0{collection.pk}\0{collection.embedder_id}")
    return rules, read[:HALF] + cut[:HALF]


def rules_in(collection: Collection) -> Rules:
    """Return how documents of a collection are cut.

    :raises UsageError: as :func:`rules_of`.
    """
    steps = check_pipeline(collection.pipeline)
    return Rules(steps, collection.chunk_size, collection.chunk_overlap, collection.embeds_by)


def settle_vectors(held: Held) -> None:
    """Say behind a pass that a collection's vectors are its embedder's, once all are; else words are asked.

    What this source has of another embedder's, as it could not be read since, is found by words from now on.
    """
    collection = held.source.collection
    if collection.embedder is None or collection.embedded_by == collection.embeds_by:
        return
    if collection.embedded_by:
        for pk in list(_left(held.source).values_list("pk", flat=True)):
            without_vectors(held, pk)
    with held.transaction():
        row = locked(Collection.objects.filter(pk=collection.pk)).get()  # nobody stores vectors meanwhile
        if row.embeds_by != collection.embeds_by:
            return
        if row.embedded_by:
            sources = Source.objects.filter(collection=collection)
            if any(_left(each).exists() for each in sources.select_related("collection__embedder__provider")):
                return
        Collection.objects.filter(pk=collection.pk).update(embedded_by=collection.embeds_by)
    collection.embedded_by = collection.embeds_by


def _left(source: Source) -> QuerySet[Document]:
    """Documents whose passages may have vectors that were made by other rules."""
    rows = Document.objects.filter(source=source).exclude(text_hash="")
    return rows.exclude(pipeline__in=[rules_of(source)[1], BY_WORDS])


def _to_be_tried(sources: Sequence[Any]) -> QuerySet[Document]:
    put_off = {"status": Document.Status.PENDING, "error_code": PUT_OFF, "retry_at__gt": Now()}
    return free(Document.objects.filter(source__in=sources, **put_off))


_running = Prepared(
    Sync, lambda its: Sync.objects.filter(source__in=its, status=Sync.Status.RUNNING).order_by()
)
_passes = PreparedUpdate(Sync, lambda pks: Sync.objects.filter(pk__in=pks).order_by())
_put_off = PreparedUpdate(Document, _to_be_tried, locks=True)
