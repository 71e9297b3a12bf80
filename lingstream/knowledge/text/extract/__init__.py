"""Files read: their text as Markdown, and what a page says of itself.

:func:`extract` does it here and now, whatever the file does to this process; :class:`.pool.Extractor` has it
done by a child that may be lost.
"""

from __future__ import annotations

from lingstream.core.phrases import Phrase

from .html import extract_html
from .office import extract_office
from .pdf import extract_pdf
from .plain import extract_plain
from .result import MOST_BYTES, Extracted, ExtractionError
from .sniff import kind_of

__all__ = ["Extracted", "ExtractionError", "extract"]


def extract(body: bytes, mime: str, url: str = "") -> Extracted:
    """Return the text of a file.

    :param mime: what its sender calls it; what it is, is seen in the bytes.
    :param url: its address: links are completed with it.
    :raises ExtractionError: there is no text to be had.
    """
    if len(body) > MOST_BYTES:
        message = Phrase("expected up to %(most)s bytes, got %(got)s", most=MOST_BYTES, got=len(body))
        raise ExtractionError("too-large", message)
    kind = kind_of(body, mime, url)
    if kind == "html":
        return extract_html(body, mime, url)
    if kind == "pdf":
        return extract_pdf(body)
    if kind in ("docx", "pptx", "xlsx"):
        return extract_office(body, kind)
    return extract_plain(body, mime)
