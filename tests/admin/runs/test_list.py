"""The list of runs: found, filtered, paged and acted on without reading the table, on both databases."""

from __future__ import annotations

import csv
import io
import re
import sys
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.admin.runs import admin
from lingstream.admin.runs.admin import RunAdmin
from lingstream.admin.runs.keyset import MOST_COUNTED
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.run import RunResult
from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Usage
from lingstream.execution.journal import Write, result_of, store
from lingstream.execution.prices import Tariff, cost_of
from lingstream.execution.start import Start, create_run
from lingstream.models import (
    Attachment,
    Conversation,
    Provider,
    Run,
    Runner,
    RunText,
    Step,
    Workflow,
    WorkflowVersion,
)
from lingstream.models.validators import validate_prices
from tests.plans import check_plan

from ..forms import client_with

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/run/"
MANY = 12_000
WORDS = ("clouds", "rain", "sun", "云上的雨")


def asked(question: Any, **columns: Any) -> Run:
    """A run with its text, as one that was started has it."""
    run = Run.objects.create(**{"workflow": "facts", "input": {"question": question}, **columns})
    RunText.of(run)
    return run


def mine(request: Any) -> str:
    return "mine"


def theirs(request: Any) -> str:
    return "theirs"


def listed(client: Client, **query: Any) -> list[str]:
    """The ids on a page, as they are shown."""
    response = client.get(URL, query)
    assert response.status_code == 200, response
    return [str(run.pk) for run in response.context["cl"].result_list]


class TestSearch:
    @pytest.fixture
    def run(self) -> Run:
        owner = User.objects.create(username="ada.lovelace")
        talk = Conversation.objects.create(owner=owner)
        asked("Something else", workflow="other")
        run = asked("Can I lie on a Cloud?\x00 云上的雨", owner=owner, conversation=talk, epoch=1)
        error = ProviderError("the model caught fire", code="provider-down").to_wire()
        Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
        ends = result_of(RunResult("failed", None, Usage(3, 4), (error,)), "1-9")
        assert store([Write(run, 1, columns=ends)]) == [True]
        run.refresh_from_db()
        return run

    @pytest.mark.parametrize(
        ("text", "finds"),
        [
            ("{id}", True),
            ("{short}", True),
            ("{conversation}", True),
            ("facts", True),
            ("fact", False),
            ("ada", True),
            ("ada.lovelace", True),
            ("lovelace", False),
            ("provider-down", True),
            ("caught fire", True),
            ("CLOUD", True),
            ("clo", True),
            ("clo lie", False),
            ("lie clo", True),
            ("louds", False),
            ("上的", True),
            ("的上", False),
            ("cloud' | 'x", False),
            ('cloud" OR "x', False),
            ("'\"*:&|!()<->", False),
            ("nothing of it", False),
        ],
    )
    def test_finds(self, admin_client: Client, run: Run, text: str, finds: bool) -> None:
        names = {"id": run.pk, "short": str(run.pk)[:8], "conversation": run.conversation_id}
        assert (str(run.pk) in listed(admin_client, q=text.format(**names))) is finds

    def test_is_of_one_tenant_however_much_others_ask(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.admin.runs.search._MOST_TEXTS", 2)
        mine = asked("my clouds", scope="mine")
        theirs = [asked(f"clouds {number}", scope="theirs") for number in range(3)]
        client = client_with("view_run")
        for scope, runs in (("mine", [mine]), ("theirs", theirs[:0:-1])):
            settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"tests.admin.runs.test_list.{scope}"}
            assert listed(client, q="clouds") == [str(run.pk) for run in runs]

    def test_a_deleted_run_is_not_found(self, admin_client: Client, run: Run) -> None:
        run.delete()
        assert listed(admin_client, q="cloud") == []
        assert RunText.objects.filter(words__match="cloud").count() == 0

    def test_starting_a_run_stores_what_it_is_found_by(self, admin_client: Client) -> None:
        provider = Provider.objects.create(name="demo", kind="scripted")
        flow = Workflow.objects.create(slug="facts")
        Step.objects.create(workflow=flow, name="answer", provider=provider, input="{{ input.question }}")
        run, _new = create_run(Start("facts", {"question": "Why is it blue?"}), Identity.of_site())
        assert listed(admin_client, q="blue") == [str(run.pk)]
        html = admin_client.get(URL).content.decode()
        assert "Why is it blue?" in html


