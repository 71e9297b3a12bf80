"""Requests of other systems that are signed with a secret which both sides have.

``Ling-Signature: t=<unix seconds>,v1=<HMAC-SHA256 of "t.body" in hex>``, with up to four ``v1``: a sender may
sign with an old secret and a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time

from lingstream.core.exceptions import AccessError
from lingstream.core.phrases import Phrase

__all__ = ["VALID", "digest", "is_signed", "refusal", "signature"]

#: Seconds by which the sender's clock may be another, and for which a request is good.
VALID = 300

_SIGNATURE = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,4})")


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the header that a request with this body needs, sent at ``at`` (seconds since 1970)."""
    return f"t={at},v1={digest(secret, str(at), body)}"


def is_signed(header: str, secret: str, body: bytes) -> bool:
    """Whether ``header`` signs a body with this secret, and has done so just now."""
    found = _SIGNATURE.fullmatch(header)
    at, given = (found[1], found[2].split(",v1=")[1:]) if found else ("0", [""])
    right = digest(secret, at, body)
    matches = [hmac.compare_digest(right, each) for each in given]
    return any(matches) and abs(time.time() - int(at)) <= VALID


def refusal(of: Phrase) -> AccessError:
    """Return what whoever cannot sign is told, whatever the reason.

    :param of: whose secret it is.
    """
    message = Phrase(
        'expected Ling-Signature: t=<seconds>,v1=<HMAC-SHA256 of "t.body" in hex>, signed in these '
        "%(valid)s s with the secret of this %(of)s",
        valid=VALID,
        of=of,
    )
    return AccessError(message)


def digest(secret: str, at: str, body: bytes) -> str:
    """Return HMAC-SHA256 of a body and a word before it."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
