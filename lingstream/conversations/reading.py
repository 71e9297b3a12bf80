"""Turns as a client reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from lingstream.access.faults import told_error
from lingstream.access.identity import Identity
from lingstream.core.document import jsonuri
from lingstream.models import PERSON, Conversation, Run

from .chats import chat_of
from .listing import shown
from .messages import message_of
from .opinions import opinions_on
from .sources import marked, places
from .tree import Tree
from .turns import tree_of

__all__ = ["shown_path", "told_turns", "with_turns"]


def with_turns(conversation: Conversation, identity: Identity, before: int, limit: int) -> dict[str, Any]:
    """Return a conversation with the last turns of the path that is shown, oldest first.

    All that its ``seq`` counts is in it, whoever writes meanwhile: who has it asks for later changes only.

    :param conversation: as it was found; it is read once more.
    :param identity: whose feedback is told with the turns.
    :param before: only turns with lower numbers.
    :returns: what :func:`shown` does, ``turns``, and whether there are ``more`` before them.
    """
    # Before its turns, and the path is of this row: a later one would count later turns.
    told = shown(conversation)
    leaf = told["leaf"]
    tree = tree_of(conversation.pk)
    path = [turn for turn in shown_path(leaf and UUID(leaf), tree) if tree.number(turn) < before]
    return {**told, "turns": told_turns(tree, path[-limit:], identity), "more": len(path) > limit}


def shown_path(leaf: UUID | None, tree: Tree) -> list[UUID]:
    """Return the turns that are shown of a conversation with this leaf, from the first to the last."""
    return tree.shown(leaf if leaf in tree else tree.newest)


def told_turns(tree: Tree, wanted: Sequence[UUID], identity: Identity) -> list[dict[str, Any]]:
    """Return turns as a client is told of them, in the order given; two queries, three if some are stale.

    :param identity: whose feedback is told with them.
    """
    rows = marked(Run.objects.defer("plan", "context")).in_bulk(wanted)
    opinions, stale = opinions_on(wanted, identity), places(rows.values())
    chats: dict[str, Any] = {}
    turns = []
    for run in (rows[turn] for turn in wanted if turn in rows):
        beside = [str(turn) for turn in tree.siblings(run.pk)]
        about = {"siblings": beside, "feedback": opinions.get(run.pk, []), "stale": stale.get(run.pk, [])}
        turns.append({**_turn(run, chats), **about})
    return turns


def _turn(run: Run, chats: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": str(run.pk),
        "number": run.number,
        "parent": str(run.parent_id) if run.parent_id else None,
        "cause": run.cause,
        "workflow": run.workflow,
        "message": _message(run, chats),
        "status": run.status,
        "document": run.document,
        "error": told_error(run.failure) if run.failure else None,
        "created": run.created_at.isoformat(),
        "finished": run.finished_at.isoformat() if run.finished_at else None,
    }


def _message(run: Run, chats: dict[str, Any]) -> Any:
    """What the person sent; of a run that was started with an input, the text in it."""
    if run.message is not None or run.cause not in PERSON:
        return run.message
    if run.workflow not in chats:
        chats[run.workflow] = chat_of(run.workflow)
    text = jsonuri.get(run.input, chats[run.workflow].input_uri)
    return message_of(text) if isinstance(text, str) else None
