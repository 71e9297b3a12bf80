"""Who the visitor of an embedded chat is, where the site around it says so: by a JWT that it has signed."""

from __future__ import annotations

import json

import jwt

from ..core.exceptions import AccessError
from ..models import Chat
from .visitors import new_visitor

__all__ = ["vouched_visitor"]

_LONGEST = 4_096
_LEEWAY = 30  # seconds by which two sites' clocks may differ


def vouched_visitor(chat: Chat, token: str, scope: str = "") -> str:
    """Return the id of the visitor for whom another site vouches: always the same one for the same ``sub``.

    :param scope: the tenant in which that counts.
    :param token: a JWT of the claims ``sub`` (a text, how that site knows the person) and ``exp``, signed by
        HS256 with :attr:`Chat.embed_secret`.
    :raises AccessError: ``visitor``: it is not, or it has expired.
    """
    try:
        claims = jwt.decode(
            token[:_LONGEST],
            chat.embed_secret(scope),
            algorithms=["HS256"],
            leeway=_LEEWAY,
            options={"require": ["sub", "exp"]},
        )
    except jwt.ExpiredSignatureError:
        raise AccessError("the token of the visitor has expired", code="visitor") from None
    except jwt.InvalidTokenError:
        raise AccessError(
            "expected a JWT with sub and exp, signed by HS256 with the chat's embed secret", code="visitor"
        ) from None
    return new_visitor(json.dumps([chat.pk, scope, claims["sub"]]), of="embed")
