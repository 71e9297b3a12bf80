"""The classes that a site gives us to make: what is wrong with them is found before the first run."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from lingstream.access.throttle import Asked
from lingstream.core.engine.observers import Observer
from lingstream.core.log.memory import MemoryHub

REDIS = "lingstream.hubs.redis.RedisHub"


class Heard(Observer):
    """An observer as it should be."""


class Sent(Observer):
    """One that cannot be made by its path alone."""

    def __init__(self, address: str) -> None:
        raise AssertionError("a check makes nothing")


class Deaf:
    """Called as an observer, and none."""


class Slow:
    """A throttle as it should be."""

    def check(self, asked: Asked) -> None:
        """Let everybody pass."""


class Named(MemoryHub):
    """A hub with an option of its own."""

    def __init__(self, name: str, **options: Any) -> None:
        raise AssertionError("a check makes nothing")


class Old:
    """A hub that was written for an older port."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    create = find = release = drop = aclose = None


def old(**options: Any) -> Old:
    """What it makes cannot be known before."""
    return Old(**options)


made = Slow()

HERE = __name__


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"HUB": REDIS, "HUB_OPTIONS": {"url": "redis://localhost"}}, ""),
        ({"HUB": REDIS}, "cannot be made with ttl, max_frames: missing a required argument: 'url'"),
        ({"HUB": f"{HERE}.Named", "HUB_OPTIONS": {"name": "a"}}, ""),
        (
            {"HUB": f"{HERE}.Named", "HUB_OPTIONS": {"nam": "s3cret"}},
            "cannot be made with ttl, max_frames, nam: ",
        ),
        ({"HUB_OPTIONS": {"url": "s3cret"}}, "got an unexpected keyword argument 'url'"),
        ({"HUB": f"{HERE}.Old"}, "lacks what Hub has: set_watched, is_watched"),
        ({"HUB": f"{HERE}.old"}, ""),
        ({"THROTTLE": f"{HERE}.Slow"}, ""),
        ({"THROTTLE": ""}, ""),
        ({"THROTTLE": f"{HERE}.made"}, "should be a class, and is Slow already"),
        ({"THROTTLE": f"{HERE}.Heard"}, "lacks what Throttle has: check"),
        ({"MEMORY": "tests.execution.test_memory.Told"}, ""),
        ({"MEMORY": ""}, ""),
        ({"MEMORY": f"{HERE}.Slow"}, "lacks what Memory has: recall"),
        ({"OBSERVERS": [f"{HERE}.Heard"]}, ""),
        ({"OBSERVERS": [f"{HERE}.Heard", f"{HERE}.Sent"]}, "OBSERVERS[1]: "),
        ({"OBSERVERS": [f"{HERE}.Sent"]}, "with no arguments: missing a required argument: 'address'"),
        ({"OBSERVERS": ["builtins.type"]}, ""),  # it does not say what it takes
        ({"OBSERVERS": [f"{HERE}.Deaf"]}, "lacks what Observer has: run_started, "),
    ],
)
def test_what_cannot_be_made(settings: Any, given: dict[str, Any], expected: str) -> None:
    settings.LINGSTREAM = given
    found = [item.msg for item in run_checks() if (item.id or "").startswith("lingstream.E")]
    assert len(found) == (1 if expected else 0)
    assert expected in "".join(found) and "s3cret" not in "".join(found)


@pytest.mark.parametrize("given", [{"HUB": 5}, {"HUB_OPTIONS": 5}, {"OBSERVERS": 5}, {"OBSERVERS": [5]}])
def test_what_is_of_another_type_is_told_once(settings: Any, given: dict[str, Any]) -> None:
    settings.LINGSTREAM = given
    assert [item.id for item in run_checks() if (item.id or "").startswith("lingstream.E")] == [
        "lingstream.E001"
    ]
