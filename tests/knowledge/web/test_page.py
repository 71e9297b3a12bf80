"""What pages say: where they lead, what their address is, whether they want to be found."""

from __future__ import annotations

import time

import pytest

from lingstream.knowledge.web.page import MOST_LINKS, Page, is_html, read_page

URL = "https://example.com/docs/a"
TOP = "https://example.com/"


def page(*links: str, canonical: str = "", says: tuple[str, ...] = (), cut: bool = False) -> Page:
    return Page([*links], canonical, {*says}, cut)


PAGES = [
    ("", page()),
    ("no markup", page()),
    ('<a href="b">', page(f"{TOP}docs/b")),
    ("<A HREF=/b>x</a> <area href='c'>", page(f"{TOP}b", f"{TOP}docs/c")),
    ('<a href="b#1">1</a><a href="/docs/b#2">2</a>', page(f"{TOP}docs/b")),
    ('<a href="/?a=1&amp;b=2">', page(f"{TOP}?a=1&b=2")),
    ('<a href="/b" rel="external NoFollow">', page()),
    ('<a href="">', page()),
    ('<a href="mailto:a@example.com"><a href="javascript:x()"><a name="top">', page()),
    ('<!-- <a href="/b"> --><script>"<a href=/c>"</script>', page()),
    ('<svg><a xlink:href="/b"/></svg>', page(f"{TOP}b")),
    ('<base href="/v2/"><a href="b">', page(f"{TOP}v2/b")),
    ('<base href="javascript:x"><a href="b">', page(f"{TOP}docs/b")),
    ('<link rel="canonical" href="/b">', page(canonical=f"{TOP}b")),
    ('<link rel="canonical" href="/b"><link rel="canonical" href="/c">', page(canonical=f"{TOP}b")),
    ('<link rel="canonical" href="mailto:x">', page()),
    ('<link rel="canonical">', page()),
    ('<meta name="robots" content="noindex">', page(says=("noindex",))),
    ('<META NAME="Robots" CONTENT="NONE">', page(says=("noindex", "nofollow"))),
    ('<meta name="lingstream" content="nofollow">', page(says=("nofollow",))),
    ('<meta name="otherbot" content="noindex"><meta name="robots">', page()),
    ('<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><a href="/&x;b">', page(f"{TOP}&x;b")),
]


@pytest.mark.parametrize(("html", "found"), PAGES)
def test_what_a_page_says(html: str, found: Page) -> None:
    assert read_page(html.encode(), URL, "lingstream") == found


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ('<a href="/云">'.encode("gbk"), "gbk"),
        ('<meta charset="gbk"><a href="/云">'.encode("gbk"), ""),
        ('<a href="/云">'.encode(), "utf-8"),
        ('\ufeff<a href="/云">'.encode(), "no-such-encoding"),
    ],
)
def test_its_encoding(body: bytes, charset: str) -> None:
    assert read_page(body, URL, "lingstream", charset).links == [f"{TOP}%E4%BA%91"]


KINDS = [
    (b"<p>x", "text/html", True),
    (b"<?xml version='1.0'?><html/>", "application/xhtml+xml", True),
    (b" \n<!DOCTYPE HTML>", "application/pdf", True),
    (b"<html>", "", True),
    (b"<?xml version='1.0'?><html/>", "text/xml", True),
    (b"%PDF-1.7", "text/html", False),
    (b"words", "text/html", False),
    (b"# <html>", "text/markdown", False),
    (b"{}", "application/json", False),
]


@pytest.mark.parametrize(("body", "mime", "html"), KINDS)
def test_what_is_a_page(body: bytes, mime: str, html: bool) -> None:
    assert is_html(body, mime) is html


def test_links_are_bounded() -> None:
    html = "".join(f'<a href="/{number}">' for number in range(MOST_LINKS + 2)).encode()
    found = read_page(html, URL, "lingstream")
    assert (len(found.links), found.links[-1], found.cut) == (MOST_LINKS, f"{TOP}{MOST_LINKS - 1}", True)


@pytest.mark.parametrize(
    "html",
    [
        "<br>" * 200_000 + '<a href="/b">',
        "<b>" * 1_000 + '<a href="/b">',
        "<b>" * 100_000 + "</i>" * 400_000,
    ],
    ids=["many", "deep", "ends without a beginning"],
)
def test_so_are_tags(html: str) -> None:
    began = time.process_time()
    assert read_page(html.encode(), URL, "lingstream") == page(cut=True)
    assert time.process_time() - began < 5
