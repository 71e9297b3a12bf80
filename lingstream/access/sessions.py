"""Sessions as their store has them now: a connection that lives long holds one as it was when it was opened.

All of it may use the ORM: call it in a thread.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from django.conf import settings

__all__ = ["is_over", "stored"]

logger = logging.getLogger("lingstream")


def stored(session: Any) -> Any:
    """Return the session of this key as it is stored now."""
    return import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)


def is_over(session: Any) -> bool:
    """Whether a session that was there is not any more: it has expired, or was ended without a logout.

    Where sessions are kept may be away: then it is taken to be there, and who looks again will be told.
    """
    now = stored(session)
    try:
        is_empty = not now.keys()  # loads it: a key that names no session is dropped
    except Exception as error:
        logger.warning("nobody can say whether a session is still there: %s", error)
        return False
    return not now.session_key or (is_empty and bool(session.keys()))
