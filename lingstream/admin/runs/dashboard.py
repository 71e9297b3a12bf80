"""What the app's index page shows of runs: the last day and week, what is alive now, and the first steps.

Six queries at most, kept for half a minute for each tenant: on a site with a million runs a week three of
them read as many index entries. That nothing has run is not kept: it costs little to ask, and a newcomer
looks for the first run. What a column counts is between two times, and not what a function makes of each:
SQLite would ask Python for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db.models import Avg, Count, Q, QuerySet, Sum, Value
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.conf import app_settings

from ...models import OPEN, Run, Runner
from ..first import first_steps
from ..media import tenant
from ..times import Times

__all__ = ["Chart", "Column", "dashboard"]

_KEPT = 30  # seconds
_DAY, _WEEK = (1, 24), (6, 4 * 7)  # hours of a column, and how many there are
_MOST_WORKFLOWS = 50
_SAMPLE = 1_000  # runs, for medians, which not every database has
_QUARTERS = 4 * 7  # of the days of a week, of each of which the sample has the newest runs
_FAILED = Q(status__in=(Run.Status.FAILED, Run.Status.LOST))
_HEIGHT = 60  # of the drawing, in its own units


class Door(NamedTuple):
    """A list that the page leads to.

    :param what: is in it.
    :param done: what can be done there, each with the permission that it takes, ``""`` for who may look.
    """

    app: str
    model: str
    title: Any
    what: Any
    done: Sequence[tuple[str, Any]] = ()


_DOORS = (
    Door(
        "lingstream",
        "prompt",
        _("Prompts"),
        _("what models are told"),
        (
            ("lingstream.change_prompt", _("change a text and try it")),
            ("", _("compare versions with what is live")),
            ("lingstream.publish_prompt", _("publish one or go back")),
        ),
    ),
    Door(
        "lingstream",
        "workflow",
        _("Workflows"),
        _("which steps run, and what starts them"),
        (
            ("lingstream.change_workflow", _("build and try")),
            ("lingstream.publish_workflow", _("publish")),
            ("lingstream.add_chat", _("give a bot a chat")),
            ("", _("export")),
            ("lingstream.add_workflow", _("import")),
        ),
    ),
    Door(
        "lingstream",
        "run",
        _("Runs"),
        _("what was asked and answered"),
        (
            ("", _("see why one failed")),
            ("lingstream.cancel_run", _("stop one")),
            ("lingstream.start_workflow", _("repeat one")),
        ),
    ),
    Door("lingstream", "conversation", _("Conversations"), _("what people and bots have said to each other")),
    Door(
        *("lingstream", "occasion", _("Occasions")),
        _("when a bot speaks first: a greeting, a silence, a time"),
    ),
    Door(
        "lingstream_knowledge",
        "collection",
        _("Collections"),
        _("documents that bots find their answers in"),
        (
            ("lingstream_knowledge.add_source", _("add sources")),
            ("lingstream_knowledge.change_collection", _("try a search")),
        ),
    ),
)


class Column(NamedTuple):
    """One column of a drawing: runs that ended well or go on, and above them those that failed."""

    x: int
    begins: datetime
    runs: int
    failed: int
    height: int
    failed_height: int

    @property
    def top(self) -> int:
        """Where the column begins, from above."""
        return _HEIGHT - self.height


class Chart(NamedTuple):
    """A drawing of the last day or week; ``hours``: of each column."""

    name: str
    hours: int
    columns: list[Column]

    @property
    def width(self) -> int:
        """In its own units."""
        return 10 * len(self.columns)


def dashboard(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows to who looks: figures for who may view runs, steps and links for all."""
    user = request.user
    found: dict[str, Any] = {"steps": list(first_steps(user)), "links": list(_links(user))}
    if user.has_perm("lingstream.view_run"):
        found["figures"] = _kept(tenant(request))
    return found


def _kept(scope: str | None) -> dict[str, Any]:
    name = f"lingstream.board.{sha256(repr(scope).encode()).hexdigest()}"
    found: dict[str, Any] | None = cache.get(name)
    if found is None:
        found = _figures(scope)
        if found["workflows"]:
            cache.set(name, found, _KEPT)
    return found


def _figures(scope: str | None) -> dict[str, Any]:
    now = timezone.now()
    day, runs = now - timedelta(days=1), Run.objects.real()
    if scope is not None:
        runs = runs.filter(scope=scope)
    first_day, first_week = _first_tokens(runs, now)
    return {
        "charts": _charts(runs, now),
        "height": _HEIGHT,
        "workflows": _by_workflow(runs, day, now - timedelta(days=7)),
        "first_day": first_day,
        "first_week": first_week,
        "alive": runs.open().count(),
        "open": ",".join(OPEN),
        "runners": Runner.objects.filter(
            heartbeat_at__gte=now - timedelta(seconds=app_settings().dead_after), stopped_at=None
        ).count(),
    }


