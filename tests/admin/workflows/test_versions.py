"""Drafts and published versions in the admin: who sees, publishes and takes back what."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client

from lingstream.core.engine import registry
from lingstream.core.exceptions import UsageError
from lingstream.execution.plans import load_plan
from lingstream.models import Chat, Provider, Run, Step, Trigger, Workflow

from ..forms import client_with, errors_of, post_page
from .test_workflows import URL, edges, new_step, new_trigger

pytestmark = pytest.mark.django_db

EDITS = [
    f"{verb}_{name}"
    for verb in ("view", "add", "change", "delete")
    for name in ("workflow", "step", "trigger")
]


@pytest.fixture
def workflow() -> Workflow:
    Provider.objects.create(name="demo", kind="scripted")
    workflow = Workflow.objects.create(slug="facts")
    first = Step.objects.create(workflow=workflow, name="answer", input="{{ input.q }}", position=1)
    second = Step.objects.create(workflow=workflow, name="details", root="details", position=2)
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="answer")
    return workflow


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


@pytest.fixture
def versions(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/versions/"


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def live_input() -> str:
    return load_plan("facts").steps[0].input


def history() -> list[str]:
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


class TestSaving:
    def test_a_new_one_is_a_draft(self, admin_client: Client) -> None:
        changes = {"slug": "new", "access": "anyone", **new_step(0, "answer", input="x")}
        response = post_page(admin_client, f"{URL}add/", changes)
        assert told(response)[0] == "Saved as a draft. It does not start before it is published."
        with pytest.raises(UsageError, match="not been published yet"):
            load_plan("new")

    def test_is_published_by_the_same_save(self, admin_client: Client, workflow: Workflow) -> None:
        steps = {**new_step(0, "answer", input="x"), **new_step(1, "details", root="details")}
        changes = {
            "slug": "new",
            "access": "anyone",
            **steps,
            **new_trigger(0, "name:answer", "name:details"),
        }
        changes |= {"_publish": "", "version_note": "the first"}
        response = post_page(admin_client, f"{URL}add/", changes)
        new = Workflow.objects.get(slug="new")
        assert response.url == f"{URL}{new.pk}/change/"
        assert load_plan("new").published == 1 and new.versions.get().note == "the first"

    def test_one_with_the_slug_of_a_function_runs_as_before(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def function(run: Any) -> None: ...

        monkeypatch.setattr(registry, "_functions", {"new": function})
        post_page(admin_client, f"{URL}add/", {"slug": "new", "access": "anyone"})
        assert load_plan("new", python=True).python

    def test_without_a_version_holds_at_once(self, admin_client: Client, page: str) -> None:
        assert "Runs start from what is saved here, at once." in admin_client.get(page).content.decode()
        post_page(admin_client, page, {"steps-0-input": "hello"})
        assert live_input() == "hello"

    def test_with_one_waits(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        workflow.publish()
        assert "the draft is the same" in admin_client.get(page).content.decode()
        response = post_page(admin_client, page, {"steps-0-input": "hello"})
        assert told(response)[0] == "Saved as a draft. Runs go on with v1 until it is published."
        assert "the draft differs" in admin_client.get(page).content.decode()
        assert live_input() == "{{ input.q }}"
        post_page(admin_client, page, {"_publish": "", "version_note": "shorter"})
        assert live_input() == "hello"
        assert "Published as v2: runs that start from now on use it." in history()

    def test_a_draft_that_cannot_work_is_saved_and_not_published(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        Step.objects.filter(name="details").update(kind="unheard-of")
        response = post_page(admin_client, page, {"_publish": ""})
        assert any("Not published: steps/details/kind" in text for text in told(response))
        assert not workflow.versions.exists()

    @pytest.mark.parametrize("publish", [{}, {"_publish": ""}])
    def test_who_may_not_publish_saves_drafts(self, page: str, workflow: Workflow, publish: Any) -> None:
        workflow.publish()
        client = client_with(*EDITS)
        assert b"_publish" not in client.get(page).content
        assert post_page(client, page, {"steps-0-input": "hello", **publish}).status_code == 302
        assert (live_input(), workflow.differs) == ("{{ input.q }}", True)


class TestSomebodyElseHasSaved:
    def test_a_step_is_told_once(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        mine = admin_client.get(page).context["adminform"].form["base"].value()
        post_page(admin_client, page, {"steps-0-input": "theirs"})
        response = post_page(admin_client, page, {"steps-0-input": "mine", "base": mine})
        (problem,) = errors_of(response)["__all__"]
        assert problem.startswith("admin saved this at ") and "save again" in problem
        assert live_input() == "theirs"
        again = response.context["adminform"].form["base"].value()
        assert post_page(admin_client, page, {"steps-0-input": "mine", "base": again}).status_code == 302
        assert live_input() == "mine"


class TestSaveAsNew:
    def test_copies_steps_triggers_and_the_chat(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        Chat.objects.create(workflow=workflow)
        for slug in ("facts-2", "facts-3"):
            assert post_page(admin_client, page, {"_saveasnew": ""}).status_code == 302
            new = Workflow.objects.get(slug=slug)
            assert edges(new) == edges(workflow) == [("answer", "answer", "details")]
            assert {step.workflow for step in (new.triggers.get().source, new.triggers.get().target)} == {new}
            assert new.draft_only and new.chat.longest == 20_000
        assert workflow.steps.count() == 2

    def test_takes_what_was_typed(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        changes = {"_saveasnew": "", "slug": "other", "steps-0-name": "reply", "triggers-0-pattern": "reply"}
        assert post_page(admin_client, page, changes).status_code == 302
        assert edges(Workflow.objects.get(slug="other")) == [("reply", "reply", "details")]
        assert edges(workflow) == [("answer", "answer", "details")]


class TestVersions:
    @pytest.fixture(autouse=True)
    def _two(self, workflow: Workflow) -> None:
        workflow.publish(note="first")
        Step.objects.filter(name="answer").update(input="{{ input.q }}\nBe brief.")
        workflow.publish(note="second")
        Step.objects.filter(name="answer").update(input="draft")

    @pytest.mark.parametrize(
        ("query", "gone", "come"),
        [
            ("", "Be brief.", "input: draft"),
            ("?a=1&b=2", "input: {{ input.q }}", "Be brief."),
            ("?a=2&b=1", "Be brief.", "input: {{ input.q }}"),
        ],
    )
    def test_any_two_are_compared(
        self, admin_client: Client, versions: str, query: str, gone: str, come: str
    ) -> None:
        lines = [line for hunk in admin_client.get(versions + query).context["hunks"].parts for line in hunk]
        before = {"".join(piece.text for piece in line.before) for line in lines if line.kind != "same"}
        after = {"".join(piece.text for piece in line.after) for line in lines if line.kind != "same"}
        assert gone in map(str.strip, before) and come in map(str.strip, after)

    @pytest.mark.parametrize("query", ["?a=99&b=draft", "?a=x&b=²", "?a=&b=99999999999999999999"])
    def test_what_is_no_version_is_nothing(self, admin_client: Client, versions: str, query: str) -> None:
        assert admin_client.get(versions + query).status_code == 200

    def test_is_rolled_back_by_one_click(
        self, admin_client: Client, versions: str, workflow: Workflow
    ) -> None:
        response = admin_client.post(versions, {"action": "roll-back", "number": "1"})
        assert response.url == versions and live_input() == "{{ input.q }}"
        assert history() == ["Rolled back to v1."]
        assert workflow.versions.first().plan["steps"][0]["input"] == "draft", "which is kept"
        assert b"the draft is the same" in admin_client.get(versions).content

    def test_is_taken_up_as_the_draft(self, admin_client: Client, versions: str, workflow: Workflow) -> None:
        admin_client.post(versions, {"action": "take-up", "number": "1"})
        assert live_input() == "{{ input.q }}\nBe brief."
        assert workflow.steps.get(name="answer").input == "{{ input.q }}"

    def test_publishes_the_draft_as_it_is_stored(self, admin_client: Client, versions: str) -> None:
        admin_client.post(versions, {"action": "publish", "version_note": "third"})
        assert live_input() == "draft" and history() == [
            "Published as v3: runs that start from now on use it."
        ]

    @pytest.mark.parametrize(
        ("permissions", "allowed"),
        [
            ([], []),
            (["view_workflow"], ["see"]),
            (["view_workflow", "publish_workflow"], ["see", "publish"]),
            (EDITS, ["see", "take-up"]),
            ([*EDITS, "publish_workflow"], ["see", "publish", "roll-back", "take-up"]),
            (["view_workflow", "change_workflow"], ["see"]),
            (["publish_workflow"], []),
        ],
    )
    def test_each_needs_its_permission(
        self, versions: str, workflow: Workflow, permissions: list[str], allowed: list[str]
    ) -> None:
        client = client_with(*permissions)
        found = ["see"] if client.get(versions).status_code == 200 else []
        page = client.get(versions).content.decode()
        for action in ("publish", "roll-back", "take-up"):
            done = client.post(versions, {"action": action, "number": "1"}).status_code == 302
            assert done == (f'value="{action}"' in page), action
            found += [action] if done else []
        assert found == allowed

    @pytest.mark.parametrize(
        ("action", "live", "draft", "said"),
        [
            ("publish", "draft", "draft", "Published as v3: runs that start from now on use it."),
            ("roll-back", "{{ input.q }}", "{{ input.q }}", "Rolled back to v1."),
            ("take-up", "{{ input.q }}\nBe brief.", "{{ input.q }}", "v1 is the draft now."),
        ],
    )
    def test_the_panel_asks_for_the_same_and_comes_back(
        self,
        admin_client: Client,
        page: str,
        versions: str,
        workflow: Workflow,
        action: str,
        live: str,
        draft: str,
        said: str,
    ) -> None:
        base = admin_client.get(page).context["adminform"].form["base"].value()
        response = admin_client.post(versions, {"action": action, "number": "1", "base": base})
        assert (response.url, told(response)) == (page, [said])
        assert (live_input(), workflow.steps.get(name="answer").input) == (live, draft)

    @pytest.mark.parametrize("action", ["publish", "roll-back", "take-up"])
    def test_the_panel_does_nothing_where_somebody_else_has_saved(
        self, admin_client: Client, page: str, versions: str, workflow: Workflow, action: str
    ) -> None:
        base = admin_client.get(page).context["adminform"].form["base"].value()
        post_page(admin_client, page, {"steps-0-input": "theirs"})
        response = admin_client.post(versions, {"action": action, "number": "1", "base": base})
        assert response.url == page and "Somebody has saved this meanwhile" in told(response)[-1]
        assert workflow.steps.get(name="answer").input == "theirs" and live_input().endswith("Be brief.")

    def test_a_version_is_taken_up_with_what_its_trial_changed(
        self, admin_client: Client, versions: str, workflow: Workflow
    ) -> None:
        Provider.objects.create(name="other", kind="scripted", default_model="theirs")
        workflow.steps.update(model="mine", params={"seed": 1})
        workflow.publish()
        changes = {"trial-provider": "other", "trial-temperature": "0.5", "trial-step": "answer"}
        changes["trial-params"] = '{"max_tokens": 5}'
        response = admin_client.post(versions, {"action": "take-up", "number": "3", **changes})
        assert told(response) == ["v3 is the draft now, with what was changed for the trial."]
        found = {step.name: (str(step.provider), step.model, step.params) for step in workflow.steps.all()}
        assert found == {
            "answer": ("other", "", {"seed": 1, "max_tokens": 5, "temperature": 0.5}),
            "details": ("None", "mine", {"seed": 1}),
        }

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"trial-provider": "none"}, "There is no provider “none”."),
            ({"trial-temperature": "warm"}, "Expected a number, got “warm”."),
            ({"trial-params": "[1]"}, "Expected a JSON object"),
            ({"trial-model": "x" * 200, "trial-temperature": "-1"}, "takes no such parameter"),
        ],
    )
    def test_with_what_nothing_takes_it_is_not_taken_up(
        self, admin_client: Client, versions: str, workflow: Workflow, changes: Any, problem: str
    ) -> None:
        Provider.objects.update(kind="openai")
        response = admin_client.post(versions, {"action": "take-up", "number": "1", **changes})
        assert problem in told(response)[0]
        assert workflow.steps.get(name="answer").input == "draft" and not history()

    @pytest.mark.parametrize("data", [{"action": "roll-back", "number": "x"}, {"action": "x"}, {}])
    def test_what_no_button_sends_is_refused(self, admin_client: Client, versions: str, data: Any) -> None:
        assert admin_client.post(versions, data).status_code == 404

    @pytest.mark.parametrize(
        ("permissions", "publish", "rewrite"),
        [
            (["view_workflow", "change_workflow"], False, False),
            (["view_workflow", "change_workflow", "publish_workflow"], True, False),
            (EDITS, False, True),
            ([*EDITS, "publish_workflow"], True, True),
        ],
    )
    def test_the_panel_offers_what_somebody_may(
        self, page: str, permissions: list[str], publish: bool, rewrite: bool
    ) -> None:
        data = client_with(*permissions).get(page).context["trial"]["data"]
        assert (data["may"]["publish"], data["may"]["rewrite"]) == (publish, rewrite)
        assert (data["published"], data["differs"]) == (2, True)

    def test_the_panel_needs_the_forms_token(self, versions: str, workflow: Workflow) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser("root"))
        base = workflow.updated_at.isoformat()
        data = {"action": "publish", "base": base}
        assert client.post(versions, data).status_code == 403 and live_input().endswith("Be brief.")

    def test_a_version_that_cannot_be_gone_back_to_says_why(
        self, admin_client: Client, versions: str
    ) -> None:
        response = admin_client.post(versions, {"action": "roll-back", "number": "7"})
        assert told(response) == ["Expected a version of the workflow, got v7."]

    def test_the_list_names_what_is_published(self, admin_client: Client) -> None:
        assert '<td class="field-shown_published">v2</td>' in admin_client.get(URL).content.decode()

    def test_a_run_names_its_version(self, admin_client: Client, versions: str) -> None:
        run = Run.objects.create(workflow="facts", plan=load_plan("facts").to_json())
        html = admin_client.get(f"/admin/lingstream/run/{run.pk}/change/").content.decode()
        assert f'<a href="{versions}?a=2&amp;b=draft">v2</a>' in html
        Workflow.objects.all().delete()
        assert ">v2<" in admin_client.get(f"/admin/lingstream/run/{run.pk}/change/").content.decode()

    def test_a_workflow_is_deleted_with_them(self, admin_client: Client, workflow: Workflow) -> None:
        response = admin_client.post(f"{URL}{workflow.pk}/delete/", {"post": "yes"})
        assert response.status_code == 302 and not Workflow.objects.exists()

    def test_a_stranger_is_sent_to_sign_in(self, client: Client, versions: str) -> None:
        assert "/login/" in client.post(versions, {"action": "publish"}).url

    def test_staff_without_any_right_see_nothing(self, versions: str) -> None:
        User.objects.create_user("nobody", is_staff=True)
        assert Permission.objects.filter(codename="publish_workflow").count() == 1
        assert client_with().get(versions).status_code == 403
