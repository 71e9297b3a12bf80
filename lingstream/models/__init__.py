"""The rows: what editors write (providers, prompts, workflows) and what runs leave behind."""

from __future__ import annotations

from .fields import JSONTextField
from .prompts import Prompt, PromptLabel, PromptVersion, Provider
from .runs import OPEN, BotRun, Conversation, Run, Runner, owner_key
from .workflows import Step, Trigger, Workflow

__all__ = [
    "OPEN",
    "BotRun",
    "Conversation",
    "JSONTextField",
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
