"""lingstream: stream structured LLM output to live pages."""

from .core.engine.bot import Bot, Field
from .core.engine.registry import workflow
from .core.engine.run import Run

__all__ = ["Bot", "Field", "Run", "__version__", "workflow"]

__version__ = "0.1.0"
