"""When the bot says something into a silence: planned with the end of a turn, in its transaction."""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from lingstream.models import FIRST, PERSON, Conversation, Occasion, OccasionSet, Run
from lingstream.models.clock import Now

from .hours import after_quiet, is_quiet, zone_of

__all__ = ["begun_on", "enabled", "is_hidden", "local_day", "next_nudge", "plan_nudges", "spread"]

_LONGEST = timedelta(days=365).total_seconds()
_SPREAD = 900  # seconds behind quiet hours over which what waited for their end is spread


def is_hidden(run: Run, status: str, document: Any, *, declined: bool = False) -> bool:
    """Whether people see nothing of a run that ends so.

    That is what no turn is, a bot's own word that it did not want to say after all, and one that was stopped
    or failed before it said anything.
    """
    if run.hidden or run.cause in PERSON:
        return run.hidden
    return declined or (run.cause in FIRST and status != Run.Status.FINISHED and _is_blank(document))


def enabled(kind: str) -> OccasionSet:
    """Return the occasions of a kind that may come."""
    return Occasion.objects.filter(kind=kind, enabled=True).exclude(workflow__enabled=False)


def plan_nudges(conversations: Collection[UUID]) -> None:
    """Say when the bot shall speak if nobody does, in conversations whose last turn has just ended.

    Called in the transaction that stores the end, with the rows locked.
    """
    if not conversations:
        return
    talks = Conversation.objects.filter(pk__in=conversations, deleted_at=None, archived_at=None)
    talks = talks.exclude(workflow="")
    of_talks = talks.values("workflow")
    silences = enabled(Occasion.Kind.SILENCE)
    found = silences.filter(workflow__slug__in=of_talks) | silences.filter(slug__in=of_talks)
    by_workflow = {each.workflow_slug: each for each in found.select_related("workflow")}
    if not by_workflow:
        return
    for talk in talks.filter(workflow__in=by_workflow).annotate(at=Now()).only(*_ASKED):
        due = next_nudge(by_workflow[talk.workflow], talk, talk.at, talk.nudges)
        Conversation.objects.filter(pk=talk.pk).update(nudge_at=due)


_ASKED = ("workflow", "timezone", "nudges", "nudged_on", "nudged_today")


def next_nudge(occasion: Occasion, talk: Conversation, since: datetime, nudges: int) -> datetime | None:
    """Return when the bot shall speak if nothing is said from ``since`` on; ``None``: not at all.

    :param nudges: how often it has, since the person last spoke.
    """
    if nudges >= occasion.most:
        return None
    pause = min((occasion.after or 0) * occasion.factor**nudges, _LONGEST)
    due = spread(occasion, talk, since + timedelta(seconds=pause))
    if occasion.daily and begun_on(talk, local_day(talk, due)) >= occasion.daily:
        return None
    return due


def spread(occasion: Occasion, talk: Conversation, at: datetime) -> datetime:
    """Return ``at``, or some time behind the quiet hours that it lies in: not all wake up in one second."""
    hours = occasion.quiet_from, occasion.quiet_to, zone_of(talk.timezone)
    end = after_quiet(at, *hours)
    if end == at:
        return at
    later = end + timedelta(seconds=random.uniform(0, _SPREAD))  # noqa: S311  # a pace, not a secret
    return end if is_quiet(later, *hours) else later


def local_day(talk: Conversation, at: datetime) -> date:
    """Return which day it is for the conversation's owner."""
    return at.astimezone(zone_of(talk.timezone)).date()


def begun_on(talk: Conversation, day: date) -> int:
    """Return how often the bot has begun in a conversation on that day."""
    return talk.nudged_today if talk.nudged_on == day else 0


def _is_blank(document: Any) -> bool:
    """Whether nothing in it would be seen."""
    if isinstance(document, (dict, list)):
        return all(map(_is_blank, document.values() if isinstance(document, dict) else document))
    return document is None or document == ""
