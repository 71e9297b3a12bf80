"""Stores of vectors: one contract for all of them, and what each has of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import close_old_connections, connection, transaction
from django.test.utils import CaptureQueriesContext

from lingstream.core.exceptions import ConfigurationError
from lingstream.knowledge.checks import check_database
from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Source, Vector
from lingstream.knowledge.stores import blocks, database, pgvector
from lingstream.knowledge.stores.bounds import Bounds, Place
from lingstream.knowledge.stores.port import Near, store_named

from .building import collection, document, grow

DIMENSIONS = 8


def vector(*numbers: float) -> bytes:
    """A vector of unit length that begins with these numbers."""
    given = np.zeros(DIMENSIONS, "<f4")
    given[: len(numbers)] = numbers
    return (given / np.linalg.norm(given)).astype("<f4").tobytes()


def random(seed: int, number: int, dimensions: int = DIMENSIONS) -> list[bytes]:
    given = np.random.default_rng(seed).standard_normal((number, dimensions)).astype("<f4")
    return [row.tobytes() for row in given / np.linalg.norm(given, axis=1, keepdims=True)]


def bounds(of: Collection, scope: str | None = "", *owners: str, **where: Any) -> Bounds:
    return Bounds([Place(of.pk, scope, ("", *owners))], where)


def ids(found: Sequence[Near]) -> list[int]:
    return [near.chunk_id for near in found]


@pytest.fixture
def pgvector_table(db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL")
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    pgvector.create_table("default")


@pytest.fixture(params=["database", "pgvector", "blocks"])
def help(request: pytest.FixtureRequest, settings: Any, db: None) -> Collection:
    """A collection in each of the stores, and in one that is read in blocks, too."""
    if request.param == "pgvector":
        request.getfixturevalue("pgvector_table")
    if request.param == "blocks":
        settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_MEMORY": 0}
    embedder = Embedder.objects.create(slug="test", kind="static")
    return collection(embedder=embedder, store="pgvector" if request.param == "pgvector" else "database")


class TestContract:
    def test_the_nearest_is_first_with_its_score_and_its_vector(self, help: Collection) -> None:
        vectors = [vector(1, 0), vector(1, 1), vector(0, 1), vector(-1, 0)]
        chunks = document(help, *"abcd", vectors=vectors)
        found = store_named(help.store).find(help, vector(1, 0.1), bounds(help), 3)
        assert ids(found) == [chunk.pk for chunk in chunks[:3]]
        assert [near.vector for near in found] == vectors[:3]
        wanted = [np.frombuffer(each, "<f4") @ np.frombuffer(vector(1, 0.1), "<f4") for each in vectors[:3]]
        assert [near.score for near in found] == pytest.approx(wanted, abs=1e-6)

    def test_dimensions_are_told(self, help: Collection) -> None:
        other = collection("other", embedder=help.embedder, store=help.store)
        document(other, "x", vectors=random(1, 1, 5))
        store = store_named(help.store)
        assert store.dimensions(help, 1) == set()
        for number in (4, 3, 3):
            document(help, "x", vectors=random(1, 1, number))
        assert (store.dimensions(help, 1), store.dimensions(other, 1)) == ({3, 4}, {5})

    def test_what_was_found_otherwise_follows_and_is_there_once(self, help: Collection) -> None:
        chunks = document(help, *"abcd", vectors=[vector(1), vector(1, 1), vector(0, 1), vector(-1)])
        also = [chunks[0].pk, chunks[3].pk, 10**9]
        found = store_named(help.store).find(help, vector(1), bounds(help), 2, also)
        assert ids(found) == [chunks[0].pk, chunks[1].pk, chunks[3].pk]

    def test_it_says_how_large_it_is(self, help: Collection) -> None:
        store = store_named(help.store)
        assert store.size(help) == (0, 0)
        document(help, *"abc", vectors=[vector(1), vector(0, 1), vector(0, 0, 1)])
        document(collection("other", embedder=help.embedder, store=help.store), "x", vectors=[vector(1)])
        found = store.size(help)
        assert found.vectors == 3 and 3 * 4 * DIMENSIONS <= found.bytes <= 3 * (4 * DIMENSIONS + 16)

    def test_nothing_is_found_out_of_bounds(self, help: Collection) -> None:
        other = collection("other", embedder=help.embedder, store=help.store)
        for scope in ("", "north"):
            document(help, scope, "x", scope=scope, vectors=[vector(1)] * 2, metadata={"tenant": scope or 0})
        document(other, "x", vectors=[vector(1)])
        everywhere = [*Chunk.objects.values_list("pk", flat=True)]
        find = store_named(help.store).find

        def texts(within: Bounds) -> set[str]:
            found = find(help, vector(1), within, 10, everywhere)
            return {Chunk.objects.get(pk=near.chunk_id).scope for near in found}

        assert texts(bounds(help)) == {""}
        assert texts(bounds(help, "north")) == {"north"}
        assert texts(bounds(help, None)) == {"", "north"}
        assert texts(bounds(help, None, tenant=["north"])) == {"north"}
        assert texts(bounds(help, None, tenant=[0, "south"])) == {""}
        assert texts(bounds(help, "south")) == set()
        assert find(help, vector(1), Bounds([Place(help.pk, "", ())]), 10, everywhere) == []

    def test_a_change_is_found_at_once(self, help: Collection) -> None:
        store = store_named(help.store)
        chunks = document(help, *"abc", vectors=[vector(1), vector(0, 1), vector(0, 0, 1)])
        assert ids(store.find(help, vector(1), bounds(help), 1)) == [chunks[0].pk]
        with grow(help):
            store.write(help, [(chunks[0], vector(-1)), (chunks[1], vector(1))])
        assert ids(store.find(help, vector(1), bounds(help), 9)) == [chunks[each].pk for each in (1, 2, 0)]
        with grow(help):
            Chunk.objects.filter(pk=chunks[2].pk).delete()
            chunks[0].delete()
        assert ids(store.find(help, vector(1), bounds(help), 9, [each.pk for each in chunks if each.pk])) == [
            chunks[1].pk
        ]
        again = document(help, "d", vectors=[vector(1, 0.1)])
        assert ids(store.find(help, vector(1), bounds(help), 9)) == [chunks[1].pk, again[0].pk]

    def test_bounds_that_change_are_found_by_at_once(self, help: Collection) -> None:
        store = store_named(help.store)
        vectors = [vector(1), vector(0, 1)]
        chunks = document(help, *"ab", vectors=vectors, metadata={"product": "tea"})
        assert len(store.find(help, vector(1), bounds(help, product=["tea"]), 9)) == 2
        Document.objects.update(scope="north", metadata={"product": "jam"})
        Chunk.objects.update(scope="north")
        with grow(help):
            store.write(help, [*zip(Chunk.objects.select_related("document"), vectors, strict=True)])
        assert store.find(help, vector(1), bounds(help), 9) == []
        assert store.find(help, vector(1), bounds(help, "north", product=["tea"]), 9) == []
        found = store.find(help, vector(1), bounds(help, "north", product=["jam"]), 9)
        assert ids(found) == [chunk.pk for chunk in chunks]

    def test_a_vector_of_other_dimensions_is_not_compared(self, help: Collection) -> None:
        document(help, "a", vectors=[vector(1)])
        [right] = document(help, "b", vectors=random(0, 1, 4))
        found = store_named(help.store).find(help, random(1, 1, 4)[0], bounds(help), 9)
        assert ids(found) == [right.pk]

    def test_it_finds_what_a_plain_scan_finds(self, help: Collection) -> None:
        vectors = random(1, 300)
        chunks = document(help, *map(str, range(300)), vectors=vectors)
        asked = random(2, 1)[0]
        scores = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, DIMENSIONS) @ np.frombuffer(asked, "<f4")
        wanted = [chunks[each].pk for each in np.argsort(-scores)[:20]]
        assert ids(store_named(help.store).find(help, asked, bounds(help), 20)) == wanted


class TestMatrix:
    @pytest.fixture
    def many(self, db: None, monkeypatch: pytest.MonkeyPatch) -> Collection:
        """A collection of several blocks."""
        monkeypatch.setattr(blocks, "ROWS", 16)
        made = collection(embedder=Embedder.objects.create(slug="test", kind="static"))
        document(made, *map(str, range(100)), vectors=random(1, 100))
        return made

    def find(self, of: Collection, k: int = 5) -> list[int]:
        return ids(store_named("database").find(of, vector(1), bounds(of), k))

    def test_it_is_read_once_and_then_what_has_changed(
        self, many: Collection, django_assert_num_queries: Callable[..., Any]
    ) -> None:
        with django_assert_num_queries(2):  # how many there are, and all of them
            self.find(many)
        with django_assert_num_queries(0):
            self.find(many)
        [new] = document(many, "new", vectors=[vector(1)])
        with django_assert_num_queries(2):  # what was written, and how many there are
            assert self.find(many)[0] == new.pk
        with grow(many):
            new.delete()
        with django_assert_num_queries(3):  # which ones there are, as some have gone
            assert new.pk not in self.find(many)

    def test_only_blocks_that_change_are_copied(self, many: Collection) -> None:
        self.find(many)
        [matrix] = database._matrices._matrices.values()
        before = matrix.renewed(many)
        document(many, "new", vectors=[vector(1)])
        after = matrix.renewed(many)
        assert len(before) == len(after) == 7
        assert [new is old for new, old in zip(after, before, strict=True)] == [True] * 6 + [False]

    def test_many_small_changes_leave_few_blocks(self, many: Collection) -> None:
        for number in range(60):
            [gone] = Chunk.objects.order_by("pk")[number : number + 1]
            with grow(many):
                gone.delete()
            document(many, "new", vectors=random(number, 1))
            self.find(many)
        [matrix] = database._matrices._matrices.values()
        assert len(matrix.renewed(many)) <= 2 * 100 / 16 + 1
        assert sorted(self.find(many, 1_000)) == [
            *Vector.objects.order_by("chunk").values_list("chunk", flat=True)
        ]

    def test_those_not_used_make_room(self, many: Collection, settings: Any) -> None:
        others = [collection(f"other-{n}", embedder=many.embedder) for n in range(3)]
        for each in others:
            document(each, *map(str, range(100)), vectors=random(1, 100))
        settings.LINGSTREAM = {
            **settings.LINGSTREAM,
            "KNOWLEDGE_MEMORY": 2 * 100 * (4 * DIMENSIONS + 24 + 12),
        }
        for each in (many, others[0], many, others[1], many, others[2]):
            assert len(self.find(each)) == 5
        kept = [key[1] for key in database._matrices._matrices]
        assert kept == [many.pk, others[2].pk]

    def test_one_that_has_outgrown_the_memory_is_read_in_blocks(
        self, many: Collection, settings: Any
    ) -> None:
        before = self.find(many, 1_000)
        settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_MEMORY": 1_000}
        assert self.find(many, 1_000) == before
        assert not database._matrices._matrices

    @pytest.mark.django_db(transaction=True)
    def test_readers_and_writers_at_the_same_time_agree(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each reader finds what its revision has: the pair of one write, whole, and none of an older one."""
        monkeypatch.setattr(blocks, "ROWS", 16)
        made = collection(embedder=Embedder.objects.create(slug="test", kind="static"))
        chunks = document(made, *map(str, range(40)), vectors=[vector(0, 1)] * 40)
        done = threading.Event()
        faults: list[str] = []

        def read() -> int:
            seen = 0
            while not done.is_set() or not seen:
                seen += 1
                now = Collection.objects.get(pk=made.pk)
                found = store_named("database").find(now, vector(1), bounds(now), 2)
                scores = {round(near.score, 4) for near in found}
                if len(scores) != 1:
                    faults.append(f"half of a write: {found}")
            close_old_connections()
            connection.close()
            return seen

        def write() -> None:
            try:
                for number in range(30):
                    with transaction.atomic(), grow(made):
                        pair = [
                            (chunks[number], vector(1, number)),
                            (chunks[39 - number % 9], vector(1, number)),
                        ]
                        old = [(each, vector(0, 1)) for each in chunks if each not in [p[0] for p in pair]]
                        store_named("database").write(made, [*old, *pair])
            finally:
                done.set()
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            pool.submit(write).result()
            assert all(reader.result() for reader in readers)
        assert faults == []


