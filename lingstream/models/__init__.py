"""The rows: what editors write (providers, prompts, workflows) and what runs leave behind."""

from __future__ import annotations

from .attachments import Attachment
from .chats import Chat
from .conversations import Conversation
from .crontab import planned
from .examples import Example
from .feedback import Feedback
from .fields import JSONTextField
from .labels import PromptLabel
from .occasions import Occasion, OccasionSet
from .owned import Owned, owner_key
from .presence import Presence
from .prompts import LIVE, Prompt, PromptVersion, Provider, labelled
from .run_texts import RunText, add_errors
from .runs import FIRST, OPEN, PERSON, QUIET, BotRun, Run, Runner, error_code
from .schedules import Schedule
from .versions import PublishedStep, WorkflowVersion
from .workflows import Step, Trigger, Workflow

__all__ = [
    "FIRST",
    "LIVE",
    "OPEN",
    "PERSON",
    "QUIET",
    "Attachment",
    "BotRun",
    "Chat",
    "Conversation",
    "Example",
    "Feedback",
    "JSONTextField",
    "Occasion",
    "OccasionSet",
    "Owned",
    "Presence",
    "Prompt",
    "PromptLabel",
    "PromptVersion",
    "Provider",
    "PublishedStep",
    "Run",
    "RunText",
    "Runner",
    "Schedule",
    "Step",
    "Trigger",
    "Workflow",
    "WorkflowVersion",
    "add_errors",
    "error_code",
    "labelled",
    "owner_key",
    "planned",
]
