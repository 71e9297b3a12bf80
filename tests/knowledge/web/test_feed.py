"""Feeds as they are found in the wild: a table, and bounds."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lingstream.knowledge.web.feed import Entry, Feed, read_feed

URL = "https://example.com/blog/feed"
TOP = "https://example.com/"
ATOM = 'xmlns="http://www.w3.org/2005/Atom"'


def rss(item: str, version: str = "2.0") -> str:
    return (
        f'<rss version="{version}" xmlns:content="c" xmlns:dc="d"><channel><title>T</title><link>{TOP}</link>'
        + (f"<item>{item}</item></channel></rss>")
    )


def atom(entry: str) -> str:
    return f"<feed {ATOM}><title>T</title><id>x</id><link href='{TOP}'/><entry>{entry}</entry></feed>"


def json_feed(**item: Any) -> str:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": [item]})


FEEDS = [
    (rss("<title>A</title>"), None),
    (rss("<link>/a</link>"), Entry(f"{TOP}a", f"{TOP}a")),
    (
        rss(
            "<title> A &amp;\n B </title><link>https://example.com/a?utm_source=rss</link>"
            "<guid isPermaLink='false'>7</guid><pubDate>Wed, 21 Oct 2015 07:28:00 GMT</pubDate>"
            "<description>&lt;p&gt;short</description>"
        ),
        Entry("7", f"{TOP}a", "A & B", "<p>short", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ),
    (
        rss(
            "<guid>https://example.com/a</guid><description>s</description><content:encoded><![CDATA[<p>all]]>"
            "</content:encoded><dc:date>2026-01-01</dc:date>"
        ),
        Entry(f"{TOP}a", f"{TOP}a", "", "<p>all", "2026-01-01"),
    ),
    (rss("<guid isPermaLink='false'>x</guid><description>s</description>"), Entry("x", "", "", "s")),
    (
        f'<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "{TOP}rss.dtd">'
        + rss("<title>A</title><link>/a</link><description>caf&eacute;</description>", "0.91"),
        Entry(f"{TOP}a", f"{TOP}a", "A", "caf"),
    ),
    (
        '<rdf:RDF xmlns:rdf="r" xmlns="http://purl.org/rss/1.0/"><channel><title>T</title></channel>'
        "<item><title>A</title><link>/a</link><description>s</description></item></rdf:RDF>",
        Entry(f"{TOP}a", f"{TOP}a", "A", "s"),
    ),
    (
        atom(
            "<id>tag:7</id><title>A</title><link rel='self' href='/self'/><link href='/a'/><link href='/b'/>"
            "<published>2026-01-01</published><updated>2026-01-02</updated><summary>s</summary>"
            "<author><name>N</name><id>no</id></author><source><title>no</title></source>"
        ),
        Entry("tag:7", f"{TOP}a", "A", "s", "2026-01-02"),
    ),
    (
        atom("<id>7</id><content type='html'>&lt;p&gt;a &amp;amp; b</content>"),
        Entry("7", "", "", "<p>a &amp; b"),
    ),
    (atom("<id>7</id><content type='text'>a &lt; b</content>"), Entry("7", "", "", "a &lt; b")),
    (
        atom("<id>7</id><content type='xhtml'><div xmlns='h'><p>a &lt; b</p><br/></div></content>"),
        Entry("7", "", "", "<div><p>a &lt; b</p><br></br></div>"),
    ),
    (
        json_feed(id=7, url="/a", title="A", content_html="<p>a", date_modified="2026"),
        Entry("7", f"{TOP}a", "A", "<p>a", "2026"),
    ),
    (json_feed(id="7", content_text="a < b"), Entry("7", "", "", "a &lt; b")),
    (json_feed(external_url=f"{TOP}b", summary="s"), Entry(f"{TOP}b", f"{TOP}b", "", "s")),
    (json_feed(title="A"), None),
    (json_feed(id={"a": 1}, url=["x"]), None),
    ("<rss><channel></channel></rss>", None),
]


@pytest.mark.parametrize(("body", "entry"), FEEDS)
def test_what_a_feed_has(body: str, entry: Entry | None) -> None:
    assert read_feed(body.encode(), URL, 10) == Feed([entry] if entry else [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no feed",
        b"<html><item/></html>",
        b"{}",
        b"[]",
        b'{"version": "https://jsonfeed.org/version/1"}',
        b"{" * 9_999,
    ],
)
def test_what_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected a feed"):
        read_feed(body, URL, 10)


class TestBounds:
    @pytest.mark.parametrize(
        "body",
        [
            f"<rss><channel>{'<item><link>/a</link></item>' * 100_000}</channel></rss>",
            json.dumps({"version": "https://jsonfeed.org/version/1", "items": [{"url": "/a"}] * 100_000}),
        ],
        ids=["rss", "json"],
    )
    def test_of_entries(self, body: str) -> None:
        began = time.process_time()
        found = read_feed(body.encode(), URL, 3)
        assert found == Feed([Entry(f"{TOP}a", f"{TOP}a")] * 3, cut=True)
        assert time.process_time() - began < 1

    def test_of_one_text(self) -> None:
        text = "<b>x</b>" * 300_000
        (entry,) = read_feed(
            rss(f"<guid>/a</guid><description>{text}</description>").encode(), URL, 3
        ).entries
        assert 900_000 < len(entry.html) <= 1_000_000
