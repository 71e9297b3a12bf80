"""The documentation as pages: what the demo's answers cite has to stand somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.http import Http404
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from lingstream.knowledge.quotes import plain

__all__ = ["markdown", "page"]

_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?P<code>.*?)^(?P=fence)|(?P<text>.+?)(?=\n\s*\n|^`{3,}|\Z)", re.M | re.S
)
_HEADING = re.compile(r"(#{1,6}) (.*)")
_PIECE = re.compile(r"\n(?=\s*(?:[*+|-]|\d+\.)\s)")


def page(name: str) -> str:
    """Return the Markdown of a page of ``docs/``.

    :raises Http404: there is none of that name.
    """
    folder = Path(settings.BASE_DIR, "docs").resolve()
    try:
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.suffix == ".md" and path.is_file():
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError):  # a name that is none, or links that lead in a circle
        pass
    raise Http404(f"no page {name:.60}")


def markdown(text: str) -> SafeString:
    """Return Markdown as HTML: headings, code and lines, without what else Markdown can do."""
    return format_html_join("\n", "{}", ((block,) for block in _blocks(text)))


def _blocks(text: str) -> Iterator[SafeString]:
    for found in _BLOCK.finditer(text):
        if found["fence"]:
            yield format_html('<pre tabindex="0">{}</pre>', found["code"].partition("\n")[2])
            continue
        for piece in _PIECE.split(found["text"].strip()):
            heading = _HEADING.fullmatch(piece)
            if heading:
                level = len(heading[1])
                yield format_html("<h{}>{}</h{}>", level, plain(heading[2]), level)
            elif words := plain(piece.replace("|", " ")):
                yield format_html("<p>{}</p>", words)
