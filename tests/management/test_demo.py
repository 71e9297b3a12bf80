"""``manage.py demo`` and the recorded answers: the demo without a key."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from lingsite import demo_data
from lingsite.recorded import answers
from lingstream.conversations import occasions
from lingstream.conversations.silence import Nudges
from lingstream.core import templates
from lingstream.core.engine.graph import Graph, faults
from lingstream.core.engine.inputs import check_input
from lingstream.core.engine.registry import registered
from lingstream.core.provider import ChatOptions, Message
from lingstream.execution.plans import load_plan
from lingstream.execution.storage import in_database
from lingstream.models import (
    Chat,
    Conversation,
    Occasion,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Run,
    Step,
    Trigger,
    Workflow,
)
from lingstream.models.clock import Now
from lingstream.providers.policy import check_provider
from tests.admin.forms import post_page
from tests.chaos.patience import scaled
from tests.execution.test_start import ended
from tests.site import Site

QUESTION = "Can I lie on a cloud?"


def demo() -> str:
    out = StringIO()
    call_command("demo", stdout=out)
    return out.getvalue()


def say(system: str, user: str) -> str:
    messages: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return answers(messages, ChatOptions())


async def spoken(talk: Conversation, number: int) -> Run:
    """Wait for the bot's word into the silence, one of two."""
    async with asyncio.timeout(scaled(20)):
        while len(found := [turn for turn in await talk.aturns() if turn.cause == "silence"]) < number:
            await asyncio.sleep(0.05)
    return found[-1]


def speak(workflow: str, step: str, value: Any = "cloud") -> str:
    """What the recorded model says to a step of the demo."""
    plan = load_plan(workflow).step(step)
    context = {
        "input": {"question": QUESTION},
        "value": value,
        "uri": "",
        "match": (),
        "document": {},
        "history": [],
    }
    return say(
        templates.render(plan.prompt, {**plan.variables, **context}), templates.render(plan.input, context)
    )


