"""The contract of notices, as a test suite that every hub's run; see :mod:`.hub_contract`.

A hub that is shared tells all processes, any other its own.
"""
# ruff: noqa: S101  # asserts are what a test suite is made of

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

from lingstream.core.log.ports import Hub
from lingstream.core.notices import MISSED, Listener, Notice

from .log_contract import PATIENCE, steps

__all__ = ["NoticesContract"]


class NoticesContract:
    """What the notices of every hub promise, see :class:`~lingstream.core.notices.Notices`."""

    async def make_hub(self, max_frames: int | None = None) -> Hub:
        """See :meth:`HubContract.make_hub`."""
        raise NotImplementedError

    async def test_a_notice_reaches_who_listens_to_its_topic(self) -> None:
        notices, topic = (await self.make_hub()).notices, new_topic()
        one, two, other = [await notices.listen() for _ in range(3)]
        one.add(topic)
        two.add(new_topic(), topic)
        other.add(new_topic())
        notices.publish([topic], Notice("c", 1, "turn", "r"))
        assert await heard(one) == await heard(two) == [Notice("c", 1, "turn", "r")]
        async for _ in steps():
            assert other.take() == []

    async def test_who_listens_to_two_of_its_topics_hears_it_once(self) -> None:
        notices, topics = (await self.make_hub()).notices, [new_topic(), new_topic()]
        listener = await notices.listen()
        listener.add(*topics)
        notices.publish(topics, Notice("c", 1, "change"))
        assert await heard(listener) == [Notice("c", 1, "change")]
        async for _ in steps():
            assert listener.take() == []

    async def test_who_is_behind_gets_the_newest_of_each_conversation(self) -> None:
        notices, topic = (await self.make_hub()).notices, new_topic()
        listener = await notices.listen()
        listener.add(topic)
        for number in range(1, 1_001):
            notices.publish([topic], Notice("a", number, "change"))
            notices.publish([topic], Notice("b", number, "turn", "r"))
        notices.publish([topic], Notice("a", 7, "ended", "late"))
        assert sorted(await heard(listener)) == [
            Notice("a", 1_000, "change"),
            Notice("b", 1_000, "turn", "r"),
        ]

    async def test_of_too_many_conversations_it_hears_that_it_missed_some(self) -> None:
        notices, topic = (await self.make_hub()).notices, new_topic()
        listener = await notices.listen()
        listener.add(topic)
        for number in range(10_000):
            notices.publish([topic], Notice(f"c{number}", 1, "change"))
        news = await heard(listener)
        assert MISSED in news and len(news) < 1_000

    async def test_who_has_discarded_a_topic_or_closed_hears_no_more(self) -> None:
        notices, topics = (await self.make_hub()).notices, [new_topic(), new_topic()]
        listener, closed, last = [await notices.listen() for _ in range(3)]
        for each in (listener, closed, last):
            each.add(*topics)
        listener.discard(topics[0])
        closed.close()
        closed.add(topics[0])
        notices.publish(topics[:1], Notice("c", 1, "change"))
        assert await heard(last) == [Notice("c", 1, "change")]
        notices.publish(topics[1:], Notice("d", 1, "change"))
        assert await heard(listener) == [Notice("d", 1, "change")]
        assert closed.ended and closed.take() == []

    async def test_publishing_is_for_any_thread(self) -> None:
        notices, topic = (await self.make_hub()).notices, new_topic()
        listener = await notices.listen()
        listener.add(topic)
        thread = threading.Thread(target=notices.publish, args=([topic], Notice("c", 1, "change")))
        thread.start()
        assert await heard(listener) == [Notice("c", 1, "change")]
        thread.join()

    async def test_a_wait_that_is_cancelled_loses_nothing(self) -> None:
        notices, topic = (await self.make_hub()).notices, new_topic()
        listener = await notices.listen()
        listener.add(topic)
        waiting = asyncio.create_task(listener.wait())
        await asyncio.sleep(0)
        notices.publish([topic], Notice("c", 1, "change"))
        waiting.cancel()
        assert await heard(listener) == [Notice("c", 1, "change")]

    async def test_closing_the_hub_ends_its_listeners(self) -> None:
        hub = await self.make_hub()
        listener = await hub.notices.listen()
        listener.add(new_topic())
        waiting = asyncio.create_task(listener.wait())
        async for _ in steps():
            assert not waiting.done()
        await hub.aclose()
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert listener.ended

    async def test_other_processes_hear_it_if_the_hub_is_shared(self) -> None:
        hub, other, topic = await self.make_hub(), await self.make_hub(), new_topic()
        here, there = await hub.notices.listen(), await other.notices.listen()
        here.add(topic)
        there.add(topic)
        hub.notices.publish([topic], Notice("c", 1, "turn", "r"))
        assert await heard(here) == [Notice("c", 1, "turn", "r")]
        if hub.shared:
            assert await heard(there) == [Notice("c", 1, "turn", "r")]
            other.notices.publish([topic], Notice("c", 2, "ended", "r"))
            assert await heard(here) == await heard(there) == [Notice("c", 2, "ended", "r")]
        async for _ in steps():
            assert here.take() == there.take() == []


def new_topic() -> str:
    """A topic that no other test has."""
    return f"topic {uuid4()}"


async def heard(listener: Listener) -> list[Notice]:
    """Return the next news."""
    async with asyncio.timeout(PATIENCE):
        await listener.wait()
    return listener.take()
