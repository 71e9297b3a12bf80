"""What a site says about robots: its robots.txt, and what stands in the header of a page."""

from __future__ import annotations

from collections.abc import Iterable

from protego import Protego

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["LEAST_DELAY", "MOST_BYTES", "MOST_DELAY", "MOST_RULES", "MOST_STARS", "Robots", "directives"]

#: Bytes of a robots.txt that count (RFC 9309 wants at least 500 KiB); what comes behind them is not read.
MOST_BYTES = 512_000
#: Seconds between two requests to a host, at least and at most: a site that asks for more than that gets
#: this much, or a pass over it would never end.
LEAST_DELAY, MOST_DELAY = 0.5, 10.0

#: Rules for one robot, and those of them with stars: each costs time at every link of every page.
MOST_RULES, MOST_STARS = 5_000, 500
_MOST_SITEMAPS = 50
_NAMES = frozenset(("user-agent", "useragent", "user agent"))
_WITH_VALUES = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))


class Robots:
    """The rules of one robots.txt for one robot.

    :param body: the file; ``b""`` where there is none, which allows everything.
    :param agent: the robot's name, in lower case.
    :raises UsageError: it has more rules for the robot than can be kept to.
    """

    def __init__(self, body: bytes, agent: str) -> None:
        if len(body) > MOST_BYTES:
            body = body[: body.rfind(b"\n", 0, MOST_BYTES) + 1]
        rules, self.sitemaps = _for(agent, body.decode("utf-8-sig", "replace"))
        stars = sum("*" in each or "$" in each for each in rules)
        if len(rules) > MOST_RULES or stars > MOST_STARS:
            message = Phrase(
                "expected up to %(most)s rules in a robots.txt, %(most_stars)s of them with stars, got "
                "%(got)s, %(stars)s with stars",
                most=MOST_RULES,
                most_stars=MOST_STARS,
                got=len(rules),
                stars=stars,
            )
            raise UsageError(message)
        self._rules = Protego.parse("\n".join(["User-agent: *", *rules]))

    def allows(self, address: str) -> bool:
        """Whether the address may be asked for."""
        return self._rules.can_fetch(address, "*")

    @property
    def delay(self) -> float:
        """Seconds between two requests: what the site asks for, within our bounds."""
        return min(max(self._rules.crawl_delay("*") or 0.0, LEAST_DELAY), MOST_DELAY)


def _for(agent: str, text: str) -> tuple[list[str], list[str]]:
    """The rules for one robot, or for all where none are for it, and the sitemaps.

    They are picked before they are parsed: protego keeps each rule for each robot named above it, and a file
    of 4,000 names and 30,000 rules takes all memory there is.
    """
    groups: dict[str, list[str]] = {"*": []}
    sitemaps: dict[str, None] = {}
    meant: set[str] = set()
    naming = False
    for line in text.splitlines():
        field, colon, value = (each.strip() for each in line.partition("#")[0].partition(":"))
        field = field.lower()
        if field in _NAMES:
            meant = (meant if naming else set()) | {value.lower().partition("/")[0].strip()} & {"*", agent}
            naming = True
            for name in meant:
                groups.setdefault(name, [])
        elif field in ("sitemap", "sitemaps", "site-map"):
            sitemaps[value] = None
        elif colon:
            naming = False
            for name in meant:
                groups[name].append(f"{field}: {value}")
    return groups.get(agent, groups["*"]), [*sitemaps][:_MOST_SITEMAPS]


def directives(headers: Iterable[str], agent: str) -> set[str]:
    """Return what headers ``X-Robots-Tag`` tell this robot: ``noindex``, ``nofollow``.

    :param headers: each header's value, which may name a robot before its directives.
    """
    found: set[str] = set()
    for header in headers:
        meant = True
        for each in header.lower().split(","):
            name, colon, rest = each.partition(":")
            if colon and name.strip() not in _WITH_VALUES:
                meant = name.strip() in ("*", agent)
                each = rest
            if meant:
                found.add(each.strip())
    return _plain(found)


def _plain(found: set[str]) -> set[str]:
    both = {"noindex", "nofollow"}
    return both if "none" in found else found & both
