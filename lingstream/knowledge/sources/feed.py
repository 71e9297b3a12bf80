"""The kind ``feed``: what RSS, Atom and JSON feeds announce, as it stands in them or as the pages they name.

A feed names its latest entries only, so no listing of one is complete: what has fallen out of it stays,
unless its page says that it is gone.

Of several feeds, ids that are addresses, ``urn:`` or ``tag:`` are everybody's: an entry that several have is
that of the first of them. Others are their feed's, and known by it as well, but for those of the first feed,
so that one which is added leaves what was found before as it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from ..models import Source
from .again import Again
from .port import Content, Failed, Fetched, Known, Listing, Ref, SourceKind
from .remote import ADDRESS, KEYS, address, check_keys, fetcher, key_of

if TYPE_CHECKING:
    from ..web.feed import Entry
    from ..web.fetch import Fetcher

__all__ = ["Feeds"]

_EVERYWHERE = ("*",)
_EVERYBODYS = re.compile(r"[a-z][a-z0-9+.-]*://|urn:|tag:", re.IGNORECASE)


class Feeds(SourceKind):
    """See :class:`SourceKind`."""

    kind = "feed"
    title = "Feed"
    lists_by = ("feeds",)
    config_schema = {
        "type": "object",
        "description": "Entries of RSS, Atom and JSON feeds, or their pages; what leaves a feed stays.",
        "properties": {
            "feeds": {"type": "array", "title": "feeds", "items": ADDRESS, "minItems": 1, "maxItems": 50},
            "pages": {
                "type": "boolean",
                "title": "fetch the pages",
                "description": "Else a document is what stands in the feed.",
                "default": True,
            },
            **KEYS,
        },
        "required": ["feeds"],
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[Listing]:
        """See :class:`SourceKind`.

        :raises UsageError: its addresses or its key cannot be used; ``package-missing``.
        """
        async with fetcher(source.config) as fetches:
            from ..web.links import Area
            from .crawl import Crawl

            if source.config.get("pages", True):
                pages = Crawl({"seeds": [], "follow": False}, Area(_EVERYWHERE), fetches)
                yield _Pages(source.config, fetches, source.max_documents, pages)
            else:
                yield _Entries(source.config, fetches, source.max_documents)

    def check(self, config: Mapping[str, Any]) -> None:
        """See :class:`SourceKind`."""
        for feed in config["feeds"]:
            address(feed)
        check_keys(config)


class _Entries:
    """What stands in feeds; see :class:`Listing`.

    :param most: entries of one feed.
    """

    complete = False

    def __init__(self, config: Mapping[str, Any], fetches: Fetcher, most: int) -> None:
        self.problem: str = ""
        self._feeds = [address(feed) for feed in config["feeds"]]
        self._fetches, self._most = fetches, most
        self._again = Again(self.refs)

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        seen: set[str] = set()
        for feed in self._feeds:
            for entry in await self._read(feed):
                ref = self._ref(entry, "" if feed == self._feeds[0] else feed)
                if ref and ref.key not in seen:
                    seen.add(ref.key)
                    yield ref

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        if found := await self._again.get(known):
            return found
        gone = Phrase("the feed has it no longer; what was read of it stays")
        return Failed("not-in-feed", self.problem or gone)

    def _ref(self, entry: Entry, feed: str) -> Ref | None:
        """An entry as a listing names it; ``None``: there is nothing to it.

        :param feed: what it is known by, beside its id, if that is not everybody's.
        """
        if not entry.html:
            return None
        digest = sha256(f"{entry.title}\0{entry.url}\0{entry.html}".encode("utf-8", "surrogatepass"))
        content = Content(
            f"<html><body>{entry.html}</body></html>".encode("utf-8", "replace"),
            "text/html; charset=utf-8",
            entry.url,
            entry.title,
            metadata={"published": entry.modified} if entry.modified else {},
        )
        is_known = not feed or _EVERYBODYS.match(entry.id)
        key = entry.id if is_known else key_of(f"{feed} {entry.id}")
        return Ref(key, entry.url, etag=digest.hexdigest(), content=content)

    async def _read(self, feed: str) -> list[Entry]:
        from ..web.feed import MOST_BYTES, read_feed
        from ..web.fetch import Fetched as Came

        answer = await self._fetches.fetch(feed, most=MOST_BYTES, follow=lambda url: True)
        problem = getattr(answer, "message", Phrase("it does not answer with a feed"))
        if isinstance(answer, Came):
            try:
                return (await asyncio.to_thread(read_feed, answer.body, answer.url, self._most)).entries
            except UsageError as error:
                problem = error.message
        self.problem = self.problem or Phrase("%(url)s: %(why)s", url=feed, why=problem)
        return []


class _Pages(_Entries):
    """The pages that feeds name; see :class:`Listing`.

    :param pages: fetches them, as pages of a web site are.
    """

    def __init__(self, config: Mapping[str, Any], fetches: Fetcher, most: int, pages: Listing) -> None:
        super().__init__(config, fetches, most)
        self._pages = pages

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        return await self._pages.fetch(known)

    def _ref(self, entry: Entry, feed: str) -> Ref | None:
        from ..web.dates import latest
        from .crawl import page_ref

        return page_ref(entry.url)._replace(dated=latest(entry.modified)) if entry.url else None
