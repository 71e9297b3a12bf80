"""``manage.py ling_worker``: executes the runs that web processes start."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.conf import app_settings
from lingstream.core.ending import end_tasks
from lingstream.execution import broker
from lingstream.execution.runner import Runner
from lingstream.hubs import get_hub

# Seconds after which a thread that wants the interpreter gets it: one that has the database's answer wants it
# from the event loop's. With Python's 5 ms, a transaction under load takes half as long again.
_SWITCH = 0.001
_STOP = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Take queued runs, and runs whose process died, until a signal ends it."""

    help = "Execute runs: needs LINGSTREAM['EXECUTION'] = 'worker' and a hub that web processes share."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument(
            "--concurrency",
            type=int,
            default=200,
            help="runs at the same time (%(default)s); they wait more than work",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        if app_settings().execution != "worker":
            raise CommandError(
                "expected LINGSTREAM['EXECUTION'] = 'worker'; web processes execute their runs themselves"
            )
        if options["concurrency"] < 1:
            raise CommandError(f"expected a concurrency of at least 1, got {options['concurrency']}")
        sys.setswitchinterval(_SWITCH)
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            loop.run(_work(Runner("worker", most=options["concurrency"]), self))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, as uvicorn does it; else the standard library's loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


async def _work(runner: Runner, command: Command) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP:
        loop.add_signal_handler(number, stop.set)
    await runner.ensure_registered()
    listener = asyncio.create_task(_listen(runner))
    command.stdout.write(f"worker {runner.id} takes up to {runner.room} runs")
    command.stdout.flush()
    await stop.wait()
    _die_at_the_next(loop)
    command.stdout.write(f"draining {len(runner.running())} runs; a second signal does not wait for them")
    command.stdout.flush()
    await end_tasks(listener)  # a broker's library may have lost the first cancel
    await runner.drain()
    await get_hub().aclose()
    await _leave(command)


def _die_at_the_next(loop: asyncio.AbstractEventLoop) -> None:
    """Leave further signals to the system: not to Python, whose KeyboardInterrupt would wait for the runs."""
    for number in _STOP:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


async def _leave(command: Command) -> None:
    """End what is still at work here; without its consent if need be, for asyncio's own end waits for it."""
    me = asyncio.current_task()
    if await end_tasks(*(task for task in asyncio.all_tasks() if task is not me)):
        command.stdout.flush()
        logging.shutdown()
        os._exit(0)


async def _listen(runner: Runner) -> None:
    async for _ in broker.messages():
        runner.look()
