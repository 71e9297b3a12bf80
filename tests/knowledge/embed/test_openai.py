"""Vectors of a server that speaks the OpenAI protocol, over a real socket."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ConfigurationError, ProviderError, UsageError
from lingstream.knowledge.embed import EmbeddingPlan, build_embedding
from lingstream.knowledge.embed import openai as module
from lingstream.knowledge.embed.openai import OpenAIEmbedding
from lingstream.testing import OpenAIServer, Reply, embeddings, vector_of
from tests.chaos.patience import scaled

KEY = "sk-a-key-that-must-not-be-seen-0123456789"
TEXTS = [f"passage {number}" for number in range(10)]


@pytest.fixture
async def serve(settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Returns ``serve(answer, **plan)``: a server, and an embedding of it as a site would build it."""
    monkeypatch.setenv("EMBEDDING_KEY", f"{KEY}\n")
    async with AsyncExitStack() as stack:

        async def start(
            answer: Callable[[dict[str, Any]], Any] = embeddings, max_retries: int = 0, **plan: Any
        ) -> tuple[OpenAIServer, OpenAIEmbedding]:
            server = await stack.enter_async_context(OpenAIServer(embeddings=answer, key=KEY))
            settings.LINGSTREAM = {"PROVIDER_KEYS": {"EMBEDDING_KEY": [server.base_url]}}
            options = {"max_retries": max_retries, "timeout": plan.pop("timeout", 10)}
            provider = ProviderPlan("p", "openai", server.base_url, "EMBEDDING_KEY", "small", None, options)
            made = build_embedding(EmbeddingPlan("openai", provider, **plan))
            stack.push_async_callback(made.aclose)
            return server, made  # type: ignore[return-value]

        yield start


def packed(text: str, dimensions: int = 64) -> Any:
    return pytest.approx(vector_of(text, dimensions), abs=1e-6)


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    """An answer whose body is changed."""
    return lambda request: {**embeddings(request), **changes}


def as_digits(request: dict[str, Any]) -> Any:
    return embeddings({**request, "encoding_format": "float"})


def in_any_order(request: dict[str, Any]) -> Any:
    body = embeddings(request)
    return {**body, "data": body["data"][::-1]}


def without_index(request: dict[str, Any]) -> Any:
    body = as_digits(request)
    return {"data": [{"embedding": item["embedding"]} for item in body["data"]]}


def of_other_length(request: dict[str, Any]) -> Any:
    body = as_digits(request)
    return {"data": [{**item, "embedding": [9 * x for x in item["embedding"]]} for item in body["data"]]}


@pytest.mark.parametrize("answer", [embeddings, as_digits, in_any_order, without_index, of_other_length])
async def test_each_text_has_its_vector_of_unit_length(serve: Any, answer: Any) -> None:
    server, made = await serve(answer, batch_texts=4)
    vectors = await made.embed(TEXTS, "passage")
    assert [numbers(vector) for vector in vectors] == [packed(text) for text in TEXTS]
    assert made.dimensions == 64
    assert sorted(len(request.json["input"]) for request in server.requests) == [2, 4, 4]


async def test_what_is_asked_for_is_what_the_plan_says(serve: Any) -> None:
    server, made = await serve(model="large", dimensions=32, query_prefix="q: ", passage_prefix="p: ")
    (vector,) = await made.embed(["a\ud800"], "query")
    assert numbers(vector) == packed("q: a?", 32)
    await made.embed(["", "b"], "passage")
    first, second = (request.json for request in server.requests)
    assert first == {"model": "large", "dimensions": 32, "input": ["q: a?"], "encoding_format": "base64"}
    assert second["input"] == ["p: ", "p: b"]
    assert server.requests[0].path == "/v1/embeddings"


async def test_the_providers_model_is_asked_for_and_an_empty_text_is_sent_as_a_space(serve: Any) -> None:
    server, made = await serve()
    assert await made.embed([], "passage") == []
    await made.embed([""], "passage")
    assert server.requests[0].json == {"model": "small", "input": [" "], "encoding_format": "base64"}


async def test_no_more_requests_at_the_same_time_than_the_plan_says(serve: Any) -> None:
    at_work = 0
    most = 0
    gate = asyncio.Event()

    class Counted:
        async def wait(self) -> None:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            if at_work == 3:
                gate.set()
            await gate.wait()
            await asyncio.sleep(0.05)
            at_work -= 1

    _, made = await serve(
        lambda request: Reply(body=embeddings(request), before=Counted()), batch_texts=1, max_concurrency=3
    )
    await made.embed(TEXTS, "passage")
    assert most == 3


async def test_a_server_that_is_busy_is_asked_again_when_it_says(serve: Any) -> None:
    answers = iter([Reply(status=429, headers={"Retry-After": "1"})])
    server, made = await serve(lambda request: next(answers, None) or embeddings(request), max_retries=2)
    begin = time.monotonic()
    await made.embed(["x"], "passage")
    assert len(server.requests) == 2
    assert time.monotonic() - begin >= 1


async def test_half_an_answer_is_asked_for_again_once(serve: Any) -> None:
    answers = iter([Reply(body={"data": ["x"] * 100}, drop=True)])
    server, made = await serve(lambda request: next(answers, None) or embeddings(request))
    assert numbers((await made.embed(["x"], "passage"))[0]) == packed("x")
    assert len(server.requests) == 2


