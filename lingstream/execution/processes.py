"""Whether this site has more processes than its hub reaches."""

from __future__ import annotations

import asyncio
import logging

from lingstream.conf import app_settings
from lingstream.hubs import get_hub, shared_by_class

from .ownership import living_web_processes
from .storage import in_database

__all__ = ["UNREACHED", "memory_only", "warn_of_others"]

logger = logging.getLogger("lingstream")

UNREACHED = (
    "Several web processes execute runs, and the hub keeps their logs in memory: a viewer that comes to "
    "another process than its run's gets the stored state and the error `elsewhere`, not the stream."
)


def memory_only() -> bool:
    """Whether runs live in web processes and only their own process can follow them, as the hub's class says.

    No hub is made, so the checks may ask.
    """
    return app_settings().execution == "inline" and shared_by_class() is False


async def warn_of_others() -> None:
    """Log once that there are other processes, when the last of an earlier start can be living no more."""
    settings = app_settings()
    if settings.execution != "inline" or get_hub().shared:
        return
    await asyncio.sleep(settings.dead_after + settings.heartbeat_every)
    if await in_database(living_web_processes, settings.dead_after) > 1:
        logger.warning("%s Run one process, or set LINGSTREAM['HUB'] (docs/operations.md).", UNREACHED)
