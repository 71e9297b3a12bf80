"""System checks: each fault of the configuration has an id."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connections
from django.utils import timezone

from lingstream import asgi
from lingstream.checks import site as checks_site
from lingstream.conf import BOUNDS, LingstreamSettings
from lingstream.core.log.memory import MemoryHub
from lingstream.execution.processes import UNREACHED, warn_of_others
from lingstream.models import Provider, Runner
from lingstream.steps import register_kinds
from lingstream.transports.stream import Streams

ROOT = Path(__file__).resolve().parents[2]
REDIS = {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": {"url": "redis://localhost"}}
OWN = {"HUB": "tests.checks.test_checks.OwnHub"}
MADE = {"HUB": "tests.checks.test_checks.own_hub"}


class OwnHub(MemoryHub):
    """A hub of the site's, in memory as well."""


def own_hub(**options: Any) -> OwnHub:
    """Only what it returns says whether it is shared."""
    return OwnHub(**options)


def ids(**kwargs: Any) -> list[str]:
    found = [
        message.id
        for message in run_checks(**kwargs)
        if message.id and message.id.startswith("lingstream.") and not message.is_silenced()
    ]
    return sorted(set(found))  # type: ignore[type-var]


@pytest.fixture(autouse=True)
def lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite waits for its lock for less than the default of DEAD_AFTER."""
    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "timeout", 10)


def test_the_demo_is_clean() -> None:
    assert ids() == []
    command = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "lingsite.settings"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
        ({"MEMORY": "no.such.Memory"}, ["lingstream.E002"]),
        ({"MEMORY": ".Memory"}, ["lingstream.E002"]),
        ({"MEMORY": ""}, []),
        ({"MEMORY": None}, ["lingstream.E001"]),
        ({"CHOOSE_VERSION": "no.such.function"}, ["lingstream.E002"]),
        ({"CHOOSE_VERSION": "tests.execution.test_versions.half"}, []),
        ({"CHOOSE_VERSION": "tests.execution"}, ["lingstream.E002"]),
        ({"SCOPE": "tests.access"}, ["lingstream.E002"]),
        ({"SCOPE": "tests.access.tenants.tenant"}, []),
        ({"SCRIPTS": {"own": "tests.access"}}, ["lingstream.E002"]),
        ({"EXECUTION": "elsewhere"}, ["lingstream.E004"]),
        ({"EXECUTION": "worker"}, ["lingstream.E004"]),
        ({**REDIS, "EXECUTION": "worker"}, []),
        ({**OWN, "EXECUTION": "worker"}, ["lingstream.E004"]),
        ({**MADE, "EXECUTION": "worker"}, []),
        ({"HUB": "no.such.Hub", "EXECUTION": "worker"}, ["lingstream.E002"]),
        ({"HUB": 5, "EXECUTION": "worker"}, ["lingstream.E001"]),
        ({"SOCKET_PATH": "sockets/ai"}, []),
        ({"SOCKET_PATH": "/sockets/ai/"}, []),
        ({"SOCKET_PATH": ""}, ["lingstream.E005"]),
        ({"SOCKET_PATH": "/"}, ["lingstream.E005"]),
        ({"SOCKET_PATH": "wss://example.com/ws/"}, ["lingstream.E005"]),
        ({"SOCKET_PATH": "ws/<slug:x>/"}, ["lingstream.E005"]),
        ({"SOCKET_PATH": 5}, ["lingstream.E001"]),
        ({"DEAD_AFTER": 12.9}, ["lingstream.W008"]),
        ({"DEAD_AFTER": 13}, []),
        ({"HEARTBEAT_EVERY": 6}, ["lingstream.E006", "lingstream.W008"]),
        ({"HEARTBEAT_EVERY": 6, "DEAD_AFTER": 18}, []),
        ({"DEAD_AFTER": "x"}, ["lingstream.E001"]),
        (["HUB"], ["lingstream.E001"]),
        ({"LOG_FRAMES": -1}, ["lingstream.E001"]),
        ({"LOG_FRAMES": 0}, ["lingstream.E001"]),
        ({"LOG_FRAMES": 1}, []),
        ({"LOG_FRAMES": 1_000_001}, ["lingstream.E001"]),
        ({"OPEN_RUNS": -1}, ["lingstream.E001"]),
        ({"OPEN_RUNS": 10**9}, []),
        ({"TRUSTED_PROXIES": -1}, ["lingstream.E001"]),
        ({"CHECKPOINT": 0}, ["lingstream.E001"]),
        ({"DRAIN": 0}, []),
        ({"DRAIN": float("nan")}, ["lingstream.E001"]),
        ({"DISCONNECT_GRACE": float("inf")}, ["lingstream.E001"]),
    ],
)
def test_settings(settings: Any, given: Any, expected: list[str]) -> None:
    settings.LINGSTREAM = given
    assert ids() == expected


@pytest.mark.django_db
@pytest.mark.parametrize("name", [item.name.upper() for item in fields(LingstreamSettings)])
def test_what_no_setting_can_be_is_told_and_fails_no_check(settings: Any, name: str) -> None:
    Provider.objects.create(name="demo")
    Runner.objects.create()
    for value in (None, -1, 10**30, b"x", [1], [], object()):
        settings.LINGSTREAM = {name: value}
        found = ids(databases=["default"])
    assert "lingstream.E001" in found


@pytest.mark.parametrize("listed", [5, None, "shop.kinds.Words", ["no.such.Kind", ".Kind", 5]])
def test_a_site_comes_up_whatever_its_step_kinds_are(listed: Any) -> None:
    register_kinds(listed)


def test_every_number_has_bounds_and_its_default_is_within() -> None:
    numbers = {
        item.name: item.default for item in fields(LingstreamSettings) if item.type in ("int", "float")
    }
    assert numbers.keys() == BOUNDS.keys()
    assert [name for name, value in numbers.items() if not BOUNDS[name].admit(value)] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"LOG_FRAMES": 0}, "LINGSTREAM['LOG_FRAMES']: expected int from 1 to 1_000_000, got 0."),
        ({"MAX_RUNS": 0}, "LINGSTREAM['MAX_RUNS']: expected int of at least 1, got 0."),
        ({"TICK": -0.5}, "LINGSTREAM['TICK']: expected float from 0.01 to 86_400, got -0.5."),
    ],
)
def test_a_number_out_of_its_bounds_is_told_with_them(
    settings: Any, given: dict[str, Any], expected: str
) -> None:
    settings.LINGSTREAM = given
    assert [item.msg for item in run_checks() if item.id == "lingstream.E001"] == [expected]


def test_an_unknown_name_is_told_with_the_known_ones(settings: Any) -> None:
    settings.LINGSTREAM = {"HUBB": 1}
    (message,) = [item for item in run_checks() if item.id == "lingstream.E001"]
    assert "'HUBB'" in message.msg
    assert "HUB_OPTIONS" in str(message.hint)


def test_channels_and_asgi_are_missed(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in ("channels", "daphne")]
    settings.ASGI_APPLICATION = None
    assert ids() == ["lingstream.W002", "lingstream.W003"]


def test_streams_that_go_through_django_are_told_of(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Streams, "made", 0)
    monkeypatch.setattr(asgi._Site, "made", 0)
    settings.ASGI_APPLICATION = "tests.site.serve"  # any other application
    assert ids() == ["lingstream.W010"]
    settings.ASGI_APPLICATION = "no.such.application"
    assert ids() == []


def test_a_router_of_the_sites_own_brings_no_runner_to_life(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Streams, "made", 0)
    monkeypatch.setattr(asgi._Site, "made", 0)
    Streams(None)
    settings.ASGI_APPLICATION = "tests.site.serve"
    assert ids() == ["lingstream.W014"]
    settings.LINGSTREAM = {**REDIS, "EXECUTION": "worker"}
    assert ids() == []
    settings.LINGSTREAM = {}
    settings.ASGI_APPLICATION = "no.such.application"
    assert ids() == []
    asgi.application(None)
    settings.ASGI_APPLICATION = "tests.site.serve"
    assert ids() == []


@pytest.mark.parametrize(
    ("command", "server", "expected"),
    [
        ("runserver", "django.core", ["lingstream.W003"]),
        ("runserver", "django.contrib.staticfiles", ["lingstream.W003"]),
        ("runserver", "daphne", []),
        ("check", "django.core", []),
    ],
)
def test_a_runserver_by_wsgi(
    monkeypatch: pytest.MonkeyPatch, command: str, server: str, expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", command])
    monkeypatch.setattr(checks_site, "get_commands", lambda: {"runserver": server})
    assert ids() == expected


@pytest.mark.parametrize(
    ("given", "name", "value", "expected"),
    [
        ({}, "WEB_CONCURRENCY", "1", []),
        ({}, "WEB_CONCURRENCY", "many", []),
        ({}, "WEB_CONCURRENCY", "2", ["lingstream.W006"]),
        ({}, "GUNICORN_CMD_ARGS", "--bind=:80 --workers=3", ["lingstream.W006"]),
        ({}, "GUNICORN_CMD_ARGS", "--workers 3", ["lingstream.W006"]),
        ({}, "GUNICORN_CMD_ARGS", "-w 3", ["lingstream.W006"]),
        ({}, "GUNICORN_CMD_ARGS", "-w3", ["lingstream.W006"]),
        ({}, "GUNICORN_CMD_ARGS", "-w 1 --threads 4", []),
        ({}, "GUNICORN_CMD_ARGS", "-w", []),
        ({}, "GUNICORN_CMD_ARGS", "it's", []),
        (OWN, "WEB_CONCURRENCY", "2", ["lingstream.W006"]),
        (MADE, "WEB_CONCURRENCY", "2", []),
        (REDIS, "WEB_CONCURRENCY", "2", []),
        ({**REDIS, "EXECUTION": "worker"}, "WEB_CONCURRENCY", "2", []),
    ],
)
def test_several_workers_with_logs_in_memory(
    settings: Any, monkeypatch: pytest.MonkeyPatch, given: Any, name: str, value: str, expected: list[str]
) -> None:
    settings.LINGSTREAM = given
    monkeypatch.setenv(name, value)
    assert ids() == expected


@pytest.mark.django_db
class TestNeighbours:
    """Web processes that live, as the database has them."""

    @pytest.fixture
    def processes(self, settings: Any) -> Callable[..., None]:
        settings.LINGSTREAM = {"DEAD_AFTER": 15.0}
        Provider.objects.create(name="default", kind="scripted")

        def start(*ages: float, **columns: Any) -> None:
            for age in ages:
                heard = timezone.now() - timedelta(seconds=age)
                Runner.objects.create(heartbeat_at=heard, **columns)

        return start

    def test_two_are_too_many(self, processes: Callable[..., None]) -> None:
        processes(1, 2)
        assert ids(databases=["default"]) == ["lingstream.W006"]
        assert ids() == []

    def test_one_is_none(self, processes: Callable[..., None]) -> None:
        processes(1, 60)
        processes(1, stopped_at=timezone.now())
        processes(1, kind=Runner.Kind.WORKER)
        assert ids(databases=["default"]) == []

    def test_a_shared_hub_may_have_many(self, processes: Callable[..., None], settings: Any) -> None:
        processes(1, 2)
        settings.LINGSTREAM = REDIS
        assert ids(databases=["default"]) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "silent", "expected"),
    [("worker", 14, []), ("worker", 16, ["lingstream.W014"]), ("inline", 0, ["lingstream.W014"])],
)
def test_no_worker_lives(settings: Any, kind: str, silent: float, expected: list[str]) -> None:
    settings.LINGSTREAM = {**REDIS, "EXECUTION": "worker"}
    Provider.objects.create(name="default", kind="scripted")
    Runner.objects.create(kind=kind, heartbeat_at=timezone.now() - timedelta(seconds=silent))
    assert ids(databases=["default"]) == expected
    assert ids() == []


@pytest.mark.parametrize(
    ("given", "ages", "warned"),
    [
        ({}, (-60, -60), True),
        ({}, (-60, 60), False),
        (OWN, (-60, -60), True),
        (MADE, (-60, -60), True),  # a process that serves has a hub to ask
    ],
)
async def test_a_process_that_finds_others_says_so(
    transactional_db: None,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    given: dict[str, Any],
    ages: tuple[int, ...],
    warned: bool,
) -> None:
    settings.LINGSTREAM = {**given, "DEAD_AFTER": 0.01, "HEARTBEAT_EVERY": 0.01}
    for age in ages:
        heard = timezone.now() - timedelta(seconds=age)
        await Runner.objects.acreate(heartbeat_at=heard)
    await warn_of_others()
    assert (UNREACHED in caplog.text) == warned


@pytest.mark.parametrize(
    ("age", "expected"), [(0, []), (60, ["lingstream.W007"]), (None, ["lingstream.W007"])]
)
def test_persistent_connections_under_asgi(
    monkeypatch: pytest.MonkeyPatch, settings: Any, age: int | None, expected: list[str]
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    assert ids() == expected
    settings.ASGI_APPLICATION = None
    assert "lingstream.W007" not in ids()


class Manager:
    """A channel manager of a site."""

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return channel == f"user-{user.pk}"


DEFAULT = "django_eventstream.channelmanager.DefaultChannelManager"


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (None, []),
        (True, ["lingstream.W013"]),
        ({"max_size": 5}, ["lingstream.W013"]),
        ({"min_size": 6}, ["lingstream.W013"]),
        ({"max_size": 8}, []),
    ],
)
def test_a_pool_that_the_runner_would_empty(
    monkeypatch: pytest.MonkeyPatch, pool: Any, expected: list[str]
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "pool", pool)
    assert ids() == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("IMMEDIATE", []), ("exclusive", []), ("deferred", ["lingstream.W020"]), (None, ["lingstream.W020"])],
)
def test_transactions_of_sqlite_that_cannot_wait(
    monkeypatch: pytest.MonkeyPatch, mode: Any, expected: list[str]
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "transaction_mode", mode)
    assert ids() == expected


@pytest.mark.parametrize(
    ("manager", "ours", "redis", "expected"),
    [
        (None, {}, None, 1),
        (DEFAULT, {}, None, 1),
        ("tests.checks.test_checks.Manager", {}, None, 0),
        ("no.such.Manager", {}, None, 0),
        ("lingstream.transports.eventstream.NoticeChannels", {}, None, 0),
        ("tests.checks.test_checks.Manager", REDIS, None, 0),
        ("tests.checks.test_checks.Manager", {}, {"host": "localhost"}, 1),
        (None, REDIS, {"host": "localhost"}, 2),
    ],
)
def test_the_traps_of_django_eventstream(
    settings: Any, manager: str | None, ours: Any, redis: Any, expected: int
) -> None:
    settings.LINGSTREAM = ours
    for name, value in {"EVENTSTREAM_CHANNELMANAGER_CLASS": manager, "EVENTSTREAM_REDIS": redis}.items():
        if value is not None:
            setattr(settings, name, value)
    assert ids() == []
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_eventstream"]
    found = [item for item in run_checks() if item.id and item.id.startswith("lingstream.")]
    found = [item for item in found if not item.is_silenced()]
    assert [item.id for item in found] == ["lingstream.W009"] * expected


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
        (found,) = [item for item in run_checks(databases=["default"]) if not item.is_silenced()]
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
    root = Path(__file__).parents[2]
    sources = (root / "lingstream" / "checks").glob("*.py")
    known = {name for path in sources for name in re.findall(r"lingstream\.[EW]\d{3}", path.read_text())}
    assert set(re.findall(r"lingstream\.[EW]\d{3}", (root / "docs/admin.md").read_text())) == known
