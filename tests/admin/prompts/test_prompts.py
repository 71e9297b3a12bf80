"""Prompts and providers in the admin: what an editor does on the first day."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError
from django.test import Client

from lingstream.execution.plans import load_plan
from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Workflow

from ..forms import errors_of, form_data, post_page

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/prompt/"


@pytest.fixture
def prompt() -> Prompt:
    prompt = Prompt.objects.create(slug="details", name="Details", variables={"tone": "friendly"})
    version = PromptVersion.objects.create(prompt=prompt, text="Tone: {{ tone }}\n\nExplain.\n", note="first")
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    return prompt


@pytest.fixture
def page(prompt: Prompt) -> str:
    return f"{URL}{prompt.pk}/change/"


def sign_in(*permissions: str) -> Client:
    user = User.objects.create_user("editor", password="editor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


EDITOR = ("view_prompt", "change_prompt", "add_prompt", "view_promptversion")
PUBLISHER = (*EDITOR, "publish_prompt")


class TestLiveLabels:
    """A label that a running workflow asks for stays: without it nothing of the workflow would start."""

    @pytest.fixture(autouse=True)
    def step(self, prompt: Prompt) -> Step:
        workflow = Workflow.objects.create(slug="facts")
        return Step.objects.create(workflow=workflow, name="answer", prompt=prompt)

    @pytest.mark.parametrize("changes", [{"labels-0-DELETE": "on"}, {"labels-0-name": "live"}])
    def test_is_neither_deleted_nor_renamed_on_the_page(
        self, admin_client: Client, page: str, prompt: Prompt, changes: dict[str, str]
    ) -> None:
        response = post_page(admin_client, page, changes)
        assert response.status_code == 200
        assert "is in use: facts/answer" in response.content.decode()
        assert prompt.labels.get().name == "production"

    def test_nor_by_code(self, prompt: Prompt) -> None:
        label = prompt.labels.get()
        rename = partial(prompt.labels.update, name="live")
        for remove in (label.delete, PromptLabel.objects.all().delete, prompt.labels.all().delete, rename):
            with pytest.raises(ProtectedError, match="is in use: facts/answer"):
                remove()
        label.name = "live"
        with pytest.raises(ProtectedError, match="is in use: facts/answer"):
            label.save()
        with pytest.raises(ValidationError, match="is in use: facts/answer"):
            label.full_clean()
        assert PromptLabel.objects.get().name == "production"

    def test_moves_to_another_version_all_the_same(self, prompt: Prompt) -> None:
        label = prompt.labels.get()
        label.version = PromptVersion.objects.create(prompt=prompt, text="New.")
        label.full_clean()
        label.save()
        assert load_plan_text("facts") == "New."

    @pytest.mark.parametrize("free", ["switched off", "asks for another", "is gone"])
    def test_goes_when_nobody_asks_for_it(
        self, admin_client: Client, page: str, prompt: Prompt, step: Step, free: str
    ) -> None:
        if free == "switched off":
            Workflow.objects.update(enabled=False)
        elif free == "asks for another":
            Step.objects.update(label="staging")
        else:
            step.delete()
        assert post_page(admin_client, page, {"labels-0-DELETE": "on"}).status_code == 302
        assert not prompt.labels.exists()

    def test_of_another_prompt_is_another_label(self, prompt: Prompt) -> None:
        other = Prompt.objects.create(slug="other")
        version = PromptVersion.objects.create(prompt=other, text="x")
        PromptLabel.objects.create(prompt=other, name="production", version=version).delete()
        assert prompt.labels.exists()


def load_plan_text(slug: str) -> str:
    """The prompt of the first step, as the next run gets it."""
    Provider.objects.get_or_create(name="demo", kind="scripted")
    return load_plan(slug).steps[0].prompt


class TestEditing:
    def test_what_is_live_is_in_the_box(self, admin_client: Client, page: str, prompt: Prompt) -> None:
        PromptVersion.objects.create(prompt=prompt, text="The <newest>.")
        assert form_data(admin_client.get(page))["text"] == "Tone: {{ tone }}\n\nExplain.\n"
        html = admin_client.get(page).content.decode()
        assert "Live: <strong>v1</strong>" in html
        assert "you are editing <strong>v1</strong>" in html
        assert '<a href="?from=2">edit v2, the newest</a>' in html
        html = admin_client.get(f"{page}?from=2").content.decode()
        assert "The &lt;newest&gt;.</textarea>" in html
        assert "you are editing <strong>v2</strong>" in html

    def test_changed_text_is_saved_as_the_next_version(
        self, admin_client: Client, page: str, prompt: Prompt
    ) -> None:
        response = post_page(admin_client, page, {"text": "Tone: dry\r\nShort.\r\n", "note": "drier"})
        assert response.status_code == 302
        newest = prompt.newest
        assert newest is not None
        assert (newest.number, newest.text, newest.note) == (2, "Tone: dry\nShort.\n", "drier")
        assert newest.created_by == User.objects.get(username="admin")
        assert prompt.versions.get(number=1).text == "Tone: {{ tone }}\n\nExplain.\n"
        assert prompt.labels.get().version.number == 1

    def test_unchanged_text_makes_no_version(self, admin_client: Client, page: str, prompt: Prompt) -> None:
        text = "Tone: {{ tone }}\r\n\r\nExplain.\r\n"
        assert post_page(admin_client, page, {"name": "Other", "text": text}).status_code == 302
        prompt.refresh_from_db()
        assert prompt.name == "Other"
        assert prompt.versions.count() == 1

    def test_moving_production_is_one_select_and_save(
        self, admin_client: Client, page: str, prompt: Prompt
    ) -> None:
        second = PromptVersion.objects.create(prompt=prompt, text="second")
        workflow = Workflow.objects.create(slug="w")
        Step.objects.create(workflow=workflow, name="s", prompt=prompt)
        Provider.objects.create(name="demo", kind="scripted")
        assert load_plan("w").step("s").prompt_version == "details v1"
        assert post_page(admin_client, page, {"labels-0-version": second.pk}).status_code == 302
        assert load_plan("w").step("s").prompt == "second"

    def test_text_can_go_into_production_at_once(
        self, admin_client: Client, page: str, prompt: Prompt
    ) -> None:
        post_page(admin_client, page, {"text": "new", "publish": "on"})
        assert prompt.labels.get().version.text == "new"

    def test_a_new_prompt_is_one_form(self, admin_client: Client) -> None:
        response = post_page(
            admin_client, f"{URL}add/", {"slug": "new", "text": "Hello {{ x }}", "variables": '{"x": 1}'}
        )
        assert response.status_code == 302
        assert Prompt.objects.get(slug="new").labels.get(name="production").version.number == 1

    def test_another_label_can_be_added(self, admin_client: Client, page: str, prompt: Prompt) -> None:
        version = prompt.newest
        assert version is not None
        changes = {"labels-TOTAL_FORMS": 2, "labels-1-name": "beta", "labels-1-version": version.pk}
        assert post_page(admin_client, page, {**changes, "labels-1-prompt": prompt.pk}).status_code == 302
        assert set(prompt.labels.values_list("name", flat=True)) == {"production", "beta"}
        told = [each.get_change_message() for each in LogEntry.objects.order_by("pk")]
        assert told == ["beta: – → v1", "Added prompt label “beta”."]

    def test_an_old_text_can_be_taken_up_again(self, admin_client: Client, page: str, prompt: Prompt) -> None:
        PromptVersion.objects.create(prompt=prompt, text="second")
        PromptLabel.objects.update(version=prompt.newest)
        assert post_page(admin_client, f"{page}?from=1", {}).status_code == 302
        assert prompt.versions.count() == 2
        post_page(admin_client, f"{page}?from=1", {"publish": "on"})
        assert prompt.labels.get().version.number == 1
        post_page(admin_client, f"{page}?from=2", {"text": "second, better"})
        assert prompt.newest == prompt.version(3)

    @pytest.mark.parametrize("number", ["x", "99", "-1", "9" * 40])
    def test_an_old_text_that_does_not_exist_is_ignored(
        self, admin_client: Client, page: str, number: str
    ) -> None:
        assert admin_client.get(f"{page}?from={number}").status_code == 200

    def test_versions_are_listed_with_what_changed(
        self, admin_client: Client, page: str, prompt: Prompt
    ) -> None:
        PromptVersion.objects.create(
            prompt=prompt, text="Tone: {{ tone }}\n\n<b>Explain</b>.\n", note="bolder"
        )
        html = admin_client.get(page).content.decode()
        assert "bolder" in html
        assert '<del class="ling-removed"><span class="ling-sign">−</span> Explain.</del>' in html
        assert "<mark>&lt;b&gt;</mark>Explain<mark>&lt;/b&gt;</mark>.</ins>" in html

    def test_a_long_history_stays_a_short_page(
        self, admin_client: Client, page: str, prompt: Prompt, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(60):
            PromptVersion.objects.create(prompt=prompt, text=str(number))
        with django_assert_max_num_queries(25):
            html = admin_client.get(page).content.decode()
        assert html.count('class="ling-version"') == 20
        assert f"/admin/lingstream/promptversion/?prompt__id__exact={prompt.pk}" in html
        assert (
            admin_client.get(f"/admin/lingstream/promptversion/?prompt__id__exact={prompt.pk}").status_code
            == 200
        )


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("fine\n{% if %}", "Line 2: Expected an expression"),
            ("{{ tnoe }}", "Line 1: unknown variable “tnoe”; did you mean “tone”?"),
            ("{{ tone|center(9) }}", "Line 1: No filter named"),
        ],
    )
    def test_a_template_fault_is_shown_at_the_field_with_its_line(
        self, admin_client: Client, page: str, prompt: Prompt, text: str, error: str
    ) -> None:
        found = errors_of(post_page(admin_client, page, {"text": text}))
        assert found["text"][0].startswith(error)
        assert prompt.versions.count() == 1

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("fine\n{% if %}", "第 2 行：应为表达式，实际为 语句块的结尾"),
            ("{{ tnoe }}", "第 1 行：未知变量“tnoe”；是否指“tone”？"),
            ("{{ tone|center(9) }}", "第 1 行：没有名为“center”的过滤器。"),
            (
                "{% include 'x' %}",
                '第 1 行：include、import 和 extends 不可用；提示词可用 {% include "prompt:',
            ),
        ],
    )
    def test_and_in_the_readers_language(self, chinese: Client, page: str, text: str, said: str) -> None:
        assert errors_of(post_page(chinese, page, {"text": text}))["text"][0].startswith(said)

    def test_a_variable_in_use_cannot_be_taken_away(self, admin_client: Client, page: str) -> None:
        found = errors_of(post_page(admin_client, page, {"variables": ""}))
        assert "unknown variable “tone”" in found["text"][0]
        found = errors_of(post_page(admin_client, page, {"variables": "", "text": "No tone."}))
        assert "v1, which is “production”, needs it" in found["variables"][0]
        assert (
            post_page(admin_client, page, {"variables": "", "text": "No.", "publish": "on"}).status_code
            == 302
        )

    @pytest.mark.parametrize(
        ("variables", "error"), [("{", "This is not JSON"), ('{"a-b": 1}', "'a-b'"), ("[1]", "object")]
    )
    def test_variables_are_checked(self, admin_client: Client, page: str, variables: str, error: str) -> None:
        found = errors_of(post_page(admin_client, page, {"variables": variables}))
        assert error in found["variables"][0]

    def test_a_label_cannot_name_a_version_of_another_prompt(self, admin_client: Client, page: str) -> None:
        other = PromptVersion.objects.create(prompt=Prompt.objects.create(slug="other"), text="x")
        assert "labels-0-version" in errors_of(post_page(admin_client, page, {"labels-0-version": other.pk}))


class TestPermissions:
    def test_an_editor_writes_versions_and_does_not_publish(self, page: str, prompt: Prompt) -> None:
        client = sign_in(*EDITOR)
        assert "publish" not in client.get(page).context["adminform"].fieldsets[0][1]["fields"]
        assert post_page(client, page, {"text": "new", "publish": "on"}).status_code == 302
        assert prompt.versions.count() == 2
        assert prompt.labels.get().version.number == 1

    def test_a_publisher_moves_labels(self, page: str, prompt: Prompt) -> None:
        post_page(sign_in(*PUBLISHER), page, {"text": "new", "publish": "on"})
        assert prompt.labels.get().version.number == 2

    def test_an_editor_reaches_nothing_else(self, prompt: Prompt) -> None:
        provider = Provider.objects.create(name="p", kind="openai", base_url="https://secret.example.com")
        workflow = Workflow.objects.create(slug="w")
        client = sign_in(*PUBLISHER)
        for path in (
            "provider/",
            f"provider/{provider.pk}/change/",
            "workflow/",
            f"workflow/{workflow.pk}/change/",
            "run/",
            "botrun/",
            "conversation/",
            "runner/",
            "prompt/999999/delete/",
        ):
            assert client.get(f"/admin/lingstream/{path}").status_code in (302, 403), path
        assert (
            client.post(f"/admin/lingstream/prompt/{prompt.pk}/delete/", {"post": "yes"}).status_code == 403
        )

    def test_a_viewer_sees_the_text_and_cannot_save(self, page: str, prompt: Prompt) -> None:
        client = sign_in("view_prompt")
        html = client.get(page).content.decode()
        assert "Explain." in html
        assert "<textarea" not in html
        assert client.post(page, {"text": "new"}).status_code == 403
        assert prompt.versions.count() == 1

    def test_a_version_is_shown_and_cannot_be_changed(self, admin_client: Client, prompt: Prompt) -> None:
        url = f"/admin/lingstream/promptversion/{prompt.versions.get().pk}/"
        assert "Explain." in admin_client.get(f"{url}change/").content.decode()
        assert admin_client.post(f"{url}change/", {"text": "x"}).status_code == 403
        assert admin_client.get(f"{url}delete/").status_code == 403
        assert admin_client.get("/admin/lingstream/promptversion/add/").status_code == 403

    def test_a_prompt_that_others_include_is_deleted_with_these_alone(
        self, admin_client: Client, prompt: Prompt
    ) -> None:
        other = Prompt.objects.create(slug="other")
        text = f'{{% include "prompt:{prompt.slug}" %}}'
        version = PromptVersion.objects.create(prompt=other, text=text)
        PromptLabel.objects.create(prompt=other, name="production", version=version)
        selected = {"action": "delete_selected", "_selected_action": [str(prompt.pk)]}
        for url, chosen in ((f"{URL}{prompt.pk}/delete/", {}), (URL, selected)):
            assert "other v1" in admin_client.post(url, chosen).content.decode()
            page = admin_client.post(url, {**chosen, "post": "yes"})
            assert (page.status_code, Prompt.objects.count()) == (200, 2)
        both = [str(prompt.pk), str(other.pk)]
        admin_client.post(URL, {**selected, "_selected_action": both, "post": "yes"})
        assert not Prompt.objects.exists()

    def test_a_prompt_is_deleted_with_its_versions(self, admin_client: Client, prompt: Prompt) -> None:
        admin_client.post(f"{URL}{prompt.pk}/delete/", {"post": "yes"})
        assert not Prompt.objects.exists()

    def test_the_list_shows_what_is_live(self, admin_client: Client, prompt: Prompt) -> None:
        PromptVersion.objects.create(prompt=prompt, text="second")
        html = admin_client.get(URL, {"q": "det"}).content.decode()
        assert '<td class="field-newest_version">v2</td>' in html
        assert '<td class="field-live_version">v1</td>' in html


class TestProviders:
    URL = "/admin/lingstream/provider/"

    @pytest.fixture(autouse=True)
    def site(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.LINGSTREAM = {"PROVIDER_KEYS": {"LISTED_KEY": ["https://api.x.com"]}}
        monkeypatch.setenv("LISTED_KEY", "s3cret")
        monkeypatch.setenv("OTHER_KEY", "0ther")

    def test_key_names_are_chosen_and_keys_never_shown(self, admin_client: Client) -> None:
        provider = Provider.objects.create(name="p", base_url="https://api.x.com", key_name="LISTED_KEY")
        for path in ("", "add/", f"{provider.pk}/change/"):
            html = admin_client.get(self.URL + path).content.decode()
            assert "LISTED_KEY" in html
            assert "s3cret" not in html
            assert "OTHER_KEY" not in html

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({}, ""),
            ({"key_name": "OTHER_KEY"}, "key_name"),
            ({"base_url": "https://api.x.com.evil.com"}, "base_url"),
            ({"kind": "no"}, "kind"),
            ({"options": '{"api_key": "x"}'}, "options"),
            ({"options": "{"}, "options"),
            ({"max_concurrency": "0"}, "max_concurrency"),
        ],
    )
    def test_a_provider_is_checked(self, admin_client: Client, changes: dict[str, str], field: str) -> None:
        good = {"name": "p", "kind": "openai", "base_url": "https://api.x.com/v1", "key_name": "LISTED_KEY"}
        response = post_page(admin_client, f"{self.URL}add/", {**good, **changes})
        if field:
            assert list(errors_of(response)) == [field]
        else:
            assert response.status_code == 302

    def test_a_name_that_is_listed_no_more_is_shown_and_refused(self, admin_client: Client) -> None:
        provider = Provider.objects.create(name="p", base_url="https://api.x.com", key_name="OTHER_KEY")
        url = f"{self.URL}{provider.pk}/change/"
        assert "OTHER_KEY (not listed in the settings)" in admin_client.get(url).content.decode()
        assert "key_name" in errors_of(post_page(admin_client, url, {}))

    def test_a_viewer_may_look(self) -> None:
        provider = Provider.objects.create(name="p", base_url="https://api.x.com", key_name="LISTED_KEY")
        assert (
            "https://api.x.com"
            in sign_in("view_provider").get(f"{self.URL}{provider.pk}/change/").content.decode()
        )
