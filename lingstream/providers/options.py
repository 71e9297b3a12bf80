"""What the built-in kinds take as options, as JSON schemas: a row is checked by them when it is saved.

Apart from the factories, so that checking a row imports no vendor's SDK.
"""

from __future__ import annotations

from typing import Any

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .scripts import script_names

__all__ = [
    "CLIENT_HEADERS",
    "HEADER_NAMES",
    "OPENAI",
    "OPENAI_URL",
    "OWN_HEADERS",
    "PARAMS",
    "check_openai",
    "check_scripted",
    "scripted",
]

#: The first version of Azure OpenAI that knows responses.
AZURE_RESPONSES = "2025-03-01-preview"
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

#: JSON schema of the parameters of a call that every server reads alike; servers have more of their own.
PARAMS: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"not": {"enum": ["messages", "input", "model", "stream"]}},
    "properties": {
        "temperature": {"type": ["number", "null"], "minimum": 0},
        "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "max_tokens": {"type": ["integer", "null"], "minimum": 1},
        "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1},
        "presence_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2},
        "frequency_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2},
        "seed": {"type": ["integer", "null"]},
        "stop": {"type": ["string", "array", "null"], "items": {"type": "string"}},
    },
}

OPENAI: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string", "maxLength": 200},
        "api": {"enum": ["completions", "responses"]},
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
        "params": PARAMS,
    },
}


def check_openai(plan: ProviderPlan) -> None:
    """Azure's addresses are each customer's own, and its older versions know no responses."""
    options = plan.options
    azure = any(options.get(name) for name in ("azure", "api_version", "deployment"))
    if azure and not plan.base_url:
        raise UsageError(Phrase("Azure wants the address of the resource, got none"), code="base-url")
    if azure and options.get("api") == "responses" and options.get("api_version", "") < AZURE_RESPONSES:
        message = Phrase(
            "Azure knows responses from the api_version %(least)s on, got %(got)s",
            least=AZURE_RESPONSES,
            got=options.get("api_version") or "none",
        )
        raise UsageError(message, code="option")


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
        raise UsageError(Phrase("the option 'chunk': expected the smaller size first"), code="option")
