"""One pass over a web site: robots.txt and sitemaps first, then pages, each for where it leads.

1. What a robots.txt forbids is not asked for; while one cannot be read, no page of its host is.
2. A listing is complete if what it begins with has answered: each seed, its robots.txt, the sitemaps. How
   deep it goes is what the source covers, and no gap; a page of which not all links are read is one, and
   says so among its links.
3. A page that a renderer is to make is asked for first, as any other: whether it is there, where it has
   moved and whether its host may be asked is known before. That it is as it was, its server cannot say.
4. A page that has moved, or that calls another address its own, is that other one, which is listed instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from ..web import fetch as web
from ..web.fetch import Fetcher
from ..web.links import Area, normalise, origin_of
from ..web.page import Page, is_html, read_page
from ..web.robots import MOST_BYTES, Robots, directives
from ..web.sitemap import Sitemap, read_sitemap
from .port import Content, Failed, Fetched, Gone, Known, Ref, Unchanged, more_in
from .remote import AGENT, address, failed, key_of
from .render import MOST_SECONDS, RenderFailure, rendered

__all__ = ["MOST_ADDRESSES", "MOST_SITEMAPS", "Crawl", "page_ref"]

#: Sitemaps that are read, and addresses in all of them.
MOST_SITEMAPS, MOST_ADDRESSES = 50, 50_000

_DEEPEST_SITEMAP = 2  # an index of indexes is more than the protocol knows
_MOST_OF_ROBOTS = 4 * MOST_BYTES  # what is behind MOST_BYTES is not read, but no reason to stop


class Crawl:
    """The pages of one site; see :class:`Listing`.

    :param config: of the source.
    :param area: where it may go.
    :param fetches: asks for it.
    """

    def __init__(self, config: Mapping[str, Any], area: Area, fetches: Fetcher) -> None:
        self.complete = False
        self.problem: str = ""
        self._seeds = [address(seed) for seed in config["seeds"]]
        self._sitemaps = [address(each) for each in config.get("sitemaps", ())]
        self._follows = config.get("follow", True)
        self._renderer = config.get("render", "")
        self._area, self._fetches = area, fetches
        self._robots: dict[str, Robots | Failed] = {}
        self._asking = asyncio.Lock()

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        for seed in self._seeds:
            yield page_ref(seed)
        async for page in self._mapped():
            yield page
        self.complete = not self.problem

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        url = known.url or known.key
        found = await self._fetch(url, known)
        if url in self._seeds and _is_no_answer(found):
            why = found.message if isinstance(found, Failed) else Phrase("it is gone")
            self._miss(Phrase("%(url)s, where the source begins: %(why)s", url=url, why=why))
        return found

    async def _fetch(self, url: str, known: Known) -> Fetched:
        if url != (one := normalise(url)):  # somebody has asked for it in his own words
            return self._moved(url, one) if one else Failed("address", Phrase("it is no address"), skip=True)
        if not self._area.holds(url):
            return Failed("outside", Phrase("the source does not go there"), skip=True)
        robots = await self._robots_of(url)
        if isinstance(robots, Failed):
            return robots
        if not await asyncio.to_thread(robots.allows, url):
            return Failed(
                "robots", Phrase("%(url)s forbids it", url=f"{origin_of(url)}/robots.txt"), skip=True
            )
        if self._renderer:
            known = replace(known, etag="", modified="")
        answer = await self._fetches.fetch(url, etag=known.etag, modified=known.modified)
        match answer:
            case web.Fetched():
                return await self._read(answer)
            case web.Unchanged():
                return Unchanged()
            case web.Gone(for_good=for_good):
                return Gone(for_good)
            case web.Moved(url=other):
                return self._moved(url, other)
            case _:
                return failed(answer)

    def _moved(self, url: str, other: str) -> Failed:
        if other == url:
            return Failed("redirects", Phrase("it redirects to itself"))
        if not self._area.holds(other):
            message = Phrase("it has moved to %(url)s, where the source does not go", url=other)
            return Failed("outside", message, skip=True)
        message = Phrase("it has moved to %(url)s", url=other)
        return Failed("moved", message, skip=True, links=[page_ref(other)])

    async def _read(self, answer: web.Fetched) -> Content | Failed:
        page = Page()
        if is_html(answer.body, answer.mime):
            if self._renderer:
                made = await self._rendered(answer)
                if isinstance(made, Failed):
                    return made
                answer = made
            read = (answer.body, answer.url, AGENT, answer.charset, self._area.holds)
            page = await asyncio.to_thread(read_page, *read)
        says = page.says | directives(answer.robots, AGENT)
        follows = self._follows and "nofollow" not in says
        links = await self._allowed(page.links) if follows else []
        if follows and page.cut:
            links = [more_in(answer.url), *links]
        if "noindex" in says:
            return Failed("noindex", Phrase("it asks not to be found"), skip=True, links=links)
        if self._is_other(answer.url, page.canonical):
            links = [page_ref(page.canonical), *links]
            message = Phrase("it calls %(url)s its address", url=page.canonical)
            return Failed("canonical", message, skip=True, links=links)
        mime = answer.mime
        if answer.charset.lower() not in ("", "utf-8", "us-ascii"):
            mime = f"{mime}; charset={answer.charset}"
        return Content(answer.body, mime, answer.url, etag=answer.etag, modified=answer.modified, links=links)

    async def _rendered(self, answer: web.Fetched) -> web.Fetched | Failed:
        """What a renderer makes of a page, while nobody else asks its host."""
        host = urlsplit(answer.url).hostname or ""
        async with self._fetches.pace.turn(host, MOST_SECONDS) as rest:
            if rest:
                why = Phrase(
                    "%(host)s wants to be left alone for %(seconds)s s", host=host, seconds=f"{rest:.0f}"
                )
                return Failed("resting", why, retryable=True, retry_after=rest, untried=True)
            try:
                body = await rendered(self._renderer, answer.url)
            except RenderFailure as error:
                return Failed(error.code, error.message, retryable=error.retryable)
        return web.Fetched(answer.url, body, "text/html", "utf-8", robots=answer.robots)

    def _is_other(self, url: str, canonical: str) -> bool:
        """Whether a page is another one, as it says.

        It is not believed where all pages of a site call its front page theirs, as some templates do.
        """
        is_front = urlsplit(canonical).path == "/" != urlsplit(url).path
        return bool(canonical) and canonical != url and not is_front and self._area.holds(canonical)

    # -- robots.txt -----------------------------------------------------------------------------------------

    async def _robots_of(self, url: str) -> Robots | Failed:
        origin = origin_of(url)
        async with self._asking:
            if origin not in self._robots:
                self._robots[origin] = await self._ask_robots(origin)
        return self._robots[origin]

    async def _ask_robots(self, origin: str) -> Robots | Failed:
        url = f"{origin}/robots.txt"
        answer = await self._fetches.fetch(url, most=_MOST_OF_ROBOTS, follow=lambda other: True)
        if isinstance(answer, web.Failed) and not _is_refusal(answer):
            self._miss(Phrase("%(url)s: %(why)s", url=url, why=answer.message))
            return replace(failed(answer), code="robots-unread")
        body = answer.body if isinstance(answer, web.Fetched) else b""
        try:
            robots = await asyncio.to_thread(Robots, body, AGENT)
        except UsageError as error:
            self._miss(Phrase("%(url)s: %(why)s", url=url, why=error.message))
            return Failed("robots-unread", error.message)
        self._fetches.pace.slow_down(urlsplit(origin).hostname or "", robots.delay)
        return robots

    async def _allowed(self, urls: Sequence[str], depth: int = 0) -> list[Ref]:
        """Those of the addresses that the source goes to, as far as is known without asking."""
        return await asyncio.to_thread(
            lambda: [page_ref(url, depth) for url in urls if self._is_allowed(url)]
        )

    def _is_allowed(self, url: str) -> bool:
        if not self._area.holds(url):
            return False
        robots = self._robots.get(origin_of(url))
        return not isinstance(robots, Robots) or robots.allows(url)

    # -- sitemaps -------------------------------------------------------------------------------------------

    async def _mapped(self) -> AsyncIterator[Ref]:
        """The pages that sitemaps list."""
        waiting = deque([(url, 0, True) for url in self._sitemaps] or await self._named())
        seen = {url for url, *_ in waiting}
        left, count = MOST_ADDRESSES, 0
        while waiting:
            url, depth, said = waiting.popleft()
            count += 1
            if count > MOST_SITEMAPS or left <= 0:
                message = Phrase(
                    "there are more than %(most)s sitemaps, or %(pages)s pages in them",
                    most=MOST_SITEMAPS,
                    pages=MOST_ADDRESSES,
                )
                self._miss(message)
                return
            if (found := await self._sitemap(url, said, left)) is None:
                continue
            left -= len(found.pages) + len(found.sitemaps)
            is_deepest = depth == _DEEPEST_SITEMAP
            if found.cut or (found.sitemaps and is_deepest):
                message = Phrase(
                    "%(url)s has no end, or there is more in it than is read of sitemaps", url=url
                )
                self._miss(message)
            if not is_deepest:
                new = [each for each in found.sitemaps if each not in seen and self._is_near(each)]
                seen.update(new)
                waiting.extend((each, depth + 1, True) for each in new)
            for ref in await self._allowed(found.pages, depth=1):
                yield ref._replace(dated=found.dates.get(ref.url))

    async def _named(self) -> list[tuple[str, int, bool]]:
        """Where sitemaps are, and whether somebody has said so."""
        found: list[tuple[str, int, bool]] = []
        for origin in dict.fromkeys(map(origin_of, self._seeds)):
            robots = await self._robots_of(f"{origin}/")
            if isinstance(robots, Failed):
                continue
            named = [url for each in robots.sitemaps if (url := normalise(each, f"{origin}/"))]
            found += [(url, 0, True) for url in named if self._is_near(url)] or [
                (f"{origin}/sitemap.xml", 0, False)
            ]
        return found

    def _is_near(self, url: str) -> bool:
        """Whether a sitemap may be asked for: where the source goes, or a robots.txt was read."""
        return origin_of(url) in self._robots or self._area.holds(url)

    async def _sitemap(self, url: str, said: bool, most: int) -> Sitemap | None:
        answer = await self._fetches.fetch(url, follow=self._is_near)
        problem: str = Phrase("it does not answer with a sitemap")
        if isinstance(answer, web.Fetched):
            try:
                return await asyncio.to_thread(read_sitemap, answer.body, answer.url, most)
            except UsageError as error:
                problem = error.message
        elif isinstance(answer, web.Failed):
            problem, said = answer.message, said or answer.retryable
        if said:
            self._miss(Phrase("%(url)s: %(why)s", url=url, why=problem))
        return None

    def _miss(self, problem: Phrase) -> None:
        """Note the first reason why the listing is not complete."""
        self.complete = False
        self.problem = self.problem or problem


def page_ref(url: str, depth: int = 0) -> Ref:
    """Return the reference to a page."""
    return Ref(key=key_of(url), url=url, depth=depth)


def _is_no_answer(found: Fetched) -> bool:
    """Whether a seed leads nowhere."""
    if isinstance(found, Failed):
        return not found.skip or found.code in ("outside", "robots")
    return isinstance(found, Gone)


def _is_refusal(answer: web.Failed) -> bool:
    """Whether a robots.txt is kept from us, which forbids nothing (RFC 9309, 2.3.1.3)."""
    return answer.code.startswith("http-4") and not answer.retryable
