"""The rows: what editors write (providers, prompts, workflows) and what runs leave behind."""

from __future__ import annotations

from .attachments import Attachment
from .chats import Chat
from .conversations import Conversation
from .feedback import Feedback
from .fields import JSONTextField
from .owned import Owned, owner_key
from .prompts import Prompt, PromptLabel, PromptVersion, Provider
from .runs import OPEN, QUIET, BotRun, Run, Runner
from .workflows import Step, Trigger, Workflow

__all__ = [
    "OPEN",
    "QUIET",
    "Attachment",
    "BotRun",
    "Chat",
    "Conversation",
    "Feedback",
    "JSONTextField",
    "Owned",
    "Prompt",
    "PromptLabel",
    "PromptVersion",
    "Provider",
    "Run",
    "Runner",
    "Step",
    "Trigger",
    "Workflow",
    "owner_key",
]
