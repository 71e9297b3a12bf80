"""Sitemaps (sitemaps.org): lists of pages and lists of lists, as XML or as lines, packed or not."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .dates import latest
from .links import MOST_CHARACTERS, normalise
from .markup import Reader, read_xml

__all__ = ["MOST_BYTES", "Sitemap", "read_sitemap"]

#: Bytes of a sitemap, unpacked.
MOST_BYTES = 20 * 1024 * 1024

_LONGEST_DATE = 100
_MANY = 20  # pages
_GZIP = 31  # zlib's word for it
_MAGIC = b"\x1f\x8b"


@dataclass(slots=True)
class Sitemap:
    """One file.

    :param pages: normalised addresses of pages, each once, in their order.
    :param sitemaps: and of further sitemaps.
    :param cut: there is more of it than was read.
    :param dates: when pages have changed last, of those that it says that of.
    """

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    cut: bool = False
    dates: dict[str, datetime] = field(default_factory=dict)


def read_sitemap(body: bytes, url: str, most: int) -> Sitemap:
    """Return what a sitemap lists; it may take a second of CPU.

    :param url: where it is.
    :param most: addresses that are read.
    :raises UsageError: it is no sitemap.
    """
    body, cut = _unpacked(body)
    reader = _SitemapReader(url, most)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        read_xml(body, reader)
    else:
        reader.lines(body)
    if not reader.known:
        raise UsageError(Phrase("expected a sitemap, got %(got)s", got=f"{body[:60]!r}"))
    return Sitemap([*reader.pages], [*reader.sitemaps], cut or reader.cut, _telling(reader.dates))


def _telling(dates: dict[str, datetime]) -> dict[str, datetime]:
    """Leave out a date that most pages of a larger sitemap have: when that was written tells of no page."""
    times = Counter(dates.values())
    common = {date for date, count in times.items() if count >= _MANY and 2 * count >= len(dates)}
    return {page: date for page, date in dates.items() if date not in common}


def _unpacked(body: bytes) -> tuple[bytes, bool]:
    if not body.startswith(_MAGIC):
        return body, False
    inflate = zlib.decompressobj(_GZIP)
    try:
        unpacked = inflate.decompress(body, MOST_BYTES)
    except zlib.error:
        raise UsageError(Phrase("expected a sitemap, got a gzip that is broken")) from None
    return unpacked, not inflate.eof


class _SitemapReader(Reader):
    def __init__(self, url: str, most: int) -> None:
        super().__init__()
        self.pages: dict[str, None] = {}
        self.sitemaps: dict[str, None] = {}
        self.dates: dict[str, datetime] = {}
        self.known = False
        self._url, self._most = url, most
        self._path: list[str] = []
        self._location = self._date = self._page = ""

    def lines(self, body: bytes) -> None:
        """Read one address a line."""
        for line in body.splitlines():
            if line.startswith((b"http://", b"https://")):
                self.known = True
                if len(self.pages) >= self._most:
                    self.cut = True
                    return
                self._add(self.pages, line.decode("utf-8", "replace"))

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        self.known = self.known or self._path in (["urlset"], ["sitemapindex"])
        self._location = ""
        if tag == "url":
            self._date = self._page = ""

    def text(self, data: str) -> None:
        if self._path[-1:] == ["loc"] and len(self._location) <= MOST_CHARACTERS:
            self._location += data
        elif self._path == ["urlset", "url", "lastmod"] and len(self._date) <= _LONGEST_DATE:
            self._date += data

    def closed(self, tag: str) -> None:
        if self._path == ["urlset", "url", "loc"]:
            self._page = self._add(self.pages, self._location)
        elif self._path == ["urlset", "url"]:
            if self._page and (date := latest(self._date)):
                self.dates[self._page] = date
        elif self._path == ["sitemapindex", "sitemap", "loc"]:
            self._add(self.sitemaps, self._location)
        del self._path[-1:]

    def _add(self, to: dict[str, None], location: str) -> str:
        if address := location.strip() and normalise(location, self._url):
            if address not in to and len(self.pages) + len(self.sitemaps) >= self._most:
                self.leave()
            to[address] = None
        return address or ""
