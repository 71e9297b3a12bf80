"""Going live: who may, what the page says, what the history keeps."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client

from lingstream.models import Prompt, PromptLabel, PromptVersion, Step, Workflow

from ..forms import client_with, errors_of, post_page

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/prompt/"
EDITOR = ("view_prompt", "change_prompt", "add_prompt", "view_promptversion")


@pytest.fixture
def prompt() -> Prompt:
    prompt = Prompt.objects.create(slug="details")
    versions = [PromptVersion.objects.create(prompt=prompt, text=f"Text {number}.") for number in (1, 2, 3)]
    PromptLabel.objects.create(prompt=prompt, name="production", version=versions[0])
    return prompt


@pytest.fixture
def page(prompt: Prompt) -> str:
    return f"{URL}{prompt.pk}/"


def live(prompt: Prompt) -> int:
    found = prompt.live
    assert found is not None
    return found.number


def told(response: Any) -> list[tuple[str, str]]:
    return [(each.level_tag, str(each)) for each in get_messages(response.wsgi_request)]


def history(prompt: Prompt) -> list[str]:
    return [
        entry.change_message for entry in LogEntry.objects.filter(object_id=str(prompt.pk)).order_by("pk")
    ]


class TestMessages:
    def test_a_version_that_is_not_live_is_told_as_a_warning_with_the_click_that_makes_it_so(
        self, page: str, prompt: Prompt
    ) -> None:
        client = client_with(*EDITOR, "publish_prompt")
        ((level, text),) = told(post_page(client, f"{page}change/", {"text": "New."}))[:1]
        assert level == "warning"
        assert "Saved as version 4. It is not live: runs use v1." in text
        assert f'formaction="{page}publish/" name="version" value="4">Make v4 live</button>' in text
        for where in (URL, f"{URL}add/"):  # where the form of that button must be, too
            assert '<form id="ling-publish" method="post">' in client.get(where).content.decode()

    def test_who_may_not_publish_is_told_without_the_click(self, page: str) -> None:
        ((level, text),) = told(post_page(client_with(*EDITOR), f"{page}change/", {"text": "New."}))[:1]
        assert level == "warning"
        assert "<button" not in text

    def test_a_version_that_is_live_is_told_as_a_success(self, page: str) -> None:
        client = client_with(*EDITOR, "publish_prompt")
        found = told(post_page(client, f"{page}change/", {"text": "New.", "publish": "on"}))
        assert found[0] == ("success", "Saved as version 4, which is live.")


class TestOneClick:
    def test_goes_forwards_and_back(self, page: str, prompt: Prompt) -> None:
        client = client_with("view_prompt", "publish_prompt")
        for number in (3, 2):
            response = client.post(f"{page}publish/", {"version": number}, follow=True)
            assert f"Version {number} is live" in response.content.decode()
            assert live(prompt) == number
        assert history(prompt) == ["production: v1 → v3", "production: v3 → v2"]

    def test_is_offered_for_what_is_not_live_and_to_who_may(self, page: str) -> None:
        html = client_with(*EDITOR, "publish_prompt").get(f"{page}change/").content.decode()
        assert [f"Make v{number} live" in html for number in (1, 2, 3)] == [False, True, True]

    def test_has_its_form_before_it(self, page: str) -> None:
        html = client_with(*EDITOR, "publish_prompt").get(f"{page}change/").content.decode()
        assert 0 < html.index('<form id="ling-publish"') < html.index('form="ling-publish"')

    @pytest.mark.parametrize(
        ("permissions", "status"),
        [((), 403), (("view_prompt",), 403), (EDITOR, 403), (("publish_prompt",), 403)],
    )
    def test_is_refused_to_others(
        self, page: str, prompt: Prompt, permissions: tuple[str, ...], status: int
    ) -> None:
        client = client_with(*permissions)
        assert client.post(f"{page}publish/", {"version": 3}).status_code == status
        assert live(prompt) == 1

    def test_is_none_for_a_stranger_nor_a_link(self, page: str, prompt: Prompt) -> None:
        assert Client().post(f"{page}publish/", {"version": 3}).status_code == 302
        client = client_with("view_prompt", "publish_prompt")
        assert client.get(f"{page}publish/", {"version": 3}).status_code == 405
        forged = Client(enforce_csrf_checks=True)
        forged.cookies = client.cookies
        assert forged.post(f"{page}publish/", {"version": 3}).status_code == 403
        assert live(prompt) == 1

    @pytest.mark.parametrize("number", ["", "9", "x", "-1", "1" * 30, "²"])
    def test_takes_versions_of_this_prompt_alone(self, page: str, prompt: Prompt, number: str) -> None:
        client = client_with("view_prompt", "publish_prompt")
        response = client.post(f"{page}publish/", {"version": number})
        assert told(response) == [("error", "Expected a version of this prompt.")]
        assert live(prompt) == 1

    def test_a_version_whose_variables_are_gone_is_refused(self, page: str, prompt: Prompt) -> None:
        prompt.variables = {"tone": ""}
        PromptVersion.objects.create(prompt=prompt, text="{{ tone }}")
        prompt.variables = {}
        prompt.save()
        response = client_with("view_prompt", "publish_prompt").post(f"{page}publish/", {"version": 4})
        assert "unknown variable “tone”" in told(response)[0][1]
        assert live(prompt) == 1


class TestLabels:
    def test_an_editor_sees_them_and_moves_none(self, page: str, prompt: Prompt) -> None:
        client = client_with(*EDITOR)
        html = client.get(f"{page}change/").content.decode()
        assert "production" in html
        assert 'name="labels-0-version"' not in html
        newest = prompt.newest
        assert newest is not None
        forged = {"labels-TOTAL_FORMS": 2, "labels-INITIAL_FORMS": 1, "labels-0-name": "production"}
        forged |= {"labels-0-id": prompt.labels.get().pk, "labels-0-version": newest.pk}
        forged |= {"labels-1-name": "own", "labels-1-version": newest.pk}
        client.post(f"{page}change/", {"slug": "details", "text": "Text 1.", "base": 3, **forged})
        assert [(label.name, label.version.number) for label in prompt.labels.all()] == [("production", 1)]

    def test_the_history_tells_each_move(self, page: str, prompt: Prompt) -> None:
        client = client_with(*EDITOR, "publish_prompt")
        second, third = prompt.version(2), prompt.version(3)
        assert second and third
        new = {"labels-1-name": "beta", "labels-1-version": third.pk, "labels-1-prompt": prompt.pk}
        changes = {"labels-TOTAL_FORMS": 2, "labels-0-version": second.pk, **new}
        assert post_page(client, f"{page}change/", changes).status_code == 302
        assert history(prompt)[:2] == ["beta: – → v3", "production: v1 → v2"]
        assert post_page(client, f"{page}change/", {"labels-0-DELETE": "on"}).status_code == 302
        assert "beta: v3 → –" in history(prompt)

    def test_two_versions_are_tested_and_one_of_them_wins(self, page: str, prompt: Prompt) -> None:
        client = client_with(*EDITOR, "publish_prompt")
        first, second = prompt.version(1), prompt.version(2)
        assert first and second
        changes = {"labels-0-other": second.pk, "labels-0-weight": 20}
        assert post_page(client, f"{page}change/", changes).status_code == 302
        assert "production 20 %" in client.get(f"{page}change/").content.decode()
        again = {"labels-0-other": first.pk, "labels-0-weight": 20}
        assert list(errors_of(post_page(client, f"{page}change/", again))) == ["labels-0-other"]
        assert post_page(client, f"{page}change/", {"labels-0-version": second.pk}).status_code == 302
        assert prompt.labels.get().standing == "v2"
        assert history(prompt)[::2] == ["production: v1 → v1, 20 % v2", "production: v1, 20 % v2 → v2"]

    def test_saving_as_new_takes_the_text_and_not_the_labels(self, page: str, prompt: Prompt) -> None:
        Step.objects.create(workflow=Workflow.objects.create(slug="w"), name="s", prompt=prompt)
        client = client_with(*EDITOR)
        assert post_page(client, f"{page}change/", {"slug": "other", "_saveasnew": "on"}).status_code == 302
        other = Prompt.objects.get(slug="other")
        assert [version.text for version in other.versions.all()] == ["Text 1."]
        assert not other.labels.exists()


class TestComparing:
    def test_any_two_versions(self, page: str) -> None:
        client = client_with("view_prompt")
        html = client.get(f"{page}compare/", {"a": 1, "b": 3}).content.decode()
        assert "Text <mark>1</mark>." in html
        assert "Text <mark>3</mark>." in html
        assert "are the same" in client.get(f"{page}compare/?a=2&b=2").content.decode()

    def test_what_is_in_the_form_with_what_is_live_and_nothing_is_stored(
        self, page: str, prompt: Prompt
    ) -> None:
        response = client_with("view_prompt").post(f"{page}compare/", {"text": "Text <9>.\r\n"})
        html = response.content.decode()
        assert "v1, live" in html
        assert "Text <mark>&lt;9&gt;</mark>." in html
        assert prompt.versions.count() == 3

    @pytest.mark.parametrize("query", ["", "a=1", "a=1&b=9", "a=x&b=1"])
    def test_what_is_not_there_is_told(self, page: str, query: str) -> None:
        response = client_with("view_prompt").get(f"{page}compare/?{query}")
        assert told(response) == [("error", "Expected two versions of this prompt.")]

    def test_a_stranger_sees_none(self, page: str) -> None:
        assert Client().get(f"{page}compare/?a=1&b=2").status_code == 302
        assert client_with("view_workflow").get(f"{page}compare/?a=1&b=2").status_code == 403
        assert Client().get(f"{URL}999/compare/?a=1&b=2").status_code == 302
