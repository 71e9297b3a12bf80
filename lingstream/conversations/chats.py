"""How a workflow is talked to: as its row says, or else its code."""

from __future__ import annotations

from lingstream.core.engine.chat import NO_CHAT, Chat
from lingstream.core.engine.registry import declared
from lingstream.models import Chat as ChatRow

__all__ = ["chat_of"]


def chat_of(workflow: str) -> Chat:
    """Return how the workflow with this slug is talked to; one query."""
    row = ChatRow.objects.filter(workflow__slug=workflow).first()
    return row.to_chat() if row else declared(workflow).chat or NO_CHAT
