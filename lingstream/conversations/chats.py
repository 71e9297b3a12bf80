"""How a workflow is talked to: as its row says, or else its code."""

from __future__ import annotations

from lingstream.core.engine.chat import NO_CHAT, Chat
from lingstream.core.engine.registry import declared
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.models import Chat as ChatRow

__all__ = ["chat_of", "check_enabled"]


def chat_of(workflow: str) -> Chat:
    """Return how the workflow with this slug is talked to; one query."""
    row = ChatRow.objects.filter(workflow__slug=workflow).select_related("helper").first()
    return row.to_chat() if row else declared(workflow).chat or NO_CHAT


def check_enabled(chat: Chat) -> None:
    """Check that conversations may begin and go on.

    :raises UsageError: ``chat-disabled``.
    """
    if not chat.enabled:
        raise UsageError(Phrase("the chat of this workflow is switched off"), code="chat-disabled")
