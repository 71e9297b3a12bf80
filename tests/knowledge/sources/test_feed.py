"""Feeds as sources: their entries, or the pages that they name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lingstream.core.exceptions import UsageError
from lingstream.knowledge.models import Source
from lingstream.knowledge.sources import remote
from lingstream.knowledge.sources.feed import Feeds
from lingstream.knowledge.sources.port import Content, Failed, Known, Listing, Ref
from tests.web import Answer, WebServer, web

RSS = """<rss version="2.0"><channel>
<item><guid isPermaLink="false">1</guid><title>Clouds</title><link>/1?utm_source=rss</link>
  <description>&lt;p&gt;high</description><pubDate>Wed, 21 Oct 2015 07:28:00 GMT</pubDate></item>
<item><title>no text</title><link>/2</link></item>
<item><guid isPermaLink="false">3</guid><description>no page</description></item>
</channel></rss>"""


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(remote, "LEAST_DELAY", 0.0)
    async with web({"/feed": RSS.encode(), "/1": Answer(b"<html>1", headers={"ETag": '"1"'})}) as served:
        yield served


@pytest.fixture
async def listing(site: WebServer) -> AsyncIterator[Listing]:
    async with Feeds().open(source(site, pages=False)) as opened:
        yield opened


@pytest.fixture
async def pages(site: WebServer) -> AsyncIterator[Listing]:
    async with Feeds().open(source(site)) as opened:
        yield opened


def source(site: WebServer, *paths: str, **config: Any) -> Source:
    feeds = [f"{site.url}{path}" for path in paths or ("/feed",)]
    return Source(kind="feed", config={"feeds": feeds, **config})


async def listed(listing: Listing) -> list[Ref]:
    return [ref async for ref in listing.refs()]


async def test_entries_are_documents(site: WebServer, listing: Listing) -> None:
    first, second = await listed(listing)
    assert (first.key, first.url, second.key, second.url) == ("1", f"{site.url}/1", "3", "")
    assert first.content
    assert first.document == Content(
        b"<html><body><p>high</body></html>",
        "text/html; charset=utf-8",
        f"{site.url}/1",
        "Clouds",
        etag=first.etag,
        metadata={"published": "Wed, 21 Oct 2015 07:28:00 GMT"},
    )
    assert len(site.requests) == 1


async def test_a_hint_changes_with_an_entry(site: WebServer, listing: Listing) -> None:
    before, again = await listed(listing), await listed(listing)
    site.answers["/feed"] = RSS.replace("high", "higher").encode()
    after = await listed(listing)
    assert [ref.etag for ref in before] == [ref.etag for ref in again]
    assert [one.etag == other.etag for one, other in zip(before, after, strict=True)] == [False, True]


async def test_entries_that_are_asked_for_together_cost_one_request(
    site: WebServer, listing: Listing
) -> None:
    keys = ["1", "3", "4"]
    found = await asyncio.gather(*(listing.fetch(Known(key, together=keys)) for key in keys))
    assert [isinstance(each, Content) for each in found] == [True, True, False]
    assert len(site.requests) == 1
    site.answers["/feed"] = RSS.replace("high", "higher").encode()
    later = await listing.fetch(Known("1", together=["1", "2"]))
    assert isinstance(later, Content) and b"higher" in bytes(later.body)  # type: ignore[arg-type]
    answer = found[2]
    assert isinstance(answer, Failed)
    assert (answer.code, answer.skip) == ("not-in-feed", False)


async def test_pages_are_documents(site: WebServer, pages: Listing) -> None:
    refs = await listed(pages)
    assert [(ref.key, ref.url, ref.content) for ref in refs] == [
        (f"{site.url}/{number}", f"{site.url}/{number}", None) for number in (1, 2)
    ]
    assert [ref.dated for ref in refs] == [datetime(2015, 10, 21, 7, 28, tzinfo=UTC), None]
    answer = await pages.fetch(Known(refs[0].key, refs[0].url))
    assert isinstance(answer, Content)
    assert (answer.body, answer.etag, answer.links) == (b"<html>1", '"1"', [])
    assert [request.path for request in site.requests] == ["/feed", "/robots.txt", "/1"]


@pytest.mark.parametrize("pages", [True, False])
async def test_no_listing_is_complete(site: WebServer, pages: bool) -> None:
    async with Feeds().open(source(site, pages=pages)) as listing:
        assert await listed(listing)
        assert (listing.complete, listing.problem) == (False, "")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(status=500), "127.0.0.1 answered 500"),
        (Answer(status=404), "it does not answer with a feed"),
        (Answer(b"<html>"), "expected a feed"),
        (Answer(b"<rss>" + b" " * 6_000_000), "more than 5242880 bytes"),
        (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), "expected a public address"),
    ],
)
async def test_of_several_one_may_fail(site: WebServer, answer: Answer, problem: str) -> None:
    site.answers["/bad"] = answer
    async with Feeds().open(source(site, "/bad", "/feed")) as listing:
        assert len(await listed(listing)) == 2
        assert f"{site.url}/bad: " in listing.problem
        assert problem in listing.problem


async def test_ids_of_several_feeds_are_their_own_unless_they_are_everybodys(site: WebServer) -> None:
    def feed(text: str, *ids: str) -> bytes:
        entry = "<item><guid isPermaLink='false'>{}</guid><description>{}</description></item>".format
        return f"<rss>{''.join(entry(id, text) for id in ids)}</rss>".encode()

    ids = ["1", "post:1", "https://a.example/1", "tag:a.example,2026:1", "x" * 500]
    site.answers |= {"/one": feed("one", *ids), "/two": feed("two", *ids, "urn:isbn:1")}
    async with Feeds().open(source(site, "/one", pages=False)) as listing:
        assert [ref.key for ref in await listed(listing)] == ids
    async with Feeds().open(source(site, "/one", "/two", pages=False)) as listing:
        refs = await listed(listing)
        keys = [ref.key for ref in refs]
        here, there = keys[: len(ids)], keys[len(ids) :]
        assert (here, there[:2], there[3:]) == (
            ids,
            [f"{site.url}/two 1", f"{site.url}/two post:1"],
            ["urn:isbn:1"],
        )
        assert len(there[2]) < 500
        found = await listing.fetch(Known(there[0]))
        assert isinstance(found, Content) and found == refs[len(ids)].document


async def test_a_feed_may_have_moved(site: WebServer) -> None:
    site.answers["/old"] = Answer(status=301, headers={"Location": "/feed"})
    async with Feeds().open(source(site, "/old", pages=False)) as listing:
        assert [ref.url for ref in await listed(listing)] == [f"{site.url}/1", ""]


def test_its_configuration_says_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="expected an address like"):
        Feeds().check({"feeds": ["mailto:x@y"]})
