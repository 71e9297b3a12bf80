"""What fuzzing found once, and some new inputs for each target; ``make soak SUITES=fuzz`` takes longer."""

from __future__ import annotations

import random

import pytest

from . import fuzz
from .fuzz import Case


@pytest.mark.parametrize("name", fuzz.stored())
def test_what_was_found_once_is_not_found_again(name: str) -> None:
    fuzz.check(fuzz.stored()[name], random.Random(0))


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_mutated_inputs_break_no_rule(target: str) -> None:
    dice = random.Random(target)
    for _, case in zip(range(25), fuzz.mutations(target, dice), strict=False):
        fuzz.check(case, dice)


def test_a_finding_is_made_short() -> None:
    found = fuzz.minimised(Case("text", "some <words> around <it>"), lambda case: "<it>" in case.text)
    assert found.text == "<it>"
