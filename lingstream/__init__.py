"""lingstream: stream structured LLM output to live pages."""

from typing import TYPE_CHECKING, Any

from .core.engine.bot import Bot, Field
from .core.engine.chat import Chat
from .core.engine.occasions import Connected, Disconnected, Greeting, Schedule, Signal, Silence, Webhook
from .core.engine.registry import workflow
from .core.engine.run import Run
from .steps.python import step
from .steps.query import query

if TYPE_CHECKING:
    from .execution.start import astart, start

__all__ = [
    "Bot",
    "Chat",
    "Connected",
    "Disconnected",
    "Field",
    "Greeting",
    "Run",
    "Schedule",
    "Signal",
    "Silence",
    "Webhook",
    "__version__",
    "astart",
    "query",
    "start",
    "step",
    "workflow",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Who starts runs needs Django and its apps; the core, its workflows and its tests need neither.
    if name in ("astart", "start"):
        from .execution import start as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
