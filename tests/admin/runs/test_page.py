"""The page of a run: its steps as bars, what was mended where, and what can be done with it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from lingstream.admin.drawn.graph import graph_of_run, run_drawing
from lingstream.admin.drawn.waterfall import WIDTH, waterfall
from lingstream.admin.runs.rereading import plan_of_step, reread
from lingstream.core.document import jsonuri
from lingstream.core.engine.events import FIELD_EVENTS
from lingstream.core.engine.plan import BotPlan, Plan, StepPlan, TriggerPlan
from lingstream.core.exceptions import LimitExceeded, NoProvider
from lingstream.core.phrases import Phrase
from lingstream.models import (
    BotRun,
    Conversation,
    Example,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Run,
    Runner,
    Step,
    Workflow,
)
from lingstream.models.phrases import stored_error
from lingstream.providers.recorded import Recording
from tests.core.support import MemoryJournal, outcome

from ..forms import client_with

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/run/"
BROKEN = '{"answer": "No.", n: 1, "rest": [1, 2'
PLAN = Plan(
    "facts",
    steps=(
        BotPlan("answer"),
        BotPlan("note", root="note", format="text"),
        StepPlan("ask", "workflow", options={"workflow": "in"}),
    ),
    workflows={"in": Plan("in", steps=(BotPlan("one", schema={"type": "object"}),))},
)


def entry(name: str, start: float, end: float | None, source: str = "", **more: Any) -> dict[str, Any]:
    known = {"id": name, "kind": "bot", "root": "", "status": "finished", "source": source, "event": ""}
    return {**known, "start": start, "first": None, "end": end, "repairs": 0, **more}


@pytest.fixture
def run() -> Run:
    now = timezone.now()
    flow = Workflow.objects.create(slug="facts")
    provider = Provider.objects.create(name="demo", kind="scripted")
    Step.objects.create(workflow=flow, name="answer", provider=provider, input="{{ input }}")
    version = PromptVersion.objects.create(
        prompt=Prompt.objects.create(slug="tone"), number=3, text="Be kind."
    )
    run = Run.objects.create(
        workflow="facts",
        status=Run.Status.FINISHED,
        epoch=2,
        conversation=Conversation.objects.create(),
        input="Why?",
        plan=PLAN.to_json(),
        errors=[{"code": "one", "message": "first"}, {"code": "conflict", "message": "second"}],
        started_at=now,
        finished_at=now + timedelta(seconds=4),
        trace=[
            entry("answer#1", 0.0, 2.0, first=0.5, repairs=2, tokens=[7, 9]),
            entry("sum#1", 2.0, 2.0, source="answer#1", event="response", kind="compute"),
        ],
    )
    BotRun.objects.create(
        run=run,
        step="answer",
        instance="answer#1",
        digest="d",
        epoch=2,
        status="finished",
        messages=[{"role": "user", "content": "Why?"}],
        output=BROKEN,
        repairs=[{"kind": "unquoted-key", "uri": "n", "offset": 19}],
        prompt_version=f"tone v{version.number}",
        finish="stop",
        first_token=0.5,
        started_at=now,
        finished_at=now + timedelta(seconds=2),
    )
    BotRun.objects.create(run=run, kind="once", step="rate", instance="rate#1", digest="e", epoch=1, result=5)
    return run


def page(client: Client, run: Run) -> str:
    response = client.get(f"{URL}{run.pk}/change/")
    assert response.status_code == 200
    return str(response.content.decode())


class TestWaterfall:
    def test_has_each_step_below_what_started_it(self) -> None:
        trace = [
            entry("a#1", 0, 10),
            entry("b#1", 1, 2, "a#1"),
            entry("c#1", 1.5, 9, "b#1", first=4.0),
            entry("b#2", 3, None, "a#1"),
            entry("d#1", 5, 6, "gone#1"),
        ]
        bars = waterfall(Run(trace=trace), [])
        assert [(bar.entry["id"], bar.depth) for bar in bars] == [
            ("a#1", 0),
            ("b#1", 1),
            ("c#1", 2),
            ("b#2", 1),
            ("d#1", 0),
        ]
        assert [(bar.x, bar.width, bar.waits) for bar in bars[:3]] == [
            (0, 1000, 0),
            (100, 100, 0),
            (150, 750, 250),
        ]
        assert all(0 <= bar.x <= bar.x + bar.width <= WIDTH + 4 for bar in bars)

    def test_of_a_run_without_a_trace_has_what_its_journal_has(self) -> None:
        now = timezone.now()
        times = {"started_at": now, "finished_at": now + timedelta(seconds=2), "first_token": 1.0}
        rows = [
            BotRun(instance="a#1", **times),
            BotRun(instance="b#1", started_at=now + timedelta(seconds=1)),
        ]
        bars = waterfall(Run(), rows)
        assert [(bar.entry["id"], bar.x, bar.first) for bar in bars] == [("a#1", 0, 1.0), ("b#1", 500, None)]
        assert waterfall(Run(), []) == []

    @pytest.mark.parametrize("status", ["lost", "failed"])
    def test_of_a_run_that_has_ended_has_no_step_that_goes_on(self, status: str) -> None:
        (bar,) = waterfall(Run(trace=[entry("a#1", 0, None, status="running")], status=status), [])
        assert bar.status == "canceled"

    def test_of_a_run_that_goes_on_ends_now_and_has_what_the_journal_has_meanwhile(self) -> None:
        now = timezone.now()
        began = now - timedelta(seconds=20)
        trace = [entry("a#1", 1, None, status="running"), entry("b#1", 2, None, "a#1", status="running")]
        row = BotRun(
            instance="b#1",
            status="finished",
            started_at=began + timedelta(seconds=2),
            finished_at=began + timedelta(seconds=5),
            first_token=1.0,
            repairs=[{}],
        )
        run = Run(trace=trace, status="running", epoch=1, started_at=began)
        goes_on, over = waterfall(run, [row])
        assert goes_on.whole == pytest.approx(20, abs=5)
        assert (goes_on.status, goes_on.seconds, goes_on.x + goes_on.width) == ("running", None, WIDTH)
        assert (over.status, over.depth, over.entry["repairs"]) == ("finished", 1, 1)
        assert (over.first, over.seconds) == pytest.approx((1.0, 3.0))

    def test_does_not_hang_on_a_circle(self) -> None:
        bars = waterfall(Run(trace=[entry("a#1", 0, 1, "b#1"), entry("b#1", 0, 1, "a#1")]), [])
        assert bars == []


class TestDrawing:
    """What a plan says of its steps, and what the run tells of them."""

    def names(self, run: Run) -> tuple[dict[str, dict[str, int]], list[str]]:
        found = graph_of_run(run, waterfall(run, list(run.bot_runs.order_by("pk"))))
        arrows = [f"{each['source']} {each['event']} {each['target']}" for each in found["triggers"]]
        return {each["name"]: each["states"] for each in found["steps"]}, arrows

    def test_has_the_steps_of_the_plan_and_those_inside_them(self, run: Run) -> None:
        plan = replace(PLAN, triggers=(TriggerPlan("answer", "note"),))
        run.plan = plan.to_json()
        run.trace = [
            entry("answer#1", 0, 2),
            entry("ask#1", 0, 2, status="inferred"),
            entry("ask.one#1", 0, 1, "ask#1", status="failed"),
            entry("ask.one#2", 1, 2, "ask#1"),
        ]
        states, arrows = self.names(run)
        assert states == {
            "answer": {"finished": 1},
            "note": {},
            "ask": {"canceled": 1},  # the run is over
            "rate": {"canceled": 1},
            "ask.one": {"failed": 1, "finished": 1},
        }
        assert arrows == ["answer string-response note", "ask inside ask.one"]

    @pytest.mark.parametrize(("permissions", "told"), [(["view_workflow"], True), ([], False)])
    def test_has_what_is_planned_for_who_may_see_the_workflow(
        self, run: Run, permissions: list[str], told: bool
    ) -> None:
        run.plan = replace(PLAN, triggers=(TriggerPlan("answer", "note", pattern="told/*"),)).to_json()
        run.save()
        page = client_with("view_run", *permissions).get(f"{URL}{run.pk}/change/").content.decode()
        assert ("told/*" in page) is told

    def test_of_a_function_has_them_below_what_they_were_begun_with(self, run: Run) -> None:
        run.bot_runs.all().delete()
        run.plan = {"python": True}
        run.trace = [
            entry("one#1", 0, 1),
            entry("two#1", 1, 3),
            entry("two.in#1", 1, 2, "two#1"),
            entry("field#1", 1.5, 3, "two#1", event="string-response"),
            entry("three#1", 3, 4),
        ]
        states, arrows = self.names(run)
        assert list(states) == ["one", "two", "two.in", "field", "three"]
        assert arrows == [
            "two inside two.in",
            "two string-response field",
            "one then two",
            "two then three",
            "field then three",
        ]

    def test_leads_to_the_text_of_what_failed(self, run: Run) -> None:
        BotRun.objects.create(run=run, step="answer", instance="answer#2", digest="f", status="failed")
        failed = BotRun.objects.get(instance="answer#2")
        found = graph_of_run(run, waterfall(run, list(run.bot_runs.order_by("pk"))))
        (answer,) = (each for each in found["steps"] if each["name"] == "answer")
        assert (answer["place"], answer["prompt"]) == (f"step-{failed.pk}", "tone v1")

    @pytest.mark.parametrize(
        ("status", "told"), [("running", "nothing complete yet"), ("failed", "not begun")]
    )
    def test_says_of_what_nothing_is_known(self, run: Run, status: str, told: str) -> None:
        run.status = status
        assert run_drawing(run, [], planned=True)["states"][""] == told


class TestRereading:
    def test_marks_each_repair_at_its_place(self) -> None:
        repairs = [
            {"kind": "unquoted", "uri": "told", "offset": 18},
            {"kind": "end", "uri": "told/rest", "offset": len(BROKEN)},
        ]
        row = BotRun(output=BROKEN, root="told", repairs=repairs, finish="stop")
        found = reread(row, BotPlan("answer"))
        assert found.value == {"answer": "No.", "n": 1, "rest": [1, 2]}
        assert "".join(text for _number, text in found.pieces) == BROKEN
        assert [number for number, _text in found.pieces if number] == [each.number for each in found.repairs]
        first = found.repairs[0]
        assert (first.kind, first.uri, first.offset) == ("unquoted", "", 18)
        assert first.after.startswith('{"answer"')
        assert "n: 1" in first.before
        assert ("string-response", "answer") in found.settled

    @pytest.mark.parametrize(
        ("answer", "more"),
        [
            ('<think>{"a": 0}</think>{"a": 1}', {}),
            ('<think>{"a": 0}</think>{"a": 1}', {"options": {"reasoning": "none"}}),
            ('<reasoning>{"a": 0}</reasoning>{a: 1}', {"options": {"reasoning": "<think>"}}),
            ('{"a": "1"}', {"schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}),
            (
                '<p>See <img src="https://cdn.example/a.png"></p>',
                {"format": "html", "options": {"images": "https://cdn.example"}},
            ),
            ('<p>See <img src="https://cdn.example/a.png"></p>', {"format": "html"}),
            ('{"a": 1}' + " " * 1_100, {}),
            ('{"a": 1} I hope' + " this helps" * 200, {}),
        ],
    )
    async def test_tells_what_has_happened(self, answer: str, more: dict[str, Any]) -> None:
        step, journal = BotPlan("answer", root="told", **more), MemoryJournal()
        ran = await outcome(Plan("test", steps=(step,)), [[answer, " "]], journal=journal)
        (result,) = journal.results.values()
        row = BotRun(output=result.output, root="told", repairs=result.repairs, finish=result.finish)
        found = reread(row, step)
        assert {"told": found.value} == ran.document
        told = [(each.kind, jsonuri.concat("told", each.uri), each.offset) for each in found.repairs]
        assert told == [(each["kind"], each["uri"], each["offset"]) for each in result.repairs]
        settled = [(event, jsonuri.concat("told", uri)) for event, uri in found.settled]
        assert settled == [each for each in ran.events("answer#1") if each[0] in FIELD_EVENTS]

    @pytest.mark.parametrize(
        ("output", "step"),
        [
            ("plain", BotPlan("a", format="text")),
            ("x" * 300_000, BotPlan("a")),
            ("[" * 100_000, BotPlan("a")),
            ("", None),
            ('<p>See <a href="/a">[1, 2]</a>, {"a": 1}</p>', None),
            ('As [1] says: {"a": 1}', None),
            ("[1] says so.", None),
        ],
    )
    def test_shows_what_it_cannot_read_as_it_is(self, output: str, step: StepPlan | None) -> None:
        found = reread(BotRun(output=output), step)
        assert "".join(text for _number, text in found.pieces) == output
        assert (found.value, [*found.settled]) == (None, [])

    @pytest.mark.parametrize(
        ("output", "value"),
        [('{"a": 1}', {"a": 1}), ("```json\n[1]\n```", [1]), ('{"a": "cut', {"a": "cut"})],
    )
    def test_reads_an_object_of_which_no_plan_says_so(self, output: str, value: Any) -> None:
        repairs = [] if output[-1] in "}`" else [{"kind": "end", "uri": "a", "offset": len(output)}]
        assert reread(BotRun(output=output, repairs=repairs), None).value == value

    @pytest.mark.parametrize(
        ("name", "found"),
        [("note", "text"), ("ask.one", "json"), ("ask.two", None), ("nobody", None), ("a.b.c", None)],
    )
    def test_finds_the_plan_of_a_step_in_its_run(self, name: str, found: str | None) -> None:
        step = plan_of_step(Run(plan=PLAN.to_json()), name)
        assert (step and step.format) == found
        assert plan_of_step(Run(plan={}), name) is None


class TestPage:
    def test_shows_all_kinds_of_steps_errors_and_links(self, admin_client: Client, run: Run) -> None:
        html = page(admin_client, run)
        for text in (
            "sum#1",
            "<td>compute</td>",
            "response ← answer#1",
            "rate#1",
            "7 + 9",
            "0.50 s",
            "2 repairs",
        ):
            assert text in html, text
        assert '<mark id="repair-' in html
        assert "first" in html and "second" in html
        assert "Execution 1:" in html and "Execution 2:" in html
        for address in ("conversation", "promptversion", "workflow"):
            assert re.search(rf'href="/admin/lingstream/{address}/[\w-]+/change/"', html), address
        assert f"?trial_run={run.pk}" in html
        assert "Let each step write at a root of its own." in html
        assert " style=" not in html.split('<div id="content-main">')[1].split("</form>")[0]
        assert "<ling-stream" not in html

    def test_has_errors_where_there_are_some(self, admin_client: Client, run: Run) -> None:
        for errors in ([], [{"code": "internal", "message": "it broke"}]):
            Run.objects.filter(pk=run.pk).update(errors=errors)
            assert ("field-shown_errors" in page(admin_client, run)) == bool(errors)

    def test_of_a_running_run_has_the_stream_and_stops_it(self, run: Run) -> None:
        Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
        client = client_with("view_run", "cancel_run")
        html = page(client, run)
        assert f'<ling-stream manual run="{run.pk}">' in html
        assert "data-lingstream" in html
        assert client.post(f"{URL}{run.pk}/stop/").status_code == 302
        run.refresh_from_db()
        assert run.cancel_requested_at is not None
        assert "is being stopped" in page(client, run)

    def test_of_a_running_run_asks_for_its_steps_and_for_no_text_twice(self, run: Run) -> None:
        Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
        client = client_with("view_run")
        assert f'data-live-steps="{URL}{run.pk}/steps/"' in page(client, run)
        first, last = run.bot_runs.order_by("pk").values_list("pk", flat=True)
        texts = [client.get(f"{URL}{run.pk}/steps/?after={after}").content.decode() for after in (0, first)]
        for text in texts:
            assert "response ← answer#1" in text
            assert f'<a href="#step-{first}">answer#1</a>' in text
            assert f'id="step-{last}"' in text
        assert [f'id="step-{first}"' in text for text in texts] == [True, False]
        assert [BROKEN.split('"')[3] in text for text in texts] == [True, False]

    @pytest.mark.parametrize(("private", "sees"), [(True, False), (False, True)])
    def test_steps_keep_what_was_asked_of_a_private_workflow(
        self, run: Run, private: bool, sees: bool
    ) -> None:
        Workflow.objects.update(private=private)
        html = client_with("view_run").get(f"{URL}{run.pk}/steps/").content.decode()
        assert ("Why?" in html) is sees
        assert ("What it was told is withheld" in html) is private

    def test_steps_are_for_who_may_see_the_run(self, run: Run, settings: Any) -> None:
        assert client_with("view_workflow").get(f"{URL}{run.pk}/steps/").status_code == 403
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.admin.runs.test_page.elsewhere"}
        stranger = Client()
        stranger.force_login(User.objects.create_superuser("root"))
        assert stranger.get(f"{URL}{run.pk}/steps/").status_code == 404
        assert Client().get(f"{URL}{run.pk}/steps/")["Location"].startswith("/admin/login/")

    @pytest.mark.parametrize("plan", ["same", "today"])
    def test_runs_it_again(self, run: Run, plan: str) -> None:
        Runner.objects.create()
        run.refresh_from_db()
        client = client_with("view_run", "start_workflow")
        response = client.post(f"{URL}{run.pk}/again/{plan}/")
        again = Run.objects.exclude(pk=run.pk).get()
        assert response["Location"] == f"{URL}{again.pk}/change/"
        assert (again.input, again.workflow, again.conversation) == (run.input, run.workflow, None)
        assert again.owner == User.objects.get(username="staff")
        assert (again.plan == run.plan) is (plan == "same")

    def test_keeps_what_was_asked_as_an_example_once(self, run: Run) -> None:
        client = client_with("view_run", "view_workflow", "add_example")
        page = client.get(f"{URL}{run.pk}/change/").content.decode()
        assert f"{URL}{run.pk}/example/" in page
        for _ in range(2):
            assert client.post(f"{URL}{run.pk}/example/").status_code == 302
        kept = Example.objects.get()
        assert (kept.workflow.slug, kept.name, kept.input) == ("facts", f"run {str(run.pk)[:8]}", run.input)

    @pytest.mark.parametrize("rights", [["view_run"], ["view_run", "add_example"]])
    def test_keeps_no_example_for_anybody_nor_of_what_is_withheld(self, run: Run, rights: list[str]) -> None:
        Workflow.objects.update(private="add_example" in rights)
        assert client_with(*rights).post(f"{URL}{run.pk}/example/").status_code == 403
        assert not Example.objects.exists()

    @pytest.mark.parametrize("plan", ["same", "today", "named"])
    def test_a_trial_is_not_made_a_real_run(self, admin_client: Client, run: Run, plan: str) -> None:
        Run.objects.update(trial=True, conversation=None, key="")
        assert f"{URL}{run.pk}/again/{plan}/" not in page(admin_client, run)
        admin_client.post(f"{URL}{run.pk}/again/{plan}/")
        assert Run.objects.count() == 1

    def test_says_why_it_cannot_run_it_again(self, run: Run) -> None:
        Workflow.objects.update(enabled=False)
        client = client_with("view_run", "start_workflow")
        response = client.post(f"{URL}{run.pk}/again/today/", follow=True)
        assert 'class="error"' in response.content.decode()
        assert Run.objects.count() == 1

    @pytest.mark.parametrize("may", [False, True])
    @pytest.mark.parametrize(
        ("change", "right", "door"),
        [
            ("no provider", "add_provider", 'provider/add/?name=demo">Add a provider</a>'),
            ("no model", "view_provider", 'provider/">Go to the providers</a>'),
            ("no label", "view_prompt", 'prompt/">Go to the prompts</a>'),
            ("not published", "view_workflow", 'workflow/">Go to the workflows</a>'),
        ],
    )
    def test_and_where_that_can_be_mended_for_who_may(
        self, run: Run, change: str, right: str, door: str, may: bool
    ) -> None:
        Runner.objects.create()
        if change == "no provider":
            Step.objects.update(provider=None)
            Provider.objects.all().delete()
        elif change == "no model":
            Provider.objects.update(kind="openai", base_url="https://api.example.com/v1")
        elif change == "no label":
            Step.objects.update(prompt=Prompt.objects.get())
        else:
            Workflow.objects.update(draft_only=True)
        client = client_with("view_run", "start_workflow", *([right] if may else []))
        html = client.post(f"{URL}{run.pk}/again/today/", follow=True).content.decode()
        assert 'class="error"' in html
        assert (f'<a href="/admin/lingstream/{door}' in html) is may
        assert Run.objects.count() == 1

    @pytest.mark.parametrize("may", [False, True])
    def test_so_its_page_and_its_steps_say(self, run: Run, may: bool) -> None:
        error = {"code": "no-provider", "message": "none"}
        Run.objects.update(errors=[error])
        BotRun.objects.update(error=error)
        client = client_with("view_run", "view_botrun", *(["add_provider"] if may else []))
        step = run.bot_runs.get(kind="bot")
        for url in (f"{URL}{run.pk}/change/", f"/admin/lingstream/botrun/{step.pk}/change/"):
            html = client.get(url).content.decode()
            assert "Add a provider called “demo”" in html
            assert ('<a href="/admin/lingstream/provider/add/?name=demo">Add a provider</a>' in html) is may

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("", "Add a provider called “demo”: every step that names no other one asks it."),
            ("demo", "Add a provider called “demo”: every step that names no other one asks it."),
            ("large", "Add a provider called “large”, which the step asks for."),
        ],
    )
    def test_and_names_the_provider_that_was_asked_for(self, run: Run, name: str, said: str) -> None:
        Run.objects.update(errors=[NoProvider("none", provider=name).to_wire()])
        html = client_with("view_run", "add_provider").get(f"{URL}{run.pk}/change/").content.decode()
        assert said in html
        assert f'/provider/add/?name={name or "demo"}">' in html

    def test_errors_are_told_in_the_readers_language(self, chinese: Client, run: Run) -> None:
        told = LimitExceeded(Phrase("the run started more than %(most)s bots", most=5)).to_wire()
        older = {"code": "old", "message": "the run started more than 7 bots"}
        Run.objects.update(errors=[stored_error(told), older], error_code="limit")
        BotRun.objects.update(error=stored_error(told))
        step = run.bot_runs.get(kind="bot")
        for url in (f"{URL}{run.pk}/change/", URL, f"/admin/lingstream/botrun/{step.pk}/change/"):
            html = chinese.get(url).content.decode()
            assert "运行启动的机器人超过 5 个" in html
            assert "more than 5 bots" not in html
            assert "more than 7 bots" in html or "botrun" in url
        table = chinese.post(URL, {"action": "export_csv", "_selected_action": [run.pk]})
        assert "运行启动的机器人超过 5 个" in b"".join(table).decode()

    def test_a_step_that_took_no_tokens_says_nothing_of_them(self, admin_client: Client, run: Run) -> None:
        BotRun.objects.filter(kind="bot").update(usage={}, finish="", first_token=None, prompt_version="p v1")
        who = page(admin_client, run).split('class="ling-who">')[1].partition("</p>")[0]
        assert "tokens" not in who
        assert who.split()[:2] == ["p", "v1"]

    @pytest.mark.parametrize("command", ["stop", "again/same", "again/today", "again/named"])
    def test_commands_are_for_who_may(self, run: Run, command: str, settings: Any) -> None:
        client = client_with("view_run")
        html = page(client, run)
        assert f"/{command}/" not in html
        assert client.post(f"{URL}{run.pk}/{command}/").status_code == 403
        assert client.get(f"{URL}{run.pk}/{command}/").status_code == 405
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.admin.runs.test_page.elsewhere"}
        stranger = Client()
        stranger.force_login(User.objects.create_superuser("root"))
        assert stranger.post(f"{URL}{run.pk}/{command}/").status_code == 404
        assert Client().post(f"{URL}{run.pk}/{command}/")["Location"].startswith("/admin/login/")

    def test_a_run_that_has_not_ended_is_not_deleted(self, admin_client: Client, run: Run) -> None:
        Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
        html = admin_client.post(f"{URL}{run.pk}/delete/", {"post": "yes"}).content.decode()
        assert "stop it first" in html
        assert (
            admin_client.post(
                URL, {"action": "delete_selected", "_selected_action": [run.pk], "post": "yes"}
            ).status_code
            == 200
        )
        assert Run.objects.filter(pk=run.pk).exists()
        Run.objects.filter(pk=run.pk).update(status=Run.Status.CANCELED)
        assert admin_client.post(f"{URL}{run.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Run.objects.filter(pk=run.pk).exists()


class TestNamedVersions:
    """Run again with a version of the workflow, and with one of two that a label tests."""

    @pytest.fixture
    def label(self, run: Run) -> PromptLabel:
        """The run's workflow has two versions, whose step is told what a test decides."""
        Runner.objects.create()
        tone = Prompt.objects.get()
        other = PromptVersion.objects.create(prompt=tone, text="Be short.")
        first = tone.versions.get(number=1)
        label = PromptLabel.objects.create(
            prompt=tone, name="production", version=first, other=other, weight=50
        )
        flow = Workflow.objects.get()
        flow.steps.update(prompt=tone)
        flow.publish()
        flow.steps.update(input="now: {{ input }}")
        flow.input_schema = {"type": "object"}
        flow.save()
        flow.publish()
        return label

    @pytest.mark.parametrize(
        ("version", "told", "ends"),
        [
            ("1", "1", (1, "{{ input }}", "tone v1")),
            ("1", "2", (1, "{{ input }}", "tone v2")),
            ("2", "1", (2, "now: {{ input }}", "tone v1")),
            ("", "2", (2, "now: {{ input }}", "tone v2")),
        ],
    )
    def test_are_what_the_run_gets(
        self, run: Run, label: PromptLabel, version: str, told: str, ends: tuple[int, str, str]
    ) -> None:
        Run.objects.update(input={"of": "both versions"})
        client = client_with("view_run", "start_workflow", "change_workflow")
        html = page(client, run)
        for option in ('"">as of today (v2)<', '"1">v1<', '"">as the test decides<', '"2">v2<'):
            assert f"<option value={option}" in html
        response = client.post(f"{URL}{run.pk}/again/named/", {"version": version, f"label-{label.pk}": told})
        again = Run.objects.exclude(pk=run.pk).get()
        assert response["Location"] == f"{URL}{again.pk}/change/"
        (step,) = again.plan["steps"]
        assert (again.published, step["input"], step["prompt_version"]) == ends
        assert again.plan["published"] == ends[0]
        assert (again.input, again.owner) == ({"of": "both versions"}, User.objects.get(username="staff"))

    @pytest.mark.parametrize("weight", [0, 100])
    def test_leave_a_test_alone_that_is_not_named(self, run: Run, label: PromptLabel, weight: int) -> None:
        PromptLabel.objects.update(weight=weight)
        client = client_with("view_run", "start_workflow", "change_workflow")
        client.post(f"{URL}{run.pk}/again/named/", {"version": "1", f"label-{label.pk}": ""})
        (step,) = Run.objects.exclude(pk=run.pk).get().plan["steps"]
        assert step["prompt_version"] == ("tone v2" if weight else "tone v1")

    @pytest.mark.parametrize(
        ("plan", "version", "starts"),
        [("today", "1", False), ("same", "1", True), ("named", "1", True), ("named", "", False)],
    )
    def test_take_what_they_took_then(
        self, run: Run, label: PromptLabel, plan: str, version: str, starts: bool
    ) -> None:
        """The input is a text, which the second version does not take any more."""
        client = client_with("view_run", "start_workflow", "change_workflow")
        client.post(f"{URL}{run.pk}/again/{plan}/", {"version": version, f"label-{label.pk}": ""})
        assert Run.objects.exclude(pk=run.pk).exists() is starts

    @pytest.mark.parametrize(
        "asked", [{"version": "3"}, {"version": "x"}, {"label": "5"}, {"label": "x"}, {"ended": "1"}]
    )
    def test_that_are_not_there_start_nothing(
        self, run: Run, label: PromptLabel, asked: dict[str, str]
    ) -> None:
        names = {"label": f"label-{label.pk}", "ended": f"label-{label.pk + 1}"}
        client = client_with("view_run", "start_workflow", "change_workflow")
        data = {names.get(name, name): value for name, value in {"version": "1", **asked}.items()}
        response = client.post(f"{URL}{run.pk}/again/named/", data, follow=True)
        assert 'class="error"' in response.content.decode()
        assert Run.objects.count() == 1

    @pytest.mark.parametrize("lacks", ["start_workflow", "change_workflow"])
    def test_are_for_who_may_change_the_workflow(self, run: Run, label: PromptLabel, lacks: str) -> None:
        rights = {"view_run", "start_workflow", "change_workflow", "view_workflow"} - {lacks}
        client = client_with(*rights)
        assert "/again/named/" not in page(client, run)
        assert client.post(f"{URL}{run.pk}/again/named/", {"version": "1"}).status_code == 403
        assert Run.objects.count() == 1

    def test_are_not_offered_where_there_is_nothing_to_choose(
        self, admin_client: Client, run: Run, label: PromptLabel
    ) -> None:
        assert "/again/named/" in page(admin_client, run)
        PromptLabel.objects.update(version=label.other)
        assert f'name="label-{label.pk}"' not in page(admin_client, run)
        Workflow.objects.all().delete()
        assert "/again/named/" not in page(admin_client, run)

    def test_a_test_of_what_its_prompts_include_is_offered(
        self, admin_client: Client, run: Run, label: PromptLabel
    ) -> None:
        whole = Prompt.objects.create(slug="whole")
        text = PromptVersion.objects.create(prompt=whole, text='{% include "prompt:tone" %}')
        PromptLabel.objects.create(prompt=whole, name="production", version=text)
        flow = Workflow.objects.get()
        flow.steps.update(prompt=whole)
        flow.publish()
        run.bot_runs.all().delete()
        Run.objects.update(input={})
        assert f'name="label-{label.pk}"' in page(admin_client, run)
        admin_client.post(f"{URL}{run.pk}/again/named/", {f"label-{label.pk}": "2"})
        (step,) = Run.objects.exclude(pk=run.pk).get().plan["steps"]
        assert step["prompt"] == "Be short."


