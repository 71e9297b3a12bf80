"""PDF files by pypdfium2: the text that they hold. What was scanned holds none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lingstream.core.phrases import Phrase

from .result import MOST_TEXT, Extracted, ExtractionError, bounded

__all__ = ["MOST_PAGES", "extract_pdf"]

MOST_PAGES = 500

# Pdfium's sign for a hyphen at the end of a line that is no part of the word.
_HYPHEN = re.compile("[\ufffe\x02][ \r]*\n?")


def extract_pdf(body: bytes) -> Extracted:
    """Return the text of a PDF, page by page.

    :raises ExtractionError: ``no-text-layer``, ``too-large``, ``package-missing``, ``unknown-type``.
    """
    try:
        import pypdfium2
    except ImportError as error:
        message = Phrase("PDF needs pypdfium2: pip install 'lingstream[knowledge]'")
        raise ExtractionError("package-missing", message) from error
    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        message = Phrase("expected a PDF without a password, got none: %(why)s", why=str(error))
        raise ExtractionError("unknown-type", message) from error
    try:
        if len(document) > MOST_PAGES:
            message = Phrase("expected up to %(most)s pages, got %(got)s", most=MOST_PAGES, got=len(document))
            raise ExtractionError("too-large", message)
        text = "\n\n".join(_pages(document))
        title = document.get_metadata_dict().get("Title", "")
    finally:
        document.close()
    if not text.strip():
        raise ExtractionError("no-text-layer", Phrase("no text layer (no OCR): its pages are pictures"))
    return Extracted(bounded(text), title=" ".join(title.split())[:500])


def _pages(document: Any) -> Iterator[str]:
    size = 0
    for number in range(len(document)):
        page = document[number]
        content = page.get_textpage()
        try:
            text = _HYPHEN.sub("", content.get_text_bounded().replace("\r\n", "\n"))
        finally:
            content.close()
            page.close()
        yield text.strip()
        size += len(text)
        if size > MOST_TEXT:
            return
