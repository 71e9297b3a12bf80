"""A person's conversations, newest first: a page at a time, in three queries at most, by an index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import get_language

from lingstream.access.identity import Identity
from lingstream.core.exceptions import UsageError
from lingstream.models import OPEN, PERSON, QUIET, Conversation, Run

from .chats import chat_of
from .tree import Node, Tree

__all__ = ["MOST", "Wanted", "listed", "number_in", "of_person", "shown"]

MOST = 100
_USUAL = 50


class Wanted(NamedTuple):
    """Which conversations are wanted.

    :param workflow: of these only; ``""`` for all.
    :param search: words that stand in the title.
    :param after: where the page before has ended.
    :param archived: the archived ones, in place of the others.
    :param limit: how many at most.
    """

    workflow: str = ""
    search: str = ""
    after: tuple[datetime, UUID] | None = None
    archived: bool = False
    limit: int = _USUAL

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Wanted:
        """Return what the query of a URL asks for.

        :raises UsageError: a cursor or a limit that is none.
        """
        after = query.get("after", "")
        return cls(
            workflow=query.get("workflow", ""),
            search=query.get("q", "").strip(),
            after=_cursor(after) if after else None,
            archived=query.get("archived", "") not in ("", "0", "false"),
            limit=number_in(query, "limit", _USUAL, MOST),
        )


def listed(identity: Identity, wanted: Wanted) -> dict[str, Any]:
    """Return a page of what is this person's: ``conversations``, and ``next``, the cursor, or ``None``."""
    rows = list(_rows(identity, wanted)[: wanted.limit + 1])
    page = rows[: wanted.limit]
    unread = _unread(page)
    return {
        "conversations": [_item(row, unread[row.pk]) for row in page],
        "next": _written(page[-1]) if len(rows) > wanted.limit else None,
    }


def shown(conversation: Conversation) -> dict[str, Any]:
    """Return one conversation as a list shows it, and what only its own page shows."""
    (row,) = _with_open(Conversation.objects.filter(pk=conversation.pk))
    return {
        **_item(row, _unread([row])[row.pk]),
        "external_id": row.external_id,
        "data": row.data,
        "timezone": row.timezone,
        "greeting": chat_of(row.workflow).greeting_in(get_language() or "") if row.workflow else "",
        "leaf": str(row.leaf_id) if row.leaf_id else None,
        "read": row.read_number,
        "created": row.created_at.isoformat(),
    }


def of_person(identity: Identity, *, deleted: bool = False) -> QuerySet[Conversation]:
    """Return the conversations that are this person's, in the tenant that the person asks in.

    :param deleted: those too that the person has deleted.
    """
    if identity.owner_key == "anyone":
        return Conversation.objects.none()
    rows = Conversation.objects.filter(owner_key__in=identity.owner_keys)
    rows = rows if deleted else rows.filter(deleted_at=None)
    return rows if identity.scope is None else rows.filter(scope=identity.scope)


def number_in(query: Mapping[str, str], name: str, usual: int, most: int) -> int:
    """Return a number from the query of a URL; a greater one than ``most`` is ``most``.

    :raises UsageError: it is none, or below 1.
    """
    text = query.get(name) or str(usual)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) > 0):
        raise UsageError(f"expected {name} to be a number from 1 on, got {text!r:.40}")
    return min(int(text), most)


def _rows(identity: Identity, wanted: Wanted) -> QuerySet[Conversation]:
    rows = of_person(identity).filter(archived_at__isnull=not wanted.archived)
    if wanted.workflow:
        rows = rows.filter(workflow=wanted.workflow)
    if wanted.search:
        rows = rows.filter(title__icontains=wanted.search)
    if wanted.after:
        updated, pk = wanted.after
        rows = rows.filter(Q(updated_at__lt=updated) | Q(pk__lt=pk), updated_at__lte=updated)
    return _with_open(rows).order_by("-updated_at", "-pk")


def _with_open(rows: QuerySet[Conversation]) -> QuerySet[Conversation]:
    going = Run.objects.filter(conversation_id=OuterRef("pk"), status__in=OPEN).exclude(cause__in=QUIET)
    return rows.defer("summary").annotate(is_open=Exists(going))


def _item(row: Any, unread: int) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "title": row.title,
        "workflow": row.workflow,
        "seq": row.seq,
        "unread": unread,
        "updated": row.updated_at.isoformat(),
        "open": row.is_open,
        "archived": row.archived_at is not None,
    }


def _unread(page: Sequence[Conversation]) -> Mapping[UUID, int]:
    """How many turns that a bot began stand unseen on each path that is shown."""
    found: dict[UUID, int] = defaultdict(int)
    turns = Run.objects.filter(number__gt=0)
    news = turns.filter(conversation__in=page, number__gt=F("conversation__read_number"), hidden=False)
    begun = dict(news.exclude(cause__in=PERSON).values_list("pk", "conversation_id"))
    if not begun:
        return found
    nodes: dict[UUID, list[Node]] = defaultdict(list)
    columns = ("conversation_id", "pk", "number", "parent_id", "hidden")
    for talk, *node in turns.filter(conversation__in=set(begun.values())).values_list(*columns):
        nodes[talk].append(Node(*node))
    for row in page:
        tree = Tree(nodes[row.pk])
        path = tree.path(row.leaf_id if row.leaf_id in tree else tree.newest)
        found[row.pk] = sum(turn in begun for turn in path)
    return found


def _written(row: Conversation) -> str:
    return f"{row.updated_at.isoformat()}~{row.pk.hex}"


def _cursor(text: str) -> tuple[datetime, UUID]:
    when, _, pk = text.partition("~")
    try:
        updated = parse_datetime(when.replace(" ", "+"))  # a plus in a URL that nobody has quoted
        if updated is not None and updated.tzinfo is not None:
            return updated, UUID(pk)
    except ValueError:
        pass
    raise UsageError(f"expected after to be the “next” of an earlier answer, got {text!r:.80}")
