"""What a model server's failure is called, whether a retry may help, and what may be said about it."""

from __future__ import annotations

import re
from typing import Any

from lingstream.core.exceptions import ProviderError

__all__ = ["describe", "from_event", "from_status", "scrub"]

LONGEST_MESSAGE = 500
BY_STATUS = {
    400: "provider-bad-request",
    401: "provider-auth",
    403: "provider-permission",
    404: "provider-not-found",
    408: "provider-timeout",
    413: "provider-bad-request",
    422: "provider-bad-request",
    429: "provider-rate-limit",
}
RETRYABLE = {"provider-timeout", "provider-rate-limit", "provider-unavailable", "provider-disconnected"}
# What servers call it in the middle of a stream, where there is no status.
BY_WORD = {
    "insufficient_quota": "provider-quota",
    "rate_limit": "provider-rate-limit",
    "overloaded": "provider-unavailable",
    "server_error": "provider-unavailable",
    "timeout": "provider-timeout",
    "invalid_api_key": "provider-auth",
    "invalid_request": "provider-bad-request",
    "context_length": "provider-bad-request",
    "content_filter": "provider-bad-request",
}
SECRETS = re.compile(
    r"(?i:bearer)\s+\S+"  # Authorization, as it was sent
    r"|\b(?:sk|pk|rk|gsk|xai|csk|key)[-_][\w*.\-]{6,}"  # the prefixes that vendors give their keys
    r"|\S*\*{3,}\S*"  # a key with its middle masked: what is left of it is still too much
)


def from_status(status: int, body: object) -> ProviderError:
    """Return the error for an HTTP status and its body, as JSON or as text."""
    code = BY_STATUS.get(status, "provider-unavailable" if status >= 500 else "provider-error")
    if code == "provider-rate-limit" and "insufficient_quota" in str(body):
        code = "provider-quota"  # no retry helps against an empty account
    message = f"the model server answered {status}: {describe(body) or 'no reason given'}"
    return ProviderError(message, code=code, retryable=code in RETRYABLE, status=status)


def from_event(error: object) -> ProviderError:
    """Return the error for an error object in the middle of a stream.

    One that cannot be told apart counts as retryable: the server had accepted the request.
    """
    status = _status(error)
    if status is not None:
        return from_status(status, error)
    words = " ".join(str(error.get(name)) for name in ("code", "type")) if isinstance(error, dict) else ""
    code = next((code for word, code in BY_WORD.items() if word in words), "provider-error")
    message = f"the model server broke off: {describe(error) or 'no reason given'}"
    return ProviderError(message, code=code, retryable=code in RETRYABLE or code == "provider-error")


def describe(body: object) -> str:
    """Return the sentence that a person can use out of an error's body, or ``""``."""
    if isinstance(body, list):
        body = body[0] if body else ""
    if isinstance(body, dict):
        found = body.get("message") or body.get("detail") or body.get("error") or ""
        return describe(found)
    text = " ".join(body.split()) if isinstance(body, str) else ""
    if text.startswith("<"):
        return "a web page, not an answer of a model server"
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def scrub(text: str, key: str) -> str:
    """Return ``text`` without the API key, whole, begun or masked, and without what looks like one."""
    if key:
        text = text.replace(key, "[key]")
    if len(key) >= 12:
        text = re.sub(re.escape(key[:6]) + r"\S*", "[key]", text)
    return SECRETS.sub("[key]", text)


def _status(error: object) -> int | None:
    if not isinstance(error, dict):
        return None
    for name in ("status_code", "status", "code"):
        value: Any = error.get(name)
        if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) <= 599:
            return int(value)
    return None
