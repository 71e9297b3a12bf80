"""What a site says about robots: a table of files and addresses, of delays, of headers."""

from __future__ import annotations

import time

import pytest

from lingstream.knowledge.web.robots import LEAST_DELAY, MOST_BYTES, MOST_DELAY, Robots, directives

ALL = "User-agent: *\n"
OURS = "User-agent: lingstream\n"

FILES = [
    ("", "/any", True),
    ("<html>no robots</html>", "/any", True),
    (ALL + "Disallow:", "/any", True),
    (ALL + "Disallow: /", "/any", False),
    ("\ufeff" + ALL + "Disallow: /", "/any", False),
    (ALL + "disallow:/private # not for robots", "/private/x", False),
    (ALL + "Disallow: /private", "/public", True),
    (ALL + "Disallow: /\nAllow: /docs/", "/docs/a", True),
    (ALL + "Allow: /docs/\nDisallow: /docs/old", "/docs/old/a", False),
    (ALL + "Disallow: /*?print=", "/a?print=1", False),
    (ALL + "Disallow: /*.pdf$", "/a.pdf", False),
    (ALL + "Disallow: /*.pdf$", "/a.pdf?x", True),
    (ALL + "Disallow: /%E4%BA%91", "/%e4%ba%91/a", False),
    (ALL + "Dissalow: /private", "/private", False),
    # whose rules they are
    (ALL + "Disallow: /\n\n" + OURS + "Disallow: /private", "/any", True),
    (ALL + "Disallow: /\n\n" + OURS + "Disallow: /private", "/private", False),
    (ALL + "Disallow: /\n\n" + OURS, "/any", True),
    (OURS.upper() + "Disallow: /", "/any", False),
    ("User-agent: lingstream/0.1\nDisallow: /", "/any", False),
    ("User-agent: lingstreamer\nDisallow: /", "/any", True),
    ("User-agent: otherbot\nDisallow: /", "/any", True),
    ("User-agent: otherbot\n" + OURS + "Disallow: /", "/any", False),
    (OURS + "User-agent: otherbot\nDisallow: /", "/any", False),
    (OURS + "Crawl-delay: 1\nUser-agent: otherbot\nDisallow: /", "/any", True),
    (OURS + "Disallow: /a\n" + ALL + "Disallow: /b\n" + OURS + "Disallow: /c", "/c", False),
    ("Disallow: /", "/any", True),
]


@pytest.mark.parametrize(("text", "path", "allowed"), FILES)
def test_which_addresses_are_allowed(text: str, path: str, allowed: bool) -> None:
    assert Robots(text.encode(), "lingstream").allows(f"https://example.com{path}") is allowed


DELAYS = [("", LEAST_DELAY), ("0", LEAST_DELAY), ("3.5", 3.5), ("86400", MOST_DELAY), ("-1", LEAST_DELAY)]


@pytest.mark.parametrize(("given", "delay"), [*DELAYS, ("inf", LEAST_DELAY), ("soon", LEAST_DELAY)])
def test_how_long_to_wait_between_two_requests(given: str, delay: float) -> None:
    assert Robots(f"{ALL}Crawl-delay: {given}".encode(), "lingstream").delay == delay


def test_sitemaps_belong_to_nobody() -> None:
    lines = [f"Sitemap: https://example.com/{number}.xml" for number in range(60)]
    robots = Robots("\n".join(["User-agent: otherbot", lines[0], *lines]).encode(), "lingstream")
    assert robots.sitemaps == [f"https://example.com/{number}.xml" for number in range(50)]


class TestBounds:
    def test_what_is_behind_the_bound_is_not_read_nor_half_a_rule(self) -> None:
        first = f"{ALL}Disallow: /a\n#"
        cut = "Disallow: /bc"
        text = first + "x" * (MOST_BYTES - len(first) - len(cut)) + "\n" + cut + "d\nDisallow: /e"
        robots = Robots(text.encode(), "lingstream")
        assert [robots.allows(f"https://example.com/{name}") for name in ("a", "bc", "e")] == [
            False,
            True,
            True,
        ]

    def test_rules_are_not_multiplied_by_the_robots_they_are_for(self) -> None:
        names = "\n".join(f"User-agent: bot{number}" for number in range(20_000))
        rules = "\n".join(f"Disallow: /{number}" for number in range(4_000))
        began = time.process_time()
        robots = Robots(f"{names}\n{OURS}{rules}".encode(), "lingstream")
        assert not robots.allows("https://example.com/3999")
        assert time.process_time() - began < 5

    @pytest.mark.parametrize(("count", "rule"), [(5_001, "/a"), (501, "/*a*b$")])
    def test_more_rules_than_can_be_kept_to(self, count: int, rule: str) -> None:
        with pytest.raises(ValueError, match=f"expected up to 5000 rules .*, got {count}"):
            Robots((ALL + f"Disallow: {rule}\n" * count).encode(), "lingstream")


HEADERS = [
    ([], set()),
    (["noindex"], {"noindex"}),
    (["NoIndex, NoFollow"], {"noindex", "nofollow"}),
    (["none"], {"noindex", "nofollow"}),
    (["noarchive, max-snippet: 20, noindex"], {"noindex"}),
    (["otherbot: noindex, nofollow"], set()),
    (["otherbot: noindex", "nofollow"], {"nofollow"}),
    (["lingstream: noindex"], {"noindex"}),
    (["otherbot: noindex, lingstream: nofollow"], {"nofollow"}),
    (["unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow"], {"nofollow"}),
]


@pytest.mark.parametrize(("headers", "found"), HEADERS)
def test_what_a_header_says(headers: list[str], found: set[str]) -> None:
    assert directives(headers, "lingstream") == found
