"""Every server that speaks the OpenAI chat completions protocol."""

from .provider import DEFAULT_API_VERSION, DEFAULT_BASE_URL, OpenAIProvider, build

__all__ = ["DEFAULT_API_VERSION", "DEFAULT_BASE_URL", "OpenAIProvider", "build"]
