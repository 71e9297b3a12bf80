"""Searches: what they find, in which order, for how many queries, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lingstream.core.exceptions import LingError, NotFound, ProviderError, RequestFailure, UsageError
from lingstream.knowledge.candidates import Weights
from lingstream.knowledge.hits import Hit
from lingstream.knowledge.models import Chunk, Collection, EmbeddingCache
from lingstream.knowledge.rerank import register_reranker

from .building import collection, document, find
from .meaning import embedder, meaning, vector_of

pytestmark = pytest.mark.django_db


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.text for hit in hits]


@pytest.fixture
def help() -> Collection:
    """Documents in two languages, found by words and by what they mean."""
    made = collection(embedder=embedder())
    document(made, "The cat sleeps.", "A kitten plays, and then it sleeps.", title="Cats", url="/cats/")
    document(made, "Dogs bark.", title="Dogs")
    document(made, "A puppy learns to walk.", title="Dogs", heading=("Young", "Walks"))
    document(made, "牛在草地上。", title="牛", language="zh")
    return made


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (OSError("it is gone"), "the embedder meaning: OSError: it is gone"),
        (ProviderError("it is away"), "it is away"),
        ([], "expected 1 vectors, got 0"),
        ([vector_of("cat")] * 2, "expected 1 vectors, got 2"),
        ([vector_of("cat")[:12]], "expected vectors of 9 dimensions as before, got 3"),
        (None, "TypeError"),
    ],
    ids=str,
)
def test_an_embedder_that_cannot_tell_what_a_question_means_is_done_without(
    help: Collection, monkeypatch: pytest.MonkeyPatch, made: Any, told: str
) -> None:
    async def embed(texts: Sequence[str], kind: str) -> Any:
        if isinstance(made, Exception):
            raise made
        return made

    assert help.embedder
    kept = {"fingerprint": help.embedder.fingerprint, "text_hash": "x", "data": vector_of("cat")}
    EmbeddingCache.objects.create(**kept)
    assert not find("help", "dogs").notes
    monkeypatch.setattr(meaning, "embed", embed)
    hits = find("help", "dogs")
    assert texts(hits)[0] == "Dogs bark."
    [note] = hits.notes
    assert note.startswith("help is searched by words alone, without meaning: ") and told in note
    with pytest.raises(LingError, match=told):
        find("help", "dogs", mode="vector")


class TestFinding:
    @pytest.mark.parametrize(
        ("mode", "question", "first"),
        [
            ("keyword", "who sleeps", "The cat sleeps."),
            ("vector", "hound", "Dogs bark."),
            ("hybrid", "hound", "Dogs bark."),
            ("hybrid", "walks", "A puppy learns to walk."),
            ("keyword", "草地上有什么", "牛在草地上。"),
            ("hybrid", "牛在哪里", "牛在草地上。"),
        ],
    )
    def test_each_mode_finds_what_it_can(
        self, help: Collection, mode: Any, question: str, first: str
    ) -> None:
        assert texts(find("help", question, mode=mode))[0].startswith(first)

    def test_weights_say_what_a_ranking_counts(self, help: Collection) -> None:
        ranks = {
            weights: texts(find("help", "hound sleeps", weights=Weights(*weights)))[0]
            for weights in ((1, 0), (0, 1))
        }
        assert ranks[1, 0].startswith(("The cat sleeps.", "A kitten"))
        assert ranks[0, 1] == "Dogs bark."

    def test_a_hit_says_what_it_is_and_what_it_was_found_by(self, help: Collection) -> None:
        [hit] = find(help, "puppy", k=1)
        chunk = Chunk.objects.get(text="A puppy learns to walk.")
        assert (hit.id, hit.chunk_ids, hit.document_id) == (str(chunk.uid), (chunk.pk,), chunk.document_id)
        assert (hit.collection, hit.source, hit.title) == ("help", "help", "Dogs")
        assert (hit.rank, hit.keyword_rank, hit.heading) == (1, 1, ("Young", "Walks"))
        assert hit.keyword_score
        assert hit.vector_score == pytest.approx(1, abs=0.1)
        assert hit.score == hit.fused_score > 0
        assert hit.passage == {
            "id": hit.id,
            "title": "Dogs",
            "url": "",
            "heading": ["Young", "Walks"],
            "text": "A puppy learns to walk.",
            "version": hit.version,
            "score": round(hit.score, 6),
        }

    def test_passages_beside_each_other_become_one(self, help: Collection) -> None:
        hits = find(help, "cat sleeps kitten")
        assert hits[0].text == "The cat sleeps.\n\nA kitten plays, and then it sleeps."
        assert (hits[0].start, hits[0].end, len(hits[0].chunk_ids)) == (0, 50, 2)
        assert [hit.rank for hit in hits] == [*range(1, len(hits) + 1)]

    def test_what_overlaps_is_said_once(self, help: Collection) -> None:
        chunks = document(help, "one two zebra", "two zebra three")
        Chunk.objects.filter(pk=chunks[1].pk).update(start=4, end=19)
        assert texts(find(help, "zebra"))[0] == "one two zebra three"

    def test_what_repeats_another_comes_later(self, help: Collection) -> None:
        document(help, "hen", title="a")
        document(help, "hen", title="b")
        document(help, "a hen and a cow", title="c")
        assert [hit.title for hit in find(help, "hen", k=2)] == ["a", "c"]

    def test_no_more_than_k_and_no_more_than_the_budget(self, help: Collection) -> None:
        for number in range(9):
            document(help, f"zebra {number}", title=f"{number}")
        Chunk.objects.update(tokens=100)
        assert len(find(help, "zebra", k=4)) == 4
        assert len(find(help, "zebra", k=4, budget=250)) == 2
        assert find(help, "zebra", k=4, budget=50) == []

    def test_of_passages_beside_each_other_as_many_as_the_budget_has_room_for(self, help: Collection) -> None:
        document(help, *(f"zebra {number}" for number in range(5)))
        document(help, "a word of a zebra among others that are none")
        Chunk.objects.update(tokens=100)
        [hit] = find(help, "zebra", mode="keyword", budget=350)
        assert (hit.rank, hit.tokens, len(hit.chunk_ids)) == (1, 300, 3)

    def test_several_collections_are_searched_as_one(self, help: Collection) -> None:
        words = collection("words")
        document(words, "a zebra")
        other = collection("other", embedder=embedder("second"))
        document(other, "a zebra and a hound")
        assert {hit.collection for hit in find(["help", "words", other], "zebra hound")} == {
            "help",
            "words",
            "other",
        }
        assert len(meaning.asked) == 2  # once for each embedder

    @pytest.mark.parametrize(
        "text", ["", "  ", "\0", "\ud800", "?!", "a" * 100_000, '" OR 1', "'; DROP TABLE x"]
    )
    def test_any_text_is_a_question(self, help: Collection, text: str) -> None:
        find(help, text)

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"mode": "best"}, "expected a mode among hybrid, keyword, vector, got 'best'"),
            ({"k": 0}, "expected 1 to 50 passages, got 0"),
            ({"k": 51}, "expected 1 to 50 passages, got 51"),
            ({"where": {"secret": 1}}, r"help is narrowed by \(product\), got 'secret'"),
            ({"where": {"product": {"a": 1}}}, "to narrow 'product' by, got"),
            ({"where": {"product": ["x" * 201]}}, "to narrow 'product' by, got"),
            ({"where": {"product": [1] * 51}}, "to narrow 'product' by, got"),
            ({"where": {str(n): 1 for n in range(11)}}, "expected up to 10 names to narrow by, got 11"),
            ({"rerank": "nobody"}, "expected a reranker among .*, got 'nobody'"),
        ],
    )
    def test_what_makes_no_question_is_refused(
        self, help: Collection, how: dict[str, Any], message: str
    ) -> None:
        Collection.objects.update(narrow_by=["product"])
        with pytest.raises(UsageError, match=message):
            find(help, "cat", **how)

    def test_a_collection_that_is_not_there(self) -> None:
        with pytest.raises(NotFound, match="there is no collection 'nowhere'"):
            find(["nowhere"], "cat")


class TestWithout:
    """What is away or was never there leaves the rest."""

    def test_an_embedder_that_fails_leaves_the_words(
        self, help: Collection, caplog: pytest.LogCaptureFixture
    ) -> None:
        meaning.fails = True
        assert texts(find(help, "walk"))[0] == "A puppy learns to walk."
        assert "help is searched by words alone, without meaning: it is away" in caplog.text
        with pytest.raises(ProviderError):
            find(help, "walk", mode="vector")

    def test_words_ask_no_embedder(self, help: Collection) -> None:
        find(help, "walk", mode="keyword")
        assert meaning.asked == []

    def test_a_collection_of_words_alone(self) -> None:
        document(collection("words"), "a zebra")
        [hit] = find("words", "zebra")
        assert (hit.vector_rank, hit.vector_score) == (None, None)
        with pytest.raises(UsageError, match="expected a collection with an embedder, got 'words'"):
            find("words", "zebra", mode="vector")

    def test_a_passage_that_has_gone_while_it_was_searched(self, help: Collection) -> None:
        find(help, "cat")
        Chunk.objects.filter(text="The cat sleeps.").delete()  # the matrix does not know of it
        assert "The cat sleeps." not in " ".join(texts(find(help, "cat")))


class TestRerank:
    def test_a_reranker_has_the_last_word(self, help: Collection) -> None:
        async def longest(question: str, passages: Sequence[str]) -> list[float]:
            assert question == "cat dog"
            return [float(len(passage)) for passage in passages]

        register_reranker("longest", longest)
        hits = find(help, " cat dog ", rerank="longest", k=1)
        assert texts(hits) == ["A kitten plays, and then it sleeps."]
        assert hits[0].score == hits[0].rerank_score == 35

    @pytest.mark.parametrize(
        "answer", [[], [1.0], [float("nan")] * 9, RequestFailure("it is away"), OSError()]
    )
    def test_one_that_does_not_answer_is_done_without(
        self, help: Collection, caplog: pytest.LogCaptureFixture, answer: Any
    ) -> None:
        async def broken(question: str, passages: Sequence[str]) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        register_reranker("broken", broken)
        assert texts(find(help, "kitten", rerank="broken")) == texts(find(help, "kitten"))
        assert "the reranker 'broken' does not answer" in caplog.text
