"""What the drawing of a workflow is given beside its form, and what is completed in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from lingstream.core.engine import registry
from lingstream.models import BotRun, Prompt, PromptLabel, PromptVersion, Run, Step, Trigger, Workflow

from ..forms import client_with, post_page
from .test_workflows import URL

pytestmark = pytest.mark.django_db

PLACES = f"{URL}places/"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = '{"outline": [{"topic": "…"}, {"topic": "…"}]}'
EDITS = [f"{verb}_{model}" for model in ("workflow", "step", "trigger") for verb in ("view", "change", "add")]
VIEWS = ["view_workflow", "view_step", "view_trigger"]


@pytest.fixture
def prompt() -> Prompt:
    prompt = Prompt.objects.create(slug="topics")
    version = PromptVersion.objects.create(prompt=prompt, text=f"Reply with {TOPICS}, {{{{ tone }}}}.")
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    return prompt


@pytest.fixture
def workflow(prompt: Prompt) -> Workflow:
    workflow = Workflow.objects.create(slug="facts")
    first = Step.objects.create(
        workflow=workflow, name="outline", input="{{ input.question }}", prompt=prompt, position=1
    )
    second = Step.objects.create(workflow=workflow, name="details", root="d", position=2)
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="outline/*/topic")
    return workflow


def drawn(client: Client, url: str) -> dict[str, Any]:
    html = client.get(url).content.decode()
    start = html.index('<script id="ling-graph-data" type="application/json">')
    data: dict[str, Any] = json.loads(html[start:].partition(">")[2].partition("</script>")[0])
    return data


def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


class TestWhoMayChangeIt:
    def test_gets_it_from_the_form(self, workflow: Workflow) -> None:
        data = drawn(client_with(*EDITS), page(workflow))
        assert data["editable"] and data["graph"] == {"steps": [], "triggers": []}
        assert data["kinds"]["bot"] == "Bot: ask a model"

    def test_is_told_at_the_field_what_the_save_has_told(self, workflow: Workflow) -> None:
        (warning,) = drawn(client_with(*EDITS), page(workflow))["warnings"]
        assert (warning["row"], warning["id"], warning["field"]) == (
            "triggers",
            workflow.triggers.get().pk,
            "root",
        )
        assert "expected {{ match[0] }} in the root" in warning["message"]

    def test_is_not_told_of_what_is_stored_where_something_else_is_typed(
        self, admin_client: Client, workflow: Workflow
    ) -> None:
        response = post_page(admin_client, page(workflow), {"steps-1-root": "/"})
        assert response.context["drawing"]["warnings"] == []

    def test_has_an_empty_one_for_a_new_workflow(self, admin_client: Client) -> None:
        data = drawn(admin_client, f"{URL}add/")
        assert data["editable"] and data["warnings"] == []


class TestWhoMayOnlyLook:
    def test_sees_what_is_stored(self, workflow: Workflow) -> None:
        data = drawn(client_with(*VIEWS), page(workflow))
        assert not data["editable"]
        assert [(step["name"], step["prompt"], step["root"]) for step in data["graph"]["steps"]] == [
            ("outline", "topics", ""),
            ("details", "", "d"),
        ]
        (trigger,) = data["graph"]["triggers"]
        assert (trigger["source"], trigger["event"], trigger["pattern"], trigger["target"]) == (
            "outline",
            "string-response",
            "outline/*/topic",
            "details",
        )

    @pytest.mark.parametrize("part", ["step", "trigger"])
    def test_so_does_who_may_change_a_part(self, workflow: Workflow, part: str) -> None:
        data = drawn(client_with(*VIEWS, "change_workflow", f"change_{part}"), page(workflow))
        assert not data["editable"]
        assert len(data["graph"]["steps"]) == 2


class TestAFunction:
    """What has run is drawn: what began when something else had ended, after it."""

    @pytest.fixture(autouse=True)
    def _registered(self, workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
        async def facts(run: Any) -> None: ...

        monkeypatch.setattr(registry, "_functions", {"facts": facts})

    def ran(self, *steps: tuple[str, int, int]) -> None:
        ended = {"status": "finished", "finished_at": BEGIN, "document": {}}
        run = Run.objects.create(workflow="facts", plan={"python": True}, **ended)
        for number, (step, begin, end) in enumerate(steps):
            BotRun.objects.create(
                run=run,
                step=step,
                instance=f"{step}#{number}",
                digest="d",
                occurrence=number,
                status="finished",
                started_at=BEGIN + timedelta(seconds=begin),
                finished_at=BEGIN + timedelta(seconds=end),
            )

    @pytest.mark.parametrize(
        ("steps", "names", "arrows"),
        [
            ([("a", 0, 1), ("b", 1, 2), ("c", 2, 3)], ["a", "b", "c"], ["a b", "b c"]),
            ([("a", 0, 3), ("b", 1, 2)], ["a", "b"], []),
            (
                [("a", 0, 1), ("b", 1, 2), ("b", 1, 3), ("c", 1, 4), ("d", 5, 6)],
                ["a", "b", "c", "d"],
                ["a b", "a c", "b d", "c d"],
            ),
            ([("a", 0, 1), ("b", 1, 1), ("c", 1, 2)], ["a", "b", "c"], ["a b", "b c"]),
            ([("a", 1, 1), ("b", 1, 1), ("c", 1, 1)], ["c", "b", "a"], ["c b", "c a", "b a"]),
            ([], [], []),
        ],
    )
    def test_is_drawn_from_its_last_run(
        self, admin_client: Client, workflow: Workflow, steps: Any, names: list[str], arrows: list[str]
    ) -> None:
        self.ran(*steps)
        data = drawn(admin_client, page(workflow))
        assert data["note"].startswith("A function in Python") and not data["editable"]
        drawn_steps = data["graph"]["steps"]
        assert [step["name"] for step in drawn_steps] == names
        assert sum(step["states"]["finished"] for step in drawn_steps) == len(steps)
        assert [f"{each['source']} {each['target']}" for each in data["graph"]["triggers"]] == arrows

    def test_only_for_who_may_see_runs(self, workflow: Workflow) -> None:
        self.ran(("a", 0, 1))
        assert drawn(client_with(*EDITS), page(workflow))["graph"] == {"steps": [], "triggers": []}


class TestPlaces:
    """What a trigger may wait for at a step, by what the form says of it."""

    def ask(self, client: Client, **fields: Any) -> tuple[str, list[str]]:
        given = {"slug": "facts", "step": "outline", "format": "json", "label": "production", **fields}
        data = client.post(PLACES, given).json()
        return data["from"], [each["uri"] for each in data["places"] if each["type"] == "string"]

    @pytest.fixture(autouse=True)
    def _has_run(self, workflow: Workflow) -> None:
        run = Run.objects.create(
            workflow="facts", status="finished", finished_at=BEGIN, document={"answer": "x", "list": [{}]}
        )
        BotRun.objects.create(run=run, step="outline", instance="outline#1", digest="d", status="finished")

    SCHEMA = '{"type": "object", "properties": {"answer": {"type": "string"}}}'

    @pytest.mark.parametrize(
        ("fields", "source", "uris"),
        [
            ({"schema": SCHEMA, "prompt": "<prompt>"}, "schema", ["answer"]),
            ({"schema": SCHEMA, "root": "x/{{ match[0] }}"}, "schema", ["x/*/answer"]),
            ({"schema": "{", "prompt": "<prompt>"}, "example", ["outline/*/topic"]),
            ({"prompt": "<prompt>", "root": "r"}, "example", ["r/outline/*/topic"]),
            ({"prompt": "<prompt>", "label": "staging"}, "document", ["answer"]),
            ({}, "document", ["answer"]),
            ({"step": "details"}, "document", []),
            ({"format": "text", "root": "t"}, "schema", ["t"]),
            ({"format": "html"}, "", []),
            ({"root": "{% if value %}x{% endif %}"}, "", []),
            ({"prompt": "9" * 40}, "document", ["answer"]),
            ({"schema": '{"$ref": "https://example.org"}'}, "document", ["answer"]),
        ],
    )
    def test_are_those_of(
        self, admin_client: Client, prompt: Prompt, fields: dict[str, Any], source: str, uris: list[str]
    ) -> None:
        fields = {name: prompt.pk if value == "<prompt>" else value for name, value in fields.items()}
        assert self.ask(admin_client, **fields) == (source, uris)

    def test_are_for_who_may_see_where_they_come_from(self, prompt: Prompt) -> None:
        client = client_with("view_workflow")
        assert self.ask(client, prompt=prompt.pk) == ("document", [])
        assert self.ask(client, schema=self.SCHEMA) == ("schema", ["answer"])

    @pytest.mark.parametrize(
        ("permissions", "status"), [([], 403), (["view_prompt"], 403), (["view_workflow"], 200)]
    )
    def test_are_for_who_may_see_workflows(self, permissions: list[str], status: int) -> None:
        assert client_with(*permissions).post(PLACES, {"format": "json"}).status_code == status

    def test_are_for_no_stranger(self, client: Client) -> None:
        assert client.post(PLACES, {}).status_code == 302
