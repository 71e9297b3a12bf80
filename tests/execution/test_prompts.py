"""What a run is told: tests of two versions, pinned ones, prompts inside prompts, several messages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User

import lingstream
from lingstream.core.engine.plan import Plan
from lingstream.core.exceptions import ConfigurationError
from lingstream.execution.plans import load_plan
from lingstream.models import Conversation, Prompt, PromptLabel, PromptVersion, Run, Runner, Step
from tests.site import QUESTION, store_workflow


@pytest.fixture
def prompt(db: None) -> Prompt:
    """Of three versions, the first of them live, for the two steps of a workflow."""
    Runner.objects.create()
    store_workflow("test", {"one": "v1", "two": {"root": "two"}})
    prompt = Prompt.objects.get(slug="test-one")
    Step.objects.filter(name="two").update(prompt=prompt)
    for text in ("v2", "v3"):
        PromptVersion.objects.create(prompt=prompt, text=text)
    return prompt


def split(prompt: Prompt, weight: int, other: int = 2) -> PromptLabel:
    label = prompt.labels.get()
    label.other, label.weight = prompt.version(other), weight
    label.full_clean()
    label.save()
    return label


def store(slug: str, text: str, label: str = "production", **columns: Any) -> Prompt:
    prompt, _ = Prompt.objects.get_or_create(slug=slug, defaults=columns)
    version = PromptVersion.objects.create(prompt=prompt, text=text)
    PromptLabel.objects.update_or_create(prompt=prompt, name=label, defaults={"version": version})
    return prompt


def texts(key: str = "") -> list[str]:
    return [step.prompt for step in load_plan("test", key=key).steps]  # type: ignore[attr-defined]


class TestTwoVersions:
    @pytest.mark.parametrize(("weight", "least", "most"), [(0, 0, 0), (20, 150, 250), (100, 1000, 1000)])
    def test_are_divided_by_weight(self, prompt: Prompt, weight: int, least: int, most: int) -> None:
        label = split(prompt, weight)
        found = Counter(label.version_for(str(key)).number for key in range(1000))
        assert least <= found[2] <= most
        assert found.total() == 1000

    def test_a_key_has_one_and_so_have_all_steps(self, prompt: Prompt) -> None:
        split(prompt, 50)
        found = {key: texts(key) for key in map(str, range(20))}
        assert {"v1", "v2"} == {one for one, _ in found.values()}
        assert all(one == two for one, two in found.values())
        assert {key: texts(key) for key in found} == found

    def test_of_another_prompt_divide_otherwise(self, prompt: Prompt) -> None:
        label, other = split(prompt, 50), PromptLabel(name="production", weight=50)
        other.prompt = Prompt(slug="other")
        other.version, other.other = label.version, label.other
        keys = [str(key) for key in range(200)]
        same = sum(label.version_for(key) == other.version_for(key) for key in keys)
        assert 60 < same < 140

    def test_nobody_s_plan_takes_no_part(self, prompt: Prompt) -> None:
        split(prompt, 100)
        assert texts("") == ["v1", "v1"]

    def test_a_user_a_conversation_and_else_the_run_decide(self, prompt: Prompt) -> None:
        split(prompt, 50)

        def taken(**asked: Any) -> set[str]:
            runs = [lingstream.start("test", QUESTION, **asked) for _ in range(8)]
            Run.objects.filter(pk__in=[run.pk for run in runs]).update(status="finished")
            return {step["prompt"] for run in runs for step in run.plan["steps"]}

        assert len(taken(owner=User.objects.create(username="ada"))) == 1
        assert len(taken(conversation=Conversation.objects.create())) == 1
        assert taken() == {"v1", "v2"}

    def test_a_run_keeps_what_its_plan_says(self, prompt: Prompt) -> None:
        split(prompt, 100)
        run = lingstream.start("test", QUESTION, owner=User.objects.create(username="ada"))
        prompt.labels.update(version=prompt.version(3))
        run.refresh_from_db()
        assert [step.prompt_version for step in Plan.from_json(run.plan).steps] == ["test-one v2"] * 2  # type: ignore[attr-defined]

    @pytest.mark.parametrize("how", ["save", "clean", "update"])
    def test_moving_the_label_ends_the_test(self, prompt: Prompt, how: str) -> None:
        label = split(prompt, 50)
        if how == "update":
            prompt.labels.update(version=prompt.version(2))
        else:
            label.version = prompt.version(2)  # what was tested is to be it
            label.full_clean() if how == "clean" else None
            label.save()
        label.refresh_from_db()
        assert (label.version.number, label.other, label.weight) == (2, None, 0)

    def test_a_move_may_begin_another_one(self, prompt: Prompt) -> None:
        label = split(prompt, 50)
        label.version, label.other = prompt.version(2), prompt.version(3)
        label.save()
        assert prompt.labels.get().standing == "v2, 50 % v3"


class TestPinned:
    def test_a_step_keeps_its_version(self, prompt: Prompt) -> None:
        Step.objects.filter(name="two").update(pinned=2)
        assert texts() == ["v1", "v2"]
        assert load_plan("test").steps[1].prompt_version == "test-one v2"  # type: ignore[attr-defined]

    def test_a_version_that_is_not_there_is_no_plan(self, prompt: Prompt) -> None:
        Step.objects.filter(name="two").update(pinned=9)
        with pytest.raises(ConfigurationError, match="'two' wants version 9 of the prompt 'test-one'"):
            texts()


class TestFragments:
    def test_are_in_the_plan_with_their_variables(self, prompt: Prompt) -> None:
        store("tone", "Be {{ how }}, {{ name }}.", variables={"how": "kind", "name": "Bot"})
        Prompt.objects.filter(pk=prompt.pk).update(variables={"name": "Ada"})
        store("test-one", 'Answer. {% include "prompt:tone" %}')
        step = load_plan("test").steps[0]
        assert step.prompt == "Answer. Be {{ how }}, {{ name }}."  # type: ignore[attr-defined]
        assert step.variables == {"how": "kind", "name": "Ada"}  # type: ignore[attr-defined]

    def test_follow_their_own_label_and_its_test(self, prompt: Prompt) -> None:
        tone = store("tone", "old")
        store("tone", "beta", "beta")
        store("test-one", '{% include "prompt:tone" %}, {% include "prompt:tone@beta" %}')
        assert texts("k")[0] == "old, beta"
        tone.labels.filter(name="production").update(other=tone.version(2), weight=100)
        assert texts("k")[0] == "beta, beta"

    @pytest.mark.parametrize(
        ("tone", "message"),
        [
            ('{% include "prompt:test-one" %}', "no circle of prompts, got test-one → tone → test-one"),
            ('{% include "prompt:gone" %}', "got gone@production"),
        ],
    )
    def test_that_fail_are_the_staff_s_to_know(self, prompt: Prompt, tone: str, message: str) -> None:
        store("tone", tone)
        store("test-one", '{% include "prompt:tone" %}')
        with pytest.raises(ConfigurationError, match=f"the prompt 'test-one': .*{message}"):
            texts()
        assert not Run.objects.exists()


class TestMessages:
    def test_are_in_the_plan_and_stay_there(self, prompt: Prompt) -> None:
        store("tone", "## user\nas text")
        version = PromptVersion.objects.create(
            prompt=prompt,
            messages=True,
            text='Be {% include "prompt:tone" %}\n\n## user\n{{ input.question }}?\n## assistant\n{}',
        )
        prompt.labels.update(version=version)
        plan = load_plan("test")
        assert Plan.from_json(Run.objects.create(workflow="test", plan=plan.to_json()).plan) == plan
        step: Any = plan.steps[0]
        assert step.prompt == "Be ## user\nas text"
        assert [(each.role, each.text) for each in step.messages] == [
            ("user", "{{ input.question }}?"),
            ("assistant", "{}"),
        ]

    def test_headings_of_other_prompts_are_text(self, prompt: Prompt) -> None:
        text = "Be kind.\n\n## user\nHi\n## assistant\nHo\n"
        store("test-one", text)
        step: Any = load_plan("test").steps[0]
        assert (step.prompt, step.messages) == (text, ())
