"""Who asks: user, session, tenant and address, from a request of HTTP or from a socket's scope.

Everything here may use the ORM (the user is loaded late, ``SCOPE`` may look a tenant up): call it in a
thread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from ipaddress import IPv6Network, ip_address
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost, PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string
from django.utils.translation import get_language_from_request

from ..conf import app_settings
from ..core.exceptions import AccessError, ConfigurationError, InternalError, LingError, UsageError
from ..core.phrases import Phrase
from ..models import owner_key
from .origins import foreign_origin
from .sessions import CurrentSession, current, signs_in, user_now
from .visitors import SESSION_KEY, digest_of, shown_visitor, visitor_of

__all__ = [
    "UNKNOWN",
    "Identity",
    "ScopeRequest",
    "address_of",
    "identify",
    "identify_socket",
    "language_of",
    "scope_of",
]

logger = logging.getLogger("lingstream")

_SALT = "lingstream.run"
_DIGEST = re.compile(r"[0-9a-f]{40}")  # a session key of Django's has 32 characters
UNKNOWN = "unknown"  # an address that the server does not tell, as behind a Unix socket
_LOCALE = "django.middleware.locale.LocaleMiddleware"
_LONGEST_SCOPE = 200  # as the column


class Identity(NamedTuple):
    """Who asks.

    :param user: a Django user, anonymous or not.
    :param session: a digest of the session key (the key itself is a credential and is not stored), or ``""``.
    :param scope: the tenant, where the site has a ``SCOPE`` function; ``None`` is every tenant.
    :param address: where it came from, or ``unknown``.
    :param visitor: a digest of the id of a visitor (:mod:`.visitors`), or ``""``.
    :param trusted: the site's own code asks, which has decided already: neither access nor throttle bounds
        its starts.
    """

    user: Any
    session: str = ""
    scope: str | None = ""
    address: str = UNKNOWN
    visitor: str = ""
    trusted: bool = False

    @classmethod
    def of(
        cls,
        user: Any,
        session_key: str | None,
        scope: str | None = "",
        address: str = UNKNOWN,
        visitor: str = "",
    ) -> Identity:
        """Return the identity of a user, the session key that came in the cookie, and a visitor's id."""
        return cls(user or AnonymousUser(), _digest(session_key), scope, address, digest_of(visitor))

    @classmethod
    def of_site(
        cls, owner: Any = None, session: str | None = "", scope: str = "", visitor: str = ""
    ) -> Identity:
        """Return the identity of a start by the site's own code: a command, a view, a task.

        :param owner: whose run it will be.
        :param session: the key of a visitor's session, or its digest, where it is a visitor's.
        :param visitor: the digest of a visitor's id.
        """
        digest = session if session and _DIGEST.fullmatch(session) else _digest(session)
        return cls(owner or AnonymousUser(), digest, scope, visitor=visitor, trusted=True)

    @property
    def owner_id(self) -> Any:
        """The user's primary key, or ``None``."""
        return self.user.pk if self.user.is_authenticated else None

    @property
    def owner_key(self) -> str:
        """What :attr:`Run.owner_key` is for runs of this identity."""
        return owner_key(self.owner_id, self.session, self.visitor)

    @property
    def owner_keys(self) -> tuple[str, ...]:
        """That, and what it was before the visitor was known by more than a session."""
        if self.owner_id is not None or not (self.visitor and self.session):
            return (self.owner_key,)
        return self.owner_key, owner_key(None, self.session)

    @property
    def owned(self) -> dict[str, Any]:
        """The columns of a row that belongs to this identity; who is a visitor needs no session."""
        whose: dict[str, Any] = {"owner_id": self.owner_id, "scope": self.tenant}
        if self.owner_id is None and self.visitor:
            return {**whose, "visitor": self.visitor}
        return {**whose, "session_key": self.session}

    @property
    def tenant(self) -> str:
        """The scope of the rows that this identity makes: who sees every tenant belongs to none."""
        return self.scope or ""

    def unproven(self) -> Identity:
        """Return who is left where the cookie proves nothing: nobody, in the same tenant."""
        return self._replace(user=AnonymousUser(), session="", visitor="")

    def sees(self, scope: str) -> bool:
        """Whether rows of this scope exist for this identity."""
        return self.scope is None or self.scope == scope


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """What a ``SCOPE`` function is asked about, the same for HTTP and for a socket.

    :param user: a Django user, anonymous or not.
    :param host: as ``HttpRequest.get_host()`` gives it: checked against ``ALLOWED_HOSTS``.
    :param headers: by name, in any case.
    """

    user: Any
    host: str
    path: str
    headers: Mapping[str, str]


