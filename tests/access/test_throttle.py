"""How often who may start runs, and how many at a time; by HTTP and on the socket."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.utils.module_loading import import_string

from lingstream.access import throttle
from lingstream.access.identity import Identity
from lingstream.access.throttle import START, UPLOAD, Asked, CacheThrottle, check_throttle, counted_for
from lingstream.core.exceptions import RateLimited
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, create_run, introduce
from lingstream.models import Run
from tests.chaos.patience import scaled

from .. import site as sites
from ..site import Site
from .tenants import Caller

URL = "/ling/workflows/test/runs/"


class Clock:
    """A time that stands still in the middle of a window."""

    def __init__(self) -> None:
        self.now = 6_000_030.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


def allowed(identity: Identity, what: str = START) -> bool:
    try:
        check_throttle("w", identity, what)
    except RateLimited as error:
        assert error.retryable and error.retry_after > 0
        return False
    return True


def visitor(address: str, session: str = "") -> Identity:
    return Identity.of(None, session, "", address)


def test_an_identity_is_counted_apart_from_others(bounds: Any, clock: Clock) -> None:
    bounds(STARTS_PER_IDENTITY="2/m")
    users = [Identity.of(User(pk=pk), "s", "", "192.0.2.1") for pk in (1, 2)]
    assert [allowed(users[0]) for _ in range(3)] == [True, True, False]
    assert allowed(users[1])
    assert [allowed(visitor("192.0.2.1", "s")) for _ in range(3)] == [True, True, False]
    assert all(allowed(visitor("192.0.2.1")) for _ in range(3))  # without either there is the address only
    clock.now += 60
    assert allowed(users[0])


def test_who_has_not_signed_in_is_counted_by_address_whatever_its_session(
    bounds: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bounds(STARTS_PER_ADDRESS="2/h")
    assert [allowed(visitor("192.0.2.1", f"s{number}")) for number in range(3)] == [True, True, False]
    assert allowed(visitor("192.0.2.2"))
    assert allowed(Identity.of(User(pk=1), "s", "", "192.0.2.1"))
    assert not allowed(visitor("192.0.2.1"))
    assert [record.getMessage() for record in caplog.records] == [
        "too many starts or open runs from 192.0.2.1; behind proxies set TRUSTED_PROXIES"
    ]


def test_files_are_counted_apart_from_starts_and_whatever_runs(
    db: None, bounds: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bounds(UPLOADS_PER_IDENTITY="2/m", UPLOADS_PER_ADDRESS="3/m", STARTS_PER_IDENTITY="1/m", OPEN_RUNS=1)
    one, other = visitor("192.0.2.1", "s1"), visitor("192.0.2.1", "s2")
    assert allowed(one)
    Run.objects.create(workflow="w", counted_for=counted_for(one))
    assert [allowed(one, UPLOAD) for _ in range(3)] == [True, True, False]
    assert not allowed(one)
    assert [allowed(other, UPLOAD) for _ in range(2)] == [True, False]
    assert "192.0.2.1; behind proxies" in caplog.text


def test_the_sites_own_code_is_not_throttled(bounds: Any) -> None:
    bounds(STARTS_PER_IDENTITY="1/d", STARTS_PER_ADDRESS="1/d", OPEN_RUNS=1)
    assert all(allowed(Identity.of_site(User(pk=1))) for _ in range(3))
    assert counted_for(Identity.of_site(User(pk=1))) == ""


def test_no_address_is_stored(bounds: Any) -> None:
    key = counted_for(visitor("192.0.2.1"))
    assert key.startswith("address:") and "192.0.2" not in key
    assert counted_for(visitor("192.0.2.1")) == key != counted_for(visitor("192.0.2.2"))


@pytest.mark.parametrize("backend", ["django.core.cache.backends.dummy.DummyCache", f"{__name__}.AwayCache"])
def test_a_cache_that_keeps_nothing_or_is_away_bounds_nothing(
    bounds: Any, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    bounds(STARTS_PER_ADDRESS="1/m")
    monkeypatch.setattr(throttle, "cache", import_string(backend)("", {}))
    assert all(allowed(visitor("192.0.2.1")) for _ in range(3))


class AwayCache:
    """A cache whose server is gone."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def add(self, *arguments: Any) -> bool:
        raise ConnectionError("no cache")


class Never:
    """A throttle of the site's own."""

    def check(self, asked: Asked) -> None:
        raise RateLimited(f"not {asked.workflow}", retry_after=99)


async def test_a_site_has_its_own(site: Site, bounds: Any) -> None:
    bounds(THROTTLE=f"{__name__}.Never")
    await site.workflow(a="A")
    response = await site.start("test")
    assert (response.status_code, response.headers["retry-after"]) == (429, "99")
    assert response.json()["error"] == {
        "code": "rate-limited",
        "message": "not test",
        "retryable": True,
        "retry_after": 99,
    }


async def test_starts_are_bounded_by_http_and_on_the_socket(site: Site, bounds: Any) -> None:
    bounds(STARTS_PER_ADDRESS="2/d")
    await site.workflow(a="A")
    sites.answers = '{"a": "b"}'
    assert (await site.start("test")).status_code == 202
    async with site.socket() as socket:
        await socket.start("test")
        await socket.send(type="start", workflow="test", input=sites.QUESTION, ref=1)
        while "ref" not in (answer := await socket.receive()):
            pass
    assert answer["error"]["code"] == "rate-limited" and answer["error"]["retry_after"] > 0
    for accept in ("application/json", "text/event-stream", "application/jsonl"):
        refused = await site.http.post(URL, json={"input": sites.QUESTION}, headers={"Accept": accept})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate-limited")
        assert int(refused.headers["retry-after"]) == refused.json()["error"]["retry_after"]
    assert await Run.objects.acount() == 2


