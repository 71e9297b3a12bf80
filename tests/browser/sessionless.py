"""The demo's settings without sessions, and so without logins: everybody is a visitor by token."""

from __future__ import annotations

from .strict import *  # noqa: F403
from .strict import MIDDLEWARE as STRICT_MIDDLEWARE

_SESSIONS = ("SessionMiddleware", "AuthenticationMiddleware", "MessageMiddleware")
MIDDLEWARE = [name for name in STRICT_MIDDLEWARE if not name.endswith(_SESSIONS)]
SILENCED_SYSTEM_CHECKS = ["lingstream.W011", "admin.E408", "admin.E409", "admin.E410"]