def identify(request: HttpRequest) -> Identity:
    """Return who sends a request, as Django's middleware has it.

    A visitor's token decides alone: then nothing speaks for the request that a browser sends by itself. So it
    is with a page of another origin, which a chat lists.

    :raises AccessError: the site's ``SCOPE`` refuses; ``visitor``: a visitor's token that is not good.
    """
    address = address_of(request)
    visitor = shown_visitor(request.headers.get("Authorization", ""))
    if visitor or foreign_origin(request):
        return Identity.of(None, None, scope_of(request, AnonymousUser()), address, visitor)
    user = getattr(request, "user", None) or AnonymousUser()
    session = getattr(request, "session", None)
    key = None
    if session is not None:
        session.keys()  # loads it: the key of a cookie that names no session is nobody's
        key = session.session_key
        visitor = visitor_of(session)
    return Identity.of(user, key, scope_of(request, user), address, visitor)


def identify_socket(scope: Mapping[str, Any], visitor_token: str = "") -> Identity:
    """Return who is at the other end of a WebSocket now; see :func:`identify`.

    It was opened long ago: its session may have ended since, and the user who it signs in been locked.

    :param visitor_token: what it has shown, as no browser can send it in a header.
    :raises SessionEnded: it has gone on as another one, which the socket's browser would show now.
    """
    request = ASGIRequest({**scope, "method": "GET"}, BytesIO())
    if visitor_token:
        request.META["HTTP_AUTHORIZATION"] = f"Ling-Visitor {visitor_token}"
    request.user = scope.get("user") or AnonymousUser()
    if (session := scope.get("session")) is not None and not visitor_token:
        signed_in = signs_in(session, request.user)
        session.keys()  # loads it: what was not there when the socket was opened cannot have ended
        if session.session_key:  # else it is new, and stored nowhere
            session = _now(session)
            if signed_in:
                request.user = user_now(session)
        request.session = session  # type: ignore[assignment]
    return identify(request)


def language_of(scope: Mapping[str, Any]) -> str:
    """Return the language of a WebSocket's reader: as ``LocaleMiddleware`` has it, where the site does."""
    if _LOCALE not in settings.MIDDLEWARE:
        return settings.LANGUAGE_CODE
    return get_language_from_request(ASGIRequest({**scope, "method": "GET"}, BytesIO()))


def scope_of(request: HttpRequest, user: Any) -> str | None:
    """Return the tenant of a request; ``None``, which is every one, for superusers only.

    :raises AccessError: ``None`` for somebody else, or the function raised ``PermissionDenied``.
    :raises UsageError: ``host``: the request names a host that the site does not have.
    :raises ConfigurationError: what it returned is no scope.
    """
    path = app_settings().scope
    if not path:
        return ""
    try:
        asked = ScopeRequest(user, request.get_host(), request.path, request.headers)
        found = import_string(path)(asked)
    except LingError:
        raise
    except DisallowedHost:
        raise UsageError(Phrase("expected a host of this site"), code="host") from None
    except PermissionDenied:
        raise AccessError(Phrase("this site does not say whose request this is")) from None
    except Exception:
        logger.exception("the SCOPE function %s failed", path)
        raise InternalError(Phrase("the request")) from None
    if found is None and not getattr(user, "is_superuser", False):
        raise AccessError(Phrase("this site does not say whose request this is"))
    if not (found is None or (isinstance(found, str) and len(found) <= _LONGEST_SCOPE)):
        message = Phrase(
            "expected %(path)s to return None or up to %(most)s characters, got %(got)s",
            path=path,
            most=_LONGEST_SCOPE,
            got=f"{found!r:.80}",
        )
        raise ConfigurationError(message)
    return found


def address_of(request: HttpRequest) -> str:
    """Return where a request comes from: with ``TRUSTED_PROXIES = n`` what the n-th proxy from here saw.

    What stands further left in ``X-Forwarded-For`` was written by the visitor. An IPv6 address stands for its
    /64, which one visitor has to himself.
    """
    address = request.META.get("REMOTE_ADDR") or UNKNOWN
    if (proxies := app_settings().trusted_proxies) > 0:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= proxies and hops[-proxies]:
            address = hops[-proxies]
    return _network(address)


def _now(session: Any) -> CurrentSession:
    now = current(session)
    # Of a session in a cookie nothing is stored here, nor the visitor that it became on the socket.
    if now.session_key and (visitor := visitor_of(session)):
        now.setdefault(SESSION_KEY, visitor)
    return now


def _digest(session_key: str | None) -> str:
    # The algorithm with which the rows that exist were written.
    return salted_hmac(_SALT, session_key, algorithm="sha1").hexdigest() if session_key else ""


def _network(text: str) -> str:
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]  # IPv4 with a port
    try:
        address = ip_address(bare)
    except ValueError:
        return UNKNOWN
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
