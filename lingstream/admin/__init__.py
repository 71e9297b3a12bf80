"""The admin: providers, prompts and workflows are written here, runs are read."""

from __future__ import annotations

from .prompts import PromptAdmin, PromptVersionAdmin
from .providers import ProviderAdmin
from .runs import ConversationAdmin, RunAdmin, RunnerAdmin
from .step_runs import BotRunAdmin
from .workflows import WorkflowAdmin

__all__ = [
    "BotRunAdmin",
    "ConversationAdmin",
    "PromptAdmin",
    "PromptVersionAdmin",
    "ProviderAdmin",
    "RunAdmin",
    "RunnerAdmin",
    "WorkflowAdmin",
]
