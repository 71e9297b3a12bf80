"""Sitemaps as they are found in the wild: a table, and bounds."""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from lingstream.knowledge.web.sitemap import MOST_BYTES, Sitemap, read_sitemap

URL = "https://example.com/maps/sitemap.xml"
TOP = "https://example.com/"
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
FIRST = f"<urlset {NS}><url><loc>{TOP}a</loc></url></urlset>"

SITEMAPS: list[tuple[str | bytes, Sitemap]] = [
    (FIRST, Sitemap([f"{TOP}a"])),
    (f'\ufeff  <?xml version="1.0" encoding="UTF-8"?>\n{FIRST}', Sitemap([f"{TOP}a"])),
    (f'<?xml version="1.0" encoding="utf-16"?>{FIRST}'.encode("utf-16"), Sitemap([f"{TOP}a"])),
    (gzip.compress(FIRST.encode()), Sitemap([f"{TOP}a"])),
    ("<urlset><url><loc>\n /b?x=1&amp;utm_source=y#c \n</loc></url></urlset>", Sitemap([f"{TOP}b?x=1"])),
    (f"<urlset><url><loc><![CDATA[{TOP}a]]></loc></url></urlset>", Sitemap([f"{TOP}a"])),
    (f"<urlset>{f'<url><loc>{TOP}a</loc></url>' * 3}</urlset>", Sitemap([f"{TOP}a"])),
    ("<urlset><url><loc></loc></url><url><loc>ftp://x/</loc></url></urlset>", Sitemap()),
    (
        f'<urlset {NS} xmlns:image="i"><url><loc>{TOP}a</loc><image:image><image:loc>{TOP}a.png'
        "</image:loc></image:image></url></urlset>",
        Sitemap([f"{TOP}a"]),
    ),
    (
        f"<sitemapindex {NS}><sitemap><loc>{TOP}1.xml</loc><lastmod>2026-01-01</lastmod></sitemap>"
        f"<sitemap><loc>2.xml.gz</loc></sitemap></sitemapindex>",
        Sitemap([], [f"{TOP}1.xml", f"{TOP}maps/2.xml.gz"]),
    ),
    (f"{TOP}a\r\n\n{TOP}b\nnot one\n", Sitemap([f"{TOP}a", f"{TOP}b"])),
    (
        f"<urlset {NS}><url><lastmod> 2026-01-01T10:00:00+02:00\n</lastmod><loc>/a</loc></url>"
        "<url><loc>/b</loc><lastmod>2026-01-01</lastmod></url><url><loc>/c</loc></url>"
        "<url><loc>/d</loc><lastmod>yesterday</lastmod></url><url><lastmod>2026-01-01</lastmod></url>"
        "<url><loc>/e</loc><lastmod>9999-12-31</lastmod></url>"
        "<url><loc>/f</loc><lastmod>1 Jan 99999999999 00:00:00 GMT</lastmod></url></urlset>",
        Sitemap(
            [f"{TOP}{name}" for name in "abcdef"],
            dates={
                f"{TOP}a": datetime(2026, 1, 1, 8, tzinfo=UTC),
                f"{TOP}b": datetime(2026, 1, 2, tzinfo=UTC),
            },
        ),
    ),
    # a date that most pages of a larger one have is that of the file
    (
        f"<urlset {NS}>"
        + "".join(
            f"<url><loc>/{n}</loc><lastmod>2026-01-0{1 if n < 20 else 3}T00:00Z</lastmod></url>"
            for n in range(30)
        )
        + "</urlset>",
        Sitemap(
            [f"{TOP}{n}" for n in range(30)],
            dates={f"{TOP}{n}": datetime(2026, 1, 3, tzinfo=UTC) for n in range(20, 30)},
        ),
    ),
    (
        f"<urlset><url><loc>{TOP}a</loc></url><url><loc>{TOP}b & c</loc><broken",
        Sitemap([f"{TOP}a", f"{TOP}b%20&%20c"], cut=True),
    ),
    # half of a file
    (FIRST[:-9], Sitemap([f"{TOP}a"], cut=True)),
    (f"<sitemapindex><sitemap><loc>{TOP}1.xml</loc>", Sitemap([], [f"{TOP}1.xml"], cut=True)),
    # addresses that nobody has escaped
    (
        f"<urlset><url><loc>{TOP}?a=1&b=2&amp;c=3&lt=4&#38;d=5</loc></url></urlset>",
        Sitemap([f"{TOP}?a=1&b=2&c=3&d=5&lt=4"]),
    ),
    (
        f"<urlset><url><loc>{TOP}?a&</loc></url><url><loc><![CDATA[{TOP}?a=1&b]]></loc></url></urlset>",
        Sitemap([f"{TOP}?a", f"{TOP}?a=1&b"]),
    ),
    (f"<urlset><url><loc>{TOP}?a&amp;b=c</loc></url></urlset>".encode("utf-16"), Sitemap([f"{TOP}?a&b=c"])),
    # what it has from elsewhere is not there
    (
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>&x;</loc></url></urlset>',
        Sitemap(),
    ),
    (
        f'<!DOCTYPE urlset SYSTEM "{TOP}x.dtd"><urlset><url><loc>{TOP}a</loc></url></urlset>',
        Sitemap([f"{TOP}a"]),
    ),
]


@pytest.mark.parametrize(("body", "found"), SITEMAPS)
def test_what_a_sitemap_lists(body: str | bytes, found: Sitemap) -> None:
    assert read_sitemap(body if isinstance(body, bytes) else body.encode(), URL, 100) == found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not found",
        b"<!DOCTYPE html><html><loc>https://example.com/</loc></html>",
        b"<rss/>",
        b"\x1f\x8bbroken",
    ],
)
def test_what_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected a sitemap"):
        read_sitemap(body, URL, 100)


class TestBounds:
    @pytest.mark.parametrize(
        "body",
        [
            "".join(["<urlset>", *(f"<url><loc>/{n}</loc></url>" for n in range(200_000)), "</urlset>"]),
            "\n".join(f"{TOP}{n}" for n in range(200_000)),
        ],
        ids=["xml", "lines"],
    )
    def test_of_addresses(self, body: str) -> None:
        began = time.process_time()
        found = read_sitemap(body.encode(), URL, 3)
        assert found == Sitemap([f"{TOP}0", f"{TOP}1", f"{TOP}2"], cut=True)
        assert time.process_time() - began < 1

    def test_of_what_a_gzip_holds(self) -> None:
        found = read_sitemap(gzip.compress(FIRST.encode() + b" " * (MOST_BYTES + 1)), URL, 100)
        assert found == Sitemap([f"{TOP}a"], cut=True)

    def test_of_entities_within_entities(self) -> None:
        names = "abcdefghij"
        lines = [f'<!ENTITY {after} "{f"&{name};" * 10}">' for name, after in pairwise(names)]
        text = f'<!DOCTYPE r [<!ENTITY a "lol">{"".join(lines)}]><urlset><url><loc>&j;</loc></url></urlset>'
        began = time.process_time()
        assert read_sitemap(text.encode(), URL, 100) == Sitemap(cut=True)
        assert time.process_time() - began < 1

    def test_of_attributes(self) -> None:
        many = " ".join(f'a{number}=">"' for number in range(200_000))
        body = f"<urlset><url><loc>{TOP}a</loc></url><url {many}><loc>{TOP}b</loc></url></urlset>".encode()
        began = time.process_time()
        assert read_sitemap(body, URL, 100) == Sitemap([f"{TOP}a"], cut=True)
        assert time.process_time() - began < 1
