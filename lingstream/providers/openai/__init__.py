"""Every server that speaks one of OpenAI's protocols: chat completions, or responses."""

from .provider import DEFAULT_API_VERSION, OpenAIProvider, build

__all__ = ["DEFAULT_API_VERSION", "OpenAIProvider", "build"]
