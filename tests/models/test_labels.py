"""What labels, versions and prompts that include each other refuse."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from lingstream.models import Prompt, PromptLabel, PromptVersion, Step, Workflow

pytestmark = pytest.mark.django_db


def store(slug: str, text: str, label: str = "production", **columns: Any) -> Prompt:
    prompt, _ = Prompt.objects.get_or_create(slug=slug)
    version = PromptVersion.objects.create(prompt=prompt, text=text, **columns)
    if label:
        PromptLabel.objects.update_or_create(prompt=prompt, name=label, defaults={"version": version})
    return prompt


def problems(prompt: Prompt, text: str, *, messages: bool = False) -> list[str]:
    return [str(problem) for problem in prompt.check_text(text, messages)]


class TestFragments:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                'One\n{% include "prompt:gone" %}',
                "Line 2: expected a prompt to include, with its label, got gone",
            ),
            (
                '{% include "prompt:tone@beta" %}',
                "Line 1: expected a prompt to include, with its label, got tone@",
            ),
            ('{% include "prompt:own" %}', "Line 1: expected no circle of prompts, got own → own"),
            (
                '\n{% include "prompt:asks-own" %}',
                "Line 2: expected no circle of prompts, got own → asks-own → own",
            ),
            ('{% include "prompt:several" %}', "Line 1: expected a text to include, got several@production"),
            (
                '{% include "prompt:tone" %}\n{{ nmae }}',
                "Line 2: unknown variable “nmae”; did you mean “name”?",
            ),
            ("{% include input.name %}", "Line 1: include, import and extends are not available"),
            ('{% import "prompt:tone" as x %}', "Line 1: include, import and extends are not available"),
        ],
    )
    def test_what_cannot_be_included_is_refused_at_its_line(self, text: str, message: str) -> None:
        own = store("own", "Own.")
        tone = store("tone", "Be {{ name }}.")
        Prompt.objects.filter(pk=tone.pk).update(variables={"name": ""})
        store("asks-own", '{% include "prompt:own" %}')
        store("several", "## user\nHi", messages=True)
        found = problems(own, text)
        assert found
        assert found[0].startswith(message)

    def test_a_label_cannot_be_moved_to_what_closes_a_circle(self) -> None:
        tone = store("tone", "Plain.")
        outer = store("outer", "Plain.")
        PromptVersion.objects.create(prompt=tone, text='{% include "prompt:outer" %}')
        version = PromptVersion.objects.create(prompt=outer, text='{% include "prompt:tone" %}')
        label = outer.labels.get()
        label.version = version
        label.full_clean()
        label.save()
        label = tone.labels.get()
        label.version = tone.versions.get(number=2)
        with pytest.raises(ValidationError, match="v2: Line 1: expected no circle of prompts"):
            label.full_clean()

    def test_nor_to_what_its_includers_cannot_take(self) -> None:
        tone = store("tone", "Plain.")
        store("outer", '{% include "prompt:tone" %}')
        PromptVersion.objects.create(prompt=tone, text="## user\nHi", messages=True)
        label = tone.labels.get()
        label.version = tone.versions.get(number=2)
        with pytest.raises(ValidationError, match="outer v1: Line 1: expected a text to include"):
            label.full_clean()

    @pytest.mark.parametrize("label", ["production", ""])
    def test_what_is_included_by_what_is_used_stays(self, label: str) -> None:
        tone = store("tone", "Plain.")
        store("outer", '{% include "prompt:tone" %}', label)
        store("mentions", "See prompt:tone.")
        removals = (tone.labels.get().delete, tone.delete, Prompt.objects.filter(slug="tone").delete)
        if not label:
            removals[0]()
            removals[2]()
            return
        for remove in removals:
            with pytest.raises(ProtectedError, match="outer v1"):
                remove()
        tone.slug = "tune"
        with pytest.raises(ValidationError, match="It is included by outer v1"):
            tone.full_clean()

    def test_all_of_them_go_together(self) -> None:
        store("tone", "Plain.")
        store("outer", '{% include "prompt:tone" %}')
        Prompt.objects.all().delete()
        assert not Prompt.objects.exists()


class TestMessages:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Be kind.\n## user\n{{ input.q }}\n## assistant\n{}", []),
            ("Be kind.\n## user\n\n{{ inptu }}", ["Line 4: unknown variable “inptu”; did you mean “input”?"]),
            ("{% if input %}\n## user\nHi{% endif %}", ...),
            ("## assistant\n", ...),
        ],
    )
    def test_each_is_a_template_of_its_own(self, text: str, expected: Any) -> None:
        found = problems(store("own", "Own."), text, messages=True)
        assert found == expected or (expected is ... and found)
        assert not problems(Prompt(slug="new"), "Be kind.\n## user\n")


class TestTests:
    def test_are_of_two_versions_of_the_prompt(self) -> None:
        prompt = store("own", "One.")
        other = store("other", "Other.").versions.get()
        label = prompt.labels.get()
        for version, message in (
            (other, "one of another"),
            (label.version, "another version than the label"),
        ):
            label.other = version
            with pytest.raises(ValidationError, match=message):
                label.full_clean()
        label.other, label.weight = PromptVersion.objects.create(prompt=prompt, text="Two."), 101
        with pytest.raises(ValidationError, match="100"):
            label.full_clean()

    def test_a_version_that_is_tested_includes_too(self) -> None:
        tone = store("tone", "Plain.")
        outer = store("outer", "Plain.")
        version = PromptVersion.objects.create(prompt=outer, text='{% include "prompt:tone" %}')
        outer.labels.update(other=version, weight=10)
        with pytest.raises(ProtectedError, match="outer v2"):
            tone.labels.get().delete()


class TestPinned:
    def test_follows_no_label(self) -> None:
        prompt = store("own", "One.")
        step = Step(
            workflow=Workflow.objects.create(slug="w"), name="s", prompt=prompt, pinned=1, label="none"
        )
        step.full_clean()
        step.save()
        assert step.to_node().prompt == "One."
        prompt.labels.get().delete()

    @pytest.mark.parametrize(("pinned", "has"), [(2, True), (0, True), (1, False)])
    def test_is_a_version_of_the_prompt(self, pinned: int, has: bool) -> None:
        prompt = store("own", "One.") if has else None
        step = Step(workflow=Workflow.objects.create(slug="w"), name="s", prompt=prompt, pinned=pinned)
        with pytest.raises(ValidationError, match="Expected the number of a version of the prompt"):
            step.full_clean()
