"""Telling workers: a taskiq message says that a run is queued, and nothing more.

The message is acknowledged on receipt and may be lost: workers also look on a timer, and the database alone
decides who gets the run. So of taskiq only the broker is used, its transport; any of its brokers will do.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from lingstream.conf import app_settings
from lingstream.core.ending import bounded

__all__ = ["close", "messages", "notify", "notify_from_thread"]

logger = logging.getLogger("lingstream")

_TASK = "lingstream.run"
_PATIENCE = 1.0  # seconds for the broker to start, to send and to stop
_PAUSES = (0.2, 1.0, 5.0)  # seconds before a listener that failed is started anew

_alone = threading.Lock()

_started: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()


async def notify(run_id: str) -> None:
    """Tell a worker that a run waits; without a broker, or while it is away, a worker's timer finds it."""
    try:
        if broker := await _broker():
            await bounded(broker.find_task(_TASK).kiq(run_id), _PATIENCE)
    except Exception as error:
        logger.warning("no worker could be told of run %s, a timer will find it: %s", run_id, error)


def notify_from_thread(run_id: str) -> None:
    """As :func:`notify`, from any thread of a process without a runner: in an event loop made for it.

    One at a time, because a broker has one pool of connections, and those belong to the event loop that made
    them. Whoever would have to wait for long leaves it to the workers' timer.
    """
    if not app_settings().broker:
        return
    if not _alone.acquire(timeout=_PATIENCE):
        logger.warning("no worker could be told of run %s, a timer will find it: others wait too", run_id)
        return
    try:
        # In a thread of its own: the caller's may have an event loop, which would be replaced, or is running.
        work = threading.Thread(target=lambda: asyncio.run(_notify_and_close(run_id)), daemon=True)
        work.start()
        work.join()
    finally:
        _alone.release()


async def messages() -> AsyncIterator[None]:
    """Yield at every message, for ever; a broker that fails is asked again after a pause.

    taskiq's Redis broker does not reconnect by itself, which is why its listener is started anew.
    """
    failures = 0
    while broker := await _patiently():
        try:
            async with aclosing(broker.listen()) as messages:
                async for message in messages:
                    failures = 0
                    if ack := getattr(message, "ack", None):
                        await ack()
                    yield
        except asyncio.CancelledError:
            raise
        except Exception as error:
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            failures += 1
            _started.pop(asyncio.get_running_loop(), None)  # its queue may be gone: let it be declared anew
            logger.warning("the broker is away, asking again in %s s: %s", pause, error)
            await asyncio.sleep(pause)


async def close() -> None:
    """Release the broker's connections, if it lets go of them in time."""
    if broker := _started.pop(asyncio.get_running_loop(), None):
        try:
            await bounded(broker.shutdown(), _PATIENCE)
        except Exception as error:
            logger.warning("the broker did not shut down: %s", error)


async def _notify_and_close(run_id: str) -> None:
    await notify(run_id)
    await close()


async def _broker() -> Any:
    """Return the broker, started in this loop; ``None`` where the setting names none."""
    broker = _configured()
    loop = asyncio.get_running_loop()
    if broker is not None and loop not in _started:
        await bounded(broker.startup(), _PATIENCE)
        _started[loop] = broker
    return broker


async def _patiently() -> Any:
    while True:
        try:
            return await _broker()
        except Exception as error:
            logger.warning("the broker cannot be reached, asking again in %s s: %s", _PAUSES[-1], error)
            await asyncio.sleep(_PAUSES[-1])


@lru_cache(maxsize=1)
def _configured() -> Any:
    path = app_settings().broker
    if not path:
        return None
    broker = import_string(path)
    broker.register_task(_message, task_name=_TASK)
    return broker


async def _message(run_id: str) -> None:
    """The task that a message names; workers only look at its coming."""


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _configured.cache_clear()


setting_changed.connect(_forget)