FAILURES: dict[str, tuple[Callable[[dict[str, Any]], Any], str, bool]] = {
    "busy for ever": (
        lambda request: Reply(status=429, headers={"Retry-After": "1"}),
        "provider-rate-limit",
        True,
    ),
    "down": (lambda request: Reply(status=503), "provider-unavailable", True),
    "a refusal": (lambda request: Reply(status=400), "provider-bad-request", False),
    "no such model": (lambda request: Reply(status=404), "provider-not-found", False),
    "a key that is none, said back": (
        lambda request: Reply(status=401, body={"error": {"message": f"no such key: {KEY}"}}),
        "provider-auth",
        False,
    ),
    "a stall": (lambda request: Reply(body={}, before=asyncio.Event()), "provider-timeout", True),
    "half an answer, twice": (
        lambda request: Reply(body={"data": "x" * 99}, drop=True),
        "provider-disconnected",
        True,
    ),
    "a web page": (lambda request: Reply(body=b"<html>"), "provider-bad-response", True),
    "no data": (changed(data=None), "provider-bad-response", True),
    "too few": (lambda request: embeddings({"input": request["input"][1:]}), "provider-bad-response", True),
    "too many": (
        lambda request: embeddings({"input": [*request["input"], "x"]}),
        "provider-bad-response",
        True,
    ),
    "one of them twice": (
        lambda request: {"data": [{"index": 0, "embedding": [1.0]}] * len(request["input"])},
        "provider-bad-response",
        True,
    ),
    "of sizes that differ": (
        lambda request: {"data": [{"embedding": [1.0] * (1 + n)} for n in range(len(request["input"]))]},
        "provider-bad-response",
        True,
    ),
    "of no size": (
        lambda request: {"data": [{"embedding": []} for _ in request["input"]]},
        "provider-bad-response",
        True,
    ),
    "words": (
        lambda request: {"data": [{"embedding": ["x"]} for _ in request["input"]]},
        "provider-bad-response",
        True,
    ),
    "infinity": (
        lambda request: {"data": [{"embedding": [1e308] * 32} for _ in request["input"]]},
        "provider-bad-response",
        True,
    ),
    "of other dimensions": (lambda request: embeddings(request, 7), "provider-bad-response", False),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_has_a_name_and_says_no_key(serve: Any, name: str) -> None:
    answer, code, retryable = FAILURES[name]
    _, made = await serve(answer, dimensions=32, timeout=0.3)
    with pytest.raises(ProviderError) as caught:
        await made.embed(TEXTS, "passage")
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert KEY not in str(caught.value)


async def test_dimensions_that_nobody_named_are_those_of_the_first_answer(serve: Any) -> None:
    sizes = iter([48, 48, 7])
    _, made = await serve(lambda request: embeddings(request, next(sizes)), batch_texts=5, max_concurrency=1)
    assert made.dimensions == 0
    await made.embed(TEXTS, "passage")
    assert made.dimensions == 48
    with pytest.raises(ProviderError, match="vectors of 48 dimensions, got 7"):
        await made.embed(["x"], "query")


async def test_if_one_batch_fails_no_other_is_left_at_work(serve: Any) -> None:
    answers = iter([Reply(status=400)])
    server, made = await serve(
        lambda request: next(answers, None) or Reply(body={}, before=asyncio.Event()), batch_texts=1
    )
    with pytest.raises(ProviderError):
        await made.embed(TEXTS, "passage")
    async with asyncio.timeout(scaled(5)):
        for request in server.requests:
            await request.ended.wait()


async def test_an_answer_without_an_end_is_not_read_to_it(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingstream.providers.openai.body.LONGEST_ANSWER", 1_000)
    _, made = await serve(changed(more="x" * 5_000))
    with pytest.raises(ProviderError, match="expected an answer of up to 1000 bytes"):
        await made.embed(["x"], "passage")


async def test_nor_is_one_that_drips(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    _, made = await serve(lambda request: Reply(body={}, before=asyncio.Event()))
    with pytest.raises(ProviderError, match=r"expected embeddings within 0\.3 s") as caught:
        await made.embed(["x"], "passage")
    assert caught.value.retryable


async def test_a_key_goes_nowhere_but_where_the_settings_let_it(serve: Any, settings: Any) -> None:
    server, _ = await serve()
    settings.LINGSTREAM = {"PROVIDER_KEYS": {"EMBEDDING_KEY": ["https://api.example.com/v1"]}}
    provider = ProviderPlan("p", "openai", server.base_url, "EMBEDDING_KEY")
    with pytest.raises(UsageError):
        build_embedding(EmbeddingPlan("openai", provider))
    with pytest.raises(ConfigurationError, match=r"inside the network|port 80 or 443"):
        build_embedding(EmbeddingPlan("openai", ProviderPlan("p", "openai", server.base_url)))
    assert not server.requests


def test_a_provider_without_embeddings_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a provider that has embeddings, got one of the kind"):
        build_embedding(EmbeddingPlan("openai", ProviderPlan()))


async def test_without_numpy_it_says_what_to_install(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(ConfigurationError, match=r"numpy: pip install 'lingstream\[knowledge\]'"):
        await serve()
