"""What processes that are hurt tell: their log with the time, and where their tasks wait if asked."""

import asyncio
import signal

from lingstream.core.ending import stack_of

__all__ = ["LOGGING", "tell_tasks"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "loggers": {"lingstream": {"handlers": ["console"], "level": "INFO"}},
}


def tell_tasks() -> None:
    """Let SIGUSR1 make this process say where everything waits: who waits for its end in vain asks."""
    signal.signal(signal.SIGUSR1, _tell)


def _tell(*_: object) -> None:
    for task in asyncio.all_tasks():
        print(f"{task.get_name()} ({task.cancelling()} cancels): {stack_of(task)}", flush=True)
