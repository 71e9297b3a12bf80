"""The node tree that markup becomes: which elements open and close, and which white space counts.

A node is a string or ``{"tag", "attrs", "children"}``; the root is ``{"children"}``, a node without a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lingstream.core.document.ops import Append, Set
from lingstream.core.parsing.emitter import Emitter, Limits
from lingstream.core.phrases import Phrase

from .policy import DROPPED, ELEMENTS, INLINE, VOID, clean

__all__ = ["SPACE", "Tree"]

SPACE = " \t\n\r\f"

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CELLS = frozenset({"td", "th"})
_SECTIONS = frozenset({"tbody", "tfoot", "thead"})
_TABLE = frozenset({"table", "caption", "col", "colgroup", "tr"}) | _CELLS | _SECTIONS
_SCOPE = frozenset({"table", "caption"}) | _CELLS

#: Opening one of these ends what may not be around it: the elements that end, and where the search stops.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), frozenset({"ol", "ul"}) | _SCOPE),
    **dict.fromkeys(("dd", "dt"), (frozenset({"dd", "dt"}), frozenset({"dl"}) | _SCOPE)),
    **dict.fromkeys(_CELLS, (_CELLS | {"caption"}, frozenset({"table", "tr"}))),
    "tr": (_CELLS | {"tr", "caption", "colgroup"}, frozenset({"table"}) | _SECTIONS),
    **dict.fromkeys(_SECTIONS, (_CELLS | _SECTIONS | {"tr", "caption", "colgroup"}, frozenset({"table"}))),
    **dict.fromkeys(("rp", "rt"), (frozenset({"rp", "rt"}), frozenset({"ruby"}))),
}
_ENDS_PARAGRAPH = frozenset({"p"}), _SCOPE


class Tree(Emitter):
    """Builds the tree and tells of it.

    :param root: uri of the tree.
    :param max_depth: elements inside each other; past this and the next bound
        :class:`ParseLimitError` is raised.
    :param max_nodes: elements and texts in all.
    :param max_chars: characters of the markup.
    :param images: origins whose images may be fetched, as in :func:`.policy.clean`.
    """

    def __init__(
        self, root: str, *, max_depth: int, max_nodes: int, max_chars: int, images: str = ""
    ) -> None:
        super().__init__(root, Limits(2 * max_depth + 4, max_chars, 0, 0), strict=False)
        self.offset: Callable[[], int] = lambda: 0
        self._max_depth = max_depth
        self._max_nodes = max_nodes
        self._images = images
        self._nodes = 0
        self._tags: list[str] = []  # the open elements
        self._preformatted = 0  # how many of them are <pre>
        self.space: list[str] = []
        """White space that counts only if something of the same line follows."""
        self._first_newline = False  # whether <pre> has just begun, where HTML ignores a newline
        self._dropping = ""  # the element whose content is dropped
        self._dropping_depth = 0

    @property
    def at_top(self) -> bool:
        """Whether no element is open."""
        return not self._tags

    @property
    def is_preformatted(self) -> bool:
        """Whether line breaks are content here."""
        return self._preformatted > 0

    @property
    def may_hold_code(self) -> bool:
        """Whether a block of code may begin here."""
        is_in_line = bool(self._tags) and self._tags[-1] in INLINE
        return not (self._preformatted or self._dropping or is_in_line)

    @property
    def is_growing(self) -> bool:
        """Whether characters that come now go into the open text."""
        return self.is_open and not self._dropping

    # -- what the markup says -----------------------------------------------------------------------

    def text(self, text: str) -> None:
        """Characters between tags, references resolved."""
        if self._dropping:
            return
        if self._preformatted:
            if self._first_newline:
                text = text.removeprefix("\n")
                self._first_newline = False
            self._write(text)
            return
        core = text.strip(SPACE)
        if not core:
            self.space.append(text)
            return
        start = text.index(core)
        self.space.append(text[:start])
        self._write(self._take_space() + core)
        self.space.append(text[start + len(core) :])

    def start_tag(self, tag: str, attributes: Iterable[tuple[str, str | None]], *, is_empty: bool) -> None:
        """A start tag; ``is_empty`` if it ends in ``/>``."""
        if self._dropping:
            self._dropping_depth += tag == self._dropping and not is_empty
        elif tag in DROPPED:
            self._report("dropped-element", tag)
            if not is_empty:
                self._dropping, self._dropping_depth = tag, 1
        elif tag in ELEMENTS:
            self._open(tag, attributes)
            if is_empty or tag in VOID:
                self._close()
        else:
            self._report("dropped-tag", tag)

    def end_tag(self, tag: str) -> None:
        """An end tag."""
        if self._dropping:
            self._dropping_depth -= tag == self._dropping
            if not self._dropping_depth:
                self._dropping = ""
        elif tag in ELEMENTS and tag not in VOID:
            place = self._find(tag)
            if place is None:
                self._report("stray-end-tag", tag)
            else:
                self._close_from(place, in_line=tag in INLINE and place == len(self._tags) - 1)

    def take_back(self) -> str:
        """Begin anew: what comes next replaces the tree. Return the text that was in it."""
        self.view()
        text = "".join(_texts(self.value))
        self._tags.clear()
        self.space.clear()
        self.parts.clear()
        self.run.clear()
        self.is_open = self._first_newline = False
        self._preformatted, self._dropping, self._dropping_depth = 0, "", 0
        if self.value is not None:
            self.restart()
            self.value = None
            self._begin()
        return text

    def finish(self) -> None:
        """The markup has ended, or was cut off: close what is open."""
        self._begin()
        if self._tags or self._dropping:
            self._report("unclosed", self._dropping or self._tags[-1])
        self._close_from(0, cut=self.cut)
        self._close_children(cut=self.cut)

    # -- elements -----------------------------------------------------------------------------------

    def _open(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self._begin()
        self._end_implied(tag)
        if tag in INLINE:
            self._write(self._take_space())
        self._end_text()
        self._count_node()
        if len(self._tags) >= self._max_depth:
            raise self.limit(
                Phrase("elements inside each other"), self._max_depth, self.child(), self.offset()
            )
        kept, dropped = clean(tag, attributes, self._images)
        for name in dropped:
            self._report("dropped-attribute", name)
        self._tags.append(tag)
        self._preformatted += tag == "pre"
        self._first_newline = tag == "pre"
        self._open_node(tag, kept)

    def _open_node(self, tag: str, attributes: dict[str, str]) -> None:
        """Tell of an element with all that it has before its first child, so that it can be drawn at once."""
        node: dict[str, Any] = {}
        self.open_container(self.child(), node, "", self.offset())
        node["tag"], node["attrs"] = tag, attributes
        self.out.append(Append(f"{self.prefix}tag", tag))
        self.out.append(Set(f"{self.prefix}attrs", {}))
        for name, value in attributes.items():
            uri = f"{self.prefix}attrs/{name}"
            self.out.append(Append(uri, value) if value else Set(uri, ""))
        self._open_children()

    def _open_children(self) -> None:
        self.key = "children"
        self.open_container(self.child(), [], "", self.offset())

    def _close(self, *, cut: bool = False) -> None:
        self._end_text(cut=cut)
        self._first_newline = False
        self._preformatted -= self._tags.pop() == "pre"
        self._close_children(cut=cut)

    def _close_children(self, *, cut: bool = False) -> None:
        self.close_container()
        self.out.pop()  # a list of children is not told of: its element is, right away
        self.close_container(cut=cut)

    def _close_from(self, place: int, *, in_line: bool = False, cut: bool = False) -> None:
        if in_line:
            self._write(self._take_space())
        while len(self._tags) > place:
            self._close(cut=cut)
        self._end_text(cut=cut)

    def _begin(self) -> None:
        if self.value is None:
            self.open_container(self.child(), {}, "", self.offset())
            self._open_children()

    def _find(self, tag: str) -> int | None:
        """The place of the open element that an end tag ends."""
        wanted = _HEADINGS if tag in _HEADINGS else {tag}
        for place in range(len(self._tags) - 1, -1, -1):
            if self._tags[place] in wanted:
                return place
            if self._tags[place] in _SCOPE and tag not in _TABLE:
                return None
        return None

    def _end_implied(self, tag: str) -> None:
        """End the elements whose end tags HTML lets authors leave out before ``tag``."""
        if tag in _ENDS:
            ended, stops = _ENDS[tag]
        elif tag in INLINE or tag == "br":
            return
        else:
            ended, stops = _ENDS_PARAGRAPH
        found = None
        for place in range(len(self._tags) - 1, -1, -1):
            if self._tags[place] in stops:
                break
            if self._tags[place] in ended:
                found = place
        if found is not None:
            self._close_from(found)

    # -- text ---------------------------------------------------------------------------------------

    def _write(self, text: str) -> None:
        if not text:
            return
        if not self.is_open:
            self._begin()
            self._count_node()
            self.begin_string(self.child())
        self.append(text)

    def _end_text(self, *, cut: bool = False) -> None:
        self.space.clear()
        if self.is_open:
            self.settle(cut=cut)

    def _take_space(self) -> str:
        """The white space that was withheld, if what follows stands in one line with what is before it."""
        space = "".join(self.space)
        self.space.clear()
        return space if self.is_open or self._is_in_line() else ""

    def _is_in_line(self) -> bool:
        children = self.container
        if children:
            return not isinstance(children[-1], dict) or children[-1]["tag"] in INLINE
        return bool(self._tags) and self._tags[-1] in INLINE

    def _count_node(self) -> None:
        self._nodes += 1
        if self._nodes > self._max_nodes:
            raise self.limit(Phrase("nodes"), self._max_nodes, self.child(), self.offset())

    def _report(self, kind: str, got: str) -> None:
        self.note(kind, "allowed markup", got, self.offset())


def _texts(node: Any) -> Iterator[str]:
    """The texts of a tree, in their order."""
    left = [node] if node else []
    while left:
        node = left.pop()
        if isinstance(node, str):
            yield node
        else:
            left.extend(reversed(node["children"]))
