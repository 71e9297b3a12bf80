"""A conversation spoken to by the site's own code: behind the methods of the model."""

from __future__ import annotations

from typing import Any

from lingstream.access.identity import Identity
from lingstream.execution.start import Start, begin, json_data
from lingstream.models import Conversation, Run

from .asking import said
from .messages import message_of
from .reading import shown_path
from .turns import Turn, tree_of

__all__ = ["ask", "owner_of", "say", "turns"]


def say(conversation: Conversation, workflow: str, input: Any, *, key: str = "") -> Run:
    """See :meth:`Conversation.say`."""
    turn = Turn(Run.Cause.CODE)
    asked = Start(workflow, json_data(input), key, str(conversation.pk), turn)
    return begin(asked, owner_of(conversation))


def ask(conversation: Conversation, text: str, *, input: Any = None, key: str = "") -> Run:
    """See :meth:`Conversation.ask`."""
    more = None if input is None else json_data(input)
    return begin(said(conversation, message_of(text), input=more, key=key), owner_of(conversation))


def turns(conversation: Conversation) -> list[Run]:
    """See :meth:`Conversation.turns`."""
    # Not of the row at hand: it may be older than the turn that was asked with it.
    leaf = Conversation.objects.filter(pk=conversation.pk).values_list("leaf_id", flat=True).first()
    tree = tree_of(conversation.pk)
    path = shown_path(leaf, tree)
    rows = Run.objects.defer("plan", "context").in_bulk(path)
    return [rows[turn] for turn in path if turn in rows]


def owner_of(conversation: Conversation) -> Identity:
    """Return as whom the site's code speaks in a conversation: as the person whose it is."""
    whose = conversation.owner, conversation.session_key
    return Identity.of_site(*whose, conversation.scope, conversation.visitor)