class TestPrivate:
    """What was asked of a private workflow is for who may change workflows."""

    @pytest.fixture
    def run(self) -> Run:
        Workflow.objects.create(slug="facts", private=True)
        return asked("SECRET wish")

    @pytest.mark.parametrize(
        ("permissions", "sees"), [(("view_run",), False), (("view_run", "change_workflow"), True)]
    )
    def test_inputs(self, run: Run, permissions: tuple[str, ...], sees: bool) -> None:
        client = client_with(*permissions)
        pages = [client.get(URL), client.get(f"{URL}{run.pk}/change/")]
        pages.append(client.post(URL, {"action": "export_csv", "_selected_action": [run.pk]}))
        for page in pages:
            text = b"".join(page.streaming_content) if page.streaming else page.content
            assert (b"SECRET" in text) is sees, page
        assert (listed(client, q="secret") == [str(run.pk)]) is sees

    @pytest.mark.parametrize(("more", "sees"), [((), False), (("change_workflow",), True)])
    def test_conversations_and_files(
        self, run: Run, more: tuple[str, ...], sees: bool, settings: Any, tmp_path: Path
    ) -> None:
        settings.MEDIA_ROOT = str(tmp_path)
        talk = Conversation.objects.create()
        parts = {"parts": [{"type": "text", "text": "SECRET"}]}
        Run.objects.filter(pk=run.pk).update(conversation=talk, number=1, message=parts)
        file = Attachment.objects.create(
            conversation=talk, run=run, name="a.txt", size=1, file=ContentFile(b"x", "a.txt")
        )
        client = client_with("view_run", "view_conversation", "view_attachment", *more)
        address = "/admin/lingstream/conversation/"
        assert ("SECRET" in client.get(f"{address}{talk.pk}/change/").content.decode()) is sees
        assert client.get(f"{address}{talk.pk}/export/json/").status_code == (200 if sees else 403)
        download = client.get(f"/admin/lingstream/attachment/{file.pk}/download/")
        assert download.status_code == (200 if sees else 404)
        assert (b"a.txt" in client.get("/admin/lingstream/attachment/").content) is sees
        file.delete()


class TestCost:
    @pytest.mark.parametrize(
        ("prices", "cost"),
        [
            ({}, None),
            ({"small": {"input": 1}}, None),
            ({"large": {"input": 2.5, "output": 10}}, Decimal("0.0325")),
            ({"*": {"output": 10}}, Decimal("0.03")),
        ],
    )
    def test_is_by_the_prices_of_the_provider(
        self, prices: dict[str, Any], cost: Decimal | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.execution.prices._known", (0.0, {}))
        Provider.objects.create(name="demo", kind="scripted", prices=prices)
        run = asked("x", epoch=1, status=Run.Status.RUNNING)
        entry = {"first": 0.5, "repairs": 2, "provider": "demo", "model": "large", "tokens": [1_000, 3_000]}
        ended = RunResult("finished", None, Usage(1_000, 3_000), trace=(entry,))
        assert store([Write(run, 1, columns=result_of(ended, "1-9"))]) == [True]
        run.refresh_from_db()
        assert run.cost == cost
        assert (run.repaired, run.first_token, run.prompt_tokens, run.completion_tokens) == (
            2,
            0.5,
            1_000,
            3_000,
        )

    @pytest.mark.parametrize(
        ("columns", "model", "known"),
        [
            ({"base_url": "https://api.openai.com/v1"}, "gpt-4o", True),
            ({"kind": "openai"}, "gpt-4o", True),
            ({"base_url": "https://api.openai.com/v1"}, "of-nobody", False),
            ({"base_url": "http://localhost:11434/v1"}, "gpt-4o", False),
            ({"kind": "scripted"}, "gpt-4o", False),
        ],
    )
    def test_is_by_the_list_of_a_package_where_the_provider_says_so(
        self, columns: dict[str, str], model: str, known: bool
    ) -> None:
        genai_prices = pytest.importorskip("genai_prices")
        validate_prices({"*": "genai-prices"})
        tariff = Tariff({"small": {"input": 1}, "*": "genai-prices"}, **columns)
        entry = {"provider": "demo", "model": model, "tokens": [1_000, 3_000]}
        usage = genai_prices.Usage(input_tokens=1_000, output_tokens=3_000)
        listed = genai_prices.calc_price(usage, "gpt-4o", provider_id="openai").total_price
        assert cost_of([entry], {"demo": tariff}) == (listed if known else None)
        by_hand = cost_of([{**entry, "model": "small"}], {"demo": tariff})
        assert by_hand == Decimal("0.001")

    def test_without_the_package_nothing_has_its_prices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "genai_prices", None)
        entry = {"provider": "demo", "model": "gpt-4o", "tokens": [1_000, 3_000]}
        assert cost_of([entry], {"demo": Tariff({"*": "genai-prices"}, "openai")}) is None
        monkeypatch.setattr("lingstream.models.validators.find_spec", lambda name: None)
        with pytest.raises(ValidationError, match=r"install lingstream\[prices\]"):
            validate_prices({"*": "genai-prices"})

    @pytest.mark.parametrize(
        "prices",
        [
            [],
            {"large": 1},
            {"large": {}},
            {"large": {"in": 1}},
            {"large": {"input": -1}},
            {"x": {"input": True}},
        ],
    )
    def test_prices_of_another_shape_are_refused(self, prices: Any) -> None:
        with pytest.raises(ValidationError, match="Expected"):
            validate_prices(prices)


