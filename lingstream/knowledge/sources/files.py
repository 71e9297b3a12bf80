"""What sources of files share, wherever these lie: which of them are meant, and what they are."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache
from posixpath import splitext
from typing import IO, Any
from urllib.parse import quote

__all__ = ["LARGEST", "OPTIONS", "PATTERNS", "address_of", "is_wanted", "mime_of", "read_up_to"]

#: Bytes of a file.
LARGEST = 20_000_000
#: The files that are meant unless a source says which.
PATTERNS = ("*.md", "*.markdown", "*.txt", "*.html", "*.htm", "*.pdf", "*.docx", "*.pptx", "*.xlsx")

_PIECE = 65_536  # bytes that are read of a file once it has more than it said
_TYPES = {".md": "text/markdown", ".markdown": "text/markdown", ".txt": "text/plain"}

#: Options of a source of files.
OPTIONS: Mapping[str, Any] = {
    "patterns": {"type": "array", "items": {"type": "string"}, "title": "names", "maxItems": 100},
    "url": {"type": "string", "title": "address of a file, with {path} in it"},
}


def is_wanted(key: str, patterns: tuple[str, ...]) -> bool:
    """Whether a file's path, or its name, fits one of the patterns."""
    try:
        key.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 is no key
        return False
    wanted = _wanted(patterns)
    return bool(wanted.match(key) or wanted.match(key, key.rfind("/") + 1))


@lru_cache
def _wanted(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def mime_of(name: str) -> str:
    """Return what a file is by its name, ``""`` where that does not say."""
    return _TYPES.get(splitext(name)[1].lower()) or mimetypes.guess_type(name)[0] or ""


def read_up_to(file: IO[bytes], most: int, size: int) -> bytes:
    """Return what is in an open file, also where a read gives less than there is.

    Room is made for what it has, and not for all that it may have: that takes longer than to read most files.

    :param most: bytes that are read of it.
    :param size: bytes that it has, as far as that is known.
    """
    parts: list[bytes] = []
    room = size + 1
    while data := file.read(min(room, most)):
        parts.append(data)
        most -= len(data)
        room = _PIECE
    return b"".join(parts)


def address_of(key: str, template: str) -> str:
    """Return where a person opens a file.

    :param template: an address with ``{path}`` in it; ``""``: nowhere.
    """
    return template.replace("{path}", quote(key)) if template else ""
