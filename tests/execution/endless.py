"""``python -m tests.execution.endless FILE``: a worker on a database of its own, whose one run has no end."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = sys.argv[1]
settings.LINGSTREAM = {
    "EXECUTION": "worker",
    "HUB": "lingstream.hubs.redis.RedisHub",
    "HUB_OPTIONS": {"url": "unix:///no/redis", "timeout": 0.1},
    "DRAIN": 600.0,
}
django.setup()

from django.core.management import call_command  # noqa: E402

import lingstream  # noqa: E402
from lingstream.models import Runner  # noqa: E402
from tests.tables import make_tables  # noqa: E402


@lingstream.workflow("endless")
async def endless(run: Any) -> None:
    print("it has begun", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    make_tables()
    Runner.objects.create(kind="worker")
    lingstream.start("endless", {})
    call_command("ling_worker", skip_checks=True)
