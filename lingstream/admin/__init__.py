"""The admin: providers, prompts and workflows are written here, runs are read."""

from __future__ import annotations

from .conversations import AttachmentAdmin, ConversationAdmin, FeedbackAdmin
from .occasions import OccasionAdmin
from .prompts import PromptAdmin, PromptVersionAdmin
from .providers import ProviderAdmin
from .runs import RunAdmin, RunnerAdmin
from .schedules import ScheduleAdmin
from .step_runs import BotRunAdmin
from .workflows import WorkflowAdmin

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
