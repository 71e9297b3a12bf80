"""Words of passages: what a question finds, and what it never does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoAssertNumQueries

from lingstream.core.exceptions import ConfigurationError
from lingstream.knowledge.models import Collection, Document
from lingstream.knowledge.stores import words
from lingstream.knowledge.stores.bounds import Bounds, Place
from lingstream.knowledge.text.words import defining, query_words

from .building import collection, document

APP = "lingstream_knowledge"


def everything(*collections: Collection, **where: list[object]) -> Bounds:
    return Bounds([Place(each.pk, "", ("",)) for each in collections], where)  # type: ignore[arg-type]


def found(bounds: Bounds, question: str, k: int = 10) -> list[int]:
    return [pk for pk, _ in words.find(bounds, query_words(question), k)]


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM lingstream_knowledge_words")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
class TestFinding:
    @pytest.mark.parametrize(
        ("question", "text"),
        [
            ("How do I renew certificates?", "A certificate is renewed every ninety days."),
            ("RENEWING", "Renew it in time."),
            ("退款多久到账", "退款将在三个工作日内到账。"),
            ("foo_bar", "call foo_bar() first"),
            ("Straße", "in der STRASSE"),
            ("v2 of the API", "the api, v2"),
            ("error 404", "It answers 404."),
        ],
    )
    def test_a_question_finds_its_passage_first(self, question: str, text: str) -> None:
        help = collection()
        document(help, "The weather is fine and nothing else is.", "今天天气很好。")
        [right] = document(help, text)
        assert found(everything(help), question)[:1] == [right.pk]

    def test_title_and_headings_are_words_of_each_passage(self) -> None:
        help = collection()
        first, second = document(help, "Ask us.", "Call us.", title="Refunds", heading=("Money", "Abroad"))
        assert set(found(everything(help), "refund")) == set(found(everything(help), "abroad"))
        assert set(found(everything(help), "refund")) == {first.pk, second.pk}

    def test_more_is_better_and_k_is_the_most(self) -> None:
        help = collection()
        document(help, *(f"apple {'apple ' * n} and pears" for n in range(6)))
        scores = [score for _, score in words.find(everything(help), ["apple", "pears"], 4)]
        assert len(scores) == 4
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] > 0

    def test_a_rare_word_among_common_ones_is_found_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(words, "_MOST_RANKED", 10)
        help = collection()
        document(help, *["apples and pears"] * 30)
        [right] = document(help, "apples, pears and a zebra")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE lingstream_knowledge_words")
        assert found(everything(help), "apples pears zebra", 1) == [right.pk]
        assert len(found(everything(help), "apples pears", 20)) == 20

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics of all words")
    def test_of_words_that_are_all_common_the_rarer_tells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(words, "_MOST_RANKED", 10)
        help = collection()
        texts = ("apple and zebra" if place % 2 else "apple alone" for place in range(40))
        both = document(help, *texts)[1::2]
        assert set(found(everything(help), "zebras and apples", 40)) == {each.pk for each in both}

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts what is within the bounds")
    def test_where_too_few_have_a_rare_word_the_others_are_found_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(words, "_MOST_RANKED", 10)
        help, shop = collection(), collection("shop")
        document(help, *["apples and pears"] * 30)
        rare = document(shop, *["a zebra"] * 5)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE lingstream_knowledge_words")
        assert len(found(everything(help), "zebra apples", 20)) == 20
        assert found(everything(help, shop), "zebra apples", 5) == [each.pk for each in rare]

    @pytest.mark.parametrize("most", [10, 1_000], ids=["too many to rank", "all ranked"])
    def test_of_what_all_are_about_that_comes_first_which_says_what_it_is(
        self, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        monkeypatch.setattr(words, "_MOST_RANKED", most)
        help = collection()
        document(help, *[f"The hub writes. Each hub, a hub or the hub, is a part of {n}." for n in range(40)])
        [right] = document(help, "Long before anything else is told of it, it is said that a *hub* is a log.")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE lingstream_knowledge_words")
        asked, beside = query_words("What is a hub?"), defining("What is a hub?")
        found = [pk for pk, _ in words.find(everything(help), asked, 20, beside)]
        assert (found[0], len(found)) == (right.pk, 20)
        assert right.pk != words.find(everything(help), asked, 20)[0][0], "without it others are first"

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite asks it by one statement")
    def test_of_postgresql_little_is_asked_twice(
        self, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        monkeypatch.setattr(words, "_MOST_KEPT", 5)
        help = collection()
        document(help, *["apples and pears"] * 3)
        words._kept.clear()
        with django_assert_num_queries(
            3
        ):  # what it makes of the words, how common they are, and who has them
            assert len(found(everything(help), "apples pears", 3)) == 3
        with django_assert_num_queries(1):
            assert len(found(everything(help), "pears apples", 3)) == 3
        for number in range(10):
            assert len(found(everything(help), f"apples {number}", 3)) == 3
        assert len(words._kept["default"]) <= 7

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no table beside it")
    def test_those_of_a_long_passage_lie_in_its_row(self) -> None:
        help = collection()
        [long] = document(help, " ".join(f"word{number}" for number in range(300)))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_column_size(words), pg_column_compression(words), pg_column_toast_chunk_id(words) "
                "FROM lingstream_knowledge_words WHERE chunk_id = %s",
                [long.pk],
            )
            size, *elsewhere = cursor.fetchone()
        assert size > 2_500, "shorter ones lie there anyway"
        assert elsewhere == [None, None]

    def test_words_of_stop_words_alone_are_found_too(self) -> None:
        help = collection()
        [right] = document(help, "To be or not to be")
        document(help, "Something else entirely")
        assert found(everything(help), "to be") == [right.pk]

    @pytest.mark.parametrize(
        "asked", [[], [""], ['"'], ["a' | 'b"], ["\0"], ["_"], ["x" * 5_000], ["*"], ["^"]]
    )
    def test_what_are_no_words_finds_nothing_and_fails_at_nothing(self, asked: list[str]) -> None:
        help = collection()
        document(help, "a b c")
        assert words.find(everything(help), asked, 10) == []

    @pytest.mark.parametrize("operator", ["AND", "OR", "NOT", "NEAR", "marks", "words", "rank"])
    def test_operators_are_words_like_others(self, operator: str) -> None:
        help = collection()
        [right] = document(help, f"the word {operator} itself")
        document(help, "apples")
        assert [pk for pk, _ in words.find(everything(help), [operator.lower()], 10)] == [right.pk]


@pytest.mark.django_db
class TestBounds:
    def test_a_collection_a_scope_and_an_owner_are_the_index_own(self) -> None:
        mine, other = (get_user_model().objects.create(username=name) for name in "ab")
        help, shop = collection("help"), collection("shop")
        for owner in (None, mine, other):
            for scope in ("", "north", "south"):
                document(help, "apples", owner=owner, scope=scope, title=f"{owner} {scope}")
        document(shop, "apples", scope="north")
        key = f"user:{mine.pk}"
        assert len(found(Bounds([Place(help.pk, "north", ("", key))]), "apples")) == 2
        assert len(found(Bounds([Place(help.pk, None, ("", key))]), "apples")) == 6
        assert (
            len(found(Bounds([Place(help.pk, "north", (key,)), Place(shop.pk, "north", ("",))]), "apples"))
            == 2
        )
        assert found(Bounds([Place(help.pk, "east", ("", key))]), "apples") == []
        assert found(Bounds([Place(help.pk, "north", ())]), "apples") == []
        assert found(Bounds([]), "apples") == []

    def test_a_mark_is_no_word(self) -> None:
        help = collection()
        document(help, "apples")
        bounds = everything(help)
        assert words.find(bounds, [str(bounds.marks[0][0]), f"#{bounds.marks[0][0]}"], 10) == []

    @pytest.mark.parametrize(
        ("where", "titles"),
        [
            ({"product": ["tea"]}, {"a", "b"}),
            ({"product": ["tea"], "year": [2020]}, {"a"}),
            ({"year": [2020.0, 2021]}, {"a", "b"}),
            ({"tags": ["new"]}, {"b"}),
            ({"product": [True]}, set()),
            ({"year": ["2020"]}, set()),
            ({"product": []}, set()),
            ({"nothing": [None]}, set()),
        ],
    )
    def test_metadata_narrows(self, where: dict[str, list[object]], titles: set[str]) -> None:
        help = collection()
        document(help, "apples", title="a", metadata={"product": "tea", "year": 2020})
        document(help, "apples", title="b", metadata={"product": "tea", "year": 2021, "tags": ["new", "hot"]})
        document(help, "apples", title="c", metadata={"deep": {"product": "tea"}})
        document(help, "apples", title="d")
        bounds = everything(help, **where)
        by_index = Document.objects.filter(chunks__in=found(bounds, "apples")).values_list("title", flat=True)
        by_rows = [each.title for each in Document.objects.all() if bounds.has(each.metadata)]
        assert set(by_index) == set(by_rows) == titles


@pytest.mark.django_db
class TestKeeping:
    def test_written_again_is_written_anew(self) -> None:
        help = collection()
        chunks = document(help, "apples")
        chunks[0].text = "pears"
        words.write(chunks)
        assert found(everything(help), "apples") == []
        assert found(everything(help), "pears") == [chunks[0].pk]
        assert count() == 1

    def test_a_passage_that_goes_takes_its_words_along(self) -> None:
        help = collection()
        first = document(help, "apples", "apples")
        document(help, "apples")
        first[0].delete()
        assert count() == 2
        Document.objects.get(pk=first[0].document_id).delete()
        assert count() == 1
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM lingstream_knowledge_chunk")
        assert count() == 0

    def test_a_database_of_another_kind_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "vendor", "mysql")
        with pytest.raises(ConfigurationError, match=r"sqlite or postgresql.*, got mysql"):
            words.find(everything(collection()), ["apples"], 1)


@pytest.fixture
def whole(transactional_db: None) -> Iterator[MigrationExecutor]:
    yield MigrationExecutor(connection)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_the_migration_goes_back_and_forth(whole: MigrationExecutor) -> None:
    whole.migrate([(APP, "0001_initial")])
    with pytest.raises((sqlite3.Error, Exception), match="lingstream_knowledge_words"):
        count()
    again = MigrationExecutor(connection)
    again.migrate(again.loader.graph.leaf_nodes())
    [right] = document(collection(), "apples")
    assert count() == 1
    right.delete()
    assert count() == 0
