"""What the tokens given at start prove: ``token`` reads and cancels, ``share`` only reads.

Both are signed and name one run. They have different salts, so that neither passes for the other.
"""

from __future__ import annotations

from typing import Any

from django.core import signing

from ..conf import app_settings
from ..core.exceptions import AccessError

__all__ = ["check_share", "check_token", "is_share", "make_share", "make_token"]

_TOKEN = "lingstream.run"  # noqa: S105  # a salt, which is no secret
_SHARE = "lingstream.share"


def make_token(run_id: Any) -> str:
    """Return the token that opens a run to who started it, for ``TOKEN_MAX_AGE`` seconds."""
    return _signer(_TOKEN).sign(str(run_id))


def make_share(run_id: Any) -> str:
    """Return the token that lets others read a run: it may stand in a page or in a URL."""
    return _signer(_SHARE).sign(str(run_id))


def is_share(text: str) -> bool:
    """Whether ``text`` was made by :func:`make_share`, however long ago."""
    return _signed(text, _SHARE)


def check_token(run_id: Any, text: str, *, reading: bool) -> None:
    """Check that ``text`` opens the run, to read it (then a share will do) or to do more.

    :raises AccessError: it does not.
    """
    if is_share(text):
        if not reading:
            raise AccessError("expected the run's token, got its share, which only reads")
        _check(run_id, text, _SHARE)
    else:
        _check(run_id, text, _TOKEN)


def check_share(text: str) -> None:
    """Check what came in a URL, which servers log and browsers keep: a share, and nothing that does more.

    :raises AccessError: another token.
    """
    if _signed(text, _TOKEN):
        raise AccessError("expected a share in the URL; the token goes into the header Authorization: Ling …")


def _check(run_id: Any, text: str, salt: str) -> None:
    try:
        subject = _signer(salt).unsign(text, max_age=app_settings().token_max_age)
    except signing.SignatureExpired:
        raise AccessError("the token has expired") from None
    except signing.BadSignature:
        raise AccessError("expected a token that the start returned, got another") from None
    if subject != str(run_id):
        raise AccessError("the token is another run's")


def _signed(text: str, salt: str) -> bool:
    try:
        _signer(salt).unsign(text)
    except signing.BadSignature:
        return False
    return True


def _signer(salt: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=salt)