@pytest.mark.django_db
class TestCommand:
    def test_what_it_creates_is_valid(self) -> None:
        demo()
        for model in (Provider, Prompt, PromptLabel, Workflow, Step, Trigger, Chat, Occasion):
            for row in model.objects.all():  # type: ignore[attr-defined]
                row.full_clean()
        for slug in demo_data.WORKFLOWS:
            plan = load_plan(slug, python=slug in registered())
            if not plan.python:
                assert len(plan.entry_steps) == 1
                assert faults(Graph.of(plan)) == []

    def test_twice_is_as_good_as_once(self) -> None:
        demo()
        before = {
            model: model.objects.count() for model in (Provider, PromptVersion, PromptLabel, Step, Trigger)
        }
        demo()
        assert {model: model.objects.count() for model in before} == before

    def test_what_an_editor_changed_stays(self) -> None:
        demo()
        prompt = Prompt.objects.get(slug="cloud-answer")
        mine = PromptVersion.objects.create(prompt=prompt, text="Mine.")
        prompt.labels.update(version=mine)
        Step.objects.filter(workflow__slug="outline", name="details").delete()
        Workflow.objects.filter(slug="cloud-facts").update(enabled=False, name="Mine")
        demo()
        assert prompt.newest == mine
        assert prompt.labels.get().version == mine
        assert Workflow.objects.get(slug="outline").steps.count() == 1
        assert Workflow.objects.get(slug="cloud-facts").name == "Mine"

    def test_the_provider_follows_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        assert "recorded answers" in demo()
        assert Provider.objects.get().kind == "scripted"
        monkeypatch.setenv("LINGSTREAM_ENDPOINT", "http://127.0.0.1:8080/v1")
        monkeypatch.setenv("LINGSTREAM_MODEL", "small")
        monkeypatch.setenv("LINGSTREAM_API_KEY", "s3cret")
        settings.LINGSTREAM = {
            **settings.LINGSTREAM,
            "PROVIDER_KEYS": {"LINGSTREAM_API_KEY": ["http://127.0.0.1:8080"]},
        }
        said = demo()
        assert "small at http://127.0.0.1:8080/v1" in said
        assert "s3cret" not in said
        provider = Provider.objects.get()
        assert (provider.kind, provider.default_model, provider.key_name) == (
            "openai",
            "small",
            "LINGSTREAM_API_KEY",
        )
        check_provider(provider.to_plan())
        monkeypatch.delenv("LINGSTREAM_ENDPOINT")
        demo()
        assert Provider.objects.get().kind == "scripted"

    @pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:8080/v1"])
    def test_the_page_says_that_no_key_is_needed_where_that_is_true(
        self, endpoint: str, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LINGSTREAM_ENDPOINT", endpoint)
        demo()
        page = client.get("/").content.decode()
        assert ("No key needed" in page) is not bool(endpoint)

    def test_a_first_superuser_comes_only_in_debug(self, settings: Any) -> None:
        demo()
        assert not User.objects.exists()
        settings.DEBUG = True
        assert "password admin" in demo()
        assert User.objects.get().check_password("admin")
        assert "password" not in demo()

    @pytest.mark.parametrize(
        ("value", "fits"),
        [
            ({"question": "x"}, True),
            ({"question": ""}, False),
            ({"question": "x" * 2001}, False),
            ({}, False),
        ],
    )
    def test_input_needs_a_question(self, value: Any, fits: bool) -> None:
        try:
            check_input(demo_data.INPUT_SCHEMA, value)
        except ValueError:
            assert not fits
        else:
            assert fits


@pytest.mark.django_db
class TestRecorded:
    def test_each_bot_of_the_demo_gets_the_fields_it_asks_for(self) -> None:
        demo()
        assert list(json.loads(speak("cloud-facts", "answer"))) == ["answer"]
        assert list(json.loads(speak("cloud-facts", "details"))) == ["details", "related_question"]
        assert list(json.loads(speak("cloud-facts", "translation"))) == ["details_cn"]
        outline = json.loads(speak("outline", "outline"))["outline"]
        assert len(outline) >= 4
        for entry in outline:
            assert not speak("outline", "details", entry["topic"]).startswith("{")

    def test_editing_a_prompt_in_the_admin_changes_the_answer(self, admin_client: Client) -> None:
        demo()
        before = speak("cloud-facts", "answer")
        prompt = Prompt.objects.get(slug="cloud-answer")
        assert prompt.newest is not None
        page = f"/admin/lingstream/prompt/{prompt.pk}/change/"
        text = prompt.newest.text.replace("{{ tone }}", "pirate") + "Sign as: Ada\n"
        post_page(admin_client, page, {"text": text})
        assert speak("cloud-facts", "answer") == before
        post_page(admin_client, page, {"labels-0-version": prompt.newest.pk})
        after = json.loads(speak("cloud-facts", "answer"))["answer"]
        assert after.startswith("Arr! Nay, ye would fall")
        assert after.endswith("— Ada")


def test_every_related_question_has_a_recorded_answer() -> None:
    question, asked = QUESTION, set()
    queue = [question]
    while queue:
        question = queue.pop()
        if question not in asked:
            asked.add(question)
            fact = json.loads(say('"answer" "related_question"', question))
            assert "recorded" not in fact["answer"]
            queue += fact["related_question"]
    assert len(asked) >= 4


@pytest.mark.parametrize("question", ["What is love?", "", "云?", "{question}", '"answer"'])
def test_any_other_question_gets_an_answer_that_fits(question: str) -> None:
    answer = json.loads(say('{"answer": "…", "outline": [], "details_cn": ""}', question))
    assert question in answer["answer"]
    topic = answer["outline"][0]["topic"]
    assert say("Reply with plain text.", f"Question: {question}\nTopic: {topic}")


@pytest.mark.parametrize(
    ("tone", "start"),
    [
        ("friendly", "No, you"),
        ("Pirate.", "Arr!"),
        ("formal", "We beg"),
        ("shouting", "NO, YOU"),
        ("lazy", "In a lazy tone"),
    ],
)
def test_tones(tone: str, start: str) -> None:
    assert json.loads(say(f'Tone: {tone}\n"answer"', QUESTION))["answer"].startswith(start)


def test_recorded_answers_are_found_by_the_scripted_provider() -> None:
    from lingstream.core.engine.plan import ProviderPlan
    from lingstream.providers.scripted import build

    provider = build(ProviderPlan(options={"script": "recorded", "rate": 0}), "")

    async def read() -> str:
        messages: list[Message] = [
            {"role": "system", "content": '"answer"'},
            {"role": "user", "content": QUESTION},
        ]
        return "".join([chunk.text async for chunk in provider.stream(messages, ChatOptions())])

    assert "fall straight through" in json.loads(asyncio.run(read()))["answer"]


@pytest.mark.django_db(transaction=True)
async def test_the_companion_greets_answers_in_cards_and_does_not_wait(site: Site) -> None:
    await in_database(demo)
    talk = await Conversation.objects.acreate(workflow="companion")
    (hello,) = await in_database(occasions.attached, talk)
    assert (await ended(str(hello.pk))).document["answer"].startswith("Hello!")
    asked = await ended(str((await talk.aask(QUESTION)).pk))
    assert asked.document["cards"][0]["title"] == "Half a gram" and asked.document["related_question"]
    said = []
    for number in (1, 2):
        await Conversation.objects.aupdate(nudge_at=Now())
        for row in await in_database(Nudges().find, 1):  # the site's own timer may be the first
            await in_database(Nudges().take, row)
        nudge = await spoken(talk, number)
        said.append((await ended(str(nudge.pk))).document["answer"])
    assert said[0].startswith("While you think") and said[1].startswith("I am still here")
    row = await Conversation.objects.aget(pk=talk.pk)
    assert (row.nudges, row.nudge_at) == (2, None)


def test_a_conversation_is_called_what_was_said_first() -> None:
    asked = "User: Why do clouds float at all, up there?\n\nAssistant: They are light."
    assert (
        say("Give the conversation below a title of at most six words.", asked)
        == "Why do clouds float at all…"
    )
