"""Notices on Redis beyond the contract: nonsense, a Redis that is away, processes without a loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lingstream.core.notices import MISSED, Listener, Notice
from lingstream.core.wire.json import dumps
from lingstream.hubs.redis import RedisHub, notices
from lingstream.hubs.redis.streams import Unreachable
from tests.chaos.patience import scaled

from ..chaos.patience import within
from .conftest import RedisServer
from .test_redis import until

MakeHub = Callable[..., RedisHub]
KEY = "lingstream:notices"


async def listener(hub: RedisHub) -> Listener:
    found = await hub.notices.listen()
    found.add("t")
    return found


async def heard(found: Listener) -> list[Notice]:
    async with within(10):
        await found.wait()
    return found.take()


async def told(hub: RedisHub, found: Listener, number: int) -> None:
    """Publish until it is heard elsewhere: the other process may have been told to read just now."""
    hub.notices.publish(["t"], Notice("c", number, "change"))
    assert (await heard(found))[-1] == Notice("c", number, "change")


NONSENSE = [
    {"n": b"{"},
    {"n": b"5"},
    {"n": b'["x", ["t"]]'},
    {"n": b'["x", 5, ["c", 1, "change", null]]'},
    {"n": b'["x", ["t"], {"conversation": 1, "and": 2, "so": 3, "on": 4, "more": 5}]'},
    {"else": b""},
]


@pytest.mark.parametrize("fields", NONSENSE)
async def test_what_is_no_notice_is_passed_over(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub, fields: dict[str, bytes]
) -> None:
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    there = await listener(other)
    await client.xadd(KEY, fields)
    await told(hub, there, 1)


async def test_doubled_and_old_ones_change_nothing(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub
) -> None:
    hub = make_hub(shared_redis)
    there = await listener(hub)
    for number in (2, 1, 2, 1):
        await client.xadd(KEY, {"n": dumps(["x", ["t"], ["c", number, "change", None]])})
    await client.xadd(KEY, {"n": dumps(["x", ["t"], ["last", 1, "change", None]])})
    news: list[Notice] = []
    while Notice("last", 1, "change") not in news:
        news += await heard(there)
    assert {each.seq for each in news if each.conversation == "c"} <= {1, 2}


async def test_the_stream_keeps_so_many(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_KEPT", 100)
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    await listener(hub)
    there = await listener(other)
    for number in range(1_000):
        hub.notices.publish(["t"], Notice("c", number, "change"))
    while (await heard(there))[-1].seq != 999:
        pass
    assert await client.xlen(KEY) <= 200  # "~": whole nodes of it are dropped


async def test_nothing_is_read_where_nobody_listens(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub
) -> None:
    hub = make_hub(shared_redis)
    hub.create("run")
    hub.notices.publish(["t"], Notice("c", 1, "change"))
    assert hub.notices.place is None


async def test_while_redis_is_away_a_process_hears_itself_and_then_that_it_missed_something(
    own_redis: RedisServer, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_SPREAD", 0.1)
    hub, other = make_hub(own_redis, timeout=0.3), make_hub(own_redis, timeout=0.3)
    here, there = await listener(hub), await listener(other)
    await told(hub, there, 1)
    here.take()
    own_redis.freeze(signal.SIGSTOP)
    took = 0.0
    for number in range(2, 200):
        begun = time.monotonic()
        hub.notices.publish(["t"], Notice("c", number, "change"))
        took += time.monotonic() - begun
        assert await heard(here) == [Notice("c", number, "change")]
        await asyncio.sleep(0.01)
    assert took < scaled(3), "it waited for Redis, which takes 0.3 s each time"
    begun = time.monotonic()
    late = await listener(hub)
    assert time.monotonic() - begun < scaled(3)
    own_redis.freeze(signal.SIGCONT)
    for each in (here, there, late):
        while MISSED not in await heard(each):
            pass
    await until(lambda: not hub.notices._writer.sick)  # type: ignore[union-attr]
    hub.notices.publish(["t"], Notice("c", 500, "change"))
    while Notice("c", 500, "change") not in await heard(there):
        pass


async def test_what_a_process_could_not_say_has_the_others_ask(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_SPREAD", 0.0)
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    await listener(hub)
    there = await listener(other)
    hub.notices._posted(Unreachable("away"))
    hub.notices.recovered()
    assert await heard(there) == [MISSED]


async def test_a_command_without_a_loop_is_heard(
    client: Any, shared_redis: RedisServer, make_hub: MakeHub
) -> None:
    there = await listener(make_hub(shared_redis))
    command = make_hub(shared_redis)
    sending = threading.Thread(target=command.notices.publish, args=(["t"], Notice("c", 1, "turn")))
    sending.start()
    assert await heard(there) == [Notice("c", 1, "turn")]
    sending.join()


async def test_and_waits_for_a_redis_that_is_away_only_now_and_then(
    own_redis: RedisServer, make_hub: MakeHub
) -> None:
    command = make_hub(own_redis, timeout=0.2)
    own_redis.freeze(signal.SIGSTOP)

    def publish() -> float:
        begun = time.monotonic()
        for number in range(50):
            command.notices.publish(["t"], Notice("c", number, "change"))
        return time.monotonic() - begun

    assert await asyncio.to_thread(publish) < scaled(4)
