"""What all tests share: nothing of one test's runner or hub reaches the next, nor of its failure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import hypothesis
import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connection, connections
from django.test import TransactionTestCase
from django.utils import translation

pytest.register_assert_rewrite(
    *(f"lingstream.testing.{name}" for name in ("hub_contract", "log_contract", "notices_contract"))
)

from lingstream import hubs  # noqa: E402
from lingstream.core.ending import bounded  # noqa: E402
from lingstream.core.engine import kinds, registry  # noqa: E402
from lingstream.core.wire import dialect  # noqa: E402
from lingstream.execution import runner  # noqa: E402

from .site import Site, serve  # noqa: E402
from .tables import Versions, as_now, drop_database, make_tables  # noqa: E402

THROTTLE = "lingstream.access.throttle.CacheThrottle"

# What takes long to make up on a busy machine is no fault of ours.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is for ``make soak`` alone."""
    if not os.environ.get("SOAK"):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="takes long: make soak"))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Let no fixture raise CancelledError.

    pytest takes it for the end of everything and tears down no more: one failure would be that of all tests.
    """
    add = fixturedef.addfinalizer
    fixturedef.addfinalizer = lambda finalizer: add(_steady(finalizer))  # type: ignore[method-assign]
    try:
        return (yield)
    except asyncio.CancelledError as error:
        raise RuntimeError(f"the fixture {fixturedef.argname} was cancelled") from error
    finally:
        del fixturedef.addfinalizer


def _steady(finalizer: Callable[[], object]) -> Callable[[], object]:
    def finalize() -> None:
        try:
            finalizer()
        except asyncio.CancelledError as error:
            raise RuntimeError("a fixture was cancelled while it cleared up") from error

    return finalize


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb: bool) -> bool:
    """The file is there before pytest-django looks for it, with its tables."""
    return django_db_keepdb or connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    if connection.vendor != "sqlite":
        yield
        return
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        make_tables()
    yield
    drop_database(str(name))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Tables, and the same rows in them after each test that commits."""
    with django_db_blocker.unblock():
        restore = as_now()
        connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", restore)
        yield
    asyncio.run(sync_to_async(connections.close_all)())  # of the thread in which tests ask asynchronously


@pytest.fixture(scope="session")
def versions(django_db_setup: None, django_db_blocker: Any) -> Iterator[Versions]:
    """Databases as earlier migrations left them."""
    made = Versions()
    yield made
    with django_db_blocker.unblock():
        made.close()


@pytest.fixture(autouse=True)
def _own_registries() -> Iterator[None]:
    """What a test registers is not there for the next one."""
    known: tuple[dict[str, Any], ...] = (
        registry._functions,
        registry._declared,
        kinds._kinds,
        dialect._kinds,
    )
    before = [dict(each) for each in known]
    yield
    for names, each in zip(known, before, strict=True):
        names.clear()
        names.update(each)


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """The middleware leaves the language of the last one who has asked behind."""
    yield
    translation.deactivate()


@pytest.fixture
async def fresh_runner() -> AsyncIterator[None]:
    """A runner and a hub of the test's own event loop, closed at its end."""
    _forget()
    async with AsyncExitStack() as stack:
        stack.callback(_forget)
        stack.push_async_callback(lambda: bounded(hubs.get_hub().aclose(), 60))
        stack.push_async_callback(lambda: bounded(runner.get_runner().aclose(), 60))
        yield


def _forget() -> None:
    runner._runner.cache_clear()
    hubs._made.cache_clear()


@pytest.fixture
def bounds(settings: Any) -> Iterator[Callable[..., None]]:
    """Set the default throttle's bounds; what is not given does not bound."""
    rates = ("STARTS_PER_IDENTITY", "STARTS_PER_ADDRESS", "UPLOADS_PER_IDENTITY", "UPLOADS_PER_ADDRESS")
    none = {**dict.fromkeys(rates, ""), "OPEN_RUNS": 0, "THROTTLE": THROTTLE}

    def bound(**given: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, **none, **given}

    cache.clear()
    yield bound
    cache.clear()


@pytest.fixture
async def site(transactional_db: None, fresh_runner: None) -> AsyncIterator[Site]:
    """The demo site under uvicorn in the test's event loop, on a port of its own."""
    async with serve() as running:
        yield running