def _first_tokens(runs: QuerySet[Run], now: datetime) -> tuple[Times, Times]:
    """How long first tokens took: of the last runs of the day, and of runs from all over the week."""
    begins = [now - timedelta(hours=6 * number) for number in range(_QUARTERS + 1)]
    week = [
        _newest(runs.filter(created_at__gte=since, created_at__lt=until), _SAMPLE // _QUARTERS)
        for until, since in itertools.pairwise(begins)
    ]
    day = _newest(runs.filter(created_at__gte=now - timedelta(days=1)), _SAMPLE)
    parts = [rows.annotate(part=Value(part)) for part, rows in enumerate((day, *week))]
    found = [part.values_list("part", "first_token") for part in parts]
    # Django 6.1 orders what is united as the model says, by a column that is not asked for.
    seconds = list(found[0].union(*found[1:], all=True).order_by())
    of_day = Times.of(each for part, each in seconds if part == 0)
    return of_day, Times.of(each for part, each in seconds if part > 0)


def _newest(runs: QuerySet[Run], most: int) -> QuerySet[Run]:
    """The newest that said something; found by their keys, as SQLite unites nothing that has an order."""
    keys = runs.filter(first_token__isnull=False).order_by("-created_at").values("pk")[:most]
    return Run.objects.filter(pk__in=keys).order_by()


def _charts(runs: QuerySet[Run], now: datetime) -> list[Chart]:
    """The last day and the last week, counted by one query."""
    begins = [begin for span in (_DAY, _WEEK) for begin in _begins(now, *span)]
    hours = [hours for hours, count in (_DAY, _WEEK) for _number in range(count)]
    parts = [
        runs.filter(created_at__gte=begin, created_at__lt=begin + timedelta(hours=length))
        .order_by()
        .annotate(part=Value(part))
        .values("part")
        .annotate(runs=Count("pk"), failed=Count("pk", filter=_FAILED))
        .values_list("part", "runs", "failed")
        for part, (begin, length) in enumerate(zip(begins, hours, strict=True))
    ]
    rows = parts[0].union(*parts[1:], all=True).order_by()
    counted = {part: (count, failed) for part, count, failed in rows}
    found = [(begin, *counted.get(part, (0, 0))) for part, begin in enumerate(begins)]
    of_day = _DAY[1]
    return [
        Chart("day", _DAY[0], _columns(found[:of_day])),
        Chart("week", _WEEK[0], _columns(found[of_day:])),
    ]


def _begins(now: datetime, hours: int, count: int) -> list[datetime]:
    """When each column begins, the last with what is not over yet; by the site's clock, from midnight on."""
    here = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    last = here.replace(hour=here.hour // hours * hours).astimezone(UTC)
    return [last - timedelta(hours=hours * number) for number in reversed(range(count))]


def _columns(counted: Sequence[tuple[datetime, int, int]]) -> list[Column]:
    most = max(count for _begin, count, _failed in counted) or 1
    return [
        Column(number * 10, begin, count, failed, _HEIGHT * count // most, _HEIGHT * failed // most)
        for number, (begin, count, failed) in enumerate(counted)
    ]


def _by_workflow(runs: QuerySet[Run], day: datetime, week: datetime) -> list[dict[str, Any]]:
    lately = Q(created_at__gte=day)
    rows: Any = runs.filter(created_at__gte=week).order_by().values("workflow")
    return list(
        rows.annotate(
            week=Count("pk"),
            day=Count("pk", filter=lately),
            failed_week=Count("pk", filter=_FAILED),
            failed_day=Count("pk", filter=_FAILED & lately),
            first_week=Avg("first_token"),
            first_day=Avg("first_token", filter=lately),
            tokens_week=Sum("prompt_tokens") + Sum("completion_tokens"),
            tokens_day=Sum("prompt_tokens", filter=lately) + Sum("completion_tokens", filter=lately),
            cost_week=Sum("cost"),
            cost_day=Sum("cost", filter=lately),
        ).order_by("-week", "workflow")[:_MOST_WORKFLOWS]
    )


def _links(user: Any) -> Iterator[tuple[Any, str, str]]:
    """The title, the address and, in words, the use of each list that somebody may see."""
    for door in _DOORS:
        if user.has_perm(f"{door.app}.view_{door.model}"):
            try:
                url = reverse(f"admin:{door.app}_{door.model}_changelist")
            except NoReverseMatch:
                continue  # an app that is not installed here
            done = [text for permission, text in door.done if not permission or user.has_perm(permission)]
            yield door.title, url, " · ".join(map(str, (door.what, *done)))
