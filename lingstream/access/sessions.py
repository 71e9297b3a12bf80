"""Sessions as their store has them now: a connection that lives long holds one as it was when it was opened.

All of it may use the ORM: call it in a thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings

__all__ = ["is_over", "stored"]


def stored(session: Any) -> Any:
    """Return the session of this key as it is stored now."""
    return import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)


def is_over(session: Any) -> bool:
    """Whether a session that was there is not any more: it has expired, or was ended without a logout."""
    now = stored(session)
    is_empty = not now.keys()  # loads it: a key that names no session is dropped
    return not now.session_key or (is_empty and bool(session.keys()))
