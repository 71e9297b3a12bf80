"""Office files (docx, pptx, xlsx) by markitdown, after a look at how large they become."""

from __future__ import annotations

import re
from io import BytesIO
from zipfile import ZipFile

from lingstream.core.phrases import Phrase

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
        message = Phrase("%(kind)s needs markitdown: pip install 'lingstream[office]'", kind=kind)
        raise ExtractionError("package-missing", message) from error
    convert = getattr(converters, f"{kind.capitalize()}Converter")().convert
    try:
        text = convert(BytesIO(body), StreamInfo(extension=f".{kind}")).markdown
    except MemoryError:
        raise
    except Exception as error:  # of ten libraries, each with exceptions of its own
        message = Phrase(
            "expected %(kind)s, got a file that is none: %(why)s", kind=kind, why=f"{error!r:.300}"
        )
        raise ExtractionError("unknown-type", message) from error
    return Extracted(bounded(_EMPTY_CELL.sub("  ", _PICTURE.sub("", text)).strip()))


def _check_size(body: bytes) -> None:
    members = ZipFile(BytesIO(body)).infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or unpacked > MOST_UNPACKED:
        message = Phrase(
            "expected up to %(most)s parts and %(bytes)s bytes, got %(got)s and %(unpacked)s when unpacked",
            most=MOST_MEMBERS,
            bytes=MOST_UNPACKED,
            got=len(members),
            unpacked=unpacked,
        )
        raise ExtractionError("too-large", message)
    if unpacked > max(SMALL, MOST_RATIO * len(body)):
        message = Phrase(
            "expected a file that unpacks to %(most)s times its size, got %(got)s bytes",
            most=MOST_RATIO,
            got=unpacked,
        )
        raise ExtractionError("too-large", message)