@pytest.mark.parametrize("who", ["nobody", "session", "user"])
async def test_open_runs_are_bounded_until_one_ends(site: Site, bounds: Any, who: str) -> None:
    bounds(OPEN_RUNS=2)
    gate = asyncio.Event()
    await site.workflow(a="A")
    sites.answers = [['{"a": "', gate, '"}']] * 3
    caller = Caller()
    if who == "session":
        caller = await Caller.with_session()
    elif who == "user":
        caller = await Caller.signed_in(await User.objects.acreate_user("ann", password="pw"))
    body = {"input": sites.QUESTION}
    assert [await caller.post(site, URL, body=body) for _ in range(3)] == ["ok", "ok", "rate-limited"]
    assert await caller.say("localhost", type="start", workflow="test", **body) == "rate-limited"
    if who == "nobody":
        talk = {**body, "conversation": "new"}
        assert await caller.post(site, URL, body=talk) == "rate-limited"  # who makes himself known each time
    other = await Caller.with_session()
    assert await other.post(site, URL, body=body) == "ok"
    gate.set()
    async for run in Run.objects.all():
        await get_runner().wait(str(run.pk))
    assert await caller.post(site, URL, body=body) == "ok"


class Together(CacheThrottle):
    """Lets nobody on before everybody has been let through."""

    barrier = Barrier(16)

    def check(self, asked: Asked) -> None:
        super().check(asked)
        self.barrier.wait(scaled(30))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["nobody", "session", "user"])
@pytest.mark.parametrize("conversation", ["", "new"])
def test_of_many_that_start_at_once_no_more_are_open_than_may_be(
    bounds: Any, who: str, conversation: str
) -> None:
    bounds(OPEN_RUNS=5, THROTTLE=f"{__name__}.Together")
    sites.store_workflow("test", {"a": "A"})
    identity = visitor("192.0.2.1", "s" if who == "session" else "")
    if who == "user":
        identity = Identity.of(User.objects.create_user("ann"), None)

    def start(number: int) -> tuple[Run, bool] | RateLimited:
        asked = Start("test", sites.QUESTION, f"the start with the number {number}", conversation)
        try:
            return create_run(asked, introduce(asked, identity)[0])
        except RateLimited as error:
            return error
        finally:
            connection.close()

    numbers = range(Together.barrier.parties)
    with ThreadPoolExecutor(len(numbers)) as threads:
        found = list(threads.map(start, numbers))
    runs = {number: each[0] for number, each in enumerate(found) if isinstance(each, tuple)}
    refused = [each for each in found if isinstance(each, RateLimited)]
    assert len(runs) == 5 and all(each.retry_after > 0 for each in refused)
    assert set(Run.objects.values_list("pk", flat=True)) == {run.pk for run in runs.values()}
    assert {number: start(number) for number in runs} == {
        number: (run, False) for number, run in runs.items()
    }


async def test_a_start_that_is_repeated_with_its_key_is_not_a_new_one(site: Site, bounds: Any) -> None:
    bounds(STARTS_PER_ADDRESS="1/d", OPEN_RUNS=1)
    gate = asyncio.Event()
    await site.workflow(a="A")
    sites.answers = [['{"a": "', gate, '"}']]
    first = await site.start("test", key="0123456789abcdef")
    again = await site.start("test", key="0123456789abcdef")
    assert first.json()["run"] == again.json()["run"]
    gate.set()
    await get_runner().wait(first.json()["run"])


async def test_a_cookie_that_names_no_session_is_nobodys(site: Site, bounds: Any) -> None:
    bounds(OPEN_RUNS=1)
    gate = asyncio.Event()
    await site.workflow(a="A")
    sites.answers = [['{"a": "', gate, '"}']]
    answers = []
    for number in range(2):
        caller = Caller()
        caller.client.cookies["sessionid"] = f"forged{number}"
        answers.append(await caller.post(site, URL, body={"input": sites.QUESTION}))
        answers.append(await caller.say("localhost", type="start", workflow="test", input=sites.QUESTION))
    assert answers == ["ok", "rate-limited", "rate-limited", "rate-limited"]
    run = await Run.objects.aget()
    assert (run.session_key, run.owner_key) == ("", "anyone")
    gate.set()
    await get_runner().wait(str(run.pk))


async def test_starts_that_do_not_fit_count_too(site: Site, bounds: Any, clock: Clock) -> None:
    bounds(STARTS_PER_ADDRESS="2/d")
    await site.cloud_facts()
    answers = [await site.start(slug, {}) for slug in ("cloud-facts", "no-such-one", "cloud-facts")]
    assert [answer.json()["error"]["code"] for answer in answers] == [
        "invalid-input",
        "unknown-workflow",
        "rate-limited",
    ]


async def test_a_public_workflow_is_bounded_by_default(site: Site, settings: Any, clock: Clock) -> None:
    settings.LINGSTREAM = {
        "PROVIDER_KINDS": settings.LINGSTREAM["PROVIDER_KINDS"],
        "DEFAULT_PROVIDER": "demo",
    }
    cache.clear()
    await site.workflow(a="A")
    sites.answers = '{"a": "b"}'
    codes = []
    for _ in range(61):
        started = await site.start("test")
        codes.append(started.status_code)
        if started.status_code == 202:  # of runs that are open there is another bound
            await get_runner().wait(started.json()["run"])
    cache.clear()
    assert codes == [202] * 60 + [429]
