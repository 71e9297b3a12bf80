"""A server that ranks passages: what it answers counts, and what it does not say changes no order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from lingstream.knowledge import rerank
from lingstream.knowledge.rerank import RerankServer, register_reranker
from lingstream.knowledge.search import search
from tests.chaos.patience import scaled
from tests.web import Answer, Asked, WebServer, web

from .building import collection, document

pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = ("the cat and the cat", "a cat", "the cat is in a long text of many other words")


def scored(scores: dict[int, float], name: str = "results", score: str = "relevance_score") -> Any:
    return {name: [{"index": index, score: value} for index, value in scores.items()]}


def longest(request: Asked) -> Answer:
    """Ranks the longest text first."""
    texts = json.loads(request.body)["documents"]
    return Answer(json.dumps(scored({at: len(text) for at, text in enumerate(texts)})).encode())


async def served(server: WebServer, settings: Any, answer: Any) -> Any:
    """Search with the server, and explain it."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "ALLOW_HOSTS": [f"127.0.0.1:{server.port}"]}
    server.answers["/rerank"] = answer if callable(answer) or isinstance(answer, Answer) else _json(answer)
    register_reranker("server", RerankServer(f"{server.url}/rerank", "m"))
    return await search("help", "cat", rerank="server", explain=True)


def _json(answer: Any) -> Answer:
    return Answer(json.dumps(answer).encode())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer over an answer, and that is not what these ask about."""
    monkeypatch.setattr(rerank, "_PATIENCE", scaled(rerank._PATIENCE))


@pytest.fixture
async def fused() -> list[str]:
    """The texts as words rank them."""
    made = await sync_to_async(collection)()
    for text in TEXTS:
        await sync_to_async(document)(made, text)
    return [hit.text for hit in await search("help", "cat")]


@pytest.mark.parametrize(
    "answer",
    [longest, scored({2: 0.9, 0: 0.5, 1: 0.1}), scored({2: 3}), scored({2: 1, 0: 0, 1: -1}, "data", "score")],
)
async def test_one_that_answers_has_the_last_word(fused: list[str], settings: Any, answer: Any) -> None:
    assert fused[0] != TEXTS[2]
    order = {text: at for at, text in enumerate(fused)}
    if not callable(answer):  # the numbers are those of the texts as they were sent
        [(name, rows)] = answer.items()
        answer = {name: [{**row, "index": order[TEXTS[row["index"]]]} for row in rows]}
    async with web() as server:
        hits = await served(server, settings, answer)
        sent = json.loads(server.requests[0].body)
    assert (hits[0].text, hits.notes) == (TEXTS[2], [])
    assert hits[0].score == hits[0].rerank_score
    assert (sent["query"], sent["model"], sent["documents"]) == ("cat", "m", fused)


FAULTS: dict[str, tuple[Any, str]] = {
    "an error": (Answer(status=500), "127.0.0.1 answered 500"),
    "a refusal": (Answer(status=401), "127.0.0.1 answered 401"),
    "a page": (Answer(b"<html>"), "got b'<html>'"),
    "a list": ([1, 2, 3], "got b'[1, 2, 3]'"),
    "no results": ({"results": []}, "got b'{"),
    "words for numbers": (scored({0: "good"}), "relevance_score"),  # type: ignore[dict-item]
    "none for a number": (scored({0: None}), "relevance_score"),  # type: ignore[dict-item]
    "infinity": (Answer(b'{"results": [{"index": 0, "relevance_score": 1e999}]}'), "expected"),
    "one too many": (scored({0: 1, 1: 1, 2: 1, 3: 1}), "index"),
    "names for indexes": ({"results": [{"index": "0", "score": 1}]}, "index"),
    "half an answer": (Answer(b'{"results"', length=100, drop=True), "does not answer"),
    "too much": (Answer([b" " * 65_536] * 20), "answered with more than"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_that_does_not_leaves_the_order_and_is_told(
    fused: list[str], settings: Any, fault: str
) -> None:
    answer, words = FAULTS[fault]
    async with web() as server:
        hits = await served(server, settings, answer)
    assert [hit.text for hit in hits] == fused
    [note] = hits.notes
    assert note.startswith("the order is that of words and vectors: the reranker 'server' does not answer")
    assert words in note


async def test_one_that_hangs_costs_its_time(
    fused: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "_PATIENCE", 0.3)
    async with web() as server:
        hits = await served(server, settings, Answer([b"{", asyncio.Event()]))
    assert [hit.text for hit in hits] == fused
    assert hits.notes == [
        "the order is that of words and vectors: the reranker 'server' does not answer within 0.3 s"
    ]


async def test_another_s_time_out_is_told_as_that(fused: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(question: str, texts: Any) -> list[float]:
        raise TimeoutError("of the model")

    monkeypatch.setattr(rerank, "_rerankers", {"slow": slow})
    with pytest.raises(rerank.RerankFailure, match="does not answer: TimeoutError of the model"):
        await rerank.reranked("slow", "cat", fused)
