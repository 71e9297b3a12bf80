"""Visitors: people without a login, who are known again by a random id.

The id lies in the data of their session, which a login keeps (it changes the session's key), or in a signed
token that the client keeps: ``Authorization: Ling-Visitor …``. Rows hold a digest of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Literal

from django.core import signing
from django.utils.crypto import salted_hmac

from ..core.exceptions import AccessError
from .sessions import stored

__all__ = [
    "SESSION_KEY",
    "VISITOR_MAX_AGE",
    "digest_of",
    "keep_visitor",
    "make_visitor_token",
    "new_visitor",
    "renewed",
    "shown_visitor",
    "visitor_of",
]

SESSION_KEY = "lingstream_visitor"
VISITOR_MAX_AGE = 30 * 86_400  # seconds; each day of use begins them anew

_SALT = "lingstream.visitor"
_SCHEME = "ling-visitor"
_RENEW_AFTER = 86_400


def new_visitor(key: str = "", *, of: Literal["start", "session", "embed"] = "start") -> str:
    """Return an id that nobody has.

    :param key: what makes the visitor known: the same gives the same id, to two starts at once and to one
        that is repeated as its answer was lost.
    :param of: whose key it is, that of a first start, a session's digest or what another site vouches for.
        A client chooses the first one: it must never lead to the id of another kind.
    """
    if key:
        return salted_hmac(f"{_SALT}.{of}", key, algorithm="sha256").hexdigest()[:32]
    return secrets.token_hex(16)


def digest_of(visitor: str) -> str:
    """Return what rows hold of an id; ``""`` for nobody."""
    return salted_hmac(_SALT, visitor, algorithm="sha256").hexdigest()[:40] if visitor else ""


def visitor_of(session: Mapping[str, Any]) -> str:
    """Return the id in a session, or ``""``; it may load the session."""
    found = session.get(SESSION_KEY)
    return found if isinstance(found, str) else ""


def keep_visitor(session: Any, visitor: str) -> bool:
    """Store an id in a socket's session, beside what requests have stored there since it was opened.

    :returns: false where there is no session to store it in: none was begun, or it was ended meanwhile.
    """
    now = stored(session)
    now[SESSION_KEY] = visitor
    if not now.session_key:
        return False
    now.save()
    session[SESSION_KEY] = visitor
    return True


def make_visitor_token(visitor: str) -> str:
    """Return the token that a client without a session shows in the header, and never in a URL."""
    return signing.dumps({"v": visitor}, salt=_SALT)


def shown_visitor(authorization: str) -> str:
    """Return the id in the header ``Authorization``, ``""`` where it holds something else.

    :raises AccessError: ``visitor``: a token that has expired, or is none.
    """
    token = _token_in(authorization)
    return "" if token is None else _read(token, VISITOR_MAX_AGE)


def renewed(authorization: str) -> str:
    """Return a new token for one that is good and older than a day, else ``""``."""
    token = _token_in(authorization)
    visitor = _good(token, VISITOR_MAX_AGE) if token else ""
    return make_visitor_token(visitor) if token and visitor and not _good(token, _RENEW_AFTER) else ""


def _token_in(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else None


def _good(token: str, max_age: int) -> str:
    try:
        return _read(token, max_age)
    except AccessError:
        return ""


def _read(token: str, max_age: int) -> str:
    try:
        found = signing.loads(token, salt=_SALT, max_age=max_age)
    except signing.SignatureExpired:
        raise AccessError("the visitor's token has expired", code="visitor") from None
    except signing.BadSignature:
        raise AccessError("expected a visitor's token of this site, got another", code="visitor") from None
    return str(found["v"])
