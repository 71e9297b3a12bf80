"""Workflows in the admin: steps and triggers on one page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import ProtectedError
from django.test import Client

from lingstream.core.engine import registry
from lingstream.execution.plans import load_plan
from lingstream.models import Chat, Prompt, PromptLabel, PromptVersion, Provider, Step, Trigger, Workflow

from ..forms import errors_of, post_page

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/workflow/"


@pytest.fixture
def prompt() -> Prompt:
    prompt = Prompt.objects.create(slug="details", variables={"tone": "friendly"})
    version = PromptVersion.objects.create(prompt=prompt, text="Explain.")
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    return prompt


@pytest.fixture
def workflow() -> Workflow:
    workflow = Workflow.objects.create(slug="facts")
    first = Step.objects.create(workflow=workflow, name="answer", input="{{ input.q }}", position=1)
    second = Step.objects.create(workflow=workflow, name="details", position=2, input="Of:\n{{ value }}")
    told = "At {{ uri }}:\n{{ value }}"
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="answer", input=told)
    return workflow


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


def new_step(index: int, name: str, **columns: Any) -> dict[str, Any]:
    columns = {
        "name": name,
        "kind": "bot",
        "label": "production",
        "format": "json",
        "retries": 0,
        "position": index,
        **columns,
    }
    return {
        "steps-TOTAL_FORMS": index + 1,
        **{f"steps-{index}-{column}": value for column, value in columns.items()},
    }


def new_trigger(index: int, source: str, target: str, **columns: Any) -> dict[str, Any]:
    columns = {
        "when_step": source,
        "start_step": target,
        "event": "string-response",
        "position": index,
        **columns,
    }
    data = {f"triggers-{index}-{column}": value for column, value in columns.items()}
    return {"triggers-TOTAL_FORMS": index + 1, **data}


def edges(workflow: Workflow) -> list[tuple[str, str, str]]:
    return list(workflow.triggers.order_by("pk").values_list("source__name", "pattern", "target__name"))


class TestNothingStarts:
    """A workflow in which each step waits for a trigger would never do anything."""

    SAYS = "nothing starts: expected a step that no trigger starts, but each of"

    def test_a_circle_is_refused(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        first, second = workflow.steps.order_by("position")
        response = post_page(admin_client, page, new_trigger(1, str(second.pk), str(first.pk)))
        assert response.status_code == 200
        assert self.SAYS in response.content.decode()
        assert workflow.triggers.count() == 1

    def test_so_is_a_new_one_that_waits_for_itself(self, admin_client: Client) -> None:
        forms = {**new_step(0, "only"), **new_trigger(0, "name:only", "name:only"), "slug": "new"}
        response = post_page(admin_client, f"{URL}add/", forms)
        assert self.SAYS in response.content.decode()
        assert not Workflow.objects.filter(slug="new").exists()

    def test_so_is_one_whose_first_step_goes(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        second = workflow.steps.get(name="details")
        changes = {
            "steps-0-DELETE": "on",
            "triggers-0-when_step": str(second.pk),
            "triggers-0-start_step": str(second.pk),
        }
        assert self.SAYS in post_page(admin_client, page, changes).content.decode()

    def test_a_circle_is_mended_on_the_same_page(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        first, second = workflow.steps.order_by("position")
        Trigger.objects.create(workflow=workflow, source=second, target=first)
        changes = {"triggers-1-DELETE": "on"}
        assert post_page(admin_client, page, changes).status_code == 302
        assert edges(workflow) == [("answer", "answer", "details")]

    def test_a_circle_that_another_step_starts_is_one(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        second = workflow.steps.get(name="details")
        assert (
            post_page(admin_client, page, new_trigger(1, str(second.pk), str(second.pk))).status_code == 302
        )

    def test_where_a_function_decides_it_is_none_of_ours(
        self, admin_client: Client, page: str, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def facts(run: Any) -> None: ...

        monkeypatch.setattr(registry, "_functions", {"facts": facts})
        first, second = workflow.steps.order_by("position")
        forms = new_trigger(1, str(second.pk), str(first.pk))
        assert post_page(admin_client, page, forms).status_code == 302


def test_a_trigger_may_start_at_cut_fields(admin_client: Client, page: str, workflow: Workflow) -> None:
    Provider.objects.create(name="demo", kind="scripted")
    assert not load_plan("facts").triggers[0].partial
    assert post_page(admin_client, page, {"triggers-0-partial": "on"}).status_code == 302
    assert load_plan("facts").triggers[0].partial


class TestSteps:
    def test_a_page_saved_as_it_is_changes_nothing(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        workflow.publish()
        before = (
            list(Workflow.objects.values()),
            list(Step.objects.values()),
            list(Trigger.objects.values()),
        )
        assert post_page(admin_client, page, {}).status_code == 302
        after = (list(Workflow.objects.values()), list(Step.objects.values()), list(Trigger.objects.values()))
        assert [{**row, "updated_at": 0} for row in after[0]] == [
            {**row, "updated_at": 0} for row in before[0]
        ]
        assert after[1:] == before[1:]
        assert not Workflow.objects.get().differs
        told = LogEntry.objects.get().get_change_message()
        assert "step" not in told and "trigger" not in told

    def test_every_setting_of_a_bot_can_be_written(
        self, admin_client: Client, page: str, workflow: Workflow, prompt: Prompt
    ) -> None:
        Provider.objects.create(name="demo", kind="scripted")
        big = Provider.objects.create(name="big", kind="openai")
        columns = {
            "prompt": prompt.pk,
            "provider": big.pk,
            "model": "large",
            "params": '{"temperature": 0}',
            "variables": '{"tone": "dry"}',
            "input": "{{ tone }} {{ value }}",
            "root": "x/{{ match[0] }}",
            "format": "text",
            "only": '["a"]',
            "exclude": '["b"]',
            "quiet": "on",
            "optional": "on",
            "history": "on",
            "schema": '{"type": "string"}',
        }
        answer = str(workflow.steps.get(name="answer").pk)
        changes = {**new_step(2, "full", **columns), **new_trigger(1, answer, "name:full", pattern="a/*")}
        assert post_page(admin_client, page, changes).status_code == 302
        step = load_plan("facts").step("full")
        assert (step.prompt, step.prompt_version, step.variables) == (
            "Explain.",
            "details v1",
            {"tone": "dry"},
        )
        assert (step.provider.name, step.model, step.params) == ("big", "large", {"temperature": 0})
        assert (step.input, step.root, step.format) == ("{{ tone }} {{ value }}", "x/{{ match[0] }}", "text")
        assert (step.only, step.exclude, step.schema) == (("a",), ("b",), {"type": "string"})
        assert (step.quiet, step.optional, step.history) == (True, True, True)

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("input", "{{ valeu }}", "Line 1: unknown variable “valeu”; did you mean “value”?"),
            ("input", "a\n{% if %}", "Line 2"),
            ("root", "{{ x }}", "unknown variable"),
            ("only", '["a//b"]', "Expected a uri pattern"),
            ("only", "answer", "This is not JSON"),
            ("params", "[1]", "Expected a JSON object"),
            ("schema", '{"type": "strin"}', "not a JSON schema"),
            ("name", "with space", "Expected letters"),
            ("name", "details", ""),
        ],
    )
    def test_faults_are_shown_at_their_field(
        self, admin_client: Client, page: str, column: str, value: str, message: str
    ) -> None:
        found = errors_of(post_page(admin_client, page, {f"steps-0-{column}": value}))
        assert message in "".join(found.get(f"steps-0-{column}", [""]))

    def test_prompts_are_found_by_typing(self, admin_client: Client, prompt: Prompt) -> None:
        query = {"term": "det", "app_label": "lingstream", "model_name": "step", "field_name": "prompt"}
        answer = admin_client.get("/admin/autocomplete/", query).json()
        assert [row["text"] for row in answer["results"]] == ["details"]


class TestTriggers:
    def test_offer_the_steps_of_this_workflow_only(self, admin_client: Client, page: str) -> None:
        Step.objects.create(workflow=Workflow.objects.create(slug="other"), name="foreign")
        (_steps, triggers, *_) = admin_client.get(page).context["inline_admin_formsets"]
        names = [label for _value, label in triggers.formset.forms[0].fields["when_step"].choices]
        assert names == ["---------", "answer", "details"]

    def test_join_stored_steps(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        ids = {step.name: str(step.pk) for step in workflow.steps.all()}
        post_page(admin_client, page, new_trigger(1, ids["details"], ids["details"], pattern="a/*"))
        assert edges(workflow) == [("answer", "answer", "details"), ("details", "a/*", "details")]

    def test_join_steps_that_the_same_save_creates(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        answer = str(workflow.steps.get(name="answer").pk)
        changes = {**new_step(2, "extra"), **new_trigger(1, answer, "name:extra", pattern="x")}
        assert post_page(admin_client, page, changes).status_code == 302
        assert edges(workflow)[1] == ("answer", "x", "extra")

    def test_a_whole_workflow_is_one_save(self, admin_client: Client) -> None:
        steps = {**new_step(0, "answer", input="{{ input.q }}"), **new_step(1, "details")}
        changes = {
            "slug": "new",
            "access": "anyone",
            **steps,
            **new_trigger(0, "name:answer", "name:details"),
        }
        assert post_page(admin_client, f"{URL}add/", changes).status_code == 302
        assert edges(Workflow.objects.get(slug="new")) == [("answer", "", "details")]

    def test_keep_their_step_when_it_is_renamed(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        changes = {"steps-0-name": "reply", "triggers-0-pattern": "reply"}
        assert post_page(admin_client, page, changes).status_code == 302
        assert edges(workflow) == [("reply", "reply", "details")]

    def test_a_step_in_use_is_deleted_with_its_triggers_only_knowingly(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        found = errors_of(post_page(admin_client, page, {"steps-1-DELETE": "on"}))
        assert "is being deleted" in found["triggers-0-start_step"][0]
        assert (
            post_page(admin_client, page, {"steps-1-DELETE": "on", "triggers-0-DELETE": "on"}).status_code
            == 302
        )
        assert [step.name for step in workflow.steps.all()] == ["answer"]
        assert edges(workflow) == []

    def test_a_new_step_that_is_faulty_keeps_its_trigger_on_the_page(
        self, admin_client: Client, page: str
    ) -> None:
        changes = {**new_step(2, "extra", input="{% if %}"), **new_trigger(1, "name:extra", "name:extra")}
        response = post_page(admin_client, page, changes)
        assert list(errors_of(response)) == ["steps-2-input"]
        assert '<option value="name:extra" selected>extra</option>' in response.content.decode()

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("condition", "value >", "expected an expression"),
            ("pattern", "a//b", "Expected a uri pattern"),
            ("input", "{{ x }}", "unknown variable"),
            ("when_step", "", "required"),
            ("start_step", "name:nobody", "Select a valid choice"),
            ("start_step", "999999", "Select a valid choice"),
        ],
    )
    def test_faults_are_shown_at_their_field(
        self, admin_client: Client, page: str, column: str, value: str, message: str
    ) -> None:
        found = errors_of(post_page(admin_client, page, {f"triggers-0-{column}": value}))
        assert message in found[f"triggers-0-{column}"][0]


class TestWorkflow:
    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("input_schema", '{"type": "strin"}', "at type"),
            ("limits", '{"bot": 1}', "Expected limits among"),
            ("limits", "{", "This is not JSON"),
            ("limits", "[1]", "Expected a JSON object"),
        ],
    )
    def test_faults_are_shown_at_their_field(
        self, admin_client: Client, page: str, column: str, value: str, message: str
    ) -> None:
        assert message in errors_of(post_page(admin_client, page, {column: value}))[column][0]

    @pytest.mark.parametrize("state", ["as saved", "as published"])
    def test_one_that_another_executes_is_neither_deleted_nor_renamed(
        self, admin_client: Client, page: str, workflow: Workflow, state: str
    ) -> None:
        outer = Workflow.objects.create(slug="outer")
        step = Step.objects.create(workflow=outer, name="ask", kind="workflow", options={"workflow": "facts"})
        if state == "as published":
            outer.publish()
            Step.objects.filter(pk=step.pk).update(kind="bot", options={})
        assert (
            "outer execute it inside" in errors_of(post_page(admin_client, page, {"slug": "new"}))["slug"][0]
        )
        selected = {"action": "delete_selected", "_selected_action": [str(workflow.pk)]}
        for url, chosen in ((f"{URL}{workflow.pk}/delete/", {}), (URL, selected)):
            answer = admin_client.post(url, {**chosen, "post": "yes"})
            assert answer.status_code == 200 and "<li>outer</li>" in answer.content.decode()
        for remove in (workflow.delete, Workflow.objects.filter(slug="facts").delete):
            with pytest.raises(ProtectedError):
                remove()
        Workflow.objects.filter(slug="outer").update(enabled=False)
        assert post_page(admin_client, page, {"slug": "new"}).status_code == 302
        Workflow.objects.filter(slug="new").update(slug="facts")
        Workflow.objects.update(enabled=True)
        Workflow.objects.all().delete()
        assert not Workflow.objects.exists()

    def test_the_list_shows_steps(self, admin_client: Client, workflow: Workflow) -> None:
        assert "answer, details" in admin_client.get(URL, {"q": "fac"}).content.decode()

    def test_an_editor_chooses_providers_without_seeing_their_address(
        self, page: str, workflow: Workflow
    ) -> None:
        provider = Provider.objects.create(name="big", kind="openai", base_url="https://secret.example.com")
        user = User.objects.create_user("editor", is_staff=True)
        names = [
            f"{verb}_{model}"
            for model in ("workflow", "step", "trigger")
            for verb in ("view", "add", "change")
        ]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        html = client.get(page).content.decode()
        assert "big</option>" in html
        assert "secret.example.com" not in html
        assert f"/admin/lingstream/provider/{provider.pk}" not in html
        assert post_page(client, page, {"steps-0-provider": provider.pk}).status_code == 302
        assert workflow.steps.get(name="answer").provider == provider

    def test_a_viewer_sees_steps_and_triggers(self, page: str) -> None:
        user = User.objects.create_user("viewer", is_staff=True)
        names = ["view_workflow", "view_step", "view_trigger"]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        html = client.get(page).content.decode()
        assert "answer string-response answer → details" in html
        assert client.post(page, {}).status_code == 403


class TestChat:
    def test_is_what_the_page_says(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        assert not Chat.objects.exists()
        changes = {"chat-TOTAL_FORMS": 1, "chat-0-input_uri": "ask", "chat-0-history_tokens": 100}
        changes |= {"chat-0-answer_uri": "", "chat-0-attachments": "none"}
        changes |= {"chat-0-max_files": 5, "chat-0-max_size": 10, "chat-0-on_abort": "cancel"}
        changes |= {"chat-0-rate": "5/m", "chat-0-longest": 9, "chat-0-origins": '["https://shop.example"]'}
        cheap = Provider.objects.create(name="cheap", kind="scripted")
        assert post_page(admin_client, page, {**changes, "chat-0-helper": cheap.pk}).status_code == 302
        chat = Chat.objects.get(workflow=workflow).to_chat()
        assert (chat.input_uri, chat.answer_uri, chat.history_tokens) == ("ask", "", 100)
        assert (chat.enabled, chat.helper, chat.on_abort) == (False, "cheap", "cancel")
        assert (chat.rate, chat.longest, chat.origins) == ("5/m", 9, ("https://shop.example",))

    def test_that_is_added_as_it_stands_is_stored(self, admin_client: Client, page: str) -> None:
        empty = admin_client.get(page).context["inline_admin_formsets"][2].formset.empty_form
        posted = {f"chat-0-{name}": empty[name].value() for name in empty.fields if name != "workflow"}
        sent = {name: value for name, value in posted.items() if value not in (None, False)}
        assert post_page(admin_client, page, {"chat-TOTAL_FORMS": 1, **sent}).status_code == 302
        assert Chat.objects.get().to_chat() == Chat(workflow=Workflow.objects.get()).to_chat()

    def test_is_reached_from_the_page(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        link = 'href="/ling/chat/facts/"'
        assert link not in admin_client.get(page).content.decode()
        Chat.objects.create(workflow=workflow)
        assert link in admin_client.get(page).content.decode()

    def test_shows_what_other_sites_need_and_renews_it(self, admin_client: Client, page: str) -> None:
        chat = Chat.objects.create(workflow=Workflow.objects.get(), origins=["https://shop.example"])
        text = admin_client.get(page).content.decode()
        assert "/ling/embed/facts/" in text and chat.embed_secret() in text
        post_page(admin_client, page, {"chat-0-renew": "on"})
        text = admin_client.get(page).content.decode()
        assert chat.embed_secret() not in text and Chat.objects.get().embed_secret() in text

    def test_that_no_other_site_shows_has_no_secret_to_renew(self, admin_client: Client, page: str) -> None:
        Chat.objects.create(workflow=Workflow.objects.get())
        assert "chat-0-renew" not in admin_client.get(page).content.decode()

    def test_who_may_only_look_sees_no_secret(self, page: str, workflow: Workflow) -> None:
        chat = Chat.objects.create(workflow=workflow, origins=["https://shop.example"])
        user = User.objects.create_user("looks", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        client = Client()
        client.force_login(user)
        text = client.get(page).content.decode()
        assert "shop.example" in text and chat.embed_secret() not in text

    def test_no_file_is_larger_than_what_a_message_holds(self, admin_client: Client, page: str) -> None:
        changes = {"chat-TOTAL_FORMS": 1, "chat-0-max_size": 2_500_001}
        response = post_page(admin_client, page, changes)
        assert "less than or equal to 2500000" in response.content.decode()

    def test_a_place_that_is_none_is_refused(self, admin_client: Client, page: str) -> None:
        Chat.objects.create(workflow=Workflow.objects.get())
        errors = errors_of(post_page(admin_client, page, {"chat-0-answer_uri": "a//b"}))
        assert list(errors) == ["chat-0-answer_uri"]
