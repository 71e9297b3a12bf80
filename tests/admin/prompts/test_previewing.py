"""What the model will be told, as the page shows it before anything is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from lingstream.models import BotRun, Prompt, PromptLabel, PromptVersion, Run

from ..forms import client_with, post_page

pytestmark = pytest.mark.django_db

TEXT = """\
Be {{ tone }}. {% include "prompt:rules" %}

## user
What is {{ input.what }}?
## assistant
{"a": 1}"""


@pytest.fixture
def prompt() -> Prompt:
    rules, prompt = Prompt.objects.create(slug="rules"), Prompt.objects.create(slug="details")
    for each, text in ((rules, "No lies."), (prompt, "Hi.")):
        version = PromptVersion.objects.create(prompt=each, text=text)
        PromptLabel.objects.create(prompt=each, name="production", version=version)
    return prompt


@pytest.fixture
def url(prompt: Prompt) -> str:
    return f"/admin/lingstream/prompt/{prompt.pk}/preview/"


def shown(response: Any) -> list[tuple[str, str, str]]:
    return [(each.role, each.text, each.problem) for each in response.context["shown"]]


def draft(**changes: str) -> dict[str, str]:
    return {
        "text": TEXT,
        "messages": "on",
        "variables": '{"tone": "kind"}',
        "input": '{"what": "<b>"}',
        **changes,
    }


def test_each_message_is_rendered_with_its_tokens(url: str, prompt: Prompt) -> None:
    response = client_with("view_prompt").post(url, draft())
    assert shown(response) == [
        ("system", "Be kind. No lies.", ""),
        ("user", "What is <b>?", ""),
        ("assistant", '{"a": 1}', ""),
    ]
    html = response.content.decode()
    assert "What is &lt;b&gt;?" in html
    assert "3 messages, about 10 tokens" in html
    assert prompt.versions.count() == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"input": "{}"}, "has no attribute 'what'"),
        ({"variables": "{}"}, "'tone' is undefined"),
        ({"text": '{% include "prompt:gone" %}'}, "expected a prompt to include"),
        (
            {"text": "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}"},
            "loop turns",
        ),
        ({"text": "## user\n"}, "expected a text below"),
        ({"text": "{% if %}"}, "line 1"),
    ],
)
def test_what_cannot_be_rendered_is_told(url: str, changes: dict[str, str], problem: str) -> None:
    found = shown(client_with("view_prompt").post(url, draft(**changes)))
    assert any(problem in message for _, _, message in found), found


@pytest.mark.parametrize("changes", [{"input": "{"}, {"variables": "[" * 100_000}, {"input": "no"}])
def test_what_is_no_json_is_told(url: str, changes: dict[str, str]) -> None:
    html = client_with("view_prompt").post(url, draft(**changes)).content.decode()
    assert "to be JSON" in html


@pytest.mark.parametrize("variables", ['["tone"]', "5", "null", '{"a tone": 1}'])
def test_variables_that_are_none_are_told(url: str, variables: str) -> None:
    html = client_with("view_prompt").post(url, draft(variables=variables)).content.decode()
    assert "Expected a JSON object" in html or "Expected names" in html


class TestInput:
    @pytest.fixture(autouse=True)
    def last(self, prompt: Prompt) -> None:
        run = Run.objects.create(workflow="w", input={"what": "seen before"})
        BotRun.objects.create(run=run, step="s", prompt_version="details v1")

    def test_is_that_of_the_last_run(self, url: str) -> None:
        data = draft()
        del data["input"]
        response = client_with("view_prompt", "view_run").post(url, data)
        assert json.loads(response.context["input"]) == {"what": "seen before"}

    def test_of_no_run_for_who_sees_none(self, url: str) -> None:
        data = draft()
        del data["input"]
        assert client_with("view_prompt").post(url, data).context["input"] == "{}"


def test_a_stranger_is_shown_nothing(url: str) -> None:
    assert Client().post(url, draft()).status_code == 302
    assert client_with("view_run").post(url, draft()).status_code == 403


def test_the_form_stores_whether_a_text_is_several_messages(prompt: Prompt) -> None:
    page = f"/admin/lingstream/prompt/{prompt.pk}/change/"
    client = client_with("view_prompt", "change_prompt")
    same = {"text": "Hi.\n\n## user\nYou?", "messages": "on"}
    assert post_page(client, page, same).status_code == 302
    newest = prompt.newest
    assert newest is not None
    assert (newest.number, newest.messages) == (2, True)
    assert post_page(client, f"{page}?from=2", {}).status_code == 302
    assert prompt.versions.count() == 2
    assert post_page(client, f"{page}?from=2", {}, remove=("messages",)).status_code == 302
    assert prompt.newest == prompt.version(3)