@pytest.mark.django_db(transaction=True)
class TestDeletions:
    """Whoever deletes documents: what they had takes no room among the nearest."""

    @pytest.fixture
    def help(self) -> Collection:
        """A collection of two sources: many passages of somebody's, and one of everybody's."""
        made = collection(embedder=Embedder.objects.create(slug="test", kind="static"))
        for _ in range(3):
            near = {"owner": User.objects.get_or_create(username="anna")[0], "vectors": [vector(1)] * 20}
            document(made, *["near"] * 20, **near)
        document(made, "far", key="far", vectors=[vector(0, 1)])
        other = Source.objects.create(slug="other", collection=made, kind="folder")
        Document.objects.filter(key="far").update(source=other)
        return made

    def find(self, of: Collection) -> list[str]:
        of.refresh_from_db()
        found = ids(store_named("database").find(of, vector(1), Bounds([Place(of.pk, None, None)]), 50))
        return [*Chunk.objects.filter(pk__in=found).values_list("text", flat=True)]

    @pytest.mark.parametrize(
        "delete",
        [
            lambda: Source.objects.get(slug="help").delete(),
            lambda: Document.objects.filter(source__slug="help").delete(),
            lambda: [each.delete() for each in Document.objects.filter(source__slug="help")],
            lambda: User.objects.get().delete(),
        ],
        ids=["source", "documents", "one-by-one", "user"],
    )
    def test_take_what_is_in_memory_along(self, help: Collection, delete: Callable[[], object]) -> None:
        assert self.find(help) == ["near"] * 50
        delete()
        assert self.find(help) == ["far"]

    def test_are_one_revision_of_a_transaction_that_commits(self, help: Collection) -> None:
        def deleted(*, broken: bool) -> None:
            with transaction.atomic():
                for each in Document.objects.exclude(key="far"):
                    each.delete()
                transaction.set_rollback(broken)

        before = help.revision
        deleted(broken=True)
        help.refresh_from_db()
        assert help.revision == before
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            deleted(broken=True)  # a savepoint
            deleted(broken=False)
        help.refresh_from_db()
        assert help.revision == before + 1
        assert len([each for each in queries if "knowledge_source" in each["sql"]]) == 2  # of each savepoint

    def test_of_a_whole_collection_leave_the_others_as_they_are(self, help: Collection) -> None:
        other = collection("other-one")
        document(other, "x")
        before = Collection.objects.get(pk=other.pk).revision
        help.delete()
        assert [*Collection.objects.values_list("pk", "revision")] == [(other.pk, before)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("pgvector_table")
class TestPgVector:
    """With an index, which a collection of 1,000 has here."""

    @pytest.fixture
    def large(self, pgvector_table: None, monkeypatch: pytest.MonkeyPatch) -> Collection:
        monkeypatch.setattr(pgvector, "_INDEX_FROM", 1_000)
        monkeypatch.setattr(pgvector, "_FEW", 50)
        made = collection(store="pgvector", embedder=Embedder.objects.create(slug="test", kind="static"))
        for number in range(10):
            metadata = {"tenth": number, "rare": number == 0}
            document(made, *map(str, range(200)), metadata=metadata, vectors=random(number, 200, 32))
        document(made, *"abcde", metadata={"rare": 1}, vectors=random(99, 5, 32))
        out = StringIO()
        call_command("ling_vectors", stdout=out)
        assert f"_{made.pk}_{made.embedder_id}_32 created" in out.getvalue()
        return made

    def find(self, of: Collection, seed: int, **where: Any) -> tuple[list[int], bool]:
        """What is found, and whether by the index."""
        with CaptureQueriesContext(connection) as queries:
            found = store_named("pgvector").find(of, random(seed, 1, 32)[0], bounds(of, **where), 20)
        sql = next(each["sql"] for each in queries if "UNION ALL" in each["sql"])
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        return ids(found), f"_{of.pk}_{of.embedder_id}_32" in plan

    def test_it_finds_nearly_all_that_a_plain_scan_finds(self, large: Collection) -> None:
        recalls = []
        for seed in range(500, 520):
            by_index, used = self.find(large, seed)
            assert used
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pgvector, "_are_few", lambda *given: True)
                plain, used = self.find(large, seed)
            assert not used
            recalls.append(len(set(by_index) & set(plain)) / 20)
        assert sum(recalls) / len(recalls) >= 0.95

    @pytest.mark.parametrize(
        ("where", "number", "used"), [({"tenth": [3]}, 20, True), ({"rare": [1]}, 5, False)]
    )
    def test_what_bounds_leave_is_found_whole(
        self, large: Collection, where: dict[str, Any], number: int, used: bool
    ) -> None:
        assert [(len(found), by) for found, by in [self.find(large, 500, **where)]] == [(number, used)]

    def test_the_command_does_nothing_twice_and_mends_what_was_broken_off(self, large: Collection) -> None:
        call_command("ling_vectors", stdout=(out := StringIO()))
        assert out.getvalue() == ""
        name = f"lingstream_knowledge_pgvector_{large.pk}_{large.embedder_id}_32"
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = to_regclass(%s)", [name]
            )
        call_command("ling_vectors", stdout=out)
        assert name in out.getvalue()

    def test_more_dimensions_than_an_index_takes(self, large: Collection) -> None:
        space = pgvector._Space(1, 2, 3_072)
        assert space.type == "halfvec(3072)"
        [right] = document(large, "x", vectors=random(7, 1, 3_072))
        assert ids(store_named("pgvector").find(large, random(7, 1, 3_072)[0], bounds(large), 3)) == [
            right.pk
        ]


