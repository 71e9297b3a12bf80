"""What is asked of a conversation, as starts: a message, the same once more, another one in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from lingstream.core.engine.chat import with_text
from lingstream.core.exceptions import UsageError
from lingstream.execution.start import Start
from lingstream.models import PERSON, Conversation, Run

from .chats import chat_of
from .files import with_files
from .messages import text_of
from .turns import LEAF, Turn

__all__ = ["again", "edited", "said"]


def said(
    conversation: Conversation,
    message: Mapping[str, Any],
    *,
    input: Any = None,
    parent: UUID | str | None = LEAF,
    key: str = "",
) -> Start:
    """Return the start of the turn in which a person says ``message``.

    :param input: what the workflow gets beside the message's text.
    :param parent: as in :class:`Turn`.
    :raises UsageError: the conversation has no workflow, or that takes no such text or files.
    """
    if not conversation.workflow:
        raise UsageError("expected a conversation that says which workflow is talked to")
    chat = chat_of(conversation.workflow)
    data = with_text(input, chat.input_uri, text_of(message))
    message = with_files(conversation, message, chat)
    turn = Turn(Run.Cause.USER, message, parent)
    return Start(conversation.workflow, data, key, str(conversation.pk), turn)


def again(conversation: Conversation, turn: Run, *, key: str = "") -> Start:
    """Return the start of a turn that takes the place of ``turn``, with the same message and input."""
    cause = Run.Cause.REGENERATE if turn.cause in PERSON else turn.cause  # which says who spoke
    beside = Turn(cause, turn.message, turn.parent_id)
    return Start(turn.workflow, turn.input, key, str(conversation.pk), beside)


def edited(conversation: Conversation, turn: Run, message: Mapping[str, Any], *, key: str = "") -> Start:
    """Return the start of a turn that takes the place of ``turn``, with another message.

    :raises UsageError: nobody has sent one in that turn.
    """
    if turn.cause not in PERSON:
        raise UsageError("expected a turn that began with a person's message, got one that the bot began")
    chat = chat_of(turn.workflow)
    data = with_text(turn.input, chat.input_uri, text_of(message))
    message = with_files(conversation, message, chat)
    beside = Turn(Run.Cause.EDIT, message, turn.parent_id)
    return Start(turn.workflow, data, key, str(conversation.pk), beside)
