"""Settings of the processes of the chaos suite: its services come from the environment."""

import json
import os

from tests.settings import *  # noqa: F403

DATABASES["default"] = json.loads(os.environ["CHAOS_DATABASE"])  # noqa: F405
LINGSTREAM = json.loads(os.environ["CHAOS_LINGSTREAM"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "loggers": {"lingstream": {"handlers": ["console"], "level": "INFO"}},
}
