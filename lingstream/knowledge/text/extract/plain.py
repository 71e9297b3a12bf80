"""Text files: in which characters they are written."""

from __future__ import annotations

import codecs
import re

from .result import Extracted, bounded

__all__ = ["decode", "extract_plain", "utf8"]

#: Bytes that an encoding is guessed from.
SAMPLE = 65_536

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# What browsers take these names for, as most pages under them are written in the larger set.
_MEANT = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "shift_jis": "cp932",
}
# Codecs of Python that are none of characters, or that no text has: only these are taken at their word.
_KNOWN = re.compile(
    r"utf-(?:8|16|16-le|16-be)|cp(?:125\d|866|874|932|949)|gb18030|big5hkscs|euc_jp|iso2022_jp"
    r"|iso8859-\d+|koi8-[ru]|mac-roman"
)


def extract_plain(body: bytes, mime: str = "") -> Extracted:
    """Return a text file as it is.

    :raises ExtractionError: ``too-large``.
    """
    return Extracted(bounded(decode(body, mime)))


def utf8(body: bytes) -> str | None:
    """Return the text of UTF-8, ``None`` of what is something else."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def decode(body: bytes, mime: str = "", declared: str = "") -> str:
    """Return the text in ``body``; what cannot be read is U+FFFD.

    A byte order mark decides, then what is valid UTF-8 is that, then what the sender says (the parameter
    ``charset`` of ``mime``), then what the file says, then a guess by charset-normalizer, where it is
    installed.

    :param declared: the encoding that a file names in itself.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    if (text := utf8(body)) is not None:
        return text
    charset = _CHARSET.search(mime)
    for name in (_known(charset[1] if charset else ""), _known(declared)):
        if name and name != "utf-8":
            return body.decode(name, "replace")
    return body.decode(_guessed(body[:SAMPLE]) or "cp1252", "replace")


def _known(label: str) -> str:
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return ""
    name = _MEANT.get(name, name)
    return name if _KNOWN.fullmatch(name) else ""


def _guessed(sample: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return ""
    best = from_bytes(sample).best()
    return _known(best.encoding) if best else ""
