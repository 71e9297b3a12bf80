"""The steps of a run as its page shows them: bars, and below them what each was told and said.

While the run goes on the page asks for them again and again: each time for all bars, and for those texts only
that it has not yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import Sum
from django.db.models.functions import Length

from lingstream.execution.runner import latest_trace

from ...models import OPEN, BotRun
from ..drawn.waterfall import WIDTH, Bar, waterfall
from .rereading import plan_of_step, reread
from .steps import BIG_BOT
from .texts import step_html

__all__ = ["Course"]

_MOST_STEPS = 200  # rows of the journal on one page
_MOST_TEXT = 400_000  # characters of answers on one page; those of later steps are on theirs


class Shown(NamedTuple):
    """A step run with what it was told and said; ``""`` where there is nothing, or the page has it."""

    bar: Bar
    html: str


class Course:
    """What the steps of a run have done so far.

    :param run: as who looks has found it: with who that is, and whether its input is withheld.
    :param after: the last row of the journal whose texts the page has.
    """

    def __init__(self, run: Any, after: int = 0) -> None:
        run.trace = latest_trace(run)
        rows, has = run.bot_runs.order_by("pk"), run.bot_runs.filter(pk__lte=after)
        big = set(BIG_BOT) - {"repairs"}
        known = list(rows.filter(pk__lte=after).defer(*big)[: _MOST_STEPS + 1]) if after else []
        found = [*known, *rows.filter(pk__gt=after)[: _MOST_STEPS + 1 - len(known)]]
        self.run = run
        self.rows: Sequence[BotRun] = found[:_MOST_STEPS]
        self.bars = waterfall(run, self.rows)
        self._after = after
        self._left = _MOST_TEXT - (has.aggregate(all=Sum(Length("output")))["all"] or 0 if after else 0)
        self._has_more = len(found) > _MOST_STEPS

    @property
    def context(self) -> dict[str, Any]:
        """What ``runs/steps.html`` shows."""
        return {
            "run": self.run,
            "open": self.run.status in OPEN,
            "steps": list(self._shown()),
            "more_steps": self._has_more,
            "epochs": self._epochs(),
            "width": WIDTH,
        }

    def _shown(self) -> Iterator[Shown]:
        run, left = self.run, self._left
        for bar in self.bars:
            row = bar.row
            if row is None or row.pk <= self._after:
                yield Shown(bar, "")
                continue
            left -= len(row.output)
            reading = reread(row, plan_of_step(run, row.step)) if left >= 0 else None
            yield Shown(bar, step_html(row, reading, run.reader, withheld=run.withheld, linked=True))

    def _epochs(self) -> list[tuple[int, list[BotRun]]]:
        """What each execution of the run did, if there were several."""
        found: dict[int, list[BotRun]] = {}
        for row in self.rows:
            found.setdefault(row.epoch, []).append(row)
        return sorted(found.items()) if len(found) > 1 else []
