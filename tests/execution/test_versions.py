"""Which version of a prompt a run gets: the label's, or what the site's function chooses."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

import lingstream
from lingstream.access.identity import Identity
from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.execution.plans import load_plan
from lingstream.execution.runner import get_runner
from lingstream.models import BotRun, Conversation, Prompt, PromptVersion, Run, Runner, Step
from tests import site as sites
from tests.site import QUESTION, Site, store_prompt, store_workflow

asked: list[tuple[str, str, str]] = []

answer: Callable[[Prompt], Any] = lambda prompt: None  # noqa: E731  # a test puts another one here


def choose(prompt: Prompt, label: str, key: str) -> Any:
    """The setting of these tests, unless they say otherwise: notes who asks, and does as ``answer`` says."""
    asked.append((prompt.slug, label, key))
    return answer(prompt)


def half(prompt: Prompt, label: str, key: str) -> PromptVersion | None:
    """Give one half of all keys the newest version."""
    is_newest = sha256(f"{prompt.slug} {label} {key}".encode()).digest()[0] < 128
    return prompt.newest if is_newest else None


@pytest.fixture
def chosen(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Prompt], Any]], None]:
    """Have the site's function do as told."""
    asked.clear()
    settings.LINGSTREAM = {**settings.LINGSTREAM, "CHOOSE_VERSION": f"{__name__}.choose"}
    return lambda does: monkeypatch.setitem(globals(), "answer", does)


@pytest.fixture
def workflow(db: None) -> None:
    """Two steps with one prompt, whose newest version is not in production, and one without any."""
    Runner.objects.create()
    store_workflow("test", {"one": "old", "two": {"root": "two"}, "none": {"root": "none"}})
    prompt = Prompt.objects.get(slug="test-one")
    Step.objects.filter(name="two").update(prompt=prompt)
    Step.objects.filter(name="none").update(prompt=None)
    PromptVersion.objects.create(prompt=prompt, text="new")


def taken(run: Run | None = None) -> list[tuple[str, str]]:
    """Version and text of each step of a plan."""
    steps = run.plan["steps"] if run else load_plan("test", key="k").to_json()["steps"]
    return [(step["prompt_version"], step["prompt"]) for step in steps]


OLD, NEW, NONE = ("test-one v1", "old"), ("test-one v2", "new"), ("", "")


@pytest.mark.usefixtures("workflow")
class TestTheFunction:
    def test_decides_where_there_is_one(self, chosen: Any) -> None:
        chosen(lambda prompt: prompt.newest)
        assert taken() == [NEW, NEW, NONE]

    def test_or_leaves_it_to_the_label(self, chosen: Any) -> None:
        assert taken() == [OLD, OLD, NONE]

    def test_is_not_asked_where_somebody_has_named_one(self, chosen: Any) -> None:
        prompt = Prompt.objects.get(slug="test-one")
        plan = load_plan("test", key="k", named={(prompt.pk, "production"): prompt.versions.get(number=2)})
        steps = plan.to_json()["steps"]
        assert [(step["prompt_version"], step["prompt"]) for step in steps] == [NEW, NEW, NONE]
        assert asked == []

    def test_is_asked_once_about_a_prompt_and_a_label(self, chosen: Any) -> None:
        taken()
        assert asked == [("test-one", "production", "k")]
        Step.objects.filter(name="two").update(label="beta")
        chosen(lambda prompt: prompt.newest)
        taken()
        assert asked[1:] == [("test-one", "production", "k"), ("test-one", "beta", "k")]

    def test_may_choose_for_a_label_that_is_not_there(self, chosen: Any) -> None:
        Step.objects.update(label="beta")
        with pytest.raises(ConfigurationError, match="has no such label"):
            taken()
        chosen(lambda prompt: prompt.newest)
        assert taken() == [NEW, NEW, NONE]

    def test_decides_for_the_steps_of_a_workflow_in_python_too(self, chosen: Any) -> None:
        chosen(lambda prompt: prompt.newest)
        assert load_plan("test", python=True, key="k").step("one").prompt_version == "test-one v2"

    @pytest.mark.parametrize(
        ("does", "message"),
        [
            (lambda prompt: "v2", "None or a stored version of the prompt 'test-one', got 'v2'"),
            (lambda prompt: 2, "got 2"),
            (lambda prompt: prompt, "got <Prompt"),
            (lambda prompt: PromptVersion(prompt=prompt, number=7, text="x"), "got an unsaved one"),
            (lambda prompt: PromptVersion(), "got an unsaved one"),
            (lambda prompt: store_prompt("other", "x").newest, r"got v1 of the prompt with the id \d+"),
            (lambda prompt: prompt.versions.get(number=99), "test_versions.choose failed: DoesNotExist"),
        ],
    )
    def test_returns_a_version_of_the_prompt_or_there_is_no_run(
        self, chosen: Any, does: Any, message: str
    ) -> None:
        chosen(does)
        with pytest.raises(ConfigurationError, match=message):
            lingstream.start("test", QUESTION)
        assert not Run.objects.exists()

    def test_that_cannot_be_imported(self, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "CHOOSE_VERSION": "no.such.function"}
        with pytest.raises(ConfigurationError, match=r"no\.such\.function failed: ModuleNotFoundError"):
            taken()

    def test_a_database_that_is_away_is_told_as_such(self, chosen: Any) -> None:
        def away(prompt: Prompt) -> None:
            raise OperationalError("gone")

        chosen(away)
        with pytest.raises(OperationalError, match="gone"):
            taken()


