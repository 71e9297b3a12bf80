"""The demo project's settings, without the admin unless trials are measured, for the servers under test."""

import json
import os

from lingsite.settings import *  # noqa: F403
from lingsite.settings import DATABASES, INSTALLED_APPS

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.project.urls"
ASGI_APPLICATION = "bench.project.asgi.application"
LEFT_OUT = ("daphne",) if "BENCH_TRIAL" in os.environ else ("daphne", "django.contrib.admin")
INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in LEFT_OUT]
DATABASES["default"]["NAME"] = os.environ["BENCH_DATABASE"]
LINGSTREAM = {
    "DEFAULT_PROVIDER": "bench",
    "PROVIDER_KEYS": {"BENCH_KEY": [os.environ["BENCH_MODEL"]]},
    "THROTTLE": "",
    **json.loads(os.environ.get("BENCH_LINGSTREAM", "{}")),
}
