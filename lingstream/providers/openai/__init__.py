"""Every server that speaks the OpenAI chat completions protocol."""

from .provider import DEFAULT_API_VERSION, OpenAIProvider, build

__all__ = ["DEFAULT_API_VERSION", "OpenAIProvider", "build"]
