"""Web pages by lxml: what they say, what they say of themselves, and where they lead.

A page marks its main text with ``<main>`` or ``<article>``; where it does not, trafilatura finds it, and
without that the whole body is taken but for navigation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from lingstream.core.phrases import Phrase

from .markdown import BOILERPLATE, as_markdown
from .plain import decode
from .result import MOST_HTML, Extracted, ExtractionError, bounded

__all__ = ["extract_html"]

MOST_LINKS = 5_000
LONGEST_LINK = 2_000
#: Characters of a body below which it is taken whole: of so little, nobody can tell what is the main part.
SHORT = 1_000
#: The share of a body's text that its main part has to have, to be believed.
LEAST_SHARE = 0.1
#: Levels that libxml2 knows; what is nested more deeply it drops without a word.
DEEPEST = 2_048

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I)
_XML_CHARSET = re.compile(rb"^\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w.:-]{1,40})")
_TAG = re.compile(r"<[^<>]*>")
_MAIN = ("//main", "//*[@role='main']", "//article")
_ROBOTS = frozenset(("robots", "lingstream"))


def extract_html(body: bytes, mime: str = "", url: str = "") -> Extracted:
    """Return the main text of a web page as Markdown, with its headings, code, tables and lists.

    :raises ExtractionError: ``too-large`` or ``package-missing``.
    """
    if len(body) > MOST_HTML:
        message = Phrase("expected up to %(most)s bytes of HTML, got %(got)s", most=MOST_HTML, got=len(body))
        raise ExtractionError("too-large", message)
    source = decode(body, mime, _declared(body[:2_048]))
    tree = _parsed(source)
    if tree is None:
        return Extracted("")
    rules = _rules(tree)
    base = next(iter(_absolute(url, tree.xpath("//base/@href"))), url)
    canonical = _absolute(base, tree.xpath("//link[@rel='canonical']/@href"))
    return Extracted(
        bounded(_main_text(tree, source)),
        title=_title(tree),
        language=tree.get("lang", "").strip()[:20],
        canonical=next(iter(canonical), ""),
        noindex=bool(rules & {"noindex", "none"}),
        nofollow=bool(rules & {"nofollow", "none"}),
        links=_absolute(base, tree.xpath("//a[not(contains(@rel, 'nofollow'))]/@href")),
    )


def _declared(head: bytes) -> str:
    found = _META_CHARSET.search(head) or _XML_CHARSET.search(head)
    return found[1].decode("ascii", "replace") if found else ""


def _parsed(source: str) -> Any:
    try:
        from lxml import etree, html
    except ImportError as error:
        message = Phrase("HTML needs lxml: pip install 'lingstream[knowledge]'")
        raise ExtractionError("package-missing", message) from error
    # huge_tree, or what is nested more deeply than 255 levels is dropped, not 2,048.
    parser = html.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        tree = html.document_fromstring(source.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:  # nothing in it
        return None
    return tree


def _rules(tree: Any) -> set[str]:
    metas = (meta for meta in tree.iter("meta") if meta.get("name", "").strip().lower() in _ROBOTS)
    return {rule.strip().lower() for meta in metas for rule in meta.get("content", "").split(",")}


def _title(tree: Any) -> str:
    for path in ("//head/title", "//h1", "//title"):
        for element in tree.xpath(path):
            if title := " ".join("".join(element.itertext()).split()):
                return title[:500]
    return ""


def _absolute(base: str, links: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of ``links``, each once; what is none, or too long, is left out."""
    found: dict[str, None] = {}
    for link in links:
        try:
            address = urldefrag(urljoin(base, link.strip())).url
            parts = urlsplit(address)
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and parts.netloc and len(address) <= LONGEST_LINK:
            found[address] = None
            if len(found) == MOST_LINKS:
                break
    return tuple(found)


def _main_text(tree: Any, source: str) -> str:
    body = next(iter(tree.xpath("//body")), tree)
    whole = as_markdown(body, BOILERPLATE)
    if not whole:
        return " ".join(_TAG.sub(" ", source).split()) if source.count("<") > DEEPEST else ""
    for path in _MAIN:
        found = tree.xpath(path)
        text = as_markdown(found[0]) if len(found) == 1 else ""
        if len(text) > LEAST_SHARE * len(whole):
            return text
    return (_by_trafilatura(source) if len(whole) > SHORT else "") or whole


def _by_trafilatura(source: str) -> str:
    try:
        from trafilatura import extract
    except ImportError:
        return ""
    found = extract(
        source,
        output_format="html",
        include_comments=False,
        include_formatting=True,
        include_tables=True,
        favor_recall=True,
    )
    tree = _parsed(found) if found else None
    return "" if tree is None else as_markdown(tree)
