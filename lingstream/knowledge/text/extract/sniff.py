"""What a file is: seen in its bytes. What its sender calls it decides between kinds of text only."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Literal, TypeAlias
from zipfile import BadZipFile, ZipFile

from lingstream.core.phrases import Phrase

from .result import ExtractionError

__all__ = ["Kind", "kind_of"]

Kind: TypeAlias = Literal["html", "pdf", "docx", "pptx", "xlsx", "markdown", "plain"]

#: Bytes that are looked at.
SAMPLE = 4_096

# A comment in one way only: among n of them that could take in the next one, 2ⁿ ways are tried.
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<!--(?:[^-]|-(?!->))*-->|<\?xml[^>]*>)*<(?:!doctype\s+html|html|head|body)[\s>]",
    re.I,
)
_OFFICE: dict[str, Kind] = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx"}
_MARKDOWN = frozenset(("text/markdown", "text/x-markdown"))
_PLAIN = frozenset(
    ("", "application/octet-stream", "application/json", "application/yaml", "application/toml")
)
_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))
_NAMES = re.compile(r"\.(?:md|markdown|mdown)$", re.I)
# NUL and what else no text has, in any encoding that leaves ASCII alone.
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def kind_of(body: bytes, mime: str = "", url: str = "") -> Kind:
    """Return what ``body`` is.

    :param mime: what it is called, with parameters or without.
    :param url: address or name; its ending tells Markdown from plain text.
    :raises ExtractionError: ``unknown-type``.
    """
    head = body[:SAMPLE]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\3\4"):
        return _kind_of_zip(body)
    if _HTML.match(head):
        return "html"
    name = mime.partition(";")[0].strip().lower()
    if head.startswith(_WIDE) or not _BINARY.search(head):
        return _kind_of_text(head, name, url)
    raise _unknown(name)


def _kind_of_text(head: bytes, name: str, url: str) -> Kind:
    if name in _HTML_TYPES:
        return "html"
    if name in _MARKDOWN or _NAMES.search(url.partition("?")[0].partition("#")[0]):
        return "markdown"
    if name in _PLAIN or (name.startswith("text/") and not head.lstrip().startswith((b"<?xml", rb"{\rtf"))):
        return "plain"
    raise _unknown(name)


def _kind_of_zip(body: bytes) -> Kind:
    try:
        names = ZipFile(BytesIO(body)).namelist()
    except (BadZipFile, ValueError, NotImplementedError, OSError) as error:
        message = Phrase("expected an office file, got a broken archive: %(why)s", why=str(error))
        raise ExtractionError("unknown-type", message) from error
    for folder, kind in _OFFICE.items():
        if "[Content_Types].xml" in names and any(name.startswith(folder) for name in names):
            return kind
    raise ExtractionError("unknown-type", Phrase("expected a document, got an archive of other files"))


def _unknown(name: str) -> ExtractionError:
    message = Phrase(
        "expected HTML, PDF, docx, pptx, xlsx, Markdown or plain text, got something else (%(got)s)",
        got=name[:80] or Phrase("of no type"),
    )
    return ExtractionError("unknown-type", message)