@pytest.mark.usefixtures("workflow")
class TestTheKey:
    def start(self, **whose: Any) -> tuple[Run, str]:
        """Start a run; return it and the key that the function was given for it."""
        asked.clear()
        run = lingstream.start("test", QUESTION, **whose)
        ((_, _, key),) = asked
        return run, key

    def test_is_the_owner(self, chosen: Any) -> None:
        ann = User.objects.create(username="ann")
        for whose in ({"owner": ann}, {"session": "s3ssion"}):
            for conversation in (None, "new"):
                run, key = self.start(conversation=conversation, **whose)
                assert key == run.owner_key != "anyone"

    def test_of_a_conversation_that_has_one_as_well(self, chosen: Any) -> None:
        talk = Conversation.objects.create(session_key=Identity.of(None, "s3ssion").session)
        assert self.start(conversation=talk)[1] == talk.owner_key

    def test_else_the_conversation_from_its_first_run_on(self, chosen: Any) -> None:
        first, key = self.start(conversation="new")
        assert key == str(first.conversation_id)
        assert isinstance(first.conversation_id, UUID)
        for form in (str, lambda talk: talk.hex.upper(), lambda talk: talk.urn):
            second, again = self.start(conversation=form(first.conversation_id))
            assert (second.conversation_id, again) == (first.conversation_id, key)

    def test_else_the_run(self, chosen: Any) -> None:
        run, key = self.start()
        assert key == str(run.pk)

    @pytest.mark.parametrize("name", ["no id", "00000000-0000-4000-8000-000000000000"])
    def test_a_conversation_that_is_not_there_is_not_made(self, chosen: Any, name: str) -> None:
        with pytest.raises(UsageError, match="there is no conversation"):
            lingstream.start("test", QUESTION, conversation=name)
        assert not Conversation.objects.exists()


@pytest.mark.usefixtures("workflow")
def test_a_split_by_key_is_stable_and_about_even(settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "CHOOSE_VERSION": f"{__name__}.half"}
    people = [f"session {number}" for number in range(60)]
    first, second = (
        [taken(lingstream.start("test", QUESTION, session=person)) for person in people] for _ in range(2)
    )
    assert first == second
    assert all(each in ([OLD, OLD, NONE], [NEW, NEW, NONE]) for each in first)
    assert 12 < first.count([NEW, NEW, NONE]) < 48  # outside of it once in two million secret keys


async def test_the_model_is_told_what_was_chosen_and_the_bot_run_says_so(site: Site, chosen: Any) -> None:
    await site.workflow(answer="old")
    prompt = await Prompt.objects.aget(slug="test-answer")
    await PromptVersion.objects.acreate(prompt=prompt, text="new")
    chosen(lambda prompt: prompt.newest)
    sites.answers = '{"answer": "yes"}'
    run = (await site.start("test")).json()["run"]
    chosen(lambda prompt: None)  # too late
    await get_runner().wait(run)
    bot = await BotRun.objects.aget(run_id=run)
    assert (bot.prompt_version, bot.messages[0]["content"]) == ("test-answer v2", "new")


async def test_of_a_function_that_fails_the_log_tells_and_a_visitor_is_not(
    site: Site, chosen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(prompt: Prompt) -> None:
        raise KeyError("secret words")

    chosen(fails)
    await site.workflow(answer="A")
    answer = await site.start("test")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text and "choose" not in answer.text
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "test_versions.choose failed" in record.getMessage()
    assert "secret words" in caplog.text
