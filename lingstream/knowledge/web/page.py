"""Where a page leads, and what it says about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .links import normalise
from .markup import Reader, read_html
from .robots import directives

__all__ = ["MOST_BYTES", "MOST_LINKS", "Page", "is_html", "read_page"]

#: Bytes of a page's markup that are read for links.
MOST_BYTES = 2 * 1024 * 1024
#: Links of one page that count.
MOST_LINKS = 1_000

_HTML = frozenset(("text/html", "application/xhtml+xml"))
_UNSURE = frozenset(("", "text/plain", "application/octet-stream", "text/xml", "application/xml"))
_HEAD = 1_024  # bytes in which HTML says that it is


@dataclass(slots=True)
class Page:
    """What the markup of a page says.

    :param links: normalised addresses, each once, in their order.
    :param canonical: the address that it calls its own, ``""`` for none.
    :param says: ``noindex`` and ``nofollow``, where it says so.
    :param cut: there is more of it than was read.
    """

    links: list[str] = field(default_factory=list)
    canonical: str = ""
    says: set[str] = field(default_factory=set)
    cut: bool = False


def is_html(body: bytes, mime: str) -> bool:
    """Whether a body is a page, whatever its sender calls it."""
    head = body[:_HEAD].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return True
    return (mime in _HTML and b"<" in head) or (mime in _UNSURE and b"<html" in head)


def read_page(
    body: bytes,
    url: str,
    agent: str,
    charset: str = "",
    holds: Callable[[str], bool] = lambda address: True,
) -> Page:
    """Return what a page says; it may take a second of CPU.

    :param url: where it is.
    :param agent: the name of the robot that it may speak to.
    :param charset: the encoding that its sender names.
    :param holds: whether a link to an address counts.
    """
    reader = _PageReader(url, agent, holds)
    read_html(body[:MOST_BYTES], reader, charset)
    found = reader.found
    found.links = [*reader.links]
    found.cut = reader.cut or len(body) > MOST_BYTES
    return found


class _PageReader(Reader):
    most_tags = 100_000

    def __init__(self, url: str, agent: str, holds: Callable[[str], bool]) -> None:
        super().__init__()
        self.found = Page()
        self.links: dict[str, None] = {}
        self._base = url
        self._agent, self._holds = agent, holds

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        href = attributes.get("href", "")
        kinds = attributes.get("rel", "").lower().split()
        if tag in ("a", "area") and href and "nofollow" not in kinds:
            self._link(href)
        elif tag == "link" and "canonical" in kinds and not self.found.canonical:
            self.found.canonical = normalise(href, self._base) if href else ""
        elif tag == "base" and href:
            self._base = normalise(href, self._base) or self._base
        elif tag == "meta" and attributes.get("name", "").lower() in ("robots", self._agent):
            self.found.says |= directives([attributes.get("content", "")], self._agent)

    def _link(self, href: str) -> None:
        address = normalise(href, self._base)
        if not address or address in self.links or not self._holds(address):
            return
        if len(self.links) == MOST_LINKS:
            self.leave()
        self.links[address] = None
