"""Documents that were escaped as a whole: one level of escapes is undone on the way in, chunk by chunk."""

from __future__ import annotations

import html
import re

from lingstream.core.parsing.tokenizer import decode

__all__ = ["Unescape", "UnescapeHtml"]


class Unescape:
    r"""Undoes one level of JSON escapes, chunk by chunk."""

    _CERTAIN = re.compile(r"(?:[^\\]+|\\(?:u[0-9a-fA-F]{4}|u(?![0-9a-fA-F]{0,3}\Z)|[^u]))*")
    _TOKEN = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])", re.DOTALL)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        certain = self._CERTAIN.match(text)
        end = certain.end() if certain else 0
        self._held = text[end:]
        return self._TOKEN.sub(lambda match: decode(match[0])[0], text[:end])

    def close(self) -> str:
        """Return the rest."""
        held, self._held = self._held, ""
        return held


class UnescapeHtml(Unescape):
    """Undoes HTML's character references, chunk by chunk."""

    _HALF = re.compile(r"&#?\w{0,9}\Z")

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        half = self._HALF.search(text, max(0, len(text) - 12))
        end = half.start() if half else len(text)
        self._held = text[end:]
        return html.unescape(text[:end])
