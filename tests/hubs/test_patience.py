"""Time-outs by a clock that knows when the loop stood still."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from lingstream.hubs.redis.patience import Bound, Patience


async def test_a_reply_that_came_while_the_loop_stood_still_is_in_time() -> None:
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    reply = loop.create_future()
    loop.add_reader(reader, lambda: reply.done() or reply.set_result(os.read(reader, 1)))
    try:
        async with Bound(0.2):
            os.write(writer, b"!")
            time.sleep(0.5)
            assert await reply == b"!"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):  # what it is for: the same with the standard time-out
                reply = loop.create_future()
                os.write(writer, b"!")
                time.sleep(0.5)
                await reply
    finally:
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)


async def test_silence_is_bounded() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with Bound(0.2):
            await asyncio.Event().wait()
    assert time.monotonic() - begun >= 0.19


async def test_what_is_done_in_time_leaves_no_timer() -> None:
    async with Bound(0.05):
        pass
    await asyncio.sleep(0.1)


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    async def wait() -> None:
        async with Bound(10):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_failure_makes_nobody_sick_however_long_it_took() -> None:
    patience = Patience(0.1)
    begun = asyncio.get_running_loop().time() - 5
    assert patience.failed(begun) == 0.0
    assert not patience.sick
    patience.failed(begun)
    assert patience.sick
    assert patience.succeeded() and not patience.sick
