"""Every server that speaks the OpenAI chat completions protocol: the only importer of ``openai``.

The SDK makes the request (authentication, retries, error types); its stream of objects is not used, the
bytes are decoded in :mod:`.completions`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

import httpx2
import openai

from lingstream.access.client import http_client
from lingstream.access.network import AddressRefused
from lingstream.core.ending import end_tasks
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Message
from lingstream.providers.options import OPENAI_URL, OWN_HEADERS

from .completions import CompletionDecoder
from .failures import from_status, scrub

__all__ = ["DEFAULT_API_VERSION", "OpenAIProvider", "build"]

DEFAULT_API_VERSION = "2024-10-21"
CONNECT_SECONDS = 10.0
# After [DONE] only the end of the HTTP body is missing; with it, the connection can be used again.
DRAIN_SECONDS = 0.2
# Of a request that a server of another vendor may not know; without them the answer is as good.
DISPENSABLE = ("stream_options", "response_format")


class OpenAIProvider:
    """Streams chat completions from one server with one key.

    :param base_url: ``https://…/v1``; for Azure the resource's address.
    :param key: ``""`` for servers without keys (``none`` is sent: the SDK wants one).
    :param model: for calls that name none.
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
            raise UsageError(
                f"expected timeout > 0, max_retries >= 0 and max_connections >= 1, "
                f"got {timeout}, {max_retries} and {max_connections}"
            )
        if forbidden := OWN_HEADERS & {name.lower() for name in headers or {}}:
            raise UsageError(f"expected headers that do not authenticate, got {sorted(forbidden)}")
        key = key.strip()  # of the line break that files and pipes add
        if not (key.isascii() and key.isprintable()):
            raise UsageError("expected a key of printable ASCII characters")
        self._base_url = base_url or OPENAI_URL
        self._key = key
        self._model = model
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
        self._refused: set[tuple[str, str]] = set()
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
            response = await self._open(self._body(messages, options))
            packets = _packets(response)
            whole = False
            try:
                async with contextlib.aclosing(_chunks(packets)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                whole = True
            finally:
                closing = _close(response, packets, drain=whole)
                if whole:
                    # The answer is complete, and who waits for it need not wait for the connection.
                    task = asyncio.create_task(closing, name="end of a response")
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
                else:
                    await closing

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
        body = {
            "stream_options": {"include_usage": True},
            "response_format": options.response_format,
            **self._params,
            **options.params,
            "model": model,
            "messages": list(messages),
            "stream": True,
        }
        left_out = {name for name in DISPENSABLE if body[name] is None or (model, name) in self._refused}
        return {name: value for name, value in body.items() if name not in left_out}

    async def _open(self, body: dict[str, Any]) -> httpx2.Response:
        while True:
            try:
                return await self._post(body)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                reason = f"{error.param} {error.message}"
                refused = [name for name in DISPENSABLE if name in body and name in reason]
                if not refused:
                    raise
            for name in refused:
                self._refused.add((body["model"], name))
                del body[name]

    async def _post(self, body: dict[str, Any]) -> httpx2.Response:
        # client.post is the SDK's documented way to a raw response. Its typed method walks all messages
        # first, and imports a thousand types.
        answer: object = await self._client().post(
            "/chat/completions",
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
        message = scrub(error.message, self._key)
        return ProviderError(message, code=error.code, retryable=error.retryable, status=error.status)


def build(plan: ProviderPlan, key: str) -> OpenAIProvider:
    """Make the provider of a plan; its options are the keyword arguments of :class:`OpenAIProvider`.

    :raises UsageError: an option that does not exist or does not fit.
    """
    try:
        return OpenAIProvider(plan.base_url, key, **{"model": plan.model, **plan.options})
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"expected options of an OpenAI provider, got {sorted(plan.options)}: {error}"
        ) from None


def _packets(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    if response.headers.get("content-encoding", "identity") != "identity":
        return response.aiter_bytes()  # a server that compresses although it was asked not to
    # aiter_raw would cut and count what comes, for 5 µs a token.
    return cast("AsyncGenerator[bytes, None]", aiter(cast(httpx2.AsyncByteStream, response.stream)))


async def _chunks(packets: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
    decoder = CompletionDecoder()
    try:
        async for data in packets:
            for chunk in decoder.feed(data):
                yield chunk
            if decoder.error or decoder.done:
                break
        else:
            for chunk in decoder.close():
                yield chunk
    except httpx2.HTTPError:
        if not decoder.finished:
            raise
    if decoder.error:
        raise decoder.error


async def _close(response: httpx2.Response, packets: AsyncGenerator[bytes, None], *, drain: bool) -> None:
    """Give up the connection, for another request if it is drained."""
    try:
        if drain:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in packets:
                    pass
        await packets.aclose()
    except (TimeoutError, httpx2.HTTPError):
        pass
    finally:
        await response.aclose()


def _failure(error: Exception, seconds: float) -> ProviderError:
    if isinstance(error, openai.APIStatusError):
        return from_status(error.status_code, error.body)
    cause = error if isinstance(error, (httpx2.HTTPError, AddressRefused)) else error.__cause__
    if isinstance(cause, AddressRefused):
        return ProviderError(f"the model server cannot be reached: {cause.message}", code="provider-address")
    if isinstance(cause, httpx2.ConnectTimeout | httpx2.ConnectError):
        return _lost("provider-unavailable", f"the model server cannot be reached: {cause}")
    if isinstance(cause, httpx2.PoolTimeout):
        return _lost("provider-timeout", f"no connection became free for {seconds:g} s")
    if isinstance(cause, httpx2.TimeoutException):
        return _lost("provider-timeout", f"the model server sent nothing for {seconds:g} s")
    if isinstance(error, UnicodeEncodeError):
        return ProviderError("the messages hold half a character", code="provider-bad-request")
    if isinstance(cause, httpx2.HTTPError):
        return _lost("provider-disconnected", "the model server closed the connection in mid-answer")
    return ProviderError(f"the call failed: {error}", code="provider-error")


def _lost(code: str, message: str) -> ProviderError:
    return ProviderError(message, code=code, retryable=True)
