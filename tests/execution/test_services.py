"""What step kinds may ask of a process: threads that may block, one client for requests, who asks."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from lingstream.access.network import AddressRefused
from lingstream.core.engine.kinds import Identity, Services
from lingstream.execution import services as module
from lingstream.execution import storage
from lingstream.execution.services import RunServices, SiteServices, Who, lane_of
from lingstream.execution.storage import load_identity
from lingstream.models import Conversation, Run
from lingstream.testing import OpenAIServer, Reply
from tests.chaos.patience import within

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def services() -> AsyncIterator[SiteServices]:
    made = SiteServices()
    yield made
    await made.aclose()


class TestDatabase:
    async def test_functions_use_the_orm_beside_the_loop(self, services: SiteServices) -> None:
        def store(title: str) -> tuple[int, str]:
            return threading.get_ident(), Conversation.objects.create(title=title).title

        thread, title = await services.database(store, "Clouds")
        assert (title, thread == threading.get_ident()) == ("Clouds", False)
        assert await Conversation.objects.aget(title="Clouds")

    async def test_what_they_raise_is_raised(self, services: SiteServices) -> None:
        with pytest.raises(Conversation.DoesNotExist):
            await services.database(lambda: Conversation.objects.get(title="none"))

    async def test_a_connection_is_kept_as_long_as_a_views(self, services: SiteServices) -> None:
        def used() -> Any:
            Conversation.objects.count()
            return connection.connection

        found = await services.database(used)
        await services.database(int)  # the one before is cleared up by now
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            found.execute("SELECT 1")

    async def test_no_transaction_stays_open(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(services, "_threads", module.Lane(1, tidy=module.leave_no_transaction))

        def begin() -> None:
            transaction.atomic().__enter__()
            Conversation.objects.create(title="half")

        await services.database(begin)
        assert await services.database(_in_a_transaction) is False
        await services.database(lambda: Conversation.objects.create(title="whole"))
        assert await services.database(lambda: [row.title for row in Conversation.objects.all()]) == ["whole"]
        assert "left a transaction of 'default' open" in caplog.text

    async def test_one_that_nobody_waits_for_any_more_holds_its_place(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "_threads", module.Lane(2, tidy=module.leave_no_transaction))
        gates, begun = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
        made: list[str] = []

        def block(number: int) -> None:
            begun[number].set()
            gates[number].wait(20)
            made.append(f"block {number}")

        blocked = [asyncio.create_task(services.database(block, number)) for number in range(2)]
        async with within(10):
            await asyncio.gather(*(asyncio.to_thread(event.wait, 10) for event in begun))
        blocked[0].cancel()
        await asyncio.gather(blocked[0], return_exceptions=True)
        late = asyncio.create_task(services.database(made.append, "late"))
        given_up = asyncio.create_task(services.database(made.append, "given up"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        gates[0].set()
        async with within(10):
            await late
        gates[1].set()
        await blocked[1]
        assert made == ["block 0", "late", "block 1"]

    async def test_one_that_hangs_does_not_keep_the_process_from_closing(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("lingstream.execution.lane._ENDING", 0.1)
        gate = threading.Event()
        hanging = [asyncio.create_task(services.database(gate.wait, 20)) for _ in range(3)]
        await services.database(int)
        async with within(10):
            await services.aclose()
        assert caplog.text.count("hangs and is left alone") == 3
        assert all(thread.daemon for thread in threading.enumerate() if "lingstream" in thread.name)
        gate.set()
        await asyncio.gather(*hanging)


def _in_a_transaction() -> bool:
    return connection.in_atomic_block


class TestLanes:
    async def test_the_next_one_finds_the_connection_open(self, services: SiteServices) -> None:
        async with services.lane() as lane:
            found = await lane.call(_used)
        async with services.lane() as lane:
            assert await lane.call(_used) is found

    async def test_one_that_nobody_had_for_long_is_not_lent_again(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its connection may be dead by then, and nobody told so."""
        monkeypatch.setattr("lingstream.execution.services._KEPT", -1.0)
        async with services.lane() as lane:
            found = await lane.call(_used)
        async with services.lane() as lane:
            assert await lane.call(_used) is not found
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            found.execute("SELECT 1")

    async def test_nobody_has_one_that_somebody_else_has(self, services: SiteServices) -> None:
        async with services.lane() as one, services.lane() as another:
            assert await one.call(_used) is not await another.call(_used)

    async def test_one_of_them_is_kept(self, services: SiteServices) -> None:
        async with services.lane() as one, services.lane() as another:
            first, second = await one.call(_used), await another.call(_used)
        async with services.lane() as lane:
            assert await lane.call(_used) is second  # which came back first
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            first.execute("SELECT 1")

    async def test_one_that_still_works_is_not_lent_again(self, services: SiteServices) -> None:
        begun, gate = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            gate.wait(20)

        async def borrow() -> None:
            async with services.lane() as lane:
                try:
                    await lane.call(block)
                finally:
                    asyncio.get_running_loop().call_later(0.1, gate.set)  # while it is waited for

        task = asyncio.create_task(borrow())
        async with within(10):
            await asyncio.to_thread(begun.wait, 10)
            task.cancel()
            await asyncio.wait([task])
        assert gate.is_set()
        assert services._lane is None

    async def test_they_end_with_the_services(self, services: SiteServices) -> None:
        async with services.lane() as lane:
            found = [await lane.call(_used)]
        async with services.lane() as lane:
            await services.aclose()
            found.append(await lane.call(_used))
        for each in found:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                each.execute("SELECT 1")

    async def test_a_run_borrows_those_of_its_site(self, services: SiteServices) -> None:
        run = RunServices(services, None, None)  # type: ignore[arg-type]
        async with lane_of(run) as lane:
            found = await lane.call(_used)
        async with lane_of(services) as lane:
            assert await lane.call(_used) is found

    async def test_where_there_is_no_site_it_is_a_new_one(self) -> None:
        async with lane_of(Services(lambda plan: None)) as lane:  # type: ignore[arg-type, return-value]
            found = await lane.call(_used)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            found.execute("SELECT 1")


