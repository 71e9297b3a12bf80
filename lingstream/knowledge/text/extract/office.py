"""Office files (docx, pptx, xlsx) by markitdown, after a look at how large they become."""

from __future__ import annotations

import re
from io import BytesIO
from zipfile import ZipFile

from .result import Extracted, ExtractionError, bounded

__all__ = ["extract_office"]

MOST_MEMBERS = 5_000
#: Bytes, unpacked.
MOST_UNPACKED = 100_000_000
#: Bytes unpacked for each packed one; what is small anyway may be packed as well as it likes.
MOST_RATIO = 150
SMALL = 1_000_000

_PICTURE = re.compile(r"!\[[^\[\]]*\]\([^()\s]*\)")
# What pandas calls cells and columns without anything in them.
_EMPTY_CELL = re.compile(r"(?<=\|) (?:NaN|Unnamed: \d+) (?=\|)")


def extract_office(body: bytes, kind: str) -> Extracted:
    """Return the text of an office file.

    :raises ExtractionError: ``too-large`` before it is unpacked, ``package-missing``, ``unknown-type``.
    """
    _check_size(body)
    try:
        from markitdown import StreamInfo, converters
    except ImportError as error:
        raise ExtractionError(
            "package-missing", f"{kind} needs markitdown: pip install 'lingstream[office]'"
        ) from error
    convert = getattr(converters, f"{kind.capitalize()}Converter")().convert
    try:
        text = convert(BytesIO(body), StreamInfo(extension=f".{kind}")).markdown
    except MemoryError:
        raise
    except Exception as error:  # of ten libraries, each with exceptions of its own
        raise ExtractionError(
            "unknown-type", f"expected {kind}, got a file that is none: {error!r:.300}"
        ) from error
    return Extracted(bounded(_EMPTY_CELL.sub("  ", _PICTURE.sub("", text)).strip()))


def _check_size(body: bytes) -> None:
    members = ZipFile(BytesIO(body)).infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or unpacked > MOST_UNPACKED:
        raise ExtractionError(
            "too-large",
            f"expected up to {MOST_MEMBERS} parts and {MOST_UNPACKED} bytes, "
            f"got {len(members)} and {unpacked} when unpacked",
        )
    if unpacked > max(SMALL, MOST_RATIO * len(body)):
        raise ExtractionError(
            "too-large", f"expected a file that unpacks to {MOST_RATIO} times its size, got {unpacked} bytes"
        )
