"""What ``bench/scale.py`` serves: PostgreSQL; the logs and who executes come from the environment."""

import os

from tests.chaos.telling import LOGGING as LOGGING
from tests.chaos.telling import tell_tasks

from .settings import *  # noqa: F403

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["BENCH_DATABASE"],
        "USER": os.environ.get("BENCH_USER", "postgres"),
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCH_POSTGRES"],
    }
}

tell_tasks()