class TestWhatLacks:
    def test_a_command_says_which_statement(self, db: None) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("DROP EXTENSION IF EXISTS vector CASCADE")
        with pytest.raises(CommandError, match=r"CREATE EXTENSION vector|a database of PostgreSQL"):
            call_command("ling_vectors", stdout=StringIO())

    def test_a_store_that_nobody_has_registered(self) -> None:
        with pytest.raises(
            ConfigurationError, match="expected a store among database, pgvector, got 'milvus'"
        ):
            store_named("milvus")

    def test_a_check_says_so_of_a_collection(self, db: None) -> None:
        collection("one", store="pgvector")
        collection("two", store="milvus")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("DROP EXTENSION IF EXISTS vector CASCADE")
        hints = {"postgresql": "CREATE EXTENSION vector", "sqlite": "a database of PostgreSQL"}
        found = [each for each in check_database("default") if each.id == "lingstream_knowledge.E004"]
        assert [each.hint for each in found] == [f"It needs: {hints[connection.vendor]}", None]
        assert "a store among database, pgvector, got 'milvus'" in found[1].msg

    def test_the_table_is_made_by_a_command(self, pgvector_table: None) -> None:
        assert pgvector.lacking("default") == ""
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE lingstream_knowledge_pgvector CASCADE")
        assert pgvector.lacking("default") == "manage.py ling_vectors"
        call_command("ling_vectors", stdout=StringIO())
        assert pgvector.lacking("default") == ""
