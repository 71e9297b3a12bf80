"""Markup of strangers, read as a stream of tags: no tree, nothing from elsewhere, and an end to it.

Entities that a document declares for itself are bounded by libxml2 (as ``huge_tree`` is off): those within
others come to nothing.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

__all__ = ["Reader", "local", "read_html", "read_xml"]

# An end without a beginning is looked for among all tags that are open: unbounded, 2.5 MB of them take hours.
_DEEPEST = 500
_PIECE = 65_536
_HEAD = 1_024
_AMPERSAND = re.compile(rb"&(?!#?\w{1,40};)")
_OUTSIDE = re.compile(rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|(&)(?!#?\w{1,40};)", re.DOTALL)
_MOST_ESCAPED = 500_000  # so that it does not become many times as long
_SAFE: dict[str, Any] = {"no_network": True, "recover": True, "remove_comments": True, "remove_pis": True}


class Reader:
    """What reads the tags of a document; a subclass says what it makes of them.

    ``cut`` tells whether it was left before its end: :meth:`leave`, too many tags, or too many in each other;
    of XML also whether it has none, as half of a file.
    """

    most_tags = 500_000
    longest = 100_000
    """Bytes between two tags of XML, and so of the attributes of one, which are compared with each other."""

    def __init__(self) -> None:
        self.cut = False
        self._tags = 0
        self._open = 0

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag begins; its name has no namespace."""

    def closed(self, tag: str) -> None:
        """A tag has ended."""

    def text(self, data: str) -> None:
        """A piece of text."""

    def leave(self) -> None:
        """Read no further."""
        self.cut = True
        raise _Left

    # What lxml calls.

    def start(self, tag: str, attributes: Any) -> None:
        self._tags += 1
        self._open += 1
        if self._tags > self.most_tags or self._open > _DEEPEST:
            self.leave()
        self.opened(local(tag), {local(name): value for name, value in attributes.items()})

    def end(self, tag: str) -> None:
        self._open -= 1
        self.closed(local(tag))

    def data(self, data: str) -> None:
        self.text(data)

    def close(self) -> None:
        pass

    @property
    def is_open(self) -> bool:
        """Whether a tag has begun and not ended."""
        return self._open > 0


class _Left(Exception):
    """A reader has read what it wants."""


def read_xml(body: bytes, reader: Reader) -> None:
    """Let ``reader`` read XML, as far as it can be read.

    An ampersand that begins no reference, as in addresses that nobody has escaped, is one; libxml2 leaves it
    out, and so what would be another address.
    """
    if long := re.search(rb"<[^<]{%d}" % reader.longest, body):
        reader.cut, body = True, body[: long.start()]
    parser = etree.XMLParser(target=reader, resolve_entities=False, load_dtd=False, huge_tree=False, **_SAFE)
    _feed(parser, _with_ampersands(body))
    reader.cut |= reader.is_open


def read_html(body: bytes, reader: Reader, charset: str = "") -> None:
    """Let ``reader`` read HTML.

    :param charset: the encoding that its sender names.
    """
    try:
        parser = etree.HTMLParser(target=reader, encoding=charset or None, **_SAFE)
    except LookupError:
        parser = etree.HTMLParser(target=reader, **_SAFE)
    _feed(parser, body)


def local(name: object) -> str:
    """A name without its namespace, in lower case; comments and the like have none."""
    return name.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(name, str) else ""


def _with_ampersands(body: bytes) -> bytes:
    if b"\0" in body[:_HEAD] or not _AMPERSAND.search(body):  # two bytes a character, or nothing to do
        return body
    return _OUTSIDE.sub(lambda found: found[0] if found[1] is None else b"&amp;", body, count=_MOST_ESCAPED)


def _feed(parser: Any, body: bytes) -> None:
    # In pieces, so that who leaves does not have the rest read first.
    try:
        for start in range(0, len(body), _PIECE):
            parser.feed(body[start : start + _PIECE])
        parser.close()
    except (_Left, etree.LxmlError):
        return
