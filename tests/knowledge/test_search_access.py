"""Who finds what: nobody finds, counts or guesses a passage that is not theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lingstream.access.identity import Identity
from lingstream.core.engine import kinds
from lingstream.knowledge import registry
from lingstream.knowledge.models import Chunk, Collection, Source

from .building import collection, document, find
from .meaning import embedder
from .people import asking, groups_of, in_run, user, visible

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("identity", [asking, in_run])
class TestAccess:
    @pytest.mark.parametrize(
        ("access", "names"),
        [
            ("anyone", {"nobody", "anna", "member", "permitted", "root"}),
            ("authenticated", {"anna", "member", "permitted", "root"}),
            ("permission", {"permitted", "root"}),
            ("groups", {"member"}),
            ("own", {"anna"}),
        ],
    )
    def test_a_collection_says_who_may_search(
        self, identity: Callable[..., Any], access: str, names: set[str]
    ) -> None:
        people = {name: user(name) for name in ("anna", "member", "permitted")}
        people["root"] = user("root", is_superuser=True)
        readers = Group.objects.create(name="readers")
        people["member"].groups.add(readers)
        people["permitted"].user_permissions.add(Permission.objects.get(codename="search_collection"))
        made = collection(access=access)
        made.groups.add(readers, Group.objects.create(name="others"))
        document(made, "a zebra", owner=people["anna"] if access == "own" else None)
        found = {
            name
            for name, who in [*people.items(), ("nobody", None)]
            if find(made, "zebra", identity=identity(who))
        }
        assert found == names

    def test_a_document_is_found_in_its_scope_by_its_owner(self, identity: Callable[..., Any]) -> None:
        anna, ben = user("anna"), user("ben")
        made = collection(embedder=embedder())
        for scope in ("", "north", "south"):
            for owner in (None, anna, ben):
                document(made, "a cat", title=f"{scope} {owner}", scope=scope, owner=owner)

        def titles(who: User | None, scope: str) -> set[str]:
            return {hit.title for hit in find(made, "cat", identity=identity(who, scope), k=50)}

        assert titles(anna, "north") == {"north None", "north anna"}
        assert titles(None, "south") == {"south None"}
        assert titles(ben, "") == {" None", " ben"}
        assert titles(ben, "east") == set()
        Collection.objects.update(shared=True)
        assert titles(anna, "east") == {
            " None",
            "north None",
            "south None",
            " anna",
            "north anna",
            "south anna",
        }

    def test_a_source_that_was_moved_is_not_found_where_it_was(self, identity: Callable[..., Any]) -> None:
        anna = user("anna")
        made, shut = collection(embedder=embedder()), collection("shut", access="own")
        document(made, "a cat", owner=anna)
        document(made, "a cat")
        assert len(find(made, "cat", identity=identity(anna))) == 2
        Source.objects.filter(slug="help").update(collection=shut)
        with CaptureQueriesContext(connection) as queries:
            assert find(made, "cat", identity=identity(anna)) == []
        assert len(queries) <= 3
        explained = find(made, "cat", identity=identity(anna), explain=True)
        assert [hit.removed for hit in explained] == ["access", "access"]


class TestWhoAsks:
    def test_nobody_is_a_visitor_of_no_tenant(self) -> None:
        made = collection()
        document(made, "a zebra")
        document(made, "a zebra", scope="north")
        document(made, "a zebra", owner=user("anna"))
        assert len(find(made, "zebra")) == 1

    def test_a_superuser_of_every_tenant(self) -> None:
        made = collection()
        for scope in ("", "north"):
            document(made, "a zebra", scope=scope, owner=None)
        assert len(find(made, "zebra", identity=asking(user("root", is_superuser=True), None))) == 2

    def test_the_sites_own_code_may_search_any_collection_and_finds_what_its_user_owns(self) -> None:
        anna = user("anna")
        made = collection(access="permission")
        document(made, "a zebra", owner=anna)
        document(made, "a zebra", owner=user("ben"))
        assert len(find(made, "zebra", identity=Identity.of_site(anna))) == 1
        assert find(made, "zebra", identity=asking(anna)) == []

    def test_a_user_who_is_gone_or_may_not_sign_in(self) -> None:
        made = collection(access="permission")
        document(made, "a zebra")
        gone = user("root", is_superuser=True, is_active=False)
        assert find(made, "zebra", identity=in_run(gone)) == []
        assert find(made, "zebra", identity=kinds.Identity("123456")) == []


class TestVisible:
    """What a site says of its own rows is asked at each search, whatever the index has."""

    @pytest.fixture
    def groups(self, monkeypatch: pytest.MonkeyPatch) -> list[Group]:
        made = collection(embedder=embedder())
        rows = [Group.objects.create(name=name) for name in ("cats", "dogs")]
        for row in rows:
            document(made, f"all about {row.name}", key=str(row.pk), title=row.name)
        visible(monkeypatch, "help", Group, groups_of)
        return rows

    @pytest.mark.parametrize("identity", [asking, in_run])
    def test_what_is_revoked_is_not_found(self, groups: list[Group], identity: Callable[..., Any]) -> None:
        anna = user("anna")
        anna.groups.set(groups)
        titles = [hit.title for hit in find("help", "all about cats", identity=identity(anna))]
        assert set(titles) == {"cats", "dogs"}
        anna.groups.remove(groups[0])
        assert [hit.title for hit in find("help", "all about cats", identity=identity(anna))] == ["dogs"]
        assert find("help", "all about cats", identity=identity(None)) == []

    def test_rows_that_no_app_declares_any_more_are_found_by_nobody(
        self, groups: list[Group], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        anna = user("anna")
        anna.groups.set(groups)
        Source.objects.update(kind="models")
        assert len(find("help", "all about cats", identity=asking(anna))) == 2
        Source.objects.update(slug="renamed")
        for identity in (asking(anna), asking(user("root", is_superuser=True)), None):
            assert find("help", "all about cats", identity=identity) == []
        explained = find("help", "all about cats", identity=asking(anna), explain=True)
        assert {hit.removed for hit in explained} == {"visible"}
        monkeypatch.delitem(registry._declared, "help")
        Source.objects.update(slug="help")
        assert find("help", "all about cats", identity=asking(anna)) == []

    def test_no_more_than_k_are_lost_to_what_is_hidden(self, groups: list[Group]) -> None:
        made = Collection.objects.get()
        anna = user("anna")
        for number in range(8):
            row = Group.objects.create(name=f"more {number}")
            document(made, f"zebra {number}", key=str(row.pk))
            if number % 2:
                anna.groups.add(row)
        assert len(find("help", "zebra", k=4, identity=asking(anna))) == 4

    def test_of_several_models_each_is_asked_once(
        self, groups: list[Group], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        visible(monkeypatch, "help", Group, lambda who: Group.objects.none())
        assert find("help", "all about cats") == []


class TestQueries:
    def searched(self, **how: Any) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert find("help", "all about cats", **how)
        return [each["sql"] for each in queries]

    @pytest.fixture
    def anna(self, monkeypatch: pytest.MonkeyPatch) -> User:
        """Somebody who searches a collection of a group's, with rows of the site's own."""
        made = collection(embedder=embedder(), access="groups", narrow_by=["product"])
        anna, group = user("anna"), Group.objects.create(name="cats")
        anna.groups.add(group)
        made.groups.add(group)
        document(made, "all about cats", "and kittens", key=str(group.pk), metadata={"product": "tea"})
        visible(monkeypatch, "help", Group, groups_of)
        find("help", "warm", identity=asking(anna))
        return anna

    @pytest.mark.parametrize(
        "how",
        [
            {},
            {"where": {"product": ["tea", "jam"]}},
            {"mode": "keyword"},
            {"mode": "vector"},
            {"k": 50},
            {"budget": 10_000},
        ],
    )
    def test_a_search_takes_four_at_most(self, anna: User, how: dict[str, Any]) -> None:
        assert len(self.searched(identity=asking(anna), **how)) <= 4

    def test_three_where_the_site_has_nothing_to_say(
        self, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(registry._declared, "help")
        assert len(self.searched(identity=asking(anna))) == 3

    def test_more_collections_and_passages_take_no_more(self, anna: User) -> None:
        for number in range(3):
            more = collection(f"more-{number}", embedder=Collection.objects.get(slug="help").embedder)
            for _ in range(5):
                document(more, "all about cats and kittens")
        slugs = [*Collection.objects.values_list("slug", flat=True)]
        find(slugs, "warm", identity=asking(anna))
        with CaptureQueriesContext(connection) as queries:
            assert find(slugs, "all about cats", identity=asking(anna), k=30)
        assert len(queries) <= 4


class TestExplained:
    def test_each_passage_says_what_keeps_it_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        anna = user("anna")
        made, shut = collection(embedder=embedder(), narrow_by=["product"]), collection("shut", access="own")
        shut.narrow_by = ["product"]
        shut.save()
        tea = {"metadata": {"product": "tea"}, "language": "en"}
        document(made, "a cat, found", title="", **tea)
        document(made, "a cat and a dog, beside it", title="rank", **tea)
        document(made, "a cat", title="scope", scope="north", **tea)
        document(made, "a cat", title="owner", owner=user("ben"), **tea)
        document(made, "a cat", title="where", metadata={"product": "jam"})
        document(shut, "a cat", title="access", **tea)
        hits = find(
            ["help", "shut"], "cat", identity=asking(None), k=1, where={"product": "tea"}, explain=True
        )
        assert {hit.removed: hit.title for hit in hits} == {
            each: each for each in ("", "rank", "scope", "owner", "where", "access")
        }
        assert [hit.rank for hit in hits] == [1, 0, 0, 0, 0, 0]
        assert anna

    def test_what_is_hidden_and_what_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made, other = collection("groups"), collection("help")
        document(made, "a zebra", key="1", title="visible")
        document(other, "a zebra", title="")
        document(other, "a zebra too", title="budget")
        Chunk.objects.update(tokens=10)
        visible(monkeypatch, "groups", Group, lambda who: Group.objects.none())
        hits = find(["groups", "help"], "zebra", budget=10, explain=True)
        assert sorted((hit.removed, hit.title) for hit in hits) == [
            ("", ""),
            ("budget", "budget"),
            ("visible", "visible"),
        ]
