"""An embedder for tests of searches: texts are near each other if they are about the same animals."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from lingstream.core.exceptions import ProviderError
from lingstream.knowledge.embed import EmbeddingKind, register_embedding
from lingstream.knowledge.models import Embedder

__all__ = ["Meaning", "embedder", "meaning", "vector_of"]

ANIMALS = ("cat kitten tom", "dog puppy hound", "cow calf bull", "hen chick rooster", "猫", "狗", "牛", "鸡")


def vector_of(text: str) -> bytes:
    """Return the vector of a text, of unit length: a number for each animal, and one for the rest."""
    text = text.casefold()
    numbers = [float(sum(text.count(name) for name in names.split())) for names in ANIMALS] + [0.1]
    length = sum(number * number for number in numbers) ** 0.5
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))


class Meaning:
    """The kind ``meaning``; it fails when it is told to.

    :cvar asked: what was embedded, and as what.
    """

    dimensions = len(ANIMALS) + 1

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails = False

    async def embed(self, texts: Sequence[str], kind: str) -> list[bytes]:
        if self.fails:
            raise ProviderError("it is away")
        self.asked += [(text, kind) for text in texts]
        return [vector_of(text) for text in texts]

    async def aclose(self) -> None:
        pass


meaning = Meaning()


def embedder(slug: str = "meaning") -> Embedder:
    """Return a row of that kind, and forget what was asked."""
    register_embedding("meaning", EmbeddingKind(lambda plan: meaning))
    meaning.__init__()  # type: ignore[misc]
    return Embedder.objects.create(slug=slug, kind="meaning")
