"""What a model server's failure is called, whether a retry may help, and what may be said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson

from lingstream.core.exceptions import ProviderError
from lingstream.core.phrases import Phrase

__all__ = ["bad_response", "broken_off", "describe", "failure_in", "from_status", "letters", "scrub"]

LONGEST_MESSAGE = 500
DEEPEST_MESSAGE = 4
BY_STATUS = {
    400: "provider-bad-request",
    401: "provider-auth",
    402: "provider-quota",
    403: "provider-permission",
    404: "provider-not-found",
    408: "provider-timeout",
    413: "provider-bad-request",
    422: "provider-bad-request",
    429: "provider-rate-limit",
}
RETRYABLE = {"provider-timeout", "provider-rate-limit", "provider-unavailable", "provider-disconnected"}
# An empty account is reported with 400, 403 and 429, too; no retry helps against it.
EMPTY_ACCOUNT = (
    *("insufficientquota", "insufficientuserquota", "exceededcurrentquota", "insufficientbalance"),
    *("creditbalanceistoolow", "arrearage", "accountoverdue", "billinghardlimit", "billingnotactive"),
    *("余额不足", "欠费"),
)
# What servers call it where there is no status, in the middle of a stream: letters alone, in lower case.
BY_WORD = {
    **dict.fromkeys(EMPTY_ACCOUNT, "provider-quota"),
    **dict.fromkeys(("ratelimit", "toomanyrequests", "throttl", "resourceexhausted"), "provider-rate-limit"),
    **dict.fromkeys(("timeout", "timedout", "deadlineexceeded"), "provider-timeout"),
    **dict.fromkeys(
        ("overload", "servererror", "internalerror", "unavailable", "networkerror", "systemresource"),
        "provider-unavailable",
    ),
    **dict.fromkeys(("apikey", "unauthorized", "authenticat"), "provider-auth"),
    **dict.fromkeys(("permission", "forbidden", "accessdenied"), "provider-permission"),
    **dict.fromkeys(("notfound", "doesnotexist"), "provider-not-found"),
    **dict.fromkeys(
        ("badrequest", "contextlength", "contextwindow", "contentfilter", "policy", "invalid", "validation"),
        "provider-bad-request",
    ),
}
# Fields are known by their letters: Code, error_code and errorCode are what they seem to be.
SENTENCES = (
    "message",
    "msg",
    "detail",
    "errormsg",
    "errmsg",
    "errormessage",
    "errordescription",
    "statusmsg",
)
WRAPPERS = ("error", "detail", "errormsg", "baseresp", "response", "responsemetadata", "message")
MORE_SENTENCES = (*SENTENCES, *WRAPPERS, "errors", "description", "title", "reason")
CLASSES = ("code", "type", "status", "errorcode", "errcode", "error")
STATUSES = ("statuscode", "status", "httpstatus", "httpcode", "code", "errorcode")
MOST_FIELDS = 100
LONGEST_OBJECT = 20_000
SUCCESS = ("", "0", "200", "ok", "success", "none", "null")
SECRETS = re.compile(
    r"(?i:bearer)\s+\S+"  # Authorization, as it was sent
    r"|\b(?:sk|pk|rk|gsk|xai|csk|key)[-_][\w*.\-]{6,}"  # the prefixes that vendors give their keys
    r"|\S*\*{3,}\S*"  # a key with its middle masked: what is left of it is still too much
)


def from_status(status: int, body: object) -> ProviderError:
    """Return the error for an HTTP status and its body, as JSON or as text."""
    code = BY_STATUS.get(status, "provider-unavailable" if status >= 500 else "provider-error")
    body = _innermost(body)
    said = describe(body)
    if status < 500 and _class_of(f"{_classes(body)} {said}") == "provider-quota":
        code = "provider-quota"
    message = Phrase(
        "the model server answered %(status)s: %(said)s",
        status=status,
        said=said or Phrase("no reason given"),
    )
    return ProviderError(message, code=code, retryable=code in RETRYABLE, status=status)


def broken_off(error: object, reason: str = "") -> ProviderError:
    """Return the error for what a server says in the middle of a stream: an object, a list or a text.

    One that cannot be told apart counts as retryable: the server had accepted the request.

    :param reason: a finish reason that classifies it.
    """
    error = _innermost(error)
    if isinstance(error, Mapping) and (status := _status(error)) is not None:
        return from_status(status, error)
    said = describe(error)
    # A sentence says "invalid" of many things: it classifies only what nothing else does.
    code = _class_of(f"{reason} {_classes(error)}") or _class_of(said) or "provider-error"
    ended = (
        Phrase("it ended with %(reason)s", reason=f"{reason!r:.60}") if reason else Phrase("no reason given")
    )
    words = said or describe(_classes(error))[:60] or ended
    message = Phrase("the model server broke off: %(said)s", said=words)
    return ProviderError(message, code=code, retryable=code in RETRYABLE or code == "provider-error")


def failure_in(event: Mapping[str, Any], *, has_choices: bool) -> ProviderError | None:
    """Return the error that an event tells of, in whichever of the many ways; ``None`` if it tells of none.

    :param has_choices: it is a piece of an answer, in which vague signs, such as ``message``, are none.
    """
    found = event.get("error")
    if any(found.values()) if isinstance(found, Mapping) else found:
        return broken_off(found if isinstance(found, list) else event)
    base = event.get("base_resp")
    if isinstance(base, Mapping) and _is_failure(base.get("status_code")):
        return broken_off(base)
    if not has_choices:
        return broken_off(event) if _looks_failed(_fields(event)) else None
    has_code = any(_is_failure(event.get(name)) for name in ("code", "error_code"))
    return broken_off(event) if has_code and _is_failure(describe(event)) else None


def bad_response(got: str) -> ProviderError:
    """Return the error for an answer that is none."""
    message = Phrase("expected the answer of a model, got %(got)s", got=got)
    return ProviderError(message, code="provider-bad-response")


def describe(body: object, depth: int = 0) -> str:
    """Return the sentence that a person can use out of an error's body, or ``""``."""
    if depth > DEEPEST_MESSAGE:
        return ""
    if isinstance(body, list):
        found = "; ".join(filter(None, (describe(each, depth + 1) for each in body[:10])))
    elif isinstance(body, Mapping):
        found = _sentence(body, depth + 1)
    else:
        found = " ".join(body[: 4 * LONGEST_MESSAGE].split()) if isinstance(body, str) else ""
        if found.startswith("<"):
            return Phrase("a web page, not an answer of a model server")
    # Half a character can be neither stored nor sent.
    found = found.encode("utf-8", "replace").decode()
    return found if len(found) <= LONGEST_MESSAGE else found[:LONGEST_MESSAGE] + "…"


