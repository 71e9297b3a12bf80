"""Turns as rows: where a new one stands, and which path is shown.

Whoever changes a conversation holds its row's lock (:func:`lock`), so that numbers have neither gaps nor
doubles, and counts ``seq`` up in the same transaction. All of it is synchronous ORM code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connections, router
from django.db.models import F, QuerySet
from django.utils import timezone

from lingstream.core.exceptions import NotFound, UsageError
from lingstream.models import OPEN, QUIET, Attachment, Conversation, Run

from .messages import attachments_of
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
        raise NotFound(f"there is no conversation {str(name)[:60]!r}") from None


def lock(pk: UUID) -> Conversation:
    """Return the conversation as it is now, for this transaction to change.

    :raises NotFound: as :func:`find`.
    """
    if found := _locked(Conversation.objects.filter(pk=pk, deleted_at=None)).first():
        return found
    raise NotFound(f"there is no conversation '{pk}'")


def hold(conversations: Collection[UUID]) -> None:
    """Lock several conversations, in an order that all keep to."""
    if conversations:
        list(_locked(Conversation.objects.filter(pk__in=conversations).order_by("pk")).values_list("pk"))


def touch(conversations: Collection[UUID], **columns: Any) -> None:
    """Store that something of each of them has changed; who holds no lock changes nothing else."""
    if conversations:
        Conversation.objects.filter(pk__in=conversations).update(seq=F("seq") + 1, **columns)


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
        workflow = conversation.workflow or run.workflow
        change(conversation, count=run.number, leaf=run, workflow=workflow, updated_at=timezone.now())
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


def change(conversation: Conversation, **columns: Any) -> None:
    """Store columns of a conversation, and that something has changed."""
    for name, value in columns.items():
        setattr(conversation, name, value)
    touch([conversation.pk], **columns)
    conversation.seq += 1


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


def _locked(rows: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Not so that runs, which only refer to them, could not be stored meanwhile."""
    weakly = connections[router.db_for_write(Conversation)].features.has_select_for_no_key_update
    return rows.select_for_update(no_key=weakly)


def _shown_leaf(conversation: Conversation) -> UUID | None:
    """The last turn shown; where its row was deleted, the newest that is left."""
    if conversation.leaf_id or not conversation.count:
        return conversation.leaf_id
    return tree_of(conversation.pk).newest


def _no_turn(name: str | UUID) -> UsageError:
    return NotFound(f"there is no turn {str(name)[:60]!r} in this conversation")
