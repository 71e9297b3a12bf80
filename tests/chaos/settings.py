"""Settings of the processes of the chaos suite: its services come from the environment."""

import json
import os

from tests.settings import *  # noqa: F403

from .telling import LOGGING as LOGGING
from .telling import tell_tasks

DATABASES["default"] = json.loads(os.environ["CHAOS_DATABASE"])  # noqa: F405
LINGSTREAM = OPEN | json.loads(os.environ["CHAOS_LINGSTREAM"])  # noqa: F405

tell_tasks()

# Without the admin, and twisted where daphne does not serve, a process begins in 1.6 s of CPU instead of 2.8.
_ADMIN = {"django.contrib.admin": "django.contrib.admin.apps.SimpleAdminConfig"}
INSTALLED_APPS = [_ADMIN.get(app, app) for app in INSTALLED_APPS if app != "daphne"]  # noqa: F405
