"""HTML written as Markdown: headings, code, tables, lists and quotes; of links and the rest, their text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["BOILERPLATE", "as_markdown"]

#: Levels of elements in each other that are written as they are meant; of what is deeper, the text.
DEEPEST = 100

#: What stands around the main text of a page.
BOILERPLATE = frozenset(("aside", "footer", "header", "nav"))
_NO_TEXT = frozenset(
    {
        *(
            "audio",
            "button",
            "canvas",
            "datalist",
            "dialog",
            "embed",
            "head",
            "iframe",
            "input",
            "map",
            "nav",
        ),
        *("noscript", "object", "script", "select", "style", "svg", "template", "textarea", "video"),
    }
)
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
        *("hgroup", "hr", "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "ul"),
    }
)
_MARKS = {"b": "**", "strong": "**", "em": "*", "i": "*", "code": "`", "kbd": "`", "samp": "`", "tt": "`"}
_HEADING = re.compile(r"h[1-6]")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_LANGUAGE = re.compile(r"(?:language|lang|highlight|brush)[-:]\s*([\w+#.-]{1,30})")
_MARKUP = re.compile("#{1,6}(?: |$)|```|~~~|(?:=+|-+)$")
_LINE_BREAK = "\0"  # no tree of lxml has one


def as_markdown(element: Any, left_out: frozenset[str] = frozenset()) -> str:
    """Return the text of an element of lxml as Markdown.

    :param left_out: names of elements that are left out, beside those that hold no text to read.
    """
    return "\n\n".join(_Writer(element, left_out).blocks(element, 0))


class _Writer:
    def __init__(self, root: Any, left_out: frozenset[str]) -> None:
        self._left_out = left_out | _NO_TEXT
        # Inline elements that hold a block are written as one. Each element is marked once: a search below
        # each would be quadratic.
        self._holders: set[Any] = set()
        for block in root.iter(*_BLOCKS):
            holder = block
            while holder is not None and holder not in self._holders:
                self._holders.add(holder)
                holder = holder.getparent()

    def blocks(self, element: Any, depth: int) -> Iterator[str]:
        """Yield the paragraphs, lists and so on in an element."""
        if depth > DEEPEST:
            yield from filter(None, [_paragraph("".join(element.itertext()))])
            return
        line = [element.text or ""]
        for child in element:
            if not self._is_read(child):
                pass
            elif child in self._holders:
                yield from filter(None, [_paragraph("".join(line))])
                line.clear()
                yield from self._block(child, depth + 1)
            else:
                line.append(self._inline(child, depth + 1))
            line.append(child.tail or "")
        yield from filter(None, [_paragraph("".join(line))])

    def _block(self, element: Any, depth: int) -> Iterator[str]:
        name = element.tag
        if _HEADING.fullmatch(name):
            if title := " ".join(self._inline(element, depth).replace(_LINE_BREAK, " ").split()):
                yield f"{'#' * int(name[1])} {title}"
        elif name == "pre":
            yield from _code(element)
        elif name in ("ul", "ol"):
            yield from filter(None, ["\n".join(self._items(element, depth))])
        elif name == "table":
            yield from self._table(element, depth)
        elif name == "blockquote":
            quoted = "\n\n".join(self.blocks(element, depth))
            yield from filter(None, ["\n".join(f"> {line}".rstrip() for line in quoted.splitlines())])
        else:
            yield from self.blocks(element, depth)

    def _items(self, element: Any, depth: int) -> Iterator[str]:
        number = 0
        for child in element:
            if not self._is_read(child):
                continue
            number += 1
            mark = f"{number}. " if element.tag == "ol" else "- "
            blocks = (
                list(self._block(child, depth + 1))
                if child.tag != "li"
                else list(self.blocks(child, depth + 1))
            )
            if text := "\n".join(blocks):
                yield mark + text.replace("\n", "\n" + " " * len(mark))

    def _table(self, element: Any, depth: int) -> Iterator[str]:
        rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in _rows(element)]
        if (
            any(cell.find(".//table") is not None for row in rows for cell in row)
            or max(map(len, rows), default=0) < 2
        ):
            # It only places what is in it.
            for row in rows:
                for cell in row:
                    yield from self.blocks(cell, depth + 1)
            return
        lines = [[self._cell(cell, depth) for cell in row] for row in rows if row]
        lines.insert(1, ["---"] * len(lines[0]))
        yield "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cell(self, cell: Any, depth: int) -> str:
        text = " ".join(" ".join(self.blocks(cell, depth + 1)).split())
        return text.replace("|", "\\|")

    def _inline(self, element: Any, depth: int) -> str:
        name = element.tag
        if name == "br":
            return _LINE_BREAK
        if depth > DEEPEST or name in ("code", "kbd", "samp", "tt", "pre"):
            text = "".join(element.itertext())
        else:
            parts = [element.text or ""]
            for child in element:
                if self._is_read(child):
                    parts.append(self._inline(child, depth + 1))
                parts.append(child.tail or "")
            text = "".join(parts)
        mark = _MARKS.get(name, "")
        bare = text.strip()
        if not mark or not bare or mark in bare:
            return text
        return text.replace(bare, f"{mark}{bare}{mark}", 1)

    def _is_read(self, element: Any) -> bool:
        if not isinstance(element.tag, str) or element.tag in self._left_out:
            return False
        known = element.attrib
        hidden = (
            "hidden" in known or known.get("aria-hidden") == "true" or "headerlink" in known.get("class", "")
        )
        return not (hidden or _HIDDEN.search(known.get("style", "")))


def _rows(table: Any) -> Iterator[Any]:
    for child in table:
        if child.tag == "tr":
            yield child
        elif child.tag in ("thead", "tbody", "tfoot"):
            yield from (row for row in child if row.tag == "tr")


def _code(element: Any) -> Iterator[str]:
    parts = element.xpath(".//text() | .//br")
    text = "".join(part if isinstance(part, str) else "\n" for part in parts).strip("\n").rstrip()
    if not text:
        return
    classes = " ".join(part.get("class", "") for part in element.iter("pre", "code"))
    language = _LANGUAGE.search(classes)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    yield f"{fence}{language[1] if language else ''}\n{text}\n{fence}"


def _paragraph(text: str) -> str:
    """Return a paragraph in one line for each break in it; none looks like a heading or begins code."""
    lines = (" ".join(line.split()) for line in text.split(_LINE_BREAK))
    return "\n".join(f"\\{line}" if _MARKUP.match(line) else line for line in lines if line)
