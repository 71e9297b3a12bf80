"""Feeds: RSS (0.9x, 1.0, 2.0), Atom and JSON Feed.

Read by tags as they come and not by a package: feedparser goes through what is no XML once more, with
regular expressions and without bounds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .links import normalise
from .markup import Reader, read_xml

__all__ = ["MOST_BYTES", "Entry", "Feed", "read_feed"]

#: Bytes of a feed.
MOST_BYTES = 5 * 1024 * 1024

_MOST_CHARACTERS = 1_000_000  # of one entry's text
_MOST_OF_A_NAME = 500
_FEEDS = frozenset(("rss", "rdf", "feed"))
_ENTRIES = frozenset(("item", "entry"))
#: What a tag of an entry is to us; of several for one thing, the one further down counts.
_FIELDS = {
    "title": "title",
    "guid": "id",
    "id": "id",
    "pubdate": "modified",
    "date": "modified",
    "published": "modified",
    "updated": "modified",
    "description": "summary",
    "summary": "summary",
    "encoded": "content",
    "content": "content",
}
_TEXTS = frozenset(("summary", "content"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    :param id: its name within the feed: what the feed says, else its address.
    :param url: its page, normalised, ``""`` for none.
    :param html: its text as HTML.
    :param modified: when it changed, as the feed writes it.
    """

    id: str
    url: str = ""
    title: str = ""
    html: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed has.

    :param cut: there is more of it than was read.
    """

    entries: list[Entry]
    cut: bool = False


def read_feed(body: bytes, url: str, most: int) -> Feed:
    """Return the entries of a feed; it may take a second of CPU.

    :param url: where it is.
    :param most: entries that are read.
    :raises UsageError: it is no feed.
    """
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _json_feed(body, url, most)
    reader = _FeedReader(url, most)
    read_xml(body, reader)
    if not reader.known:
        raise UsageError(Phrase("expected a feed, got %(got)s", got=f"{body[:60]!r}"))
    return Feed(reader.entries, reader.cut)


class _FeedReader(Reader):
    longest = _MOST_CHARACTERS

    def __init__(self, url: str, most: int) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.known = False
        self._url, self._most = url, most
        self._depth = 0
        self._entry = 0  # the depth of the entry that is open, and of its field
        self._field = 0
        self._fields: dict[str, str] = {}
        self._plain = False
        self._parts: list[str] = []
        self._room = 0

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self.known = tag in _FEEDS
        elif not self._entry and tag in _ENTRIES:
            if len(self.entries) >= self._most:
                self.leave()
            self._entry, self._fields = self._depth, {}
        elif self._field:
            self._add(f"<{tag}>")  # XHTML within Atom
        elif self._entry and self._depth == self._entry + 1:
            self._begin(tag, attributes)

    def text(self, data: str) -> None:
        if self._field:
            nested = self._depth > self._field
            self._add(escape(data, quote=False) if nested or self._plain else data)

    def closed(self, tag: str) -> None:
        if self._field and self._depth > self._field:
            self._add(f"</{tag}>")
        elif self._field:
            self._end(tag)
        elif self._entry == self._depth:
            self._entry = 0
            if entry := _entry(self._fields, self._url):
                self.entries.append(entry)
        self._depth -= 1

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        href = attributes.get("href", "")
        if tag == "link" and href:
            if attributes.get("rel", "alternate") == "alternate":
                self._fields.setdefault("link", href)
        elif tag == "link" or tag in _FIELDS:
            self._field, self._parts = self._depth, []
            name = _FIELDS.get(tag, tag)
            self._room = _MOST_CHARACTERS if name in _TEXTS else _MOST_OF_A_NAME * 4
            self._plain = name in _TEXTS and attributes.get("type") in ("text", "text/plain")
            if tag == "guid" and attributes.get("ispermalink", "true").lower() == "true":
                self._fields["permalink"] = ""

    def _end(self, tag: str) -> None:
        self._field = 0
        name, value = _FIELDS.get(tag, tag), "".join(self._parts).strip()
        if value:
            self._fields[name] = value
        if name == "id" and "permalink" in self._fields:
            self._fields["permalink"] = value

    def _add(self, text: str) -> None:
        self._room -= len(text)
        if self._room >= 0:
            self._parts.append(text)


def _entry(fields: dict[str, str], base: str) -> Entry | None:
    """The entry, if it has a name and something to read."""
    link = fields.get("link") or fields.get("permalink", "")
    url = normalise(link, base) if link else ""
    name = fields.get("id") or url
    html = fields.get("content") or fields.get("summary", "")
    if not name or not (url or html):
        return None
    return Entry(
        id=name[:_MOST_OF_A_NAME],
        url=url,
        title=" ".join(fields.get("title", "").split())[:_MOST_OF_A_NAME],
        html=html,
        modified=fields.get("modified", "")[:100],
    )


def _json_feed(body: bytes, url: str, most: int) -> Feed:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    items = data.get("items") if isinstance(data, dict) else None
    version = str(data.get("version")) if isinstance(data, dict) else ""
    if not version.startswith("https://jsonfeed.org/version/1") or not isinstance(items, list):
        raise UsageError(Phrase("expected a feed, got %(got)s", got=f"{body[:60]!r}"))
    found = (_entry(_json_fields(item), url) for item in items[:most] if isinstance(item, dict))
    return Feed([entry for entry in found if entry], cut=len(items) > most)


def _json_fields(item: dict[str, Any]) -> dict[str, str]:
    text = _word(item, "content_text") or _word(item, "summary")
    return {
        "id": _word(item, "id"),
        "link": _word(item, "url") or _word(item, "external_url"),
        "title": _word(item, "title"),
        "modified": _word(item, "date_modified") or _word(item, "date_published"),
        "content": (_word(item, "content_html") or escape(text, quote=False))[:_MOST_CHARACTERS],
    }


def _word(item: dict[str, Any], name: str) -> str:
    value = item.get(name, "")
    return str(value).strip() if isinstance(value, (str, int)) else ""
