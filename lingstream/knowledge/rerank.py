"""Rerankers: what reads a question beside each passage, and says how well they fit.

A site names one in an app's ``knowledge.py``; searches ask for it by that name::

    jina = RerankServer("https://api.jina.ai/v1/rerank", "jina-reranker-v2-base", key="JINA_API_KEY")
    register_reranker("jina", jina)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import orjson

from lingstream.core.exceptions import LingError, RequestFailure, UsageError
from lingstream.core.phrases import Phrase

if TYPE_CHECKING:
    import httpx2

__all__ = ["RerankFailure", "RerankServer", "Reranker", "register_reranker", "reranked", "rerankers"]

#: Given a question and passages it returns how well each fits: more is better.
Reranker: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]

_PATIENCE = 10.0  # seconds; a search that waits for longer is worth less than one without
_MOST_BYTES = 1_048_576  # of an answer
_LONGEST_REASON = 300  # characters

_rerankers: dict[str, Reranker] = {}


class RerankFailure(LingError):
    """A reranker does not answer, or not with a number for each text."""

    code = "reranker"


def register_reranker(name: str, reranker: Reranker) -> None:
    """Make a reranker known, under the name that searches have."""
    _rerankers[name] = reranker


def rerankers() -> Mapping[str, Reranker]:
    """Return the rerankers that this process knows, by name."""
    return MappingProxyType(_rerankers)


async def reranked(name: str, question: str, texts: Sequence[str]) -> list[float]:
    """Return how well each text fits a question.

    :raises UsageError: ``unknown-reranker``.
    :raises RerankFailure: who was asked does not answer.
    """
    if name not in _rerankers:
        message = Phrase(
            "expected a reranker among %(known)s, got %(got)s",
            known=", ".join(sorted(_rerankers)) or Phrase("none"),
            got=f"{name!r:.80}",
        )
        raise UsageError(message, code="unknown-reranker")
    deadline = asyncio.timeout(_PATIENCE)
    try:
        async with deadline:
            scores = [float(each) for each in await _rerankers[name](question, texts)]
        if len(scores) != len(texts) or not all(map(math.isfinite, scores)):
            number, got = len(texts), f"{scores!r:.80}"
            raise UsageError(Phrase("expected %(number)s numbers, got %(got)s", number=number, got=got))
    except Exception as error:
        if deadline.expired():
            late = Phrase(
                "the reranker %(name)s does not answer within %(most)s s",
                name=repr(name),
                most=f"{_PATIENCE:g}",
            )
            raise RerankFailure(late) from None
        why = error.message if isinstance(error, LingError) else f"{type(error).__name__} {error}"
        told = Phrase(
            "the reranker %(name)s does not answer: %(problem)s",
            name=repr(name),
            problem=why[:_LONGEST_REASON] if len(why) > _LONGEST_REASON else why,
        )
        raise RerankFailure(told) from error
    return scores


@dataclass(frozen=True, slots=True)
class RerankServer:
    """A server of the ``/rerank`` that Jina, Cohere, vLLM and others have in common.

    :param url: of the whole endpoint; the guard of addresses is asked.
    :param key: the name of a key in ``LINGSTREAM["PROVIDER_KEYS"]``, which says where it may be sent.
    """

    url: str
    model: str
    key: str = ""

    async def __call__(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text fits.

        :raises RequestFailure: the server refuses, or answers something else.
        :raises UsageError: the key may not be sent there.
        """
        from lingstream.access.client import shared_client  # with the certificates it takes 0.3 s
        from lingstream.providers.policy import request_key

        body = {"model": self.model, "query": question, "documents": list(texts), "return_documents": False}
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if self.key:
            headers["authorization"] = f"Bearer {request_key(self.key, self.url)}"
        async with await asyncio.to_thread(shared_client, 1) as client:
            sending = client.stream("POST", self.url, content=orjson.dumps(body), headers=headers)
            async with sending as response:
                return _scores(await _read(response), len(texts))


async def _read(response: httpx2.Response) -> bytes:
    host = response.request.url.host
    if not response.is_success:
        message = Phrase("%(host)s answered %(status)s", host=host, status=response.status_code)
        raise RequestFailure(message, status=response.status_code)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _MOST_BYTES:
            message = Phrase("%(host)s answered with more than %(most)s bytes", host=host, most=_MOST_BYTES)
            raise RequestFailure(message)
    return bytes(body)


def _scores(body: bytes, number: int) -> list[float]:
    """What an answer says of each text; one that it leaves out fits worse than all others."""
    try:
        answer = orjson.loads(body)
        results = answer.get("results", answer.get("data"))
        found = {each["index"]: float(each.get("relevance_score", each.get("score"))) for each in results}
    except (ValueError, LookupError, TypeError, AttributeError):
        found = {}
    if not found or not found.keys() <= set(range(number)):
        expected = f'{{"results": [{{"index": up to {number - 1}, "relevance_score"}}]}}'
        message = Phrase("expected %(expected)s, got %(got)s", expected=expected, got=f"{body[:80]!r}")
        raise RequestFailure(message)
    worst = min(found.values()) - 1
    return [found.get(index, worst) for index in range(number)]
