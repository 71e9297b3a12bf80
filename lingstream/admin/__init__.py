"""The admin: providers, prompts and workflows are written here, runs are read."""

from __future__ import annotations

from .conversations import AttachmentAdmin, ConversationAdmin, FeedbackAdmin
from .prompts.admin import PromptAdmin, PromptVersionAdmin
from .providers import ProviderAdmin
from .runs.admin import RunAdmin, RunnerAdmin
from .runs.steps import BotRunAdmin
from .workflows.admin import WorkflowAdmin
from .workflows.occasions import OccasionAdmin
from .workflows.schedules import ScheduleAdmin

__all__ = [
    "AttachmentAdmin",
    "BotRunAdmin",
    "ConversationAdmin",
    "FeedbackAdmin",
    "OccasionAdmin",
    "PromptAdmin",
    "PromptVersionAdmin",
    "ProviderAdmin",
    "RunAdmin",
    "RunnerAdmin",
    "ScheduleAdmin",
    "WorkflowAdmin",
]