class TestPages:
    def test_follow_one_another_both_ways_without_gaps(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RunAdmin, "list_per_page", 10)
        now = timezone.now()
        # Three at each time: a page ends among equals.
        runs = [asked("x", created_at=now - timedelta(seconds=number // 3)) for number in range(25)]
        everything = [
            str(pk) for pk in Run.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)
        ]
        assert len(everything) == len(runs)
        seen, address = list[list[str]](), URL
        while address:
            cl = admin_client.get(address).context["cl"]
            seen.append([str(run.pk) for run in cl.result_list])
            address = URL + cl.older if cl.older else ""
        assert [run for page in seen for run in page] == everything
        back = [seen[-1]]
        while cl.newer:
            cl = admin_client.get(URL + cl.newer).context["cl"]
            back.insert(0, [str(run.pk) for run in cl.result_list])
        assert back == seen

    def test_another_filter_begins_at_the_top(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RunAdmin, "list_per_page", 1)
        for _number in range(2):
            asked("x")
        older = admin_client.get(URL).context["cl"].older
        html = admin_client.get(URL + older).content.decode()
        links = re.findall(r'href="(\?[^"]*status__exact[^"]*)"', html)
        assert links
        assert not [link for link in links if "before=" in link]

    @pytest.mark.parametrize("place", ["x", "2026-01-01T00:00:00+00:00", "x~y", "2026-01-01~zzz", "~"])
    def test_a_place_that_is_none_is_refused(self, admin_client: Client, place: str) -> None:
        assert admin_client.get(URL, {"before": place}).url == f"{URL}?e=1"  # type: ignore[attr-defined]


class TestCounts:
    """What a list says of how much there is: above it nothing, below it what is true."""

    @pytest.mark.parametrize(
        ("query", "told", "narrowed"),
        [
            ({}, "3 runs", False),
            ({"q": "clouds"}, "3 runs", True),
            ({"q": "sun"}, "1 run", True),
            ({"workflow": "facts"}, "3 runs", True),
        ],
    )
    def test_are_told_once(
        self, admin_client: Client, query: dict[str, str], told: str, narrowed: bool
    ) -> None:
        for text in ("clouds", "clouds", "clouds and sun"):
            asked(text)
        html = admin_client.get(URL, query).content.decode()
        assert told in [text.strip() for text in re.findall(r"<span>([^<]*)</span>", html)]
        assert "result" not in re.sub(
            r"result_list|class=\S+", "", html.split("<main")[-1].split("<table")[0]
        )
        assert ("Show all" in html) is narrowed

    def test_a_search_that_found_as_many_as_it_shows_says_so(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.admin.runs.search.MOST_FOUND", 2)
        monkeypatch.setattr(RunAdmin, "most_found", 2)
        for _number in range(3):
            asked("clouds")
        assert "the newest 2 runs that were found" in admin_client.get(URL, {"q": "clouds"}).content.decode()

    def test_from_a_bound_on_there_are_more(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.admin.runs.keyset.MOST_COUNTED", 2)
        for _number in range(3):
            asked("clouds")
        html = admin_client.get(URL).content.decode()
        assert {"more than 2 runs", "Select all of more than 2 runs", "All of more than 2 selected"} <= {
            text.strip() for text in re.findall(r">([^<]*)<", html)
        }


class TestFilters:
    """What cells link, and what takes it back."""

    @pytest.fixture
    def runs(self) -> list[Run]:
        ada, bob = (User.objects.create(username=name) for name in ("ada", "bob"))
        talk = Conversation.objects.create(owner=ada)
        flow = Workflow.objects.create(slug="facts")
        for number in (1, 2):
            WorkflowVersion.objects.create(workflow=flow, number=number, plan={})
        return [
            asked("x", owner=ada, conversation=talk, plan=Plan("facts", published=2).to_json()),
            asked("x", owner=ada, plan=Plan("facts", published=1).to_json()),
            asked("x", owner=bob, workflow="other", plan=Plan("other", published=2).to_json()),
            asked("x"),
        ]

    @pytest.mark.parametrize(
        ("link", "title", "finds"),
        [
            ("?owner__id__exact={owner}", "ada", {0, 1}),
            ("?conversation__id__exact={talk}", "{short}", {0}),
            ("?workflow=facts&amp;version=2", "v2", {0}),
        ],
    )
    def test_a_link_in_a_cell_filters(
        self, admin_client: Client, runs: list[Run], link: str, title: str, finds: set[int]
    ) -> None:
        talk = runs[0].conversation_id
        link = link.format(owner=runs[0].owner_id, talk=talk)
        assert f'<a href="{link}">' in admin_client.get(URL).content.decode()
        page = admin_client.get(f"{URL}{unescape(link)}")
        assert {str(run.pk) for run in page.context["cl"].result_list} == {str(runs[n].pk) for n in finds}
        (chosen,) = re.findall(
            rf'<li class="selected">\s*<a [^>]*>{title.format(short=str(talk)[:8])}</a>',
            page.content.decode(),
        )
        assert chosen

    def test_another_workflow_has_other_versions(self, admin_client: Client, runs: list[Run]) -> None:
        changelist = admin_client.get(URL, {"workflow": "facts", "version": "2"}).context["cl"]
        found = {getattr(each, "parameter_name", ""): each for each in changelist.filter_specs}
        assert [each["display"] for each in found["version"].choices(changelist)] == ["All", "v2", "v1"]
        queries = [each["query_string"] for each in found["workflow"].choices(changelist)]
        assert "?workflow=facts" in queries and not [each for each in queries if "version" in each]
        alone = admin_client.get(URL, {"version": "2"}).context["cl"]
        assert "version" not in {getattr(each, "parameter_name", "") for each in alone.filter_specs}
        assert len(alone.result_list) == len(runs)

    def test_nobody_is_named_whose_runs_are_not_shown(self, runs: list[Run], settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.admin.runs.test_list.mine"}
        Run.objects.filter(pk=runs[1].pk).update(scope="mine")
        client = client_with("view_run")
        for run, name in ((runs[1], "ada"), (runs[2], "bob")):
            page = client.get(URL, {"owner__id__exact": str(run.owner_id)}).content.decode()
            assert (name in page) is (name == "ada")

    @pytest.mark.parametrize(
        "query", [{"owner__id__exact": "x"}, {"conversation__id__exact": "7"}, {"owner__password": "x"}]
    )
    def test_what_names_nothing_is_refused(self, admin_client: Client, query: dict[str, str]) -> None:
        response = admin_client.get(URL, query)
        assert response.status_code in (302, 400) and response.get("Location", "") in ("", f"{URL}?e=1")


class TestActions:
    def test_csv_has_what_the_list_has_and_no_formula(self, admin_client: Client) -> None:
        run = asked("=1+1", error_code="-x", cost="0.25", repaired=2)
        response = admin_client.post(URL, {"action": "export_csv", "_selected_action": [run.pk]})
        text = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["id"] == str(run.pk)
        assert (row["input"], row["error code"]) == ("'=1+1", "'-x")
        assert (row["cost"], row["repaired"]) == ("0.250000", "2")
        assert response["Content-Disposition"] == 'attachment; filename="runs.csv"'

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"select_across": "1"},
            {"select_across": "2"},
            {"select_across": "on"},
            {"select_across": ["0", "1"]},
            {"select_across": "1", "action": ["again", "export_csv"], "index": "0"},
            {"select_across": "1", "action": ["export_csv", "again"], "index": "1"},
            {"select_across": "1", "action": ["again", "export_csv"], "index": "x"},
        ],
    )
    def test_no_more_are_taken_than_an_action_takes_and_that_is_told(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
    ) -> None:
        monkeypatch.setitem(admin._MOST_AT_ONCE, "again", 2)
        Runner.objects.create()
        flow = Workflow.objects.create(slug="facts")
        Provider.objects.create(name="demo", kind="scripted")
        Step.objects.create(workflow=flow, name="answer", input="{{ input.question }}")
        runs = [str(asked("x").pk) for _number in range(3)]
        response = admin_client.post(
            URL, {"action": "again", "_selected_action": runs[: 1 if "select_across" in more else 3], **more}
        )
        told = [str(message) for message in get_messages(response.wsgi_request)]
        assert told == ["Only the newest 2 of the selected runs are taken.", "2 runs have been started."]
        assert Run.objects.count() == 5

    @pytest.mark.parametrize("action", ["delete_selected", "stop", "again", "export_csv"])
    def test_each_action_is_bounded(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch, action: str
    ) -> None:
        monkeypatch.setattr(admin, "_MOST_ELSE", 2)
        monkeypatch.setattr(admin, "_MOST_AT_ONCE", {})
        for _number in range(3):
            asked("x", workflow="gone")
        chosen = {"_selected_action": str(uuid4()), "select_across": "on"}
        response = admin_client.post(URL, {"action": action, **chosen})
        told = str(next(iter(get_messages(response.wsgi_request))))
        assert told == "Only the newest 2 of the selected runs are taken."

    def test_the_site_decides_whether_rows_are_deleted_by_lists(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(site._actions, "delete_selected")  # as site.disable_action does
        asked("x")
        page = admin_client.get(URL).content.decode()
        assert 'value="export_csv"' in page and "delete_selected" not in page

    def test_what_keeps_many_from_being_run_again_is_told_once(self, admin_client: Client) -> None:
        runs = [asked("x", workflow="gone") for _number in range(7)]
        chosen = {"action": "again", "_selected_action": [run.pk for run in runs]}
        (message,) = get_messages(admin_client.post(URL, chosen).wsgi_request)
        assert str(message).count("gone ") == 5 and "…: expected" in str(message)

    def test_a_run_that_is_being_stopped_says_so_in_the_list(self, admin_client: Client) -> None:
        run = asked("x", status=Run.Status.RUNNING)
        assert "is being stopped" not in admin_client.get(URL).content.decode()
        admin_client.post(URL, {"action": "stop", "_selected_action": [run.pk]})
        assert '<span class="ling-below">is being stopped</span>' in admin_client.get(URL).content.decode()

    def test_what_nothing_came_of_is_not_told_as_done(self, admin_client: Client) -> None:
        run = asked("x", workflow="gone", status=Run.Status.FINISHED)
        for action, told in [
            ("stop", "All of these runs have ended, or are being stopped."),
            ("again", "gone"),
        ]:
            response = admin_client.post(URL, {"action": action, "_selected_action": [run.pk]})
            message = list(get_messages(response.wsgi_request))[-1]
            assert told in str(message) and message.level_tag in ("warning", "error")

    @pytest.mark.parametrize(
        ("permissions", "offered"),
        [
            (("view_run",), {"export_csv"}),
            (("view_run", "cancel_run"), {"export_csv", "stop"}),
            (("view_run", "start_workflow"), {"export_csv", "again"}),
        ],
    )
    def test_are_offered_to_who_may(self, permissions: tuple[str, ...], offered: set[str]) -> None:
        asked("x")
        html = client_with(*permissions).get(URL).content.decode()
        assert set(re.findall(r'<option value="(\w+)">', html)) == offered


@pytest.fixture
def many() -> None:
    """As many runs as make a plan that reads the table dear."""
    now = timezone.now()
    owner = User.objects.create(username="ada")
    talk = Conversation.objects.create(owner=owner)
    runs = [
        Run(
            pk=uuid4(),
            workflow="rare" if number % 2_000 == 0 else f"w{number % 4}",
            published=2 if number % 1_200 == 7 else 3,
            status="failed" if number % 500 == 1 else "finished",
            error_code="provider" if number % 500 == 1 else "",
            repaired=int(number % 700 == 2),
            scope="tenant" if number % 1_000 == 3 else "",
            owner=owner if number % 900 == 4 else None,
            owner_key=f"user:{owner.pk}" if number % 900 == 4 else "anyone",
            conversation=talk if number % 3_000 == 5 else None,
            created_at=now - timedelta(seconds=number),
        )
        for number in range(MANY)
    ]
    Run.objects.bulk_create(runs, 1_000)
    texts = [
        RunText(run=run, input="x", words=f"{WORDS[number % 3]} {'needle' if number % 5_000 == 6 else 'hay'}")
        for number, run in enumerate(runs)
    ]
    RunText.objects.bulk_create(texts, 1_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":  # to read all of so small a table may be right
            cursor.execute("SET LOCAL enable_seqscan = off")


_MOST_READ = 4_500  # rows, of a word that a third of the runs has: where PostgreSQL's plan may be either


@pytest.mark.usefixtures("many")
def test_a_version_is_found_by_its_index(admin_client: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert len(listed(admin_client, workflow="w3", version="2")) == MANY // 1_200
    asked = [query["sql"] for query in captured if '"published" = 2' in query["sql"]]
    assert len(asked) == 2  # the page, and how many there are
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {'QUERY PLAN' if connection.vendor == 'sqlite' else ''} {sql}")
            assert "lingstream_run_version" in str(cursor.fetchall())


@pytest.mark.usefixtures("many")
def test_no_page_reads_the_table(admin_client: Client) -> None:
    now = timezone.now()
    place = f"{(now - timedelta(seconds=9_000)).isoformat()}~{uuid4()}"
    hour = {
        f"created_at__{name}": (now - timedelta(seconds=ago)).isoformat()
        for name, ago in (("gte", 9_000), ("lt", 5_400))
    }
    owner = str(User.objects.get(username="ada").pk)
    pages: list[dict[str, str]] = [
        {},
        {"before": place},
        {"after": place},
        {"workflow": "rare"},
        {"workflow": "w1", "before": place},
        {"workflow": "w3", "version": "2"},
        {"workflow": "w3", "version": "2", "before": place},
        {"workflow": "w3", "version": "9"},
        {"owner__id__exact": owner},
        {"owner__id__exact": owner, "before": place},
        {"owner__id__exact": owner, "workflow": "w3", "version": "9"},
        hour,
        {**hour, "status__exact": "finished"},
        {"status__exact": "failed"},
        {"status__exact": "failed", "workflow": "w3"},
        {"error_code": "provider"},
        {"repaired": "yes"},
        {"scope": "tenant"},
        {"conversation__id__exact": str(Conversation.objects.get().pk)},
        *({"q": text} for text in ("needle", "clouds", "ada", "provider", "rare", "abcd")),
    ]
    for page in pages:
        with CaptureQueriesContext(connection) as captured:
            response = admin_client.get(URL, page)
        assert response.status_code == 200, page
        assert response.context["cl"].result_count <= MOST_COUNTED
        assert len(captured) <= 22, [query["sql"] for query in captured]
        for query in list(captured):
            if re.match(r'SELECT .* FROM "lingstream_run(text)?"', query["sql"]):
                check_plan(query["sql"], _MOST_READ)
