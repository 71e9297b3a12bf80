"""Golden questions: asked of a collection, and what came of it as figures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asgiref.sync import sync_to_async

from lingstream.access.identity import Identity
from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.execution.start import Start, begin
from lingstream.models import Run
from lingstream.models.clock import Now

from .candidates import Mode
from .due import EVALUATION
from .hits import Hit, Hits
from .models import Collection, Question
from .passes import rules_in
from .search import search

__all__ = [
    "HITS",
    "MOST",
    "Figures",
    "ask",
    "evaluate",
    "figures",
    "measured",
    "questions_of",
    "rank_of",
    "request_evaluation",
]

#: Questions of one evaluation.
MOST = 1_000

_KEPT = 50  # evaluations of a collection

#: Passages that a golden question is asked for.
HITS = 8


class Figures(NamedTuple):
    """How good a collection is.

    :param questions: that were asked.
    :param first: share of those that found what was expected among the first three passages.
    :param all: the same, among all that were asked for.
    :param mrr: the mean of 1 / rank of what was expected.
    """

    questions: int
    first: float
    all: float
    mrr: float


async def ask(collection: str, text: str, *, k: int = HITS, mode: Mode = "hybrid", scope: str = "") -> Hits:
    """Search as the site's own code, in whatever collection; nothing that belongs to somebody is found."""
    return await search(collection, text, identity=Identity.of_site(scope=scope), k=k, mode=mode)


def measured(hits: Hits) -> Hits:
    """Return hits that say how good a collection is.

    :raises LingError: they do not: an embedder did not answer, or its vectors are not there yet.
    """
    if hits.notes:
        raise LingError(Phrase("nothing is measured: %(note)s", note=hits.notes[0]), retryable=True)
    return hits


def rank_of(expected: Sequence[str], hits: Iterable[Hit]) -> int:
    """Return the rank of the first passage of a document that was expected; 0: there is none."""
    return next((rank for rank, hit in enumerate(hits, 1) if hit.key in expected), 0)


async def evaluate(questions: Sequence[Question], seconds: float) -> list[Question]:
    """Ask golden questions, and write down what came; return those that there was no time for.

    :param questions: with their collections.
    :param seconds: after which none is asked any more; the first one is in any case.
    :raises LingError: one cannot be asked in all ways that its collection has: no figures are kept.
    """
    until = time.monotonic() + seconds
    left: list[Question] = []
    for number, question in enumerate(questions):
        if number and time.monotonic() > until:
            left = list(questions[number:])
            break
        hits = measured(await ask(question.collection.slug, question.text))
        rank = rank_of(question.expected, hits)
        found = [{"key": hit.key, "title": hit.title, "heading": [*hit.heading]} for hit in hits]
        rows = Question.objects.filter(pk=question.pk)
        await rows.aupdate(rank=rank, found=found, asked_at=Now())
    waiting = {question.collection_id for question in left}
    await sync_to_async(_note)({question.collection_id for question in questions} - waiting)
    return left


def _note(collections: Iterable[int]) -> None:
    """Keep the figures of collections as they are now, and of what they are."""
    for row in Collection.objects.select_related("embedder__provider").filter(pk__in=collections):
        asked = row.questions.exclude(rank=None).order_by("pk").values_list("rank", flat=True)
        if ranks := [rank or 0 for rank in asked]:
            found = figures(ranks)._asdict()
            row.evaluations.create(**found, revision=row.revision, pipeline=_rules(row))
        kept = list(row.evaluations.values_list("pk", flat=True)[:_KEPT])
        row.evaluations.exclude(pk__in=kept).delete()


def _rules(row: Collection) -> str:
    try:
        return rules_in(row).fingerprint
    except LingError:  # they cannot be used by now, and what was asked has its figures all the same
        return ""


def request_evaluation(questions: Sequence[Question]) -> Run:
    """Have golden questions asked in a run.

    :param questions: at most :data:`MOST`.
    :raises LingError: ``no-runner``: no process that executes runs lives.
    """
    input = {"questions": [question.pk for question in questions]}
    return begin(Start(workflow=EVALUATION, input=input), Identity.of_site())


def questions_of(pks: Sequence[int]) -> list[Question]:
    """Return the questions of a run, in the order in which they are asked."""
    rows = Question.objects.select_related("collection").filter(pk__in=pks)
    return list(rows.order_by("asked_at", "pk"))


def figures(ranks: Sequence[int], k: int = HITS) -> Figures:
    """Return the figures of one question or more, by their ranks.

    :param k: passages that each was asked for.
    """
    count = len(ranks)
    first, found = (sum(0 < rank <= most for rank in ranks) / count for most in (3, k))
    return Figures(count, first, found, sum(1 / rank for rank in ranks if rank) / count)
