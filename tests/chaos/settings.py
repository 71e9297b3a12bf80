"""Settings of the processes of the chaos suite: its services come from the environment."""

import asyncio
import json
import os
import signal

from lingstream.core.ending import stack_of
from tests.settings import *  # noqa: F403

DATABASES["default"] = json.loads(os.environ["CHAOS_DATABASE"])  # noqa: F405
LINGSTREAM = OPEN | json.loads(os.environ["CHAOS_LINGSTREAM"])  # noqa: F405
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "loggers": {"lingstream": {"handlers": ["console"], "level": "INFO"}},
}


def _show_tasks(*_: object) -> None:
    """Say where everything waits: the harness asks a process that does not end."""
    for task in asyncio.all_tasks():
        print(f"{task.get_name()} ({task.cancelling()} cancels): {stack_of(task)}", flush=True)


signal.signal(signal.SIGUSR1, _show_tasks)
