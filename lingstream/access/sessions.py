"""Sessions as their store has them now: a connection that lives long holds one as it was when it was opened.

All of it may use the ORM: call it in a thread.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user,
    get_user_model,
    load_backend,
)
from django.http import HttpRequest

from ..core.exceptions import AccessError

__all__ = ["CurrentSession", "SessionEnded", "current", "is_over", "signs_in", "stored", "user_now"]

logger = logging.getLogger("lingstream")


class SessionEnded(AccessError):
    """The session of a connection has ended: who has opened it comes back as who it is now."""


def stored(session: Any) -> Any:
    """Return the session of this key as it is stored now."""
    return import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)


class CurrentSession(dict[str, Any]):
    """What is stored of a session now, to read only: no socket can tell its browser of another key.

    :param session: as it was when the connection was opened.
    """

    def __init__(self, session: Any) -> None:
        now = stored(session)
        super().__init__(now.items())  # loads it: a key that names no session is dropped
        self.session_key: str | None = now.session_key

    def flush(self) -> None:
        """Be nobody's: Django does this where the password is another one since."""
        self.clear()
        self.session_key = None

    def cycle_key(self) -> None:
        """Keep the key: Django does this where the session was signed with an earlier secret."""


def current(session: Any) -> CurrentSession:
    """Return a session as it is now.

    :raises SessionEnded: it has given way to another one, that its browser shows by now.
    """
    now = CurrentSession(session)
    if not now.session_key and _has_moved(session):
        raise SessionEnded("the session goes on under another key: open the connection again")
    return now


def signs_in(session: Any, user: Any) -> bool:
    """Whether it is by this session that the user is signed in."""
    if not user.is_authenticated or SESSION_KEY not in session:
        return False
    return bool(get_user_model()._meta.pk.to_python(session[SESSION_KEY]) == user.pk)


def user_now(session: CurrentSession) -> Any:
    """Return whom a session signs in: nobody who is locked, or whose password has been changed elsewhere."""
    request = HttpRequest()
    request.session = session  # type: ignore[assignment]
    return get_user(request)


def is_over(session: Any) -> bool:
    """Whether a session that was there is not any more, or signs nobody in that it did.

    It has expired, or was ended without a logout; its user is locked, or has another password.

    Where sessions are kept may be away: then it is taken to be there, and who looks again will be told.
    """
    try:
        now = CurrentSession(session)
        if SESSION_KEY in session and not user_now(now).is_authenticated:
            return True
    except Exception as error:
        logger.warning("nobody can say whether a session is still there: %s", error)
        return False
    return not now.session_key or (not now and bool(session.keys()))


def _has_moved(session: Any) -> bool:
    """Whether a session that is not there any more went on under another key, as far as can be told.

    A login changes it, and so does who changes his own password; a logout deletes it. So nobody can have
    signed out whom it never signed in, nor need who has another password since.
    """
    if SESSION_KEY not in session:
        return True
    pk = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
    backend = session.get(BACKEND_SESSION_KEY)
    user = load_backend(backend).get_user(pk) if backend in settings.AUTHENTICATION_BACKENDS else None
    hash_now = getattr(user, "get_session_auth_hash", None)
    return bool(hash_now and session.get(HASH_SESSION_KEY) != hash_now())
