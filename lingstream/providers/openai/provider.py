"""Every server that speaks one of OpenAI's protocols: the only importer of ``openai``.

The SDK makes the request (authentication, retries, error types); its stream of objects is not used, the
bytes are decoded in :mod:`.completions` and :mod:`.responses`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx2
import openai

from lingstream.access.bodies import Body
from lingstream.access.client import http_client
from lingstream.access.network import AddressRefused
from lingstream.access.pace import pace
from lingstream.access.responses import retry_after
from lingstream.core.ending import end_tasks
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import ChatOptions, Chunk, Message
from lingstream.providers.options import OPENAI_URL, OWN_HEADERS

from .body import DRAIN_SECONDS, give_up, whole_body
from .eventstream import EventStream, Named
from .failures import describe, from_status, scrub
from .protocols import PROTOCOLS, Dispensable, Refused

__all__ = ["DEFAULT_API_VERSION", "OpenAIProvider", "build"]

DEFAULT_API_VERSION = "2024-10-21"
CONNECT_SECONDS = 10.0
# Of an error's body, in which an event's data has to begin.
LONGEST_PREFIX = 200


class OpenAIProvider:
    """Streams answers from one server with one key.

    :param base_url: ``https://…/v1``; for Azure the resource's address.
    :param key: ``""`` for servers without keys (``none`` is sent: the SDK wants one).
    :param model: for calls that name none.
    :param api: ``completions`` or ``responses``, the protocol that the server speaks.
    :param timeout: seconds without a byte, before the answer as well as within it.
    :param max_retries: of the SDK, before the first byte: connection errors, 408, 409, 429, 5xx.
    :param azure: Azure OpenAI; also on when ``api_version`` or ``deployment`` is given.
    :param deployment: of Azure; by default the model's name.
    :param headers: sent with each request (``HTTP-Referer`` for OpenRouter); none that authenticates.
    :param params: of the call, for all bots (``{"temperature": 0}``); a bot's own win.
    :param max_connections: to this server, from one event loop; further calls wait up to ``timeout``.

    Environment variables of the SDK are not read: what is sent where is what is given here. Connections are
    kept per event loop; redirects are not followed.
    """

    def __init__(
        self,
        base_url: str = "",
        key: str = "",
        *,
        model: str = "",
        api: str = "completions",
        timeout: float = 60.0,
        max_retries: int = 2,
        azure: bool = False,
        api_version: str = "",
        deployment: str = "",
        organization: str = "",
        project: str = "",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        max_connections: int = 1000,
    ) -> None:
        if timeout <= 0 or max_retries < 0 or max_connections < 1:
            message = Phrase(
                "expected timeout > 0, max_retries >= 0 and max_connections >= 1, got %(timeout)s, "
                "%(max_retries)s and %(max_connections)s",
                timeout=timeout,
                max_retries=max_retries,
                max_connections=max_connections,
            )
            raise UsageError(message)
        if api not in PROTOCOLS:
            message = Phrase(
                "expected an api among %(known)s, got %(got)s", known=", ".join(PROTOCOLS), got=f"{api!r:.80}"
            )
            raise UsageError(message)
        if forbidden := OWN_HEADERS & {name.lower() for name in headers or {}}:
            message = Phrase(
                "expected headers that do not authenticate, got %(got)s", got=str(sorted(forbidden))
            )
            raise UsageError(message)
        key = key.strip()  # of the line break that files and pipes add
        if not (key.isascii() and key.isprintable()):
            raise UsageError(Phrase("expected a key of printable ASCII characters"))
        self._base_url = base_url or OPENAI_URL
        self._key = key
        self._model = model
        self._protocol = PROTOCOLS[api]
        self._timeout = timeout
        self._max_retries = max_retries
        self._azure = azure or bool(api_version or deployment)
        self._api_version = api_version or DEFAULT_API_VERSION
        self._deployment = deployment
        self._organization = organization
        self._project = project
        self._headers = dict(headers or {})
        self._params = dict(params or {})
        self._max_connections = max_connections
        self._refused = Refused()
        self._closing: set[asyncio.Task[None]] = set()
        self._clients: dict[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = {}

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        """Yield the answer as it comes; text that came in one packet is one chunk.

        Closing the iterator, or cancelling its task, closes the connection: the model stops.

        :raises ProviderError: with the codes of ``docs/providers.md``; never with the key in the message.
        """
        if ending := self._responses():  # a connection will be free in a moment: sooner than a new one
            await asyncio.wait(ending, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        with self._failures():
            body = Body(await self._open(self._body(messages, options)), pace())
            whole = False
            try:
                decoder = self._protocol.decoder()
                lost: httpx2.HTTPError | None = None
                try:
                    while not (decoder.done or decoder.error) and (data := await body.read()):
                        for chunk in decoder.feed(data):
                            yield chunk
                except httpx2.HTTPError as error:
                    lost = error
                for chunk in decoder.close():  # also behind a break: it may withhold a piece of what has come
                    yield chunk
                if lost and not decoder.finished:
                    raise lost
                if decoder.error:
                    raise decoder.error
                whole = True
            finally:
                closing = give_up(body, drain=whole)
                if whole:
                    # The answer is complete, and who waits for it need not wait for the connection.
                    task = asyncio.create_task(closing, name="end of a response")
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
                else:
                    await closing

    async def call(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Make another call of the protocol, and return the body of its answer.

        :param path: below the base URL: ``/embeddings``.
        :raises ProviderError: as :meth:`stream`.
        """
        with self._failures():
            answer = Body(await self._post(dict(body), path))
            try:
                return await whole_body(answer)
            finally:
                await answer.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await end_tasks(*self._responses())
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _responses(self) -> list[asyncio.Task[None]]:
        """Complete answers of the running event loop whose connections are not free yet."""
        loop = asyncio.get_running_loop()
        return [task for task in self._closing if task.get_loop() is loop]

    def _body(self, messages: Sequence[Message], options: ChatOptions) -> dict[str, Any]:
        model = options.model or self._model
        if self._azure and self._protocol is PROTOCOLS["responses"]:
            model = self._deployment or model  # which has no place in the address there
        return self._protocol.body(messages, replace(options, model=model), self._params)

    async def _open(self, body: dict[str, Any]) -> httpx2.Response:
        model, parts = body["model"], self._protocol.dispensable
        for part in parts:
            if self._refused.knows(model, part, part.value(body)):
                body = part.without(body)
        left_out: list[tuple[Dispensable, Any]] = []
        while True:
            try:
                response = await self._post(body, self._protocol.path)
                break
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                reason = f"{error.param} {error.message} {describe(error.body)}"
                refused = [
                    (part, value) for part in parts if (value := part.refused(body, reason)) is not None
                ]
                if not refused:
                    raise
            left_out += refused
            for part, _ in refused:
                body = part.without(body)
        for part, value in left_out:  # only now is it known that this is what was wrong
            self._refused.add(model, part, value)
        return response

    async def _post(self, body: dict[str, Any], path: str) -> httpx2.Response:
        # client.post is the SDK's documented way to a raw response. Its typed method walks all messages
        # first, and imports a thousand types.
        answer: object = await self._client().post(
            path,
            body=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )
        return cast(httpx2.Response, answer)

    def _client(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            # A loop that was closed took its connections along; only the references are left.
            self._clients = {
                known: client for known, client in self._clients.items() if not known.is_closed()
            }
            self._clients[loop] = self._make_client()
        return self._clients[loop]

    def _make_client(self) -> openai.AsyncOpenAI:
        # Whatever is not given, the SDK takes from the environment; "" is given.
        arguments: dict[str, Any] = {
            "api_key": self._key or "none",
            "admin_api_key": "",
            "organization": self._organization,
            "project": self._project,
            "webhook_secret": "",
            "max_retries": self._max_retries,
            "timeout": httpx2.Timeout(self._timeout, connect=CONNECT_SECONDS),
            "http_client": http_client(self._max_connections),
        }
        if self._azure:
            client: openai.AsyncOpenAI = openai.AsyncAzureOpenAI(
                azure_endpoint=self._base_url,
                azure_deployment=self._deployment or None,
                api_version=self._api_version,
                **arguments,
            )
        else:
            client = openai.AsyncOpenAI(base_url=self._base_url, **arguments)
        client.organization = self._organization or None
        client.project = self._project or None
        # No argument turns OPENAI_CUSTOM_HEADERS off, and it may hold somebody's key.
        client._custom_headers = {"Accept-Encoding": "identity", **self._headers}
        return client

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        # `from None`: the SDK's errors repeat what the server said, at times with the key in it.
        try:
            yield
        except ProviderError as error:
            raise self._scrubbed(error) from None
        except (openai.OpenAIError, httpx2.HTTPError, AddressRefused, UnicodeEncodeError) as error:
            raise self._scrubbed(_failure(error, self._timeout)) from None

    def _scrubbed(self, error: ProviderError) -> ProviderError:
        message: str = scrub(error.message, self._key)
        if isinstance(error.message, Phrase):
            phrase = error.message.mapped(lambda text: scrub(text, self._key))
            message = phrase if phrase == message else message
        return ProviderError(
            message,
            code=error.code,
            retryable=error.retryable,
            status=error.status,
            retry_after=error.retry_after,
        )


def build(plan: ProviderPlan, key: str) -> OpenAIProvider:
    """Make the provider of a plan; its options are the keyword arguments of :class:`OpenAIProvider`.

    :raises UsageError: an option that does not exist or does not fit.
    """
    try:
        return OpenAIProvider(plan.base_url, key, **{"model": plan.model, **plan.options})
    except (TypeError, ValueError, AttributeError) as error:
        message = Phrase(
            "expected options of an OpenAI provider, got %(got)s: %(why)s",
            got=str(sorted(plan.options)),
            why=str(error),
        )
        raise UsageError(message) from None


def _failure(error: Exception, seconds: float) -> ProviderError:
    if isinstance(error, openai.APIStatusError):
        found = from_status(error.status_code, _said(error.body))
        found.retry_after = retry_after(error.response.headers.get("retry-after", ""))
        return found
    cause = error if isinstance(error, (httpx2.HTTPError, AddressRefused)) else error.__cause__
    if isinstance(cause, AddressRefused):
        message = Phrase("the model server cannot be reached: %(why)s", why=cause.message)
        return ProviderError(message, code="provider-address")
    if isinstance(cause, httpx2.ConnectTimeout | httpx2.ConnectError):
        return _lost(
            "provider-unavailable", Phrase("the model server cannot be reached: %(why)s", why=str(cause))
        )
    if isinstance(cause, httpx2.PoolTimeout):
        return _lost(
            "provider-timeout", Phrase("no connection became free for %(seconds)s s", seconds=f"{seconds:g}")
        )
    if isinstance(cause, httpx2.TimeoutException):
        return _lost(
            "provider-timeout",
            Phrase("the model server sent nothing for %(seconds)s s", seconds=f"{seconds:g}"),
        )
    if isinstance(error, UnicodeEncodeError):
        return ProviderError(Phrase("the messages hold half a character"), code="provider-bad-request")
    if isinstance(cause, httpx2.HTTPError):
        return _lost("provider-disconnected", Phrase("the model server closed the connection in mid-answer"))
    return ProviderError(Phrase("the call failed: %(why)s", why=str(error)), code="provider-error")


def _said(body: object) -> object:
    """The body of an error; some servers send it as an event, whatever the status."""
    if not isinstance(body, str) or "data:" not in body[:LONGEST_PREFIX]:
        return body
    stream = EventStream()
    events = [*stream.feed(body.encode("utf-8", "replace")), *stream.close()]
    found = next((event.data if isinstance(event, Named) else event for event in events), body)
    return found if isinstance(found, dict | list | str) else body


def _lost(code: str, message: str) -> ProviderError:
    return ProviderError(message, code=code, retryable=True)
