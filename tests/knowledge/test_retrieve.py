"""The kind ``retrieve``: in a run, for who has started it, and in the admin's form."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User

from lingstream import workflow
from lingstream.access.identity import Identity
from lingstream.admin.options import forms_of
from lingstream.core.engine import kinds, registry
from lingstream.core.engine.kinds import check_options
from lingstream.core.engine.plan import Plan, StepPlan
from lingstream.core.engine.run import Run as Authoring
from lingstream.core.exceptions import UsageError
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.knowledge.models import Collection, Document
from lingstream.models import BotRun, Run
from tests.core.support import MemoryJournal, Outcome, outcome
from tests.execution.test_steps import ended
from tests.site import Site

from .building import collection, document
from .meaning import embedder

PEOPLE = {"anna": ["sales"], "ben": ["sales", "staff"], "cara": []}


@pytest.fixture
def help(transactional_db: None) -> Collection:
    """Documents of teams, in English and Chinese, and one of anna's."""
    for name, groups in PEOPLE.items():
        user = User.objects.create(username=name)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    made = collection(embedder=embedder(), narrow_by=["team", "product"], access="authenticated")
    for team in ("sales", "staff"):
        metadata = {"team": team, "product": f"{team}-tea"}
        document(made, f"a cat of {team}", title=team, url=f"/{team}/", heading=["Cats"], metadata=metadata)
    document(made, "猫在睡觉", title="猫")
    document(made, "a cat of anna's", title="anna", owner=User.objects.get(username="anna"))
    return made


def who(name: str, scope: str = "") -> kinds.Identity:
    if not name:
        return kinds.Identity(scope=scope)
    return kinds.Identity(str(User.objects.get(username=name).pk), tuple(PEOPLE[name]), scope)


async def retrieved(name: str, question: Any = "cat", journal: Any = None, **options: Any) -> Outcome:
    """Execute a run of one step, started by somebody."""
    identity = await sync_to_async(who)(name)

    async def asked() -> kinds.Identity:
        return identity

    step = StepPlan("find", "retrieve", root="", options={"collection": "help", **options})
    more = {"journal": journal} if journal else {}
    return await outcome(Plan("test", steps=(step,)), input=question, identity=asked, **more)


def titles(found: Outcome) -> set[str]:
    assert found.errors == []
    return {passage["title"] for passage in found.document["sources"]}


class TestWhatItWrites:
    async def test_passages_below_sources(self, help: Collection) -> None:
        found = await retrieved("cara", "cats of staff", k=1, mode="keyword")
        [passage] = found.document["sources"]
        assert passage.pop("score") > 0
        assert len(passage.pop("id")) == 36
        assert passage.pop("version") == (await Document.objects.aget(title="staff")).version
        assert passage == {"title": "staff", "url": "/staff/", "heading": ["Cats"], "text": "a cat of staff"}

    async def test_in_a_workflow_in_python_they_are_what_is_awaited(self, help: Collection) -> None:
        async def ask(run: Authoring) -> None:
            passages = await run.step("retrieve", "猫", root="found", collection=["help"])
            run.set("first", passages[0]["text"])

        identity = await sync_to_async(who)("cara")

        async def asked() -> kinds.Identity:
            return identity

        found = await outcome(ask, identity=asked)
        assert found.document["first"] == "猫在睡觉"
        assert found.document["found"][0]["title"] == "猫"

    async def test_what_was_found_is_played_back(self, help: Collection) -> None:
        journal = MemoryJournal()
        before = await retrieved("cara", journal=journal)
        await Collection.objects.all().aupdate(access="own")
        assert (await retrieved("cara", journal=journal)).document == before.document
        assert (await retrieved("cara")).document == {"sources": []}

    async def test_nothing_is_a_list_too(self, help: Collection) -> None:
        assert (await retrieved("cara", "", mode="keyword")).document == {"sources": []}


class TestServices:
    """The same, from a step of another kind and from a workflow in Python."""

    @pytest.mark.parametrize(("name", "found"), [("cara", ["staff"]), ("", [])])
    async def test_search_for_who_has_started_the_run(
        self, help: Collection, site: Site, name: str, found: list[str]
    ) -> None:
        @workflow("asks-services", access="anyone")
        async def asks(run: Authoring) -> None:
            how = partial(run.services.search, k=1, mode="keyword")
            passages = await run.once("found", how, "help", "cats of staff")
            run.set("titles", [passage["title"] for passage in passages])

        try:
            user = await User.objects.filter(username=name).afirst()
            started, _ = await get_runner().start(Start("asks-services", {}), Identity.of_site(user))
            row = await ended(started)
        finally:
            registry._functions.pop("asks-services", None)
            registry._declared.pop("asks-services", None)
        assert (row.status, row.errors, row.document["titles"]) == ("finished", [], found)

    async def test_of_no_site_search_nothing(self) -> None:
        with pytest.raises(UsageError, match="a site with lingstream"):
            await kinds.Services(lambda plan: None).search("help", "x")  # type: ignore[arg-type,return-value]


