"""Where tags, references and comments begin and end, wherever the text is cut.

The inside of a tag is read by the standard library's ``HTMLParser``, which is given whole tags only: fed with
pieces, it looks again and again at what is incomplete, and holds text back behind every ``&``.
"""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import TypeAlias

from lingstream.core.document.ops import Append, make
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import EndOfText, Reading, Source, join_surrogates
from lingstream.core.phrases import Phrase

from .fences import LONGEST_HALF, Fence, read_fence
from .policy import DROPPED, ELEMENTS, INLINE, RAW
from .tree import SPACE, Tree

__all__ = ["Reader"]

_TEXT = re.compile(r"[^<&`~\ud800-\udfff]+")
_CODE = re.compile(r"[^<`~\n\ud800-\udfff]*\n|[^<`~\n\ud800-\udfff]+")
# The tags that models write nearly always; the standard library reads the others, at ten times the cost.
_PLAIN_START = re.compile(
    r'<([a-zA-Z][a-zA-Z0-9]*)((?:[ \t\n]+[a-zA-Z-]+="[^"&<>\ud800-\udfff]*")*)[ \t\n]*>'
)
_PLAIN_ATTRIBUTE = re.compile(r'([a-zA-Z-]+)="([^"]*)"')
_PLAIN_END = re.compile(r"</([a-zA-Z0-9-]{1,32})[ \t\n\r\f]*>")
_HALF_END = re.compile(r"</[a-zA-Z0-9-]{0,32}")
_LONGEST_PLAIN = 64  # characters of a tag that is read only when its ">" is here
_NAME = re.compile(r"[a-zA-Z0-9-]")
_COMMENT_END = re.compile(r"--!?>")
_TAG_END = re.compile(r">")
_STRUCTURE = frozenset({"html", "head", "body", "form", "center", "meta", "link"})
_BLOCKS = (ELEMENTS - INLINE) | DROPPED | _STRUCTURE
_LONGEST_REFERENCE = 34  # "&CounterClockwiseContourIntegral;" has 33
_LONGEST_NAME = 32
_LONGEST_PREAMBLE = 4_096

#: Inside a tag: by what is being read, the next character that says that something else comes.
_INSIDE = {
    "name": re.compile(r"[>=]"),
    "=": re.compile(rf"[^{SPACE}]"),
    "value": re.compile(rf"[>{SPACE}]"),
    '"': re.compile('"'),
    "'": re.compile("'"),
}

_Tag: TypeAlias = tuple[str, list[tuple[str, str | None]], bool]  # name, attributes, whether it ends in "/>"


