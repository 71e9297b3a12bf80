"""What the built-in kinds take as options, as JSON schemas: a row is checked by them when it is saved.

Apart from the factories, so that checking a row imports no vendor's SDK.
"""

from __future__ import annotations

from typing import Any

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import UsageError

from .scripts import script_names

__all__ = [
    "CLIENT_HEADERS",
    "HEADER_NAMES",
    "OPENAI",
    "OPENAI_URL",
    "OWN_HEADERS",
    "check_openai",
    "check_scripted",
    "scripted",
]

OPENAI_URL = "https://api.openai.com/v1"

#: Headers that the HTTP client writes itself.
CLIENT_HEADERS = frozenset(
    {
        *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te"),
        *("trailer", "expect"),
    }
)
#: These, and those that authenticate.
OWN_HEADERS = CLIENT_HEADERS | {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"}

#: JSON schema of the names of headers that a row may have.
HEADER_NAMES: dict[str, Any] = {
    "maxLength": 100,
    "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    "not": {"pattern": f"^(?i:{'|'.join(sorted(OWN_HEADERS))})$"},
}

_WORD = {"type": "string", "maxLength": 200, "pattern": r"^[!-~]*$"}  # it goes into a header

OPENAI: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string", "maxLength": 200},
        "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
        "max_retries": {"type": "integer", "minimum": 0, "maximum": 10},
        "max_connections": {"type": "integer", "minimum": 1, "maximum": 100_000},
        "azure": {"type": "boolean"},
        "api_version": {"type": "string", "pattern": r"^[A-Za-z0-9.-]{0,40}$"},
        "deployment": {"type": "string", "pattern": r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,99})?$"},
        "organization": _WORD,
        "project": _WORD,
        "headers": {
            "type": "object",
            "maxProperties": 50,
            "propertyNames": HEADER_NAMES,
            "additionalProperties": {"type": "string", "maxLength": 2000, "pattern": r"^[\t -~]*$"},
        },
        "params": {"type": "object", "propertyNames": {"not": {"enum": ["messages", "model", "stream"]}}},
    },
}


def check_openai(plan: ProviderPlan) -> None:
    """Azure's addresses are each customer's own."""
    if not plan.base_url and any(plan.options.get(name) for name in ("azure", "api_version", "deployment")):
        raise UsageError("Azure wants the address of the resource, got none", code="base-url")


def scripted() -> dict[str, Any]:
    """The options of the scripted provider: its scripts are those that are registered by now."""
    size = {"type": "integer", "minimum": 1}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "answers": {"type": ["string", "array", "object"]},
            "script": {"enum": script_names()},
            "rate": {"type": ["number", "null"], "minimum": 0, "maximum": 100_000},
            "chunk": {"type": "array", "items": size, "minItems": 2, "maxItems": 2},
            "seed": {"type": "integer"},
            "usage": {"type": "boolean"},
        },
    }


def check_scripted(plan: ProviderPlan) -> None:
    """Sizes of pieces come as the smallest and the largest."""
    low, high = plan.options.get("chunk", (1, 1))
    if low > high:
        raise UsageError("the option 'chunk': expected the smaller size first", code="option")
