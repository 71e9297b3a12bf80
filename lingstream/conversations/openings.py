"""A bot's own first word: whether an occasion fits a conversation now, and the turn that it becomes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import translation

from lingstream.core import templates
from lingstream.core.engine.occasions import input_of
from lingstream.execution.ownership import atomically
from lingstream.execution.start import Start, begin
from lingstream.models import Conversation, Occasion, Run
from lingstream.models.clock import Now

from .audience import among
from .chats import chat_of
from .hours import is_quiet, zone_of
from .nudges import begun_on, local_day
from .speech import owner_of
from .turns import Turn, lock

__all__ = ["begin_turn", "database_now", "fits", "opening", "resting", "speak", "spent"]

#: Of runs, where they are called otherwise than the occasion.
_CAUSES: dict[str, str] = {
    Occasion.Kind.CONNECTED: Run.Cause.PRESENCE,
    Occasion.Kind.DISCONNECTED: Run.Cause.PRESENCE,
}


def speak(occasion: Occasion, talk: UUID, *, key: str, data: Any = None, opens: bool = False) -> Run | None:
    """Let the bot begin in a conversation, if the occasion fits it; in the caller's transaction, if any.

    :param key: the same key is the same run.
    :param opens: only where nothing has been said.
    :raises NotFound: there is no such conversation.
    :raises LingError: the workflow cannot be started so.
    """
    with atomically():
        row = lock(talk)
        begun = Run.objects.filter(scope=row.scope, owner_key=row.owner_key, key=key, conversation=row)
        if known := begun.first():
            return known
        at = database_now(row)
        if (opens and row.count) or not fits(occasion, row, at):
            return None
        start = opening(occasion, row, at, key=key, data=data)
        if start is None:
            return None
        Conversation.objects.filter(pk=row.pk).update(**spent(row, at))
        return begin_turn(start, row)


def fits(occasion: Occasion, talk: Conversation, at: datetime) -> bool:
    """Whether the occasion's audience, hours and bounds let the bot begin."""
    quiet = is_quiet(at, occasion.quiet_from, occasion.quiet_to, zone_of(talk.timezone))
    daily = occasion.daily and begun_on(talk, local_day(talk, at)) >= occasion.daily
    if talk.archived_at or quiet or daily or resting(occasion, talk, at):
        return False
    audience = among(occasion.whom)
    return not audience or Conversation.objects.filter(audience, pk=talk.pk).exists()


def resting(occasion: Occasion, talk: Conversation, at: datetime) -> datetime | None:
    """Return until when a bot that has begun does not begin again; ``None``: it may."""
    if not (occasion.min_gap and talk.last_bot_at):
        return None
    end = talk.last_bot_at + timedelta(seconds=occasion.min_gap)
    return end if end > at else None


def opening(
    occasion: Occasion, talk: Conversation, at: datetime, *, key: str, number: int = 1, data: Any = None
) -> Start | None:
    """Return the turn in which the bot begins.

    ``None``: the occasion's condition does not hold, or the person is locked, in whose name nothing is done.

    :param number: which time it is, since the person last spoke.
    :raises UsageError: condition or template fail.
    """
    if talk.owner is not None and not getattr(talk.owner, "is_active", True):
        return None
    told = {"kind": occasion.kind, "name": occasion.name, "number": number}
    names = {
        "occasion": told,
        "conversation": _told(talk),
        "data": data,
        "now": at.astimezone(zone_of(talk.timezone)).isoformat(timespec="seconds"),
    }
    if not templates.holds(occasion.condition, names):
        return None
    text = templates.render(occasion.instruction, names)
    input = input_of(told, chat_of(occasion.workflow_slug).input_uri, text, data)
    turn = Turn(_CAUSES.get(occasion.kind, occasion.kind))
    return Start(occasion.workflow_slug, input, key, str(talk.pk), turn)


def begin_turn(start: Start, talk: Conversation) -> Run:
    """Queue the turn in the language that was last spoken, and say so with the commit."""
    leaf = Run.objects.filter(conversation=talk, number__gt=0).order_by("-number")
    last = leaf.values_list("language", flat=True).first()
    with translation.override(last or None):
        return begin(start, owner_of(talk))


def spent(talk: Conversation, at: datetime) -> dict[str, Any]:
    """Return the columns which say that the bot has begun once more."""
    day = local_day(talk, at)
    return {"nudged_on": day, "nudged_today": begun_on(talk, day) + 1, "last_bot_at": Now()}


def database_now(talk: Conversation) -> datetime:
    """Return the database's time, by which everything is due."""
    found: datetime = Conversation.objects.filter(pk=talk.pk).values_list(Now(), flat=True).get()
    return found


def _told(talk: Conversation) -> dict[str, Any]:
    return {
        "id": str(talk.pk),
        "title": talk.title,
        "external_id": talk.external_id,
        "data": talk.data,
        "turns": talk.count,
    }