class TestWhoAsks:
    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("anna", {"sales", "staff", "猫", "anna"}),
            ("cara", {"sales", "staff", "猫"}),
            ("", set()),
        ],
    )
    async def test_finds_what_they_may(self, help: Collection, name: str, found: set[str]) -> None:
        assert titles(await retrieved(name, "cat 猫")) == found

    @pytest.mark.parametrize(
        ("name", "found"), [("anna", {"sales"}), ("ben", {"sales", "staff"}), ("cara", set()), ("", set())]
    )
    async def test_what_they_are_narrows(self, help: Collection, name: str, found: set[str]) -> None:
        assert titles(await retrieved(name, who={"team": "groups"})) == found

    @pytest.mark.parametrize("mode", ["keyword", "vector"])
    async def test_however_many_groups_they_are_in(
        self, help: Collection, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        """Of which they could leave none to be let in; a name that is too long is no document's."""
        groups = ["x" * 201, *(f"group-{number}" for number in range(600)), "sales"]
        monkeypatch.setitem(PEOPLE, "cara", groups)
        assert titles(await retrieved("cara", who={"team": "groups"}, mode=mode)) == {"sales"}
        monkeypatch.setitem(PEOPLE, "cara", groups[:-1])
        assert titles(await retrieved("cara", who={"team": "groups"}, mode=mode)) == set()


class TestWhere:
    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({"product": "{{ input.product }}"}, {"sales"}),
            ({"product": ["{{ input.product }}", "staff-tea"]}, {"sales", "staff"}),
            ("{{ input.where }}", {"staff"}),
            ({"product": "{{ input.where }}"}, None),
            ("{{ input.product }}", None),
            ({"{{ input.name }}": 1}, None),
            ({"product": "{{ input.nothing }}"}, None),
        ],
    )
    async def test_input_narrows_and_does_no_more(
        self, help: Collection, where: Any, found: set[str] | None
    ) -> None:
        input = {"product": "sales-tea", "where": {"team": "staff"}, "name": "team"}
        step = StepPlan(
            "find",
            "retrieve",
            input="a cat",
            options={"collection": "help", "where": where, "mode": "keyword"},
        )
        identity = await sync_to_async(who)("cara")

        async def asked() -> kinds.Identity:
            return identity

        ran = await outcome(Plan("test", steps=(step,)), input=input, identity=asked)
        assert (titles(ran) if not ran.errors else None) == found

    async def test_what_who_asks_narrows_by_nobody_else_does(self, help: Collection) -> None:
        found = await retrieved("anna", who={"team": "groups"}, where={"team": "staff"})
        assert "expected 'team' in 'where' or in 'who'" in found.errors[0]["message"]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "'collection'|collection"),
            ({"collection": []}, "collection"),
            ({"collection": "help", "k": 51}, "k"),
            ({"collection": "help", "mode": "best"}, "mode"),
            ({"collection": "help", "who": {"team": "password"}}, "who"),
            ({"collection": "help", "identity": {}}, "identity"),
            ({"collection": "help", "rerank": "nobody"}, "expected a reranker among .*, got 'nobody'"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            check_options(StepPlan("find", "retrieve", options=options))

    async def test_a_question_is_a_text(self, help: Collection) -> None:
        found = await retrieved("cara", {"question": "cat"})
        assert "expected a question, a text, got dict" in found.errors[0]["message"]

    def test_the_admin_has_a_form_of_them(self) -> None:
        fields = forms_of()["retrieve"].fields
        assert [*fields][:3] == ["collection", "k", "mode"]


async def test_a_row_finds_for_who_has_started_the_run(site: Site, help: Collection) -> None:
    await site.workflow(
        "finding",
        find={
            "kind": "retrieve",
            "root": "passages",
            "input": "{{ input.question }}",
            "options": {"collection": "help", "mode": "keyword"},
        },
    )
    anna = await User.objects.aget(username="anna")
    row, _ = await get_runner().start(Start("finding", {"question": "cat of anna"}), Identity.of_site(anna))
    run: Run = await ended(row)
    assert run.status == "finished"
    assert run.document["passages"][0]["title"] == "anna"
    [stored] = [step async for step in BotRun.objects.all()]
    assert (stored.kind, stored.result) == ("retrieve", [["put", "", run.document["passages"]]])
