"""What an ASGI application is called with, for type hints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send"]

Scope: TypeAlias = dict[str, Any]
Message: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# Each framework has other types for the three: Django and Starlette mappings, asgiref a TypedDict a message.
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
