"""Texts made even: the same words are the same characters, and nothing in them troubles a database."""

from __future__ import annotations

import re
from unicodedata import combining, normalize

__all__ = ["normalise", "with_bounded_marks"]

#: Marks that may stand on one letter, as in the Unicode standard's Stream-Safe Text Format.
MOST_MARKS = 30

# What most texts have nothing of but what is even already: letters of Europe, quotation marks, dashes.
_UNEVEN = re.compile("[^\t\n -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e]")
_LINE_ENDS = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# A hyphen that shows at the end of a line only, and what has no width; joiners stay, as they change letters.
_UNSEEN = re.compile("\u00ad\n?|[\u200b\u2060\ufeff]")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f]")
_HALVES = re.compile("[\ud800-\udfff]")
_GAPS = re.compile(r"\n{3,}")
_BARE = re.compile(rf"[^\w\s!-~]{{{MOST_MARKS + 1},}}")


def normalise(text: str) -> str:
    """Return ``text`` in NFC, with plain spaces and line ends and at most one empty line in a row.

    Case and the spaces at the beginning of a line (code, nested lists) are kept. Soft hyphens, characters
    without width and control characters go; half a surrogate pair becomes U+FFFD. Doing it twice changes
    nothing more.
    """
    if _UNEVEN.search(text):
        text = _UNSEEN.sub("", _SPACES.sub(" ", _CONTROL.sub("", _LINE_ENDS.sub("\n", text))))
        text = normalize("NFC", with_bounded_marks(_HALVES.sub("\ufffd", text)))
    if " \n" in text or "\t\n" in text or text.endswith((" ", "\t")):
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    return (_GAPS.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def with_bounded_marks(text: str) -> str:
    """Return ``text`` with at most :data:`MOST_MARKS` marks on one letter.

    ``unicodedata.normalize`` sorts them, in quadratic time: 40,000 of them take six seconds.
    """
    return text if text.isascii() else _BARE.sub(_bounded, text)


def _bounded(run: re.Match[str]) -> str:
    kept, marks = [], 0
    for char in run[0]:
        marks = marks + 1 if combining(char) else 0
        if marks <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)
