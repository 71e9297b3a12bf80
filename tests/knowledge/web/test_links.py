"""Addresses: one form for what means the same page, and which of them a source may go to."""

from __future__ import annotations

import time

import httpx2
import pytest

from lingstream.core.exceptions import UsageError
from lingstream.knowledge.web.links import MOST_CHARACTERS, Area, normalise, origin_of

BASE = "https://example.com/docs/guide/start.html?lang=en"

LINKS = [
    # as it is
    ("https://example.com/a", "https://example.com/a"),
    ("https://example.com/A/b%20c/;v=1,2/x:y@z", "https://example.com/A/b%20c/;v=1,2/x:y@z"),
    # relative to the page
    ("next.html", "https://example.com/docs/guide/next.html"),
    ("../api/", "https://example.com/docs/api/"),
    ("/top", "https://example.com/top"),
    ("//cdn.example.com/x", "https://cdn.example.com/x"),
    ("?lang=de", "https://example.com/docs/guide/start.html?lang=de"),
    ("", "https://example.com/docs/guide/start.html?lang=en"),
    ("#part", "https://example.com/docs/guide/start.html?lang=en"),
    ("\n next\t.html \r\n", "https://example.com/docs/guide/next.html"),
    ("\\top\\x", "https://example.com/top/x"),
    # scheme, host, port
    ("HTTPS://EXAMPLE.com", "https://example.com/"),
    ("http://example.com:80/", "http://example.com/"),
    ("https://example.com:443/", "https://example.com/"),
    ("https://example.com:8443/", "https://example.com:8443/"),
    ("https://example.com./", "https://example.com/"),
    ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
    ("http://[2606:4700:0::1111]:80/", "http://[2606:4700::1111]/"),
    # path
    ("/a/./b/../c", "https://example.com/a/c"),
    ("/a/b/..", "https://example.com/a/"),
    ("/../../a", "https://example.com/a"),
    ("https://example.com/a/%2e%2E/b", "https://example.com/b"),
    ("/%7Euser/%e4%ba%91", "https://example.com/~user/%E4%BA%91"),
    ("/云 x", "https://example.com/%E4%BA%91%20x"),
    ("/100%", "https://example.com/100%25"),
    ("/a%2Fb", "https://example.com/a%2Fb"),
    ("/a//b", "https://example.com/a//b"),
    ("/shop;jsessionid=0A1B?x=1", "https://example.com/shop?x=1"),
    ("/\ud800", "https://example.com/%3F"),
    # query and fragment
    ("/a?", "https://example.com/a"),
    ("/a?b=2&a=1", "https://example.com/a?a=1&b=2"),
    ("/a?q=2&q=1", "https://example.com/a?q=2&q=1"),
    ("/a?/path/b&a=1", "https://example.com/a?/path/b&a=1"),
    ("/a?q=%e4%ba%91+x&&b=", "https://example.com/a?b=&q=%E4%BA%91+x"),
    ("/a?utm_source=x&id=1&UTM_Medium=y&gclid=z&PHPSESSID=1#top", "https://example.com/a?id=1"),
    ("/a?utm_source=x", "https://example.com/a"),
    # none to ask for
    ("mailto:a@example.com", ""),
    ("javascript:alert(1)", ""),
    ("data:text/html,x", ""),
    ("ftp://example.com/", ""),
    ("https:///x", ""),
    ("https:x", ""),
    ("///x", ""),
    ("https://user@example.com/", ""),
    ("https://example.com\\@evil.example/", "https://example.com/@evil.example/"),
    ("https://example.com:port/", ""),
    ("https://example.com:99999/", ""),
    ("https://exa mple.com/", ""),
    ("https://-/", ""),
    ("https://[::1", ""),
    ("https://[fe80::1%25eth0]/", ""),
    (f"https://{'a' * 64}ü.example/", ""),
    ("/a%2f..%2fadmin", ""),
    ("/a/%252e%252e/admin", ""),
    ("/a/..;/admin", ""),
    (f"/{'a' * MOST_CHARACTERS}", ""),
    (f"/{'云' * 300}", ""),
]


@pytest.mark.parametrize(("link", "address"), LINKS)
def test_one_form_of_each_address(link: str, address: str) -> None:
    assert normalise(link, BASE) == address
    if address:
        assert normalise(address) == address
        assert str(httpx2.URL(address)) == address  # what is asked for is what was judged


AREAS = [
    ("example.com", "https://example.com/any?x=1", True),
    ("example.com", "http://example.com/", True),
    ("https://example.com", "http://example.com/", False),
    ("HTTPS://Example.COM:443/", "https://example.com/x", True),
    ("example.com", "https://www.example.com/", False),
    ("example.com", "https://example.com.evil.example/", False),
    ("example.com", "https://example.com:8443/", False),
    ("example.com:8443", "https://example.com:8443/", True),
    ("*.example.com", "https://docs.example.com/", True),
    ("*.example.com", "https://example.com/", False),
    ("*.example.com", "https://evil.example/.example.com/", False),
    ("bücher.example", "https://xn--bcher-kva.example/", True),
    ("example.com/docs/", "https://example.com/docs/a/b?x", True),
    ("example.com/docs/", "https://example.com/docs", False),
    ("example.com/docs", "https://example.com/docs", True),
    ("example.com/docs", "https://example.com/docs?page=2", True),
    ("example.com/docs", "https://example.com/docs/a", False),
    ("example.com/*.pdf", "https://example.com/a/b.pdf", True),
    ("example.com/*.pdf", "https://example.com/a/b.pdf.html", False),
    ("example.com/a*b*b", "https://example.com/ab", False),
    ("example.com/a*b*b", "https://example.com/axbyb", True),
    ("/private/", "https://any.example/private/x", True),
    ("*/feed", "https://any.example/feed", True),
    ("/cal*?*date=*", "https://example.com/cal/7?a=1&date=2", True),
    ("/cal*?*date=*", "https://example.com/cal/7?a=1", False),
    ("/%7euser/", "https://example.com/~user/", True),
]


@pytest.mark.parametrize(("pattern", "address", "held"), AREAS)
def test_what_a_pattern_covers(pattern: str, address: str, held: bool) -> None:
    assert Area([pattern]).holds(address) is held
    assert Area(["*"], [pattern]).holds(address) is not held


@pytest.mark.parametrize(
    "text", ["", " ", "ftp://x/", "https://", "https:///x", "a b", "u@x", "x/#y", "ü" * 64]
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(UsageError, match="expected") as raised:
        Area([text])
    assert raised.value.code == "option"


def test_stars_cost_no_more_than_the_address_is_long() -> None:
    area = Area([f"example.com/{'*a' * 500}*b"])
    began = time.process_time()
    assert not area.holds("https://example.com/" + "a" * 1_900)
    assert time.process_time() - began < 0.1


def test_an_origin() -> None:
    assert origin_of("https://example.com:8443/a/b?c=/d") == "https://example.com:8443"