def _used() -> Any:
    Conversation.objects.count()
    return connection.connection


class TestHttp:
    async def test_is_one_client_until_it_is_closed(self, services: SiteServices) -> None:
        client = services.http()
        assert services.http() is client
        await services.aclose()
        assert client.is_closed
        assert services.http() is not client

    async def test_goes_where_the_site_lets_it(self, services: SiteServices, settings: Any) -> None:
        async with OpenAIServer() as server:
            url = server.base_url
            assert (await services.http().get(url)).status_code == 404
            await services.aclose()
            settings.LINGSTREAM = {}
            for address in (url, url.replace("127.0.0.1", "localhost")):
                with pytest.raises(AddressRefused):
                    await services.http().get(address)

    async def test_keeps_no_cookies_and_asks_no_proxy(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        reply = Reply(status=200, body={}, headers={"Set-Cookie": "session=somebody; Path=/"})
        async with OpenAIServer(reply) as server:
            for _ in range(2):
                await services.http().post(f"{server.base_url}/chat/completions", json={})
            assert ["cookie" in request.headers for request in server.requests] == [False, False]
        assert not services.http().cookies


def a_run(**fields: Any) -> Run:
    return Run.objects.create(workflow="test", **fields)


def ann() -> User:
    user = User.objects.create(username="ann")
    user.groups.add(Group.objects.create(name="editors"), Group.objects.create(name="authors"))
    return user


class TestWhoHasStartedARun:
    @pytest.mark.parametrize(
        ("fields", "found", "queries"),
        [
            (lambda: {"owner": ann(), "scope": "acme"}, ("authors", "editors"), 1),
            (lambda: {"session_key": "digest"}, (), 0),
            (dict, (), 0),
        ],
    )
    def test_is_what_its_row_says(
        self, fields: Callable[[], dict[str, Any]], found: tuple[str, ...], queries: int
    ) -> None:
        run = Run.objects.get(pk=a_run(**fields()).pk)
        with CaptureQueriesContext(connection) as captured:
            who = load_identity(run)
        assert who == Identity(str(run.owner_id or ""), found, run.scope, run.session_key)
        assert len(captured) == queries

    def test_of_a_user_model_without_groups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = a_run(owner=ann())
        monkeypatch.setattr(storage, "get_user_model", lambda: Run)
        assert load_identity(run) == Identity(user=str(run.owner_id))

    async def test_is_looked_up_once_and_not_before_it_is_asked(self) -> None:
        run = await sync_to_async(lambda: a_run(owner=ann()))()
        loads: list[Run] = []

        async def load() -> Identity:
            loads.append(run)
            return await sync_to_async(load_identity)(run)

        who = Who(load)
        assert not loads
        found = await asyncio.gather(*(who() for _ in range(5)))
        assert {each.user for each in found} == {str(run.owner_id)}
        assert len(loads) == 1