class Reader:
    """Reads markup from ``source`` and says to ``tree`` what it finds."""

    def __init__(self, source: Source, tree: Tree, preamble: Preamble, max_tag: int) -> None:
        self._source = source
        self._tree = tree
        self._preamble = preamble
        self._max_tag = max_tag
        self.thoughts = frozenset(mark[2:-1] for mark in preamble.vocabulary.stray if mark[:2] == "</")
        """The names of the tags that may end reasoning."""
        self._tags = _TagReader()
        self._around = ""  # the signs of the fence around the document
        self._is_line_start = True  # or behind a tag

    # -- before the document ------------------------------------------------------------------------

    def begin(self) -> Reading[None]:
        """Go to where the document begins, and hand the prose before it to the preamble.

        A fence or the tag of a block begins it. Where the tag of something in a line comes first, or none at
        all, the text before it belongs to the document.
        """
        source, held = self._source, ""
        while len(held) < _LONGEST_PREAMBLE and (char := (yield from source.peek())):
            is_line_start = not held.rpartition("\n")[2].strip()
            if char in "`~" and is_line_start and (fence := (yield from read_fence(source))):
                self._take_preamble(held)
                if fence.is_around_markup or (yield from self._behind(fence)) == "<":
                    self._pass_fence(fence)
                    self._around = fence.mark
                return
            tag = (yield from self._tag_kind()) if char == "<" else ""
            if tag == "block":
                self._take_preamble(held)
                return
            if tag == "inline":
                break
            run = _TEXT.match(source.text, source.pos)
            text = (run[0] if run else char)[: _LONGEST_PREAMBLE - len(held)]
            source.pos += len(text)
            held += text
        source.rewind(held)

    def _tag_kind(self) -> Reading[str]:
        """What the ``<`` here begins: a ``block``, something ``inline``, or nothing that is known."""
        if (yield from self._source.peek(1)) in ("!", "/", "?"):
            return "block"
        name = yield from self._name(1)
        if name in INLINE:
            return "inline"
        return "block" if name in _BLOCKS else ""

    def _take_preamble(self, text: str) -> None:
        if text.strip():
            self._tree.note("prose", "an element", text[:1], self._source.offset)
            self._preamble.prose.append(join_surrogates(text)[0])

    # -- the document -------------------------------------------------------------------------------

    def document(self) -> Reading[bool]:
        """Read up to the end of the text, or of the fence.

        :return: whether all up to here was reasoning, whose beginning stood in the prompt.
        """
        source, is_draft = self._source, False
        while char := (yield from source.peek()):
            if char == "<":
                is_draft = yield from self._markup()
            elif char == "&":
                yield from self._reference()
            elif char in "`~" and (self._is_line_start or (self._around and self._tree.at_top)):
                is_draft = yield from self._fence(char)
            else:
                yield from self._text(char)
            if is_draft:
                self._around, self._is_line_start = "", True
                return True
        return False

    def _text(self, char: str, run: re.Pattern[str] = _TEXT) -> Reading[None]:
        text = yield from self._source.take(run, char)
        line = text.rpartition("\n")
        self._is_line_start = (bool(line[1]) or self._is_line_start) and not line[2].strip(SPACE)
        self._tree.text(text)
        if self._is_line_start and self._tree.is_preformatted:
            return  # the next piece may begin with the end of a fence
        if self._tree.is_growing and not self._source.left and not self._source.done:
            yield from self._plain_pieces()

    def _plain_pieces(self) -> Reading[None]:
        """Tell of the pieces that are nothing but more of the open text, up to the first that is not.

        Most pieces are, so this loop is what a piece costs: what :meth:`Source.put`, :meth:`Tree.text` and
        :meth:`Tree.take` do, for one line of text without anything special in it.
        """
        source, tree = self._source, self._tree
        uri, parts, space, is_preformatted = tree.open, tree.parts, tree.space, tree.is_preformatted
        max_chars = tree.limits.chars
        last = source.before
        source.base, source.text, source.pos = source.offset, "", 0
        out = tree.take()
        while True:
            try:
                piece = yield out
            except EndOfText:
                source.done = True
                return
            length = len(piece)
            if (
                "<" in piece
                or "&" in piece
                or "`" in piece
                or "~" in piece
                or not piece.isprintable()
                or source.base + length > max_chars
            ):
                source.last = last[-1:]
                source.put(piece)
                return
            source.base += length
            last = piece or last
            text = piece if is_preformatted else piece.rstrip(SPACE)
            if not text:
                space.append(piece)
                out = []
                continue
            self._is_line_start = False
            waits = piece[len(text) :]
            if space:
                text = "".join(space) + text
                space.clear()
            if waits:
                space.append(waits)
            parts.append(text)
            out = [make(Append, (uri, text))]

    def _reference(self) -> Reading[None]:
        source, end = self._source, 1
        while (char := (yield from source.peek(end))) and end < _LONGEST_REFERENCE:
            if char != "#" and not (char.isascii() and char.isalnum()):
                break
            end += 1
        if not char and self._tree.cut:
            source.pos += end  # half a reference is no text
            return
        end += char == ";"
        text = source.part(0, end)
        source.pos += end
        self._is_line_start = False
        self._tree.text(unescape(text))

    # -- fences -------------------------------------------------------------------------------------

    def _fence(self, char: str) -> Reading[bool]:
        """Read the signs here, and the code behind them, if they are a fence.

        :return: as :meth:`document`.
        """
        source, tree = self._source, self._tree
        fence = None if tree.is_preformatted else (yield from read_fence(source))
        is_end = fence and self._around and fence.may_end(self._around)
        if fence and is_end and (self._is_line_start or not (fence.words.strip() or fence.end == "<")):
            return (yield from self._end_of_document(fence))
        if fence and self._is_line_start and fence.end != "<" and tree.may_hold_code:
            follows = yield from self._behind(fence)
            if follows and (fence.language or follows != "<"):
                return (yield from self._code(fence))
            if not follows or tree.at_top:
                self._pass_fence(fence)
                return False
        if tree.may_hold_code and self._is_half_fence():
            source.pos = len(source.text)
        else:
            yield from self._text(char)
        return False

    def _is_half_fence(self) -> bool:
        """Whether the text was cut off here, in front of a fence or in the middle of its signs."""
        source = self._source
        is_cut = self._tree.cut and source.left < LONGEST_HALF
        return is_cut and source.part(0, source.left).lstrip(" \t") in ("", "`", "``", "~", "~~")

    def _behind(self, fence: Fence) -> Reading[str]:
        """The character with which the text goes on behind a line."""
        at = fence.length
        while (char := (yield from self._source.peek(at))) and char in SPACE and at < _LONGEST_PREAMBLE:
            at += 1
        return char

    def _pass_fence(self, fence: Fence) -> None:
        self._tree.note("fence", "an element", fence.mark, self._source.offset)
        self._source.pos += fence.length

    def _code(self, fence: Fence) -> Reading[bool]:
        """What a fence in the middle is in Markdown: code, up to where the fence ends."""
        source, tree, language = self._source, self._tree, fence.language
        self._pass_fence(fence)
        source.pos += 1
        tree.start_tag("pre", (), is_empty=False)
        tree.start_tag("code", [("class", f"language-{language}")] if language else (), is_empty=False)
        self._is_line_start = True
        while char := (yield from source.peek()):
            if self._is_line_start:
                end = yield from read_fence(source)
                if end and end.may_end(fence.mark):
                    source.pos += end.length
                    tree.end_tag("pre")
                    break
                if self._is_half_fence():
                    source.pos = len(source.text)
                    break
                self._is_line_start = False
            if char == "<" and (yield from self._ends_draft()):
                return True
            yield from self._text(char, _CODE)
        return False

    def _end_of_document(self, fence: Fence) -> Reading[bool]:
        """The end of the fence around it: what follows is dropped, unless it goes on with a block."""
        source, self._around = self._source, ""
        source.pos += len(fence.mark)
        while (char := (yield from source.peek())) and char in SPACE:
            source.pos += 1
        if char == "<" and (yield from self._name(1)) in _BLOCKS:
            return False
        while char := (yield from source.peek()):
            if char == "<" and (yield from self._ends_draft()):
                return True
            if char.isspace():
                source.pos += 1
            else:
                self._tree.note("trailing", "the end of the text", char, source.offset, self._tree.root)
                yield from source.take(_TEXT, char)
        return False

    def _ends_draft(self) -> Reading[bool]:
        """Whether reasoning that began in the prompt ends here, where no markup is read."""
        is_end = (yield from self._source.peek(1)) == "/"
        is_known = (yield from self._name(1 + is_end)) in self.thoughts
        return is_known and (yield from self._preamble.is_draft())

    # -- tags ---------------------------------------------------------------------------------------

    def _markup(self) -> Reading[bool]:
        source = self._source
        char = yield from source.peek(1)
        if char.isascii() and char.isalpha():
            yield from self._start_tag()
        elif char == "/":
            if (yield from self._end_tag()):
                return True
        elif (yield from source.starts("<!--")):
            yield from self._comment()
        elif char in ("!", "?"):
            yield from self._pass(_TAG_END, 0)
        else:
            source.pos += 1
            if char or not self._tree.cut:
                self._tree.text("<")
            self._is_line_start = False
            return False
        self._is_line_start = True
        return False

    def _start_tag(self) -> Reading[None]:
        source, longest = self._source, min(_LONGEST_PLAIN, self._max_tag)
        while ">" not in source.text and source.left < longest and (yield from source.more()):
            pass
        plain = _PLAIN_START.match(source.text, source.pos)
        if plain and len(plain[0]) <= self._max_tag:
            source.pos = plain.end()
            found: _Tag | None = plain[1].lower(), _plain_attributes(plain[2]), False
        else:
            end = yield from self._tag_length()
            found = self._tags.read(join_surrogates(source.part(0, end))[0]) if end else None
            source.pos = source.pos + end if end else len(source.text)
        if found is None:
            self._tree.note("junk", "a tag", "<", source.offset)
            return
        tag, attributes, is_empty = found
        self._preamble.spoken_of += tag in self.thoughts and not is_empty
        self._tree.start_tag(tag, attributes, is_empty=is_empty)
        if tag in RAW and not is_empty:
            yield from self._pass(re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE), len(tag) + 2)
            yield from self._pass(_TAG_END, 0)
            self._tree.end_tag(tag)

    def _tag_length(self) -> Reading[int]:
        """The length of the tag that begins here; 0 if the text ends before it does.

        A ``>`` inside a quoted value does not end it.
        """
        source = self._source
        end, place = 1, "name"
        while True:
            found = _INSIDE[place].search(source.text, source.pos + end)
            end = found.end() - source.pos if found else source.left
            if end > self._max_tag:
                raise self._tree.limit(
                    Phrase("characters in a tag"), self._max_tag, self._tree.child(), source.offset
                )
            char = found[0] if found else ""
            if not char:
                if not (yield from source.more()):
                    return 0
            elif place in "\"'":
                place = "name"
            elif char == ">":
                return end
            elif place == "=":
                place = char if char in "\"'" else "value"
            else:
                place = "=" if char == "=" else "name"

    def _end_tag(self) -> Reading[bool]:
        source = self._source
        while _HALF_END.fullmatch(source.text, source.pos) and (yield from source.more()):
            pass
        plain = _PLAIN_END.match(source.text, source.pos)
        name = plain[1].lower() if plain else (yield from self._name(2))
        if name in self.thoughts and (yield from self._preamble.is_draft()):
            return True
        if plain and name not in self.thoughts:
            source.pos = plain.end()
        else:
            yield from self._pass(_TAG_END, 0)
        self._tree.end_tag(name)
        return False

    def _comment(self) -> Reading[None]:
        self._source.pos += 2  # so that <!--> ends where it should
        yield from self._pass(_COMMENT_END, 3)

    def _name(self, at: int) -> Reading[str]:
        """The lower-case name that stands at ``at``; ``""`` if none does, or a very long one."""
        name = ""
        while len(name) <= _LONGEST_NAME and (char := (yield from self._source.peek(at + len(name)))):
            if not _NAME.match(char):
                return name.lower() if char in SPACE + "/>" else ""
            name += char
        return ""

    def _pass(self, end: re.Pattern[str], overlap: int) -> Reading[None]:
        """Skip everything up to and including ``end``, which is found with ``overlap`` characters kept."""
        source = self._source
        while (found := end.search(source.text, source.pos)) is None:
            source.pos = max(source.pos, len(source.text) - overlap)
            if not (yield from source.more()):
                source.pos = len(source.text)
                return
        source.pos = found.end()


def _plain_attributes(text: str) -> list[tuple[str, str | None]]:
    return [(name.lower(), value) for name, value in _PLAIN_ATTRIBUTE.findall(text)] if text else []


class _TagReader(HTMLParser):
    """Reads one start tag."""

    def read(self, text: str) -> _Tag | None:
        """Return the name, the attributes and whether it ends in ``/>``; ``None`` for what is no tag."""
        self.reset()
        self._found: _Tag | None = None
        try:
            self.feed(text)
        except ValueError:  # a reference to a character whose number Python refuses to read
            return None
        return self._found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._found = (tag, attrs, False)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._found = (tag, attrs, True)
