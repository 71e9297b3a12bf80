"""Vectors of a server that speaks the OpenAI protocol: ``POST …/embeddings``.

Key, address and connections are those of lingstream's providers: the key by its name, where the settings let
it go, and to hosts that the guard of addresses lets pass.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from lingstream.core.ending import end_tasks
from lingstream.core.exceptions import ConfigurationError, ProviderError, UsageError
from lingstream.core.phrases import Phrase

from .port import EmbeddingPlan, Purpose, batches

__all__ = ["OpenAIEmbedding", "build"]

#: Seconds for one request with all its retries, whatever comes meanwhile.
SECONDS = 300.0
#: After a connection that was lost in mid-answer, which the SDK does not try again.
TRIES = 2


class Caller(Protocol):
    """What is needed of a provider; :class:`lingstream.providers.openai.provider.OpenAIProvider` is one."""

    async def call(self, path: str, body: Mapping[str, Any]) -> bytes: ...

    async def aclose(self) -> None: ...


class OpenAIEmbedding:
    """Asks one model of one server.

    :param caller: it is closed with this.
    :raises ConfigurationError: ``package-missing``.
    """

    def __init__(self, caller: Caller, plan: EmbeddingPlan) -> None:
        _numpy()
        self.dimensions = plan.dimensions or 0
        self._caller = caller
        self._plan = plan
        self._turns = asyncio.Semaphore(plan.max_concurrency)

    async def embed(self, texts: Sequence[str], kind: Purpose) -> list[bytes]:
        """See :meth:`.port.Embedding.embed`. If one batch fails, all do.

        :raises ProviderError: as a provider's, and ``provider-bad-response`` for vectors that are none, too
            few or of other dimensions.
        """
        prepared = self._plan.prepared(texts, kind)
        tasks = [
            asyncio.create_task(self._batch(batch), name="embeddings")
            for batch in batches(prepared, self._plan.batch_texts)
        ]
        try:
            return [vector for found in await asyncio.gather(*tasks) for vector in found]
        finally:
            await end_tasks(*tasks)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._caller.aclose()

    async def _batch(self, texts: Sequence[str]) -> list[bytes]:
        # Servers refuse an empty text.
        body: dict[str, Any] = {"input": [text or " " for text in texts], "encoding_format": "base64"}
        body["model"] = self._plan.model or (self._plan.provider.model if self._plan.provider else "")
        if self._plan.dimensions:
            body["dimensions"] = self._plan.dimensions
        try:
            async with self._turns, asyncio.timeout(SECONDS):
                answer = await self._call(body)
        except TimeoutError:
            message = Phrase("expected embeddings within %(seconds)s s", seconds=f"{SECONDS:g}")
            raise ProviderError(message, code="provider-timeout", retryable=True) from None
        vectors = await asyncio.to_thread(_vectors, answer, len(texts), self.dimensions)
        self._check_dimensions(vectors)
        return vectors

    async def _call(self, body: Mapping[str, Any], tries: int = TRIES) -> bytes:
        try:
            return await self._caller.call("/embeddings", body)
        except ProviderError as error:
            if tries == 1 or error.code != "provider-disconnected":
                raise
        return await self._call(body, tries - 1)

    def _check_dimensions(self, vectors: Sequence[bytes]) -> None:
        """What the first answer had, all have: batches that came at the same time, too."""
        got = len(vectors[0]) // 4
        if self.dimensions and got != self.dimensions:
            raise _bad(_sizes(self.dimensions, got))
        self.dimensions = got


def build(plan: EmbeddingPlan) -> OpenAIEmbedding:
    """Make the embedding of a plan; only within a site, whose settings say where keys may go.

    :raises UsageError: the provider is of a kind without ``call``; and as
        :func:`lingstream.providers.policy.provider_key`.
    """
    from lingstream.conf import app_settings
    from lingstream.providers import build_provider
    from lingstream.providers.policy import provider_key

    if plan.provider is None:
        raise UsageError(Phrase("expected a provider for embeddings, got none"))
    kinds = app_settings().provider_kinds
    provider: Any = build_provider(plan.provider, provider_key(plan.provider), kinds)
    if not callable(getattr(provider, "call", None)):
        kind = plan.provider.kind
        message = Phrase("expected a provider that has embeddings, got one of the kind %(kind)r", kind=kind)
        raise UsageError(message)
    return OpenAIEmbedding(provider, plan)


def _vectors(answer: bytes, count: int, dimensions: int) -> list[bytes]:
    """Return the vectors of an answer in the order of the texts.

    :raises ProviderError: ``provider-bad-response``.
    """
    np = _numpy()
    try:
        items = orjson.loads(answer)["data"]
        by_index = {item.get("index", place): item["embedding"] for place, item in enumerate(items)}
        rows = [_row(np, by_index[index]) for index in range(count)]
        matrix = np.stack(rows) if len(items) == count else None
    except (ValueError, LookupError, TypeError, AttributeError):
        matrix = None
    if matrix is None or matrix.ndim != 2 or not matrix.shape[1]:
        message = Phrase("%(count)s vectors of one size, got something else", count=count)
        raise _bad(message, retryable=True)
    if dimensions and matrix.shape[1] != dimensions:
        raise _bad(_sizes(dimensions, matrix.shape[1]))
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise _bad(Phrase("numbers, got infinity or none"), retryable=True)
    unit = matrix / np.where(lengths == 0, 1, lengths)
    return [row.tobytes() for row in unit.astype("<f4")]


def _row(np: Any, written: Any) -> Any:
    if isinstance(written, str):
        return np.frombuffer(base64.b64decode(written, validate=True), dtype="<f4").astype(np.float64)
    return np.asarray(written, dtype=np.float64)


def _sizes(expected: int, got: int) -> Phrase:
    return Phrase("vectors of %(size)s dimensions, got %(got)s", size=expected, got=got)


def _bad(expected: Phrase, *, retryable: bool = False) -> ProviderError:
    # What is no answer at all, as a proxy gives one now and then, may be one later; a model stays what it is.
    message = Phrase("the model server: expected %(expected)s", expected=expected)
    return ProviderError(message, code="provider-bad-response", retryable=retryable)


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        message = Phrase("vectors need numpy: pip install 'lingstream[knowledge]'")
        raise ConfigurationError(message, code="package-missing") from error
    return numpy
