"""System checks: each fault of the configuration has an id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from lingstream.models import Provider


def ids(**kwargs: Any) -> list[str]:
    found = [
        message.id for message in run_checks(**kwargs) if message.id and message.id.startswith("lingstream.")
    ]
    return sorted(set(found))  # type: ignore[type-var]


def test_the_demo_is_clean() -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"HUBB": "x"}, ["lingstream.E001"]),
        ({"HEARTBEAT": "often"}, ["lingstream.E001"]),
        ({"MAX_RUNS": 1.5}, ["lingstream.E001"]),
        ({"MAX_RUNS": True}, ["lingstream.E001"]),
        ({"HEARTBEAT": 3}, []),
        ({"PROVIDER_KEYS": {"KEY": "https://api.x.com"}}, ["lingstream.E001"]),
        ({"PROVIDER_KEYS": {"KEY": ["https://api.x.com"]}}, []),
        ({"PROVIDER_KEYS": {"KEY": ("https://api.x.com",)}}, []),
        ({"PROVIDER_KEYS": ["KEY"]}, ["lingstream.E001"]),
        ({"PROVIDER_KEYS": {"KEY": ["api.x.com"]}}, ["lingstream.E003"]),
        ({"PROVIDER_KEYS": {"KEY": ["https://u@api.x.com"]}}, ["lingstream.E003"]),
        ({"HUB": "no.such.Hub"}, ["lingstream.E002"]),
        ({"PROVIDER_KINDS": {"own": "no.such.factory"}}, ["lingstream.E002"]),
        ({"BROKER": "no.such.broker"}, ["lingstream.E002"]),
        ({"EXECUTION": "elsewhere"}, ["lingstream.E004"]),
        ({"EXECUTION": "worker"}, ["lingstream.E004"]),
        ({"EXECUTION": "worker", "HUB": "lingstream.hubs.redis.RedisHub"}, []),
        (["HUB"], ["lingstream.E001"]),
    ],
)
def test_settings(settings: Any, given: Any, expected: list[str]) -> None:
    settings.LINGSTREAM = given
    assert ids() == expected


def test_an_unknown_name_is_told_with_the_known_ones(settings: Any) -> None:
    settings.LINGSTREAM = {"HUBB": 1}
    (message,) = [item for item in run_checks() if item.id == "lingstream.E001"]
    assert "'HUBB'" in message.msg
    assert "HUB_OPTIONS" in str(message.hint)


def test_channels_and_asgi_are_missed(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in ("channels", "daphne")]
    settings.ASGI_APPLICATION = None
    assert ids() == ["lingstream.W002", "lingstream.W003"]


@pytest.mark.django_db
class TestProviders:
    @pytest.fixture(autouse=True)
    def site(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.LINGSTREAM = {"PROVIDER_KEYS": {"KEY": ["https://api.x.com"]}, "DEFAULT_PROVIDER": "p"}
        monkeypatch.setenv("KEY", "s3cret")

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({}, []),
            ({"name": "q"}, ["lingstream.W004"]),
            ({"key_name": "HOME"}, ["lingstream.W005"]),
            ({"base_url": "https://evil.com"}, ["lingstream.W005"]),
            ({"kind": "scripted", "key_name": "HOME"}, []),
            ({"key_name": ""}, []),
        ],
    )
    def test_rows_are_checked_with_the_database(self, columns: dict[str, Any], expected: list[str]) -> None:
        row = {
            "name": "p",
            "kind": "openai",
            "base_url": "https://api.x.com/v1",
            "key_name": "KEY",
            **columns,
        }
        Provider.objects.create(**row)
        assert ids(databases=["default"]) == expected
        assert ids() == []

    def test_a_site_without_a_provider_is_told_what_to_do(self) -> None:
        (found,) = run_checks(databases=["default"])
        assert found.id == "lingstream.W012"
        assert "Add one in the admin under Providers" in str(found.hint)
        assert "'p'" in str(found.hint)
        Provider.objects.create(name="p", kind="scripted")
        assert ids(databases=["default"]) == []

    def test_each_row_is_named_and_no_key_is(self) -> None:
        for name in ("p", "q"):
            Provider.objects.create(name=name, kind="openai", base_url="https://evil.com", key_name="KEY")
        found = [str(item) for item in run_checks(databases=["default"]) if item.id == "lingstream.W005"]
        assert len(found) == 2
        assert "'p'" in found[0]
        assert "'q'" in found[1]
        assert not any("s3cret" in text for text in found)

    def test_a_used_key_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KEY")
        Provider.objects.create(name="p", kind="openai", base_url="https://api.x.com", key_name="KEY")
        assert ids(databases=["default"]) == ["lingstream.W001"]


def test_the_docs_list_every_id() -> None:
    root = Path(__file__).parent.parent
    known = set(re.findall(r"lingstream\.[EW]\d{3}", (root / "lingstream/checks.py").read_text()))
    assert set(re.findall(r"lingstream\.[EW]\d{3}", (root / "docs/admin.md").read_text())) == known
