"""The kind ``web``: the pages of a web site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from ..models import Source
from .port import SourceKind
from .remote import ADDRESS, KEYS, LEAST_DELAY, address, check_keys, fetcher
from .render import check_renderer

if TYPE_CHECKING:
    from ..web.links import Area
    from .crawl import Crawl

__all__ = ["Web"]

_PATTERNS = {"type": "array", "items": ADDRESS, "maxItems": 100}


class Web(SourceKind):
    """See :class:`SourceKind`."""

    kind = "web"
    title = "Web site"
    delete_after = 2
    lists_by = ("sitemaps", "delay")
    config_schema = {
        "type": "object",
        "description": "Pages of a site, from the addresses on where to begin, by links and sitemaps.",
        "properties": {
            "seeds": {
                "type": "array",
                "title": "where to begin",
                "items": ADDRESS,
                "minItems": 1,
                "maxItems": 100,
            },
            "allow": {
                **_PATTERNS,
                "title": "where to go",
                "description": "Addresses like https://example.com/docs/ with all that is below, or with "
                "stars. Empty: the hosts of where to begin.",
            },
            "deny": {
                **_PATTERNS,
                "title": "where not to go",
                "description": "Likewise; /private/ is that of every host, /*?*date=* a calendar's pages.",
            },
            "follow": {"type": "boolean", "title": "follow links", "default": True},
            "sitemaps": {
                "type": "array",
                "title": "sitemaps",
                "description": "Empty: those that robots.txt names, else /sitemap.xml.",
                "items": ADDRESS,
                "maxItems": 50,
            },
            "delay": {
                "type": "number",
                "title": "pause",
                "description": "Seconds between two requests to a host; more if its robots.txt says so.",
                "default": LEAST_DELAY,
                "minimum": LEAST_DELAY,
                "maximum": 60,
            },
            "render": {
                "type": "string",
                "title": "rendered by",
                "description": "For pages that JavaScript makes: the name of a function with @renderer in an "
                "app's knowledge.py.",
                "minLength": 1,
                "maxLength": 100,
            },
            **KEYS,
        },
        "required": ["seeds"],
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[Crawl]:
        """See :class:`SourceKind`.

        :raises UsageError: its addresses, its key or its renderer cannot be used; ``package-missing``.
        """
        _check_renderer(source.config)
        async with fetcher(source.config) as fetches:
            from .crawl import Crawl

            yield Crawl(source.config, _area(source.config), fetches)

    def check(self, config: Mapping[str, Any]) -> None:
        """See :class:`SourceKind`."""
        area = _area(config)
        for seed in map(address, config["seeds"]):
            if not area.holds(seed):
                message = Phrase("expected to be let go to %(seed)s, where the source begins", seed=seed)
                raise UsageError(message, code="option")
        for sitemap in config.get("sitemaps", ()):
            address(sitemap)
        check_keys(config)
        _check_renderer(config)


def _check_renderer(config: Mapping[str, Any]) -> None:
    if name := config.get("render"):
        check_renderer(name)


def _area(config: Mapping[str, Any]) -> Area:
    from ..web.links import Area, origin_of

    hosts = {origin_of(address(seed)).partition("://")[2] for seed in config["seeds"]}
    return Area(config.get("allow") or hosts, config.get("deny", ()))
