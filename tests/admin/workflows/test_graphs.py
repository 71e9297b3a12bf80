"""What an editor is told of a workflow as a whole, where, and from what."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.test import Client

from lingstream.core.engine import registry
from lingstream.models import BotRun, Prompt, PromptLabel, PromptVersion, Run, Step, Trigger, Workflow
from tests.site import store_cloud_facts

from ..forms import errors_of, post_page
from .test_workflows import URL, new_step, new_trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow() -> Workflow:
    workflow = Workflow.objects.create(slug="facts")
    first = Step.objects.create(workflow=workflow, name="answer", input="{{ input.q }}", position=1)
    second = Step.objects.create(workflow=workflow, name="details", root="d", position=2)
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="answer")
    return workflow


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


def pk(workflow: Workflow, name: str) -> str:
    return str(workflow.steps.get(name=name).pk)


def warnings(response: Any) -> list[str]:
    assert response.status_code == 302, errors_of(response)
    return [str(each) for each in get_messages(response.wsgi_request) if each.level_tag == "warning"]


def who_may(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{uuid.uuid4()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


EDITS = [f"{verb}_{model}" for model in ("workflow", "step", "trigger") for verb in ("view", "add", "change")]
CLOSED = '{"type": "object", "properties": {"answer": {"type": "string"}}, "additionalProperties": false}'


def test_the_tests_own_workflows_are_sound(admin_client: Client) -> None:
    workflow = store_cloud_facts()
    assert warnings(post_page(admin_client, f"{URL}{workflow.pk}/change/", {})) == []


class TestErrors:
    """The workflow is not saved, and each stands where it can be mended."""

    @pytest.mark.parametrize(
        ("changes", "place", "message"),
        [
            (
                {"triggers-0-root": "{{ match[0] }}"},
                "triggers-0-root",
                "the root of details asks for match[0]",
            ),
            ({"triggers-0-condition": "match[1]"}, "triggers-0-condition", "asks for match[1]"),
            ({"steps-1-root": "{{ match[0] }}"}, "triggers-0-pattern", "its pattern has 0 stars"),
            ({"steps-0-root": "{{ match[0] }}"}, "steps-0-root", "starts with the run"),
            ({"steps-0-root": "elsewhere"}, "triggers-0-pattern", "it writes nothing there below"),
            ({"steps-0-format": "text"}, "triggers-0-pattern", "it writes text"),
            (
                {"steps-0-schema": CLOSED, "triggers-0-pattern": "answr"},
                "triggers-0-pattern",
                "its schema allows nothing like it",
            ),
            (
                {**new_step(2, "more", format="text"), "steps-0-format": "text", "triggers-0-pattern": ""},
                "steps-2-root",
                "text takes the whole root",
            ),
        ],
    )
    def test_of_fields(
        self, admin_client: Client, page: str, changes: dict[str, Any], place: str, message: str
    ) -> None:
        found = errors_of(post_page(admin_client, page, changes))
        assert list(found) == [place]
        assert message in found[place][0]

    def test_a_folded_part_of_the_page_is_open_where_one_stands(
        self, admin_client: Client, page: str
    ) -> None:
        sound = admin_client.get(page).content.decode()
        wrong = post_page(admin_client, page, {"triggers-0-root": "{{ match[0] }}"}).content.decode()
        assert wrong.count("<details") == sound.count("<details") - 1

    def test_of_a_step_that_nothing_leads_to(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        changes = {**new_step(2, "lost"), **new_trigger(1, "name:lost", "name:lost", condition="value")}
        found = errors_of(post_page(admin_client, page, changes))
        assert "lost never starts" in found["steps-2-name"][0]
        assert workflow.steps.count() == 2

    def test_of_a_circle_without_an_end(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        again = new_trigger(1, pk(workflow, "details"), pk(workflow, "details"), event="response")
        found = errors_of(post_page(admin_client, page, {**again, "limits": '{"depth": 3}'}))
        assert "goes round without an end: details → details" in found["triggers-1-condition"][0]
        assert "more than 3 triggers" in found["triggers-1-condition"][0]

    def test_of_the_prompt_that_the_label_points_at(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        prompt = Prompt.objects.create(slug="p")
        for name, text in (("production", "{{ match[0] }}"), ("staging", "fine")):
            version = PromptVersion.objects.create(prompt=prompt, text=text)
            PromptLabel.objects.create(prompt=prompt, name=name, version=version)
        found = errors_of(post_page(admin_client, page, {"steps-0-prompt": prompt.pk}))
        assert "the prompt of answer asks for match[0]" in found["steps-0-prompt"][0]
        staging = {"steps-0-prompt": prompt.pk, "steps-0-label": "staging"}
        assert warnings(post_page(admin_client, page, staging)) == []

    def test_steps_are_known_by_the_names_that_they_get(self, admin_client: Client, page: str) -> None:
        found = errors_of(
            post_page(admin_client, page, {"steps-1-name": "more", "steps-1-root": "{{ match[0] }}"})
        )
        assert "the root of more asks" in found["triggers-0-pattern"][0]

    def test_what_is_deleted_is_not_judged(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        Trigger.objects.create(
            workflow=workflow,
            source=workflow.steps.get(name="answer"),
            target=workflow.steps.get(name="details"),
            pattern="x",
            root="{{ match[3] }}",
        )
        assert "triggers-1-root" in errors_of(post_page(admin_client, page, {}))
        assert warnings(post_page(admin_client, page, {"triggers-1-DELETE": "on"})) == []

    def test_where_a_function_decides_it_is_none_of_ours(
        self, admin_client: Client, page: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def facts(run: Any) -> None: ...

        monkeypatch.setattr(registry, "_functions", {"facts": facts})
        assert warnings(post_page(admin_client, page, {"triggers-0-root": "{{ match[0] }}"})) == []


class TestWhoSeesAPart:
    """What somebody may not change counts as it is stored, and what goes wrong is told in any case."""

    STEPS = [name for name in EDITS if "trigger" not in name]
    TRIGGERS = [name for name in EDITS if "step" not in name]

    @pytest.mark.parametrize("more", [[], ["view_trigger"]])
    def test_of_steps(self, page: str, workflow: Workflow, more: list[str]) -> None:
        response = post_page(who_may(*self.STEPS, *more), page, {"steps-0-root": "elsewhere"})
        assert response.status_code == 200
        assert "it writes nothing there below" in response.content.decode()
        assert workflow.steps.get(name="answer").root == ""
        assert post_page(who_may(*self.STEPS, *more), page, {"steps-1-root": "x"}).status_code == 302

    @pytest.mark.parametrize("more", [[], ["view_step"]])
    def test_of_triggers(self, page: str, workflow: Workflow, more: list[str]) -> None:
        Step.objects.filter(name="answer").update(format="text", root="t")
        client = who_may(*self.TRIGGERS, *more)
        assert "it writes text" in errors_of(post_page(client, page, {}))["triggers-0-pattern"][0]
        assert post_page(client, page, {"triggers-0-pattern": "t"}).status_code == 302


class TestWarnings:
    """The workflow is saved, and the editor is told what to look at again."""

    def test_of_a_star_that_leads_to_one_root(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        found = warnings(post_page(admin_client, page, {"triggers-0-pattern": "list/*/topic"}))
        assert found == [
            "Saved, but look again: details may start several times at one root ('d'), where its bots write "
            "over each other: expected {{ match[0] }} in the root"
        ]
        assert workflow.triggers.get().pattern == "list/*/topic"

    def test_of_a_new_workflow(self, admin_client: Client) -> None:
        steps = {**new_step(0, "one", input="Hi"), **new_step(1, "two", root="t")}
        changes = {"slug": "new", "access": "anyone", **steps, **new_trigger(0, "name:one", "name:two")}
        (found,) = warnings(post_page(admin_client, f"{URL}add/", changes))
        assert "two may start several times" in found

    def test_what_is_sound_is_saved_in_silence(self, admin_client: Client, page: str) -> None:
        assert warnings(post_page(admin_client, page, {})) == []

    def test_are_text(self, admin_client: Client, page: str) -> None:
        changes = {"triggers-0-pattern": "*/<b>", "steps-1-root": "<b>"}
        response = post_page(admin_client, page, changes)
        html = admin_client.get(response.url).content.decode()
        assert "&#x27;&lt;b&gt;&#x27;" in html
        assert "('<b>')" not in html


class TestTheLastDocument:
    @pytest.fixture(autouse=True)
    def _runs(self, workflow: Workflow) -> None:
        for minute, (document, status, scope) in enumerate(
            [
                ({"answer": "x", "title": "x"}, "finished", ""),
                ({"answer": "x"}, "finished", ""),
                ({"secret": "x"}, "finished", "other"),
                ({"half": "x"}, "failed", ""),
            ]
        ):
            end = f"2026-01-01T00:0{minute}:00Z"
            run = Run.objects.create(
                workflow="facts", status=status, document=document, finished_at=end, scope=scope
            )
            BotRun.objects.create(run=run, step="answer", instance="answer#1", digest="d", status="finished")

    @pytest.mark.parametrize(("pattern", "told"), [("answer", 0), ("title", 1), ("half", 1), ("secret", 1)])
    def test_is_looked_at(self, settings: Any, page: str, pattern: str, told: int) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.admin.workflows.test_graphs.our_scope"}
        found = warnings(post_page(who_may(*EDITS, "view_run"), page, {"triggers-0-pattern": pattern}))
        assert len(found) == told
        assert all("the last document has nothing like it" in each for each in found)

    @pytest.mark.parametrize("pattern", ["answer", "title", "secret"])
    def test_only_for_who_may_see_runs(self, page: str, pattern: str) -> None:
        assert warnings(post_page(who_may(*EDITS), page, {"triggers-0-pattern": pattern})) == []

    def test_of_a_workflow_that_has_not_run_tells_nothing(self, admin_client: Client, page: str) -> None:
        changes = {"slug": "renamed", "triggers-0-pattern": "title"}
        assert warnings(post_page(admin_client, page, changes)) == []


def our_scope(request: Any) -> str:
    return ""


class TestOneTriggerAlone:
    """As code validates it, beside what is stored."""

    def trigger(self, workflow: Workflow, source: str, target: str, **columns: Any) -> Trigger:
        ends = {"source": workflow.steps.get(name=source), "target": workflow.steps.get(name=target)}
        return Trigger(workflow=workflow, **ends, **columns)

    @pytest.mark.parametrize(
        ("ends", "columns", "field", "message"),
        [
            (("details", "answer"), {"pattern": "d/x"}, "__all__", "nothing starts"),
            (("answer", "details"), {"pattern": "x", "root": "{{ match[0] }}"}, "root", "asks for match"),
            (("details", "details"), {"event": "response"}, "condition", "goes round without an end"),
        ],
    )
    def test_is_refused(
        self, workflow: Workflow, ends: tuple[str, str], columns: dict[str, Any], field: str, message: str
    ) -> None:
        with pytest.raises(ValidationError) as caught:
            self.trigger(workflow, *ends, **columns).full_clean()
        assert message in caught.value.message_dict[field][0]

    @pytest.mark.parametrize(
        ("kind", "event", "message"),
        [
            ("bot", "joined", ""),
            ("letter", "letter-sent", ""),
            ("letter", "response", ""),
            ("bot", "letter-sent", "expected an event that answer emits"),
            ("letter", "mail-sent", "expected an event that answer emits"),
            ("gone", "mail-sent", ""),
        ],
    )
    def test_waits_for_what_the_kind_of_its_source_emits(
        self, workflow: Workflow, kind: str, event: str, message: str
    ) -> None:
        workflow.steps.filter(name="answer").update(kind=kind)
        trigger = self.trigger(workflow, "answer", "details", event=event)
        try:
            trigger.full_clean()
            found = ""
        except ValidationError as error:
            (found,) = error.message_dict["event"]
        assert found.startswith(message) and bool(found) is bool(message)

    def test_is_not_blamed_for_others(self, workflow: Workflow) -> None:
        Trigger.objects.update(root="{{ match[0] }}")
        self.trigger(workflow, "answer", "details", pattern="more/*").full_clean()
        with pytest.raises(ValidationError):
            workflow.triggers.get().full_clean()

    def test_may_lead_round_a_step_that_another_one_will_start(self, workflow: Workflow) -> None:
        Step.objects.create(workflow=workflow, name="later")
        self.trigger(workflow, "later", "later", pattern="x", condition="value").full_clean()