def letters(words: str) -> str:
    """Return the letters alone, in lower case: ``RateLimit`` and ``rate-limit`` are one word."""
    return "".join(filter(str.isalpha, words.lower()))


def scrub(text: str, key: str) -> str:
    """Return ``text`` without the API key, whole, begun or masked, and without what looks like one."""
    if key:
        text = text.replace(key, "[key]")
    if len(key) >= 12:
        text = re.sub(re.escape(key[:6]) + r"\S*", "[key]", text)
    return SECRETS.sub("[key]", text)


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {letters(name): value for name, value in islice(body.items(), MOST_FIELDS)}


def _innermost(error: object) -> object:
    """The object that the sentence is in: ``{"error": {"message": …}}``, ``{"Response": {"Error": …}}``.

    It may be a text of JSON, which a gateway was told by the server behind it. What the error is called and
    its status are those of the innermost object that says them; where it has no sentence, the one around it
    is returned.
    """
    error = _read(error)
    for _ in range(DEEPEST_MESSAGE):
        if not isinstance(error, Mapping):
            break
        error = fields = _fields(error)
        found = ((name, _read(fields.get(name))) for name in WRAPPERS)
        inners = ((name, _fields(inner)) for name, inner in found if isinstance(inner, Mapping))
        wrapper, inner = next(inners, ("", {}))
        if not wrapper:
            break
        known = inner if _is_known(inner) else fields
        is_within = bool(describe(inner)) or not describe(fields)
        said = inner if is_within else fields
        error = said | {
            name: value
            for name in (*CLASSES, *STATUSES)
            if isinstance(value := known.get(name), str | int) and value
            if name != wrapper and not isinstance(said.get(name), Mapping)
        }
        if not is_within:
            break
    return error


def _is_known(fields: Mapping[str, Any]) -> bool:
    """Whether a status or a name tells which error it is."""
    return _status(fields) is not None or _class_of(_classes(fields)) is not None


def _read(error: object) -> object:
    """The object that a text holds, or what it is."""
    if not (isinstance(error, str) and error.lstrip().startswith("{") and len(error) < LONGEST_OBJECT):
        return error
    try:
        return orjson.loads(error)
    except orjson.JSONDecodeError:
        return error


def _looks_failed(fields: Mapping[str, Any]) -> bool:
    """Whether what is no piece of an answer tells of a failure, by what it is called or says."""
    codes = [code for name in ("code", "errorcode", "errcode") if (code := fields.get(name)) is not None]
    if codes:
        return any(map(_is_failure, codes))
    if fields.get("success") is False or fields.get("errors") or _status(fields) is not None:
        return True
    inner = _innermost(fields)
    if inner != fields and isinstance(inner, Mapping) and any(inner.get(name) for name in SENTENCES):
        return True
    kinds = [
        kind for name in ("type", "object", "status", "event") if isinstance(kind := fields.get(name), str)
    ]
    says = any(fields.get(name) for name in SENTENCES)
    if any("error" in kind.lower() or "fail" in kind.lower() or (says and _class_of(kind)) for kind in kinds):
        return True
    return says and not kinds


def _sentence(body: Mapping[str, Any], depth: int) -> str:
    body = _fields(body)
    said = next((said for name in MORE_SENTENCES if (said := describe(body.get(name), depth))), "")
    place = body.get("loc")  # FastAPI: where in the request
    if said and isinstance(place, list):
        return f"{'.'.join(str(each) for each in place[:20] if isinstance(each, str | int))}: {said}"
    metadata = body.get("metadata")  # OpenRouter: what the server behind it said
    raw = describe(metadata.get("raw"), depth) if isinstance(metadata, Mapping) else ""
    return f"{said} ({raw})" if raw and raw != said else said


def _classes(error: object) -> str:
    """What the server calls the error, without its sentence; of its fields."""
    if not isinstance(error, Mapping):
        return ""
    if isinstance(error.get("detail"), list):
        return "invalid"  # FastAPI's list of what was wrong with the request
    return " ".join(each for name in CLASSES if isinstance(each := error.get(name), str))


def _class_of(words: str) -> str | None:
    said = letters(words)
    return next((code for word, code in BY_WORD.items() if word in said), None)


def _is_failure(code: object) -> bool:
    if isinstance(code, bool) or not isinstance(code, int | str):
        return False
    return str(code).strip().lower() not in SUCCESS


def _status(error: Mapping[str, Any]) -> int | None:
    for name in STATUSES:
        value = error.get(name)
        if isinstance(value, int | str) and len(str(value)) == 3 and str(value).isdecimal():
            status = int(value)
            if 400 <= status <= 599:
                return status
    return None
