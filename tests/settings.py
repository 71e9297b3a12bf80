"""The demo's settings, with a database file of its own."""

import json
import os
import tempfile
from pathlib import Path

from lingsite.settings import *  # noqa: F403

# A file, not memory: runs are stored from threads, and each of them opens a connection.
_FILE = Path(tempfile.gettempdir()) / f"lingstream-test-{os.getpid()}.sqlite3"
DATABASES["default"]["NAME"] = _FILE  # noqa: F405
DATABASES["default"]["TEST"] = {"NAME": str(_FILE)}  # noqa: F405

if _GIVEN := os.environ.get("TEST_DATABASE"):  # another one, as JSON: tests/chaos/test_postgresql.py
    DATABASES["default"] = json.loads(_GIVEN)  # noqa: F405

INSTALLED_APPS = [*INSTALLED_APPS, "tests.outside", "tests.knowledge.library"]  # noqa: F405
DEBUG = False
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # asked for from 6.1 on
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Tests start more runs than visitors do, and their model servers are on this machine.
OPEN = {"THROTTLE": "", "ALLOW_HOSTS": ["127.0.0.1"]}
LINGSTREAM = {
    **OPEN,
    "DEFAULT_PROVIDER": "demo",
    "PROVIDER_KEYS": {"LINGSTREAM_API_KEY": ["http://127.0.0.1"]},
    "PROVIDER_KINDS": {"test": "tests.site.scripted"},
}