class TestPlay:
    def test_sends_the_frames_of_then(self, admin_client: Client, run: Run) -> None:
        response: Any = admin_client.post(f"{URL}{run.pk}/play/")

        async def body() -> bytes:
            return b"".join([piece async for piece in response.streaming_content])

        frames = [json.loads(line) for line in asyncio.run(body()).splitlines()]
        assert list(frames[-1]) == ["run", "id", "done"]
        ops = [op for frame in frames for op in frame.get("ops", ())]
        assert "answer" in [op["uri"] for op in ops]
        assert f"{URL}{run.pk}/play/" in page(admin_client, run)

    def test_nothing_is_played_for_a_link_nor_for_another_site(self, run: Run) -> None:
        """It is work for the server: an image's address on another page must not ask for it."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser("root"))
        assert client.get(f"{URL}{run.pk}/play/").status_code == 405
        assert client.post(f"{URL}{run.pk}/play/").status_code == 403
        page(client, run)
        token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
        assert client.post(f"{URL}{run.pk}/play/", token).status_code == 200

    def test_what_a_function_has_done_is_not_done_again(self, admin_client: Client, run: Run) -> None:
        Run.objects.update(plan=Plan("facts", python=True).to_json())
        assert admin_client.post(f"{URL}{run.pk}/play/").status_code == 404
        assert f"{URL}{run.pk}/play/" not in page(admin_client, run)
        with pytest.raises(CommandError, match="is a function"):
            call_command("ling_replay", str(run.pk), speed=0)

    def test_a_recording_is_a_file_that_can_be_read(self, admin_client: Client, run: Run) -> None:
        Run.objects.update(
            plan={**PLAN.to_json(), "providers": [{"name": "p", "base_url": "https://secret.example"}]}
        )
        response: Any = admin_client.get(f"{URL}{run.pk}/recording/")
        text = b"".join(response.streaming_content).decode()
        recording = Recording.read(text.splitlines())
        assert [call["instance"] for call in recording.calls] == ["answer#1", "rate#1"]
        assert recording.calls[0]["output"] == BROKEN
        assert "secret.example" not in text

    @pytest.mark.parametrize(
        ("permissions", "private", "status"),
        [
            (("view_run",), False, 403),
            (("view_run", "view_promptversion"), False, 200),
            (("view_run", "view_promptversion"), True, 403),
            (("view_promptversion",), False, 403),
        ],
    )
    def test_recordings_are_for_who_sees_inputs_and_prompts(
        self, run: Run, permissions: tuple[str, ...], private: bool, status: int
    ) -> None:
        Workflow.objects.update(private=private)
        assert client_with(*permissions).get(f"{URL}{run.pk}/recording/").status_code == status

    def test_what_has_not_ended_is_not_played(self, admin_client: Client, run: Run) -> None:
        Run.objects.update(status=Run.Status.RUNNING)
        assert admin_client.post(f"{URL}{run.pk}/play/").status_code == 404


class TestCommand:
    def test_writes_a_file_and_plays_it(self, run: Run, tmp_path: Path, capsys: Any) -> None:
        file = tmp_path / "fixture.jsonl"
        call_command("ling_replay", str(run.pk), to=file)
        call_command("ling_replay", str(file), "--speed", "0", "--jsonl")
        assert '"done"' in capsys.readouterr().out
        call_command("ling_replay", str(file), "--speed", "0", "--jsonl", "--cut-at", "3")
        assert "provider-connection" in capsys.readouterr().out

    @pytest.mark.parametrize("source", ["nothing", str(uuid4())])
    def test_says_what_is_not_there(self, source: str) -> None:
        with pytest.raises(CommandError, match="there is no run"):
            call_command("ling_replay", source)


def elsewhere(request: Any) -> str:
    return "elsewhere"
