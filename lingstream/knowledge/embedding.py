"""Vectors for passages: in batches across documents, outside every transaction, and paid for once.

1. A text that a vector was made of before is not embedded again; what was just paid for is kept before
   anything else is done with it, so that a crash loses no more than the batch under way.
2. A batch that fails is in no other's way: the documents that need it fail, and no others. Where one of its
   texts did it, it is that one alone.
3. All vectors of one fingerprint have as many dimensions as the first that was kept: a server that answers
   with others has another model by now, of which nobody has told the embedder.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db.models import QuerySet

from lingstream.core.ending import end_tasks
from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.execution.away import AWAY
from lingstream.models.clock import Now
from lingstream.models.prepared import Prepared, PreparedUpdate
from lingstream.models.rows import Among, write_rows

from .embed import Embedding, build_embedding
from .models import Embedder, EmbeddingCache

__all__ = ["Vectors", "embedding_of", "forget_sizes", "forget_unused", "vector_of", "vectors_of"]

logger = logging.getLogger("lingstream")

#: Calls a function that uses the ORM in a thread, as :meth:`Lane.call` does.
Call = Callable[..., Awaitable[Any]]

_KNOWN_FOR = 60.0  # seconds for which it stays as it was found how long an embedder's vectors are
_sizes: dict[str, tuple[int, float]] = {}  # that in bytes, and until when, by its fingerprint
_made: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Embedding]] = WeakKeyDictionary()

_REFUSED = "provider-bad-request"
#: Codes of what one text may have done: to the process that reads it, or to a server, as it is too long.
_BY_ONE = ("crashed", "timed-out", _REFUSED)
_PROBES = 2  # texts that are asked for alone, to see whether a server that refuses a batch takes any
_RECENT = timedelta(days=1)  # a vector that was used since then need not say so again


class Vectors(NamedTuple):
    """What texts have become, by their hashes.

    :param data: float32, little endian, of unit length.
    :param failed: why there is none.
    """

    data: dict[str, bytes]
    failed: dict[str, LingError]


def embedding_of(embedder: Embedder) -> Embedding:
    """Return what makes an embedder's vectors; one for each event loop, as it keeps its connections.

    :raises UsageError: its kind is none, or lacks a package or a key.
    """
    made = _made.setdefault(asyncio.get_running_loop(), {})
    plan = embedder.to_plan()
    name = f"{embedder.pk} {plan!r}"
    if name not in made:
        made[name] = build_embedding(plan)
    return made[name]


async def vector_of(question: str, embedder: Embedder, call: Call) -> bytes:
    """Return the vector of a question.

    :raises LingError: there is none, or one that cannot be compared with those of passages.
    """
    try:
        data = await embedding_of(embedder).embed([question], "query")
        name, now = embedder.fingerprint, time.monotonic()
        size, until = _sizes.get(name, (0, 0.0))
        if now > until or (size and [*map(len, data)] != [size]):
            size, _ = _sizes[name] = await call(_size, name), now + _KNOWN_FOR
        _check(data, 1, size)
    except Exception as error:
        raise _refusal(embedder, error) from error
    return data[0]


async def vectors_of(
    texts: Mapping[str, str], embedder: Embedder, embedding: Embedding, call: Call
) -> Vectors:
    """Return the vectors of ``texts``, which are by hash."""
    found = Vectors(await call(_kept, embedder.fingerprint, list(texts)), {})
    missing, known = [each for each in texts if each not in found.data], len(found.data)
    size = await call(_size, embedder.fingerprint) if missing else 0
    room = asyncio.Semaphore(embedder.max_concurrency)

    async def embed(hashes: Sequence[str]) -> None:
        async with room:  # until it is kept: as many batches as may be under way can be lost
            try:
                data = await embedding.embed([texts[each] for each in hashes], "passage")
                _check(data, len(hashes), size)
            except Exception as error:
                refusal = _refusal(embedder, error)
            else:
                made = dict(zip(hashes, data, strict=True))
                try:
                    await call(_keep, embedder.fingerprint, made)
                except AWAY:
                    raise
                except Exception:  # it is paid again next time, and is here for now
                    logger.exception("vectors of the embedder %s cannot be kept", embedder)
                found.data.update(made)
                return
        if refusal.code not in _BY_ONE or len(hashes) == 1:
            found.failed.update(dict.fromkeys(hashes, refusal))
            return
        # What one has done is not for those that happen to be beside it.
        hashes = sorted(hashes, key=lambda each: len(texts[each]))
        for each in hashes[:_PROBES]:
            await embed([each])
        rest = hashes[_PROBES:]
        if refusal.code == _REFUSED and len(found.data) == known:
            found.failed.update(dict.fromkeys(rest, refusal))
            return
        middle = len(rest) // 2
        for some in filter(None, (rest[:middle], rest[middle:])):
            await embed(some)

    starts = range(0, len(missing), embedder.batch_texts)
    tasks = [asyncio.create_task(embed(missing[start : start + embedder.batch_texts])) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end_tasks(*tasks)
    return found


def forget_unused(most: int) -> int:
    """Keep the ``most`` vectors that were used last; return how many are gone."""
    older = EmbeddingCache.objects.order_by("-used_at", "-pk").values("pk")[most:]
    return EmbeddingCache.objects.filter(pk__in=older).delete()[0]


def forget_sizes() -> None:
    """Forget how long the vectors of embedders are: the database is another one."""
    _sizes.clear()


def _kept(fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
    found = {text: bytes(data) for text, data in _kept_rows.rows([fingerprint, [*hashes]])}
    if found:
        _old_rows.change([fingerprint, [*found]], used_at=Now())
    return found


def _size(fingerprint: str) -> int:
    """How long the vectors of an embedder are, in bytes; 0: there is none yet."""
    return max((len(data) for (data,) in _first_row.rows([fingerprint])), default=0)


def _check(data: Sequence[bytes], count: int, size: int) -> None:
    if len(data) != count:
        message = Phrase("expected %(count)s vectors, got %(got)s", count=count, got=len(data))
        raise LingError(message, code="vectors", retryable=True)
    sizes = {len(each) for each in data}
    size = size or max(sizes)
    if sizes != {size}:
        got = ", ".join(str(each // 4) for each in sorted(sizes))
        message = Phrase(
            "expected vectors of %(size)s dimensions as before, got %(got)s", size=size // 4, got=got
        )
        raise LingError(message, code="vectors")


def _refusal(embedder: Embedder, error: Exception) -> LingError:
    """Return an error of an embedding that people can read; one of a site's own kind may be any."""
    if isinstance(error, LingError):
        return error
    logger.error("the embedder %s has failed", embedder, exc_info=error)
    problem = f"{type(error).__name__}: {error}"
    told = Phrase("the embedder %(embedder)s: %(problem)s", embedder=str(embedder), problem=problem)
    return LingError(told, retryable=True)


def _keep(fingerprint: str, made: Mapping[str, bytes]) -> None:
    names = ["fingerprint", "text_hash", "data"]
    rows = [(fingerprint, text, data) for text, data in made.items()]
    write_rows(EmbeddingCache, names, rows, unique=["fingerprint", "text_hash"])


def _of(values: Sequence[Any]) -> QuerySet[EmbeddingCache]:
    fingerprint, hashes = values
    return EmbeddingCache.objects.filter(Among("text_hash", hashes), fingerprint=fingerprint)


def _first(values: Sequence[Any]) -> QuerySet[EmbeddingCache, tuple[Any, ...]]:
    return EmbeddingCache.objects.filter(fingerprint__in=values).values_list("data")[:1]


_kept_rows = Prepared(EmbeddingCache, lambda values: _of(values).values_list("text_hash", "data"))
_old_rows = PreparedUpdate(EmbeddingCache, lambda values: _of(values).filter(used_at__lt=Now() - _RECENT))
_first_row = Prepared(EmbeddingCache, _first)
