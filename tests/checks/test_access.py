"""Checks of access: settings that say nothing, and workflows that anyone may start."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks

from lingstream.checks import access as checks
from lingstream.core.engine.chat import Chat as CoreChat
from lingstream.core.engine.registry import Declared, workflow
from lingstream.core.exceptions import UsageError
from lingstream.models import Chat, Workflow


def found(name: str, **kwargs: Any) -> list[CheckMessage]:
    return [message for message in run_checks(**kwargs) if message.id == f"lingstream.{name}"]


@pytest.mark.parametrize(
    "given",
    [
        {"DEFAULT_ACCESS": "everyone"},
        {"DEFAULT_ACCESS": ""},
        {"STARTS_PER_IDENTITY": "60"},
        {"STARTS_PER_IDENTITY": "60/w"},
        {"STARTS_PER_ADDRESS": "0/m"},
        {"STARTS_PER_ADDRESS": "many"},
        {"ALLOW_HOSTS": ["http://localhost:11434"]},
        {"ALLOW_HOSTS": ["10.0.0.0/8"]},
        {"ALLOW_HOSTS": [""]},
    ],
)
def test_settings_that_say_nothing(settings: Any, given: dict[str, Any]) -> None:
    settings.LINGSTREAM = given
    (message,) = found("E011")
    assert next(iter(given)) in message.msg


def test_settings_that_say_something(settings: Any) -> None:
    settings.LINGSTREAM = {"DEFAULT_ACCESS": "permission", "STARTS_PER_ADDRESS": "", "OPEN_RUNS": 0}
    settings.LINGSTREAM |= {"ALLOW_HOSTS": ["vllm", "a-b.c:80", "10.0.0.1:1", "[::1]:80", "[::1]", "fd00::7"]}
    assert found("E011") == []


@pytest.mark.django_db
def test_every_public_workflow_is_listed(settings: Any) -> None:
    for slug, access, enabled in [
        ("open", "anyone", True),
        ("off", "anyone", False),
        ("closed", "authenticated", True),
    ]:
        Workflow.objects.create(slug=slug, access=access, enabled=enabled)
    listed = [message.msg for message in found("W011")]
    assert listed == ["Anyone may start the workflow 'cloud-facts-python'."]  # the demo's own
    listed = [message.msg for message in found("W011", databases=["default"])]
    assert sorted(listed) == [
        "Anyone may start the workflow 'cloud-facts-python'.",
        "Anyone may start the workflow 'open'.",
    ]


def test_the_hint_says_whether_anything_bounds_it(settings: Any) -> None:
    assert "Nothing bounds it" in str(found("W011")[0].hint)
    settings.LINGSTREAM = {}
    assert "Nothing bounds it" not in str(found("W011")[0].hint)


def test_a_word_that_is_no_access_is_refused_where_it_is_written() -> None:
    with pytest.raises(UsageError, match="'everyone'"):
        workflow("x", access="everyone")


class TestChats:
    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("chat", "more", "expected"),
        [
            ({}, {}, False),
            ({"rate": ""}, {}, False),
            ({"rate": ""}, {"STARTS_PER_ADDRESS": ""}, True),
            ({"rate": "5/m"}, {"STARTS_PER_ADDRESS": ""}, False),
            ({}, {"THROTTLE": ""}, True),
            ({"anonymous": False}, {"THROTTLE": ""}, False),
        ],
    )
    def test_one_that_nothing_bounds_is_named(
        self, settings: Any, chat: dict[str, Any], more: dict[str, Any], expected: bool
    ) -> None:
        settings.LINGSTREAM = more
        Chat.objects.create(workflow=Workflow.objects.create(slug="talk", access="anyone"), **chat)
        messages = [message.msg for message in found("W017", databases=["default"])]
        assert messages == ["Visitors may talk to the chat 'talk' as often as they like."] * expected

    def test_a_rate_in_python_that_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "registered", lambda: {"talk": None})
        monkeypatch.setattr(checks, "declared", lambda slug: Declared(chat=CoreChat(rate="20 a minute")))
        (message,) = found("E011")
        assert message.msg == "The chat 'talk': expected a rate like 60/m (s, m, h or d), got '20 a minute'."
