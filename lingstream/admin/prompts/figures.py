"""How the versions of a prompt have done: read from their latest step runs, bounded in days and in rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import BooleanField, CharField, Exists, ExpressionWrapper, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat
from django.urls import reverse
from django.utils import timezone

from ...models import BotRun, Feedback, Prompt, PromptVersion
from ..times import Times

__all__ = ["DAYS", "MOST", "Figures", "figures", "latest"]

DAYS = 30
MOST = 500  # step runs of each version
_VERSIONS = 10
_NEWEST = 5  # that are looked at, whether a label points at them or not


class Figures(NamedTuple):
    """What has become of a version.

    :param runs: that used it; ``failed`` and ``repaired`` are those of them in which one of its calls was.
    :param first: time to first token.
    :param tokens: asked and answered, of all calls.
    :param up: words of praise for these runs, and ``down`` of blame.
    :param workflows: the slugs of whose runs they are.
    """

    version: PromptVersion
    runs: int
    failed: int
    repaired: int
    first: Times
    total: Times
    tokens: tuple[int, int]
    up: int
    down: int
    workflows: frozenset[str]

    @property
    def url(self) -> str:
        """Where the step runs are listed."""
        query = urlencode({"prompt_version": str(self.version)})
        return f"{reverse('admin:lingstream_botrun_changelist')}?{query}"


class _Row(NamedTuple):
    run: Any
    scope: str
    workflow: str
    status: str
    repaired: bool
    first: float | None
    started: Any
    finished: Any
    usage: Any


def figures(prompt: Prompt, scope: str | None) -> list[Figures]:
    """Return the figures of the versions that labels point at, and of the newest, where there are any.

    :param scope: the tenant whose runs count; ``None`` for all.
    """
    found = {version: _rows(version, scope) for version in _versions(prompt)}
    found = {version: rows for version, rows in found.items() if rows}
    runs = {row.run for rows in found.values() for row in rows}
    opinions = list(Feedback.objects.filter(run__in=runs).values_list("run_id", "value")) if runs else []
    return [_figures(version, rows, opinions) for version, rows in found.items()]


def latest(version: PromptVersion) -> Any:
    """Return the step runs of a version that count, the last ones first."""
    rows = BotRun.objects.real().filter(prompt_version=str(version), started_at__gte=_since())
    return rows.order_by("-started_at")


def _since() -> datetime:
    return timezone.now() - timedelta(days=DAYS)


def _versions(prompt: Prompt) -> list[PromptVersion]:
    newest = prompt.newest
    if newest is None:
        return []
    pinned = Q()
    for steps in (prompt.steps, prompt.published_steps):
        pinned |= Q(number__in=steps.exclude(pinned=None).values("pinned"))
    used = Q(labels__isnull=False) | Q(tests__isnull=False) | pinned
    # Each of those that are left costs a query.
    name = Concat(Value(f"{prompt.slug} v"), Cast(OuterRef("number"), CharField()))
    ran = BotRun.objects.filter(prompt_version=name, started_at__gte=_since())
    looked_at = used | Q(number__gt=newest.number - _NEWEST)
    rows = prompt.versions.filter(looked_at, Exists(ran)).defer("text").distinct()
    rows = rows.select_related("prompt").prefetch_related("labels", "tests")
    return list(rows.order_by("-number")[:_VERSIONS])


def _rows(version: PromptVersion, scope: str | None) -> list[_Row]:
    mended = ExpressionWrapper(~Q(repairs=[]), output_field=BooleanField())
    columns = ("run_id", "run__scope", "run__workflow", "status", "mended", "first_token")
    rows = latest(version).annotate(mended=mended)
    read = rows.values_list(*columns, "started_at", "finished_at", "usage")[:MOST]
    # Here and not in the query: to look for the rows of one tenant among those of all has no bound.
    return [row for row in map(_Row._make, read) if scope in (None, row.scope)]


def _figures(version: PromptVersion, rows: Sequence[_Row], opinions: list[tuple[Any, int]]) -> Figures:
    runs = {row.run for row in rows}
    said = Counter(value for run, value in opinions if run in runs)
    seconds = ((row.finished - row.started).total_seconds() if row.finished else None for row in rows)
    return Figures(
        version,
        runs=len(runs),
        failed=len({row.run for row in rows if row.status == BotRun.Status.FAILED}),
        repaired=len({row.run for row in rows if row.repaired}),
        first=Times.of(row.first for row in rows),
        total=Times.of(seconds),
        tokens=(_tokens(rows, "prompt_tokens"), _tokens(rows, "completion_tokens")),
        up=said[1],
        down=said[-1],
        workflows=frozenset(row.workflow for row in rows),
    )


def _tokens(rows: Sequence[_Row], name: str) -> int:
    return sum(row.usage.get(name, 0) for row in rows if isinstance(row.usage, dict))
