"""The app's index page: figures in few queries, and the first steps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from lingstream.models import Prompt, Provider, Run, Runner, Workflow

from ..forms import client_of, client_with, post_page

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/"


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def runs() -> None:
    now = timezone.now()
    Runner.objects.create()
    Runner.objects.create(heartbeat_at=now - timedelta(hours=1))
    for hours, status, more in [
        (0, "running", {}),
        (1, "finished", {"prompt_tokens": 10, "completion_tokens": 5, "cost": "0.5", "first_token": 0.2}),
        (2, "failed", {"first_token": 0.4}),
        (50, "lost", {"prompt_tokens": 100, "cost": "1", "first_token": 1.2}),
        (24 * 8, "finished", {"prompt_tokens": 1000}),
    ]:
        Run.objects.create(workflow="facts", status=status, created_at=now - timedelta(hours=hours), **more)
    Run.objects.create(workflow="other", scope="elsewhere", status="finished", created_at=now)


def figures(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(URL).context["board"]["figures"]
    return found


@pytest.mark.usefixtures("runs")
def test_times_have_the_unit_of_the_readers_language(chinese: Client) -> None:
    page = chinese.get(URL).content.decode()
    assert re.search(r"\d\.\d\d 秒", page)
    assert not re.search(r"\d s\b", page)


@pytest.mark.usefixtures("runs")
def test_counts_the_last_day_and_week(admin_client: Client) -> None:
    found = figures(admin_client)
    (facts,) = found["workflows"]
    assert (facts["day"], facts["week"], facts["failed_day"], facts["failed_week"]) == (3, 4, 1, 2)
    assert (facts["tokens_day"], facts["tokens_week"]) == (15, 115)
    assert (facts["cost_day"], facts["cost_week"]) == (Decimal("0.5"), Decimal("1.5"))
    assert (found["alive"], found["runners"]) == (1, 1)
    assert found["first_day"] == pytest.approx((0.3, 0.4))  # of two the median is between them
    assert found["first_week"] == pytest.approx((0.4, 1.2))
    assert (facts["first_day"], facts["first_week"]) == pytest.approx((0.3, 0.6))
    day, week = found["charts"]
    assert [(column.runs, column.failed) for column in day.columns[-3:]] == [(1, 1), (1, 0), (1, 0)]
    assert (len(day.columns), sum(column.runs for column in day.columns)) == (24, 3)
    assert (len(week.columns), sum(column.runs for column in week.columns)) == (28, 4)
    assert sum(column.failed for column in week.columns) == 2
    assert max(column.height for column in week.columns) == found["height"]
    html = admin_client.get(URL).content.decode()
    assert html.count('<svg class="ling-hours') == 2
    assert " style=" not in html.split('class="ling-board"')[1].split("</section>")[0]


def test_what_is_alive_is_what_its_link_shows(admin_client: Client) -> None:
    for status in Run.Status.values:
        Run.objects.create(workflow="w", status=status)
    html = admin_client.get(URL).content.decode()
    ((link, count),) = re.findall(r'alive now</dt><dd><a href="([^"]+)">(\d+)</a>', html)
    shown = admin_client.get(link).context["cl"].result_list
    assert count == "2" and {run.status for run in shown} == {"queued", "running"}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"])
def test_columns_of_a_week_begin_at_the_sites_hours_and_leave_nothing_out(
    admin_client: Client, settings: Any, zone: str
) -> None:
    settings.TIME_ZONE = zone
    now = timezone.now()
    for minutes in range(0, 60 * 24 * 6, 90):
        Run.objects.create(workflow="w", created_at=now - timedelta(minutes=minutes))
    _day, week = figures(admin_client)["charts"]
    assert sum(column.runs for column in week.columns) == 96
    begins = [column.begins for column in week.columns]
    last = timezone.localtime(begins[-1])
    assert last.hour % 6 == last.minute == 0
    assert begins[-1] <= now < begins[-1] + timedelta(hours=6)
    assert {after - before for before, after in itertools.pairwise(begins)} == {timedelta(hours=6)}


def test_the_week_is_not_only_its_last_hours(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingstream.admin.runs.dashboard._SAMPLE", 56)  # two of each quarter of a day
    now = timezone.now()
    lately, before = ((minutes, 0.1) for minutes in range(60)), ((1_500 * day, 2.0) for day in range(1, 6))
    for ago, first in [*lately, *before]:
        Run.objects.create(workflow="w", first_token=first, created_at=now - timedelta(minutes=ago))
    found = figures(admin_client)
    assert (found["first_day"].median, found["first_week"].median) == (0.1, 2.0)


@pytest.mark.usefixtures("runs")
def test_takes_six_queries_and_none_of_runs_for_a_while(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(100) as first:
        admin_client.get(URL)
    with django_assert_max_num_queries(100) as again:
        admin_client.get(URL)
    of_runs = [query["sql"] for query in first.captured_queries if "lingstream_" in query["sql"]]
    assert len(of_runs) <= 6, of_runs
    assert not [query for query in again.captured_queries if "lingstream_run" in query["sql"]]


def test_nothing_is_drawn_of_nothing(admin_client: Client) -> None:
    html = admin_client.get(URL).content.decode()
    assert "Nothing has run in the last week." in html and "ling-hours" not in html


def test_figures_are_kept_once_there_are_any(admin_client: Client) -> None:
    assert figures(admin_client)["workflows"] == []
    for shown in (1, 1):  # the first run is there at once, the second when these figures are old
        Run.objects.create(workflow="facts", status="finished")
        assert [row["week"] for row in figures(admin_client)["workflows"]] == [shown]


@pytest.mark.usefixtures("runs")
def test_is_of_one_tenant(admin_client: Client, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.admin.runs.test_dashboard.elsewhere"}
    assert [row["workflow"] for row in figures(admin_client)["workflows"]] == ["other"]


def elsewhere(request: Any) -> str:
    return "elsewhere"


@pytest.mark.parametrize(("permission", "sees"), [("view_run", True), ("view_workflow", False)])
def test_figures_are_for_who_may_view_runs(permission: str, sees: bool) -> None:
    board = client_with(permission).get(URL).context["board"]
    assert ("figures" in board) is sees
    assert [str(title) for title, _url, _told in board["links"]] == (["Runs"] if sees else ["Workflows"])


DONE = {
    "viewers": {
        "Prompts": "what models are told · compare versions with what is live",
        "Workflows": "which steps run, and what starts them · export",
        "Runs": "what was asked and answered · see why one failed",
        "Collections": "documents that bots find their answers in",
    },
    "editors": {
        "Prompts": "what models are told · change a text and try it · compare versions with what is live",
        "Workflows": "which steps run, and what starts them · build and try · give a bot a chat · export · "
        "import",
        "Runs": "what was asked and answered · see why one failed · repeat one",
    },
    "operators": {"Runs": "what was asked and answered · see why one failed · stop one"},
}


@pytest.mark.parametrize("group", DONE)
def test_the_links_tell_of_what_their_reader_may_do(group: str) -> None:
    client, _user = client_of(group)
    told = {str(title): told for title, _url, told in client.get(URL).context["board"]["links"]}
    assert {title: told[title] for title in DONE[group]} == DONE[group]


def test_who_adds_a_first_row_is_led_to_the_next_step(admin_client: Client, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DEFAULT_PROVIDER": "house"}
    (step, *_others) = admin_client.get(URL).context["board"]["steps"]
    assert "“house”" in step.text and step.url.endswith("/provider/add/?name=house")
    for kind, changes in [
        ("provider", {"name": "house", "kind": "scripted"}),
        ("prompt", {"slug": "tone", "text": "Be brief."}),
    ]:
        response = post_page(admin_client, f"/admin/lingstream/{kind}/add/", changes)
        told = [str(message) for message in get_messages(response.wsgi_request)]
        following = {"provider": "prompt", "prompt": "workflow"}[kind]
        assert f'Next: <a href="/admin/lingstream/{following}/add/">' in told[-1]
    response = post_page(admin_client, "/admin/lingstream/provider/add/", {"name": "b", "kind": "scripted"})
    assert "Next" not in str(list(get_messages(response.wsgi_request))[-1])


def test_the_first_steps_are_links_until_they_are_done(admin_client: Client) -> None:
    Prompt.objects.create(slug="tone")
    steps = admin_client.get(URL).context["board"]["steps"]
    assert [step.done for step in steps] == [False, True, False]
    assert all(admin_client.get(step.url).status_code == 200 for step in steps)
    nobody = client_with("view_run").get(URL).context["board"]["steps"]
    assert [step.url for step in nobody] == ["", "", ""]
    Provider.objects.create(name="which no step asks", kind="scripted")
    Workflow.objects.create(slug="facts")
    steps = admin_client.get(URL).context["board"]["steps"]
    assert [step.done for step in steps] == [False, True, True]
    Provider.objects.create(name="demo", kind="scripted")
    assert admin_client.get(URL).context["board"]["steps"] == []
    titles = [str(title) for title, _url, _told in admin_client.get(URL).context["board"]["links"]]
    assert titles == ["Prompts", "Workflows", "Runs", "Conversations", "Occasions", "Collections"]
