"""The kinds of embeddings, what tells two apart, and how texts are put into requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import UsageError
from lingstream.knowledge.embed import (
    EmbeddingKind,
    EmbeddingPlan,
    build_embedding,
    embedding_kinds,
    fingerprint,
    register_embedding,
    registry,
)
from lingstream.knowledge.embed.port import MOST_BYTES, MOST_TEXTS, batches

PROVIDER = ProviderPlan("mine", "openai", "https://a.example/v1", "KEY", model="small")
PLAN = EmbeddingPlan("openai", PROVIDER)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_kinds", dict(embedding_kinds()))
    yield


CHANGES: dict[str, Any] = {
    "the kind": {"kind": "static"},
    "the model": {"model": "large"},
    "the dimensions": {"dimensions": 64},
    "before a question": {"query_prefix": "query: "},
    "before a passage": {"passage_prefix": "query: "},
    "the provider's address": {"provider": replace(PROVIDER, base_url="https://b.example/v1")},
    "the provider's kind": {"provider": replace(PROVIDER, kind="other")},
    "the provider's model": {"provider": replace(PROVIDER, model="tiny")},
    "the provider's deployment": {"provider": replace(PROVIDER, options={"deployment": "large"})},
}
SAME: dict[str, Any] = {
    "nothing": {},
    "texts of a request": {"batch_texts": 1},
    "requests at the same time": {"max_concurrency": 9},
    "the provider's key": {"provider": replace(PROVIDER, key_name="OTHER")},
    "the provider's name": {"provider": replace(PROVIDER, name="other")},
    "the provider's time-out": {"provider": replace(PROVIDER, options={"timeout": 5})},
    "the model, said where the provider said it": {"model": "small"},
}


def test_whatever_changes_a_vector_changes_the_fingerprint() -> None:
    plans = [PLAN, *(replace(PLAN, **change) for change in CHANGES.values())]
    assert len({fingerprint(plan) for plan in plans}) == len(plans)


@pytest.mark.parametrize("name", SAME)
def test_and_nothing_else_does(name: str) -> None:
    assert fingerprint(replace(PLAN, **SAME[name])) == fingerprint(PLAN)


def test_so_does_another_version_of_a_kind() -> None:
    plan = EmbeddingPlan("mine")
    register_embedding("mine", EmbeddingKind(lambda plan: None, version="1"))  # type: ignore[arg-type, return-value]
    before = fingerprint(plan)
    register_embedding("mine", EmbeddingKind(lambda plan: None, version="2"))  # type: ignore[arg-type, return-value]
    assert fingerprint(plan) != before


def test_a_site_adds_a_kind() -> None:
    class Constant:
        dimensions = 1

        async def embed(self, texts: Any, kind: Any) -> list[bytes]:
            return [b"\0\0\x80?" for _ in texts]

        async def aclose(self) -> None: ...

    register_embedding("constant", EmbeddingKind(lambda plan: Constant()))
    assert build_embedding(EmbeddingPlan("constant")).dimensions == 1
    assert {"constant", "static", "openai"} <= set(embedding_kinds())


def test_a_kind_that_nobody_knows_is_refused_with_those_there_are() -> None:
    for use in (build_embedding, fingerprint):
        with pytest.raises(UsageError, match=r"among .*e5.* openai.* static.*, got 'e6'") as caught:
            use(EmbeddingPlan("e6"))
        assert caught.value.code == "unknown-kind"


def test_a_kind_that_asks_a_server_needs_a_provider() -> None:
    with pytest.raises(UsageError, match="expected a provider"):
        build_embedding(EmbeddingPlan("openai"))


@given(st.lists(st.text(max_size=3)), st.integers(1, 300))
def test_batches_are_all_texts_in_their_order(texts: list[str], most: int) -> None:
    found = list(batches(texts, most))
    assert [text for batch in found for text in batch] == texts
    assert all(0 < len(batch) <= min(most, MOST_TEXTS) for batch in found)


def test_batches_are_bounded_in_bytes_too() -> None:
    """A character of Chinese is three."""
    found = list(batches(["云" * 100_000] * 7 + ["x" * (MOST_BYTES + 1), "y"], 64))
    assert [len(batch) for batch in found] == [3, 3, 1, 1, 1]
