"""The port of embeddings: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from lingstream.core.engine.plan import ProviderPlan

__all__ = ["LONGEST_TEXT", "Embedding", "EmbeddingPlan", "Purpose", "batches"]

Purpose: TypeAlias = Literal["passage", "query"]

MOST_TEXTS = 256
#: Bytes of a request's texts.
MOST_BYTES = 1_000_000
#: Characters of a text that are looked at: no model reads more, and no passage has as many.
LONGEST_TEXT = 40_000


@dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """How texts become vectors: an embedder's row, without its database.

    :param kind: a name in the registry.
    :param provider: whose server is asked, if the kind asks one.
    :param model: ``""``: the kind's, or the provider's default.
    :param dimensions: ``None``: as many as the model has.
    :param query_prefix: what is put before a question, and ``passage_prefix`` before a passage, as some
        models want to be told which is which.
    :param batch_texts: texts of one request, up to 256; a request has up to 1 MB in any case.
    :param max_concurrency: requests at the same time.
    """

    kind: str
    provider: ProviderPlan | None = None
    model: str = ""
    dimensions: int | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    batch_texts: int = 64
    max_concurrency: int = 2

    def prepared(self, texts: Sequence[str], purpose: Purpose) -> list[str]:
        """Return the texts as the model gets them: with their prefix, cut off, without half characters."""
        prefix = self.query_prefix if purpose == "query" else self.passage_prefix
        whole = (prefix + text[:LONGEST_TEXT] for text in texts)
        return [text.encode("utf-8", "replace").decode() for text in whole]


class Embedding(Protocol):
    """The port; of one event loop.

    :ivar dimensions: of its vectors; 0 where only the first answer will tell.
    """

    dimensions: int

    async def embed(self, texts: Sequence[str], kind: Purpose) -> list[bytes]:
        """Return a vector for each text, in their order: float32, little endian, of unit length.

        A text without anything in it may have a vector of zeros, which is like no other.

        :param kind: whether they are passages or a question.
        :raises LingError: they could not be had; ``retryable`` says whether later they can.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; it is not used afterwards."""
        ...


def batches(texts: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """Yield the texts in their order, at most ``most`` and 1 MB together; one alone may have more."""
    start, size = 0, 0
    most = min(most, MOST_TEXTS)
    for place, text in enumerate(texts):
        extra = len(text.encode())
        if place > start and (place - start == most or size + extra > MOST_BYTES):
            yield texts[start:place]
            start, size = place, 0
        size += extra
    if start < len(texts):
        yield texts[start:]
