"""Turns as rows: where a new one stands, and which path is shown.

Whoever changes a conversation holds its row's lock (:func:`lock`), so that numbers have neither gaps nor
doubles, and counts ``seq`` up in the same transaction, which is told to who looks on (:mod:`.notices`).
All of it is synchronous ORM code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from lingstream.core.exceptions import NotFound, UsageError
from lingstream.core.notices import Kind
from lingstream.core.phrases import Phrase
from lingstream.models import OPEN, PERSON, QUIET, Attachment, Conversation, Run
from lingstream.models.locks import locked

from .messages import attachments_of
from .notices import tell
from .tree import Node, Tree

__all__ = [
    "LEAF",
    "Turn",
    "add",
    "change",
    "find",
    "hold",
    "lock",
    "open_turns",
    "place",
    "switch",
    "touch",
    "tree_of",
    "turn_of",
]

LEAF: Final = "leaf"


@dataclass(frozen=True, slots=True)
class Turn:
    """How a run stands in its conversation.

    :param cause: of :class:`Run.Cause`; one of :data:`~lingstream.models.QUIET` makes it no turn.
    :param message: what the person sent: ``{"parts": […], "id"?}``.
    :param parent: the turn before it, ``None`` for none; :data:`LEAF` is the last one shown.
    """

    cause: str = Run.Cause.USER
    message: Mapping[str, Any] | None = None
    parent: UUID | str | None = LEAF

    @property
    def quiet(self) -> bool:
        """Whether it is no turn, but work on its conversation."""
        return self.cause in QUIET


def find(name: str | UUID) -> Conversation:
    """Return the conversation, with its owner.

    :raises NotFound: there is none, or it was deleted.
    """
    try:
        rows = Conversation.objects.select_related("owner").filter(deleted_at=None)
        return rows.get(pk=name if isinstance(name, UUID) else UUID(name))
    except (Conversation.DoesNotExist, ValueError):
        raise NotFound(Phrase("there is no conversation %(got)r", got=str(name)[:60])) from None


def lock(pk: UUID) -> Conversation:
    """Return the conversation as it is now, for this transaction to change.

    :raises NotFound: as :func:`find`.
    """
    if found := locked(Conversation.objects.filter(pk=pk, deleted_at=None)).first():
        return found
    raise NotFound(Phrase("there is no conversation %(got)r", got=str(pk)))


def hold(conversations: Collection[UUID], *, skip: bool = False, whole: bool = False) -> list[Conversation]:
    """Lock several conversations, in the order of :mod:`lingstream.models.locks`.

    :param skip: pass over those that somebody else has locked, where the database can.
    :param whole: they will be deleted.
    :returns: those that it got, with what :func:`touch` has to know of them.
    """
    if not conversations:
        return []
    rows = Conversation.objects.filter(pk__in=conversations).order_by("pk")
    return list(locked(rows, skip=skip, whole=whole).only("seq", "owner_key", "scope"))


def touch(
    conversations: Iterable[Conversation],
    kind: Kind = "change",
    runs: Mapping[UUID, UUID] = MappingProxyType({}),
    **columns: Any,
) -> None:
    """Store that something of each of these locked conversations has changed, and have it told.

    :param kind: what has, as :class:`~lingstream.core.notices.Notice` has it.
    :param runs: by conversation, the run that it is about.
    :param columns: to store as well.
    """
    held = list(conversations)
    if held:
        rows = Conversation.objects.filter(pk__in=[each.pk for each in held])
        rows.update(seq=F("seq") + 1, **columns)
    for each in held:
        each.seq += 1
        tell(each, kind, runs.get(each.pk))


def place(conversation: Conversation, turn: Turn) -> dict[str, Any]:
    """Return the columns of a run that becomes the next turn of a locked conversation.

    :raises NotFound: the turn that it shall follow is not one of the conversation.
    """
    if turn.quiet:
        return {"cause": turn.cause, "hidden": True}
    parent = _shown_leaf(conversation) if turn.parent == LEAF else turn.parent
    if turn.parent != LEAF and parent is not None:
        turn_of(conversation, parent)
    return {
        "number": conversation.count + 1,
        "parent_id": parent,
        "cause": turn.cause,
        "message": turn.message,
        "message_id": (turn.message or {}).get("id", ""),
    }


def add(conversation: Conversation, run: Run) -> None:
    """Show a turn that has just been stored as the last one of its locked conversation."""
    if run.number:
        now, workflow = timezone.now(), conversation.workflow or run.workflow
        spoke = {"last_user_at": now, "nudge_at": None, "nudges": 0} if run.cause in PERSON else {}
        columns = {"count": run.number, "leaf": run, "workflow": workflow, "updated_at": now, **spoke}
        change(conversation, "turn", run.pk, **columns)
        if files := attachments_of(run.message) if run.message else []:
            Attachment.objects.filter(conversation=conversation, run=None, pk__in=files).update(run=run)


def switch(conversation: Conversation, turn: UUID) -> None:
    """Show the path to a turn of a locked conversation, and on to the newest one that followed it.

    :raises NotFound: it has no such turn.
    """
    tree = tree_of(conversation.pk)
    if turn not in tree:
        raise _no_turn(turn)
    change(conversation, leaf_id=tree.newest_below(turn))


def change(
    conversation: Conversation, kind: Kind = "change", run: UUID | None = None, **columns: Any
) -> None:
    """Store columns of a locked conversation, and that something has changed; see :func:`touch`."""
    for name, value in columns.items():
        setattr(conversation, name, value)
    touch([conversation], kind, {conversation.pk: run} if run else {}, **columns)


def turn_of(conversation: Conversation, name: str | UUID) -> Run:
    """Return a turn of the conversation, without what it has written.

    :raises NotFound: it has no such turn.
    """
    try:
        pk = name if isinstance(name, UUID) else UUID(name)
    except ValueError:
        raise _no_turn(name) from None
    turns = Run.objects.filter(pk=pk, conversation=conversation, number__gt=0)
    if found := turns.defer("plan", "document", "context", "errors").first():
        return found
    raise _no_turn(name)


def open_turns(conversation: Conversation) -> list[Run]:
    """Return what of the conversation has not ended, as a stop of it wants it."""
    runs = Run.objects.filter(conversation=conversation, status__in=OPEN).exclude(cause__in=QUIET)
    return list(runs.order_by("number"))


def tree_of(conversation: UUID) -> Tree:
    """Return the tree of a conversation; one query, in which no document is read."""
    turns = Run.objects.filter(conversation_id=conversation, number__gt=0)
    return Tree(Node(*row) for row in turns.values_list("pk", "number", "parent_id", "hidden"))


def _shown_leaf(conversation: Conversation) -> UUID | None:
    """The last turn shown; where its row was deleted, the newest that is left."""
    if conversation.leaf_id or not conversation.count:
        return conversation.leaf_id
    return tree_of(conversation.pk).newest


def _no_turn(name: str | UUID) -> UsageError:
    return NotFound(Phrase("there is no turn %(got)r in this conversation", got=str(name)[:60]))
