"""Origins of other sites' pages, as a chat lists them: ``https://shop.example``, ``https://*.example.com``."""

from __future__ import annotations

import re

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["admits", "check_origin"]

_LONGEST = 300
_ORIGIN = re.compile(r"(https?://)(\*\.)?([a-z0-9.-]+)(:[0-9]{1,5})?")


def check_origin(pattern: str) -> None:
    """Check one entry of such a list: a browser compares it with what a page comes from, to the letter.

    :raises UsageError: no page's origin is like that, or it would admit those of a whole top-level domain.
    """
    found = _ORIGIN.fullmatch(pattern) if len(pattern) <= _LONGEST else None
    if not found or not all(_is_label(label) for label in found[3].split(".")):
        message = Phrase(
            "expected an origin like https://example.com or https://*.example.com, in lower case and without "
            "a path, got %(got)s",
            got=f"{pattern!r:.80}",
        )
        raise UsageError(message)
    if found[2] and "." not in found[3]:
        message = Phrase(
            "expected two names at least behind the star, as in *.example.com, got %(got)r", got=pattern
        )
        raise UsageError(message)


def admits(pattern: str, origin: str) -> bool:
    """Whether a page of ``origin`` is one of ``pattern``; the star stands for one name or several."""
    scheme, star, rest = pattern.partition("*.")
    if not star:
        return origin == pattern
    name = origin.removeprefix(scheme).removesuffix(rest)
    return (
        origin == f"{scheme}{name}{rest}" and name.endswith(".") and all(map(_is_label, name[:-1].split(".")))
    )


def _is_label(text: str) -> bool:
    return 0 < len(text) < 64 and text.replace("-", "").isalnum() and text[0] != "-" != text[-1]
