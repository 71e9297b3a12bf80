"""One request of an ``http`` step: made of its options, sent, and sent on where it is redirected.

Every address that it goes to is judged alike: its form here, its host and port by the guard when a connection
is opened (:mod:`lingstream.access.network`). Messages name host and status, and nothing that was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from lingstream.access.network import climbs
from lingstream.access.responses import may_pass, retry_after
from lingstream.core.engine.kinds import StepCall
from lingstream.core.exceptions import ConfigurationError, RequestFailure, UsageError
from lingstream.core.phrases import Phrase
from lingstream.providers.policy import carries, request_key

__all__ = ["MOST_REDIRECTS", "answer"]

MOST_REDIRECTS = 5
_SILENCE = 30.0  # seconds without a byte, where the step has no time-out that bounds the whole
_CONNECT = 10.0  # seconds
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE"))
_ACCEPT = {"json": "application/json", "langserve": "text/event-stream"}
#: What another host is told after a redirect of what was meant for the first.
_FOR_ANYBODY = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "host"),
        *("idempotency-key", "transfer-encoding", "user-agent"),
    )
)
_HOST = re.compile(r"[a-z0-9._:-]+")
_VALUE = re.compile(r"[\t -~]{0,10000}")


class _Key(NamedTuple):
    """The name of the key that a request carries, and the header in which it does."""

    name: str
    header: str


@asynccontextmanager
async def answer(call: StepCall) -> AsyncIterator[httpx2.Response]:
    """Send the request of a step, and give the response with its body still to be read.

    :raises UsageError: what the options came to is no request, or its key may not go there.
    :raises RequestFailure: it is not answered, or not with a status of 2xx; from the block, too.
    """
    client: httpx2.AsyncClient = call.services.http()
    request, key = _request(client, call)
    again = request.method in _REPEATABLE or "idempotency-key" in request.headers
    try:
        response = await _sent(client, request, key)
        try:
            if not response.is_success:
                raise _refusal(response)
            yield response
        finally:
            await response.aclose()
    except httpx2.HTTPError as error:
        # `from None`: what an exception of httpx refers to holds the request, with the key in it.
        raise RequestFailure(_loss(error), retryable=again) from None
    except RequestFailure as error:
        error.retryable = error.retryable and again
        raise


# -- what is sent -----------------------------------------------------------------------------------------


def _request(client: httpx2.AsyncClient, call: StepCall) -> tuple[httpx2.Request, _Key | None]:
    options = call.options
    method = options.get("method", "GET")
    url = _url(options)
    headers = httpx2.Headers({"accept": _ACCEPT.get(options.get("response", "json"), "*/*")})
    headers["user-agent"] = "lingstream"
    headers.update(_headers(options.get("headers", {})))
    content = None
    if "body" in options:
        content, headers["content-type"] = _content(options["body"])
    if method not in _REPEATABLE and options.get("idempotency_key", True):
        headers.setdefault("idempotency-key", call.idempotency_key)
    # All else could not be bounded while it is unpacked; and a stream shall not wait for its compressor.
    whole = options.get("response", "json") in ("json", "text")
    headers["accept-encoding"] = "gzip" if whole else "identity"
    key = None
    if name := options.get("key"):
        key = _Key(name, options.get("key_header", "Authorization"))
        headers[key.header] = options.get("key_prefix", "Bearer ") + _secret(name, url)
    timeout = httpx2.Timeout(None if call.plan.timeout else _SILENCE, connect=_CONNECT)
    return client.build_request(method, url, headers=headers, content=content, timeout=timeout), key


def _url(options: Mapping[str, Any]) -> httpx2.URL:
    try:
        url = httpx2.URL(options["url"])
        if query := _pairs(options.get("query", {})):
            url = url.copy_with(params=[*url.params.multi_items(), *query])
    except httpx2.InvalidURL as error:
        message = Phrase("expected an address, got none: %(why)s", why=str(error))
        raise UsageError(message, code="option") from None
    if not _is_good(url):
        message = Phrase(
            "expected an address with a host, no user and no dots in its path, got one of %(host)s",
            host=f"{url.host!r:.80}",
        )
        raise UsageError(message, code="option")
    return url


def _is_good(url: httpx2.URL) -> bool:
    """Whether it is an address in the one way in which everybody reads it."""
    path = url.raw_path.decode("ascii").partition("?")[0]
    known = url.scheme in ("http", "https") and _HOST.fullmatch(url.host) and not url.userinfo
    return bool(known) and (url.port or 0) <= 65_535 and not climbs(path)


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    lists = {name: value if isinstance(value, list) else [value] for name, value in query.items()}
    pairs = [(name, value) for name, values in lists.items() for value in values if value is not None]
    return [(name, _word(Phrase("the parameter %(name)r", name=name), value)) for name, value in pairs]


def _headers(given: Mapping[str, Any]) -> dict[str, str]:
    words = {
        name: _word(Phrase("the header %(name)r", name=name), value)
        for name, value in given.items()
        if value is not None
    }
    for name, word in words.items():
        if not _VALUE.fullmatch(word):
            message = Phrase(
                "expected %(name)r of printable ASCII in one line, got something else", name=name
            )
            raise UsageError(message, code="option")
    return words


def _word(what: Phrase, value: Any) -> str:
    if isinstance(value, (dict, list)):
        message = Phrase("expected text, a number or a boolean for %(what)s, got a container", what=what)
        raise UsageError(message, code="option")
    return value if isinstance(value, str) else json.dumps(value)


def _content(body: Any) -> tuple[bytes, str]:
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), "application/json"


def _secret(name: str, url: httpx2.URL) -> str:
    key = request_key(name, str(url)).strip()  # of the line break that files and pipes add
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(Phrase("expected %(name)s to be printable ASCII, and it is not", name=name))
    return key


# -- where it goes ----------------------------------------------------------------------------------------


async def _sent(client: httpx2.AsyncClient, request: httpx2.Request, key: _Key | None) -> httpx2.Response:
    first = request.url.host
    for _ in range(MOST_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        if not response.has_redirect_location:
            return response
        await response.aclose()
        onward = response.next_request
        if onward is None or not _is_good(onward.url):
            raise RequestFailure(Phrase("%(host)s redirects to what is no address", host=request.url.host))
        _strip(onward, first, key)
        request = onward
    message = Phrase("%(host)s redirects more than %(most)s times", host=first, most=MOST_REDIRECTS)
    raise RequestFailure(message)


def _strip(onward: httpx2.Request, first: str, key: _Key | None) -> None:
    """Take off what was meant for the first host only; and the key, wherever it may not go."""
    if onward.url.host != first:
        for name in set(onward.headers) - _FOR_ANYBODY:
            del onward.headers[name]
    if key and (onward.url.host != first or not carries(key.name, str(onward.url))):
        onward.headers.pop(key.header, None)


# -- what becomes of it -----------------------------------------------------------------------------------


def _refusal(response: httpx2.Response) -> RequestFailure:
    status = response.status_code
    return RequestFailure(
        Phrase("%(host)s answered %(status)s", host=response.request.url.host, status=status),
        retryable=may_pass(status),
        status=status,
        retry_after=retry_after(response.headers.get("retry-after", "")),
    )


def _loss(error: httpx2.HTTPError) -> Phrase:
    host = error.request.url.host
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return Phrase("%(host)s cannot be reached: %(why)s", host=host, why=str(error))
    if isinstance(error, httpx2.PoolTimeout):
        return Phrase("no connection became free for %(host)s", host=host)
    if isinstance(error, httpx2.TimeoutException):
        return Phrase("%(host)s sent nothing for %(seconds)s s", host=host, seconds=f"{_SILENCE:g}")
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return Phrase("%(host)s closed the connection before its answer was complete", host=host)
    return Phrase("the request to %(host)s failed: %(why)s", host=host, why=type(error).__name__)
