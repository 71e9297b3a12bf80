"""Who is signed in, for what a page keeps in the browser: a digest that tells one user from the next."""

from __future__ import annotations

import asyncio
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.functional import LazyObject

__all__ = ["user_digest"]

_SALT = "lingstream.page"
_LENGTH = 20  # characters; digests of the few users of one tab have to differ


def user_digest(request: HttpRequest | None, *, for_all: bool) -> str:
    """Return what stands for the signed-in user, ``""`` for nobody.

    Visitors are nobody, too: they become known in the middle of a page, which a reload has to find again.

    :param for_all: the page is the same for all, unless its view has looked at the session: to look at it
        here would add ``Vary: Cookie``.
    """
    session = getattr(request, "session", None)
    if for_all and not (session is not None and session.accessed):
        return ""
    known = _by_middleware(request) or _by_session(session)
    return salted_hmac(_SALT, known, algorithm="sha256").hexdigest()[:_LENGTH] if known else ""


def _by_middleware(request: Any) -> str:
    """The user that some middleware has in hand; Django's own is asked for when somebody looks at it."""
    user = getattr(request, "user", None)
    return "" if user is None or isinstance(user, LazyObject) or not user.is_authenticated else str(user.pk)


def _by_session(session: Any) -> str:
    """The user whose session it is; in an event loop, where it cannot be loaded, at least which one it is."""
    if session is None:
        return ""
    if session.accessed or not _in_event_loop():
        return str(session.get(SESSION_KEY, ""))
    return session.session_key or ""


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
