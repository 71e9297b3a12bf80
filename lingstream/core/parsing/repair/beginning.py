"""Where the document begins, and what happens to the text before it.

Prose goes to the *preamble*, ``<think>…</think>`` to the *reasoning*; the marks of a Markdown fence are in
neither. The first token that can begin a document does: a bracket that is none of the prose, a quoted key at
the start of a line, or a scalar that is the whole text. A document that was escaped as a whole
(``{\\"a\\": 1}`` or ``{&quot;a&quot;: 1}``) is unescaped on its way in.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import COLONS, QUOTES, SPACE, Reading, Source, Unescape, UnescapeHtml
from lingstream.core.phrases import Phrase

from .lookahead import Lookahead
from .scalars import classify, is_like_number

__all__ = ["Beginning"]

_PROSE = re.compile(rf"[^{{\[(<◁\n{QUOTES}\ud800-\udfff]+")
_PLAIN = re.compile(r'[^"\\]+')
_LONGEST_KEY = 100
_LONGEST_NOTES = 200  # what is longer and in brackets of its own is a document
_LONGEST_NUMBER = 64  # of a tuple
_NOTHING = SPACE + "[]{},"
_LONGEST_LITERAL = 10  # characters; "undefined" has nine


class Beginning:
    """Finds the first character of the document."""

    def __init__(
        self,
        emitter: Emitter,
        source: Source,
        ahead: Lookahead,
        preamble: Preamble,
        on_escaped: Callable[[Unescape], None],
    ) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.preamble = preamble
        self.on_escaped = on_escaped
        self.opening = Opening(emitter, source, ahead)
        self.braceless = False
        self.unescape: Unescape | None = None
        self._line_start = True

    def find(self) -> Reading[str]:
        """Return ``{``, ``[`` or ``(`` with the position at it, ``scalar`` with the position at its start,
        or ``""`` if the text holds no document."""
        source = self.source
        yield from self.preamble.space()
        if (yield from self._lone_scalar()):
            return "scalar"
        while char := (yield from source.peek()):
            if char in self.preamble.vocabulary.first and (yield from self._reasoning()):
                yield from self.preamble.space()
                if not self.opening.prose and (yield from self._lone_scalar()):
                    return "scalar"
            elif char == "`" and (yield from self._fence()):
                yield from self.preamble.space()
                self.opening.begin()
                if (yield from self._lone_scalar()):
                    return "scalar"
            elif char in "{[(" and (yield from self.opening.opens(char)):
                return char
            elif self._line_start and char in QUOTES and (yield from self._braceless()):
                return "{"
            elif self.opening.prose or not (yield from self._disguised(char)):
                yield from self._pass(char)
        source.rewind(self.opening.empty)  # "The answer is []."
        return self.opening.empty[:1]

    def find_again(self) -> Reading[str]:
        """See :meth:`find`: another document, for the one before it was a draft."""
        self.opening = Opening(self.emitter, self.source, self.ahead)
        self.braceless, self._line_start = False, True
        return (yield from self.find())

    def _disguised(self, char: str) -> Reading[bool]:
        """Take a comment, written white space or a level of escapes off what the document begins with."""
        if char == "\\" and self._line_start and (yield from self.ahead.written_space(0)):
            if (yield from self.source.peek(2)).isalpha():
                return False
            self.emitter.note("white-space", "a JSON value", char, self.source.offset)
            self.source.pos += 2
            yield from self.preamble.space()
            return True
        if char in "\\&" and self._line_start:
            is_escaped = yield from self.escaped_document(char)
            if is_escaped:
                yield from self.preamble.space()
            return is_escaped
        end = (yield from self.ahead.comment(0)) if char == "/" else 0
        if end:
            self.emitter.note("comment", "a JSON value", char, self.source.offset)
            self.source.pos += end
            yield from self.preamble.space()
        return end > 0

    def _pass(self, char: str) -> Reading[None]:
        """Hand a run of prose to the preamble."""
        self.emitter.note("prose", "a JSON value", char, self.source.offset)
        text = yield from self.source.take(_PROSE, char)
        self.preamble.prose.append(text)
        if text.strip(SPACE):
            self.opening.prose = True
        self.opening.word_before = text[-1:].isalnum()
        self._line_start = text.endswith("\n") or (self._line_start and not text.strip(SPACE))

    # -- a document without its outer braces ---------------------------------------------

    def _braceless(self) -> Reading[bool]:
        """A quoted key with its colon at the start of a line: the outer braces are missing."""
        if self.emitter.strict:
            return False
        after = yield from self.ahead.behind(0)
        if (yield from self.source.peek(after)) not in (":", "："):
            return False
        after = yield from self.ahead.skip(after + 1)
        if not (yield from self.ahead.value_starts(after)):
            return False
        self.emitter.note("brace", "'{'", '"', self.source.offset)
        self.braceless = True
        self.source.rewind("{")
        return True

    # -- a document that is one scalar ----------------------------------------------------

    def _lone_scalar(self) -> Reading[bool]:
        char = yield from self.source.peek()
        if char == '"':
            return (yield from self._lone_string())
        word, source, most = "", self.source, self.emitter.limits.number
        while (char := (yield from source.peek(len(word)))) and (char.isalnum() or char in "+-."):
            word += char
            is_long = len(word) > most
            if is_long and is_like_number(word):
                raise self.emitter.limit(
                    Phrase("characters in a number"), most, self.emitter.root, source.offset
                )
            if len(word) > _LONGEST_LITERAL and (is_long or word.isalpha()):
                return False
        value, kind = classify(word, cut=not char)
        if isinstance(value, str) or not word or (kind == "cut" and word.isalpha() and len(word) < 3):
            return False
        source.pos += len(word)
        yield from self.preamble.space()
        alone = not (yield from source.peek()) or (yield from source.starts("```"))
        source.rewind(word if alone else word + " ")
        return alone

    def _lone_string(self) -> Reading[bool]:
        """Hold a string back until it is clear that it is the whole text."""
        source, held, escaped = self.source, ['"'], False
        source.pos += 1
        while char := (yield from source.peek()):
            if escaped or char == "\\":
                held.append(char)
                source.pos += 1
                escaped = not escaped
                continue
            run = _PLAIN.match(source.text, source.pos)
            if run is None:
                break
            held.append(run[0])
            source.pos = run.end()
        after = (yield from self.ahead.skip(1)) if char else 0
        following = (yield from source.peek(after)) if char else ""
        alone = not following or (yield from source.starts("```", after))
        source.rewind("".join(held))
        return alone

    # -- tags and fences --------------------------------------------------------------------

    def _reasoning(self) -> Reading[bool]:
        """Use up reasoning. What follows its end is no prose, even where no tag began it."""
        if (yield from self.preamble.think()):
            self.ahead.forget()
            return True
        if not (yield from self.preamble.stray_end()):
            return False
        self.opening.begin()
        self._line_start = True
        return True

    def _fence(self) -> Reading[bool]:
        """Skip the opening line of a fence."""
        source = self.source
        if self.emitter.strict or not (yield from source.starts("```")):
            return False
        self.emitter.note("fence", "a JSON value", "```", source.offset)
        while (yield from source.peek()) == "`":
            source.pos += 1
        at = 0
        while (char := (yield from source.peek(at))) and (char.isalnum() or char in "+.-_") and at < 20:
            at += 1
        if char and char in "\r\n \t{[\\":
            source.pos += at
        self._line_start = True
        return True

    # -- escaped documents --------------------------------------------------------------------

    def escaped_document(self, char: str) -> Reading[bool]:
        """If the text from here on is escaped as a whole, have all that comes unescaped."""
        kind = "" if self.unescape else (yield from self.ahead.escape_kind(0))
        if not kind:
            return False
        source = self.source
        self.emitter.note("escaped-document", "a document that is not escaped", char, source.offset)
        self.unescape = Unescape() if kind == "\\" else UnescapeHtml()
        self.on_escaped(self.unescape)
        self.ahead.forget()
        rest, source.text = source.text[source.pos :], source.text[: source.pos]
        source.text += self.unescape.feed(rest)
        if source.done:
            source.text += self.unescape.close()
        return True


class Opening:
    """Decides whether a bracket begins the document, or stands in prose: by what is before and behind it."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Lookahead) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.empty = ""  # the first [] or {} that was taken for prose
        self.begin()

    def begin(self) -> None:
        """The document may begin from here on: a fence has opened."""
        self.prose = False  # whether there was prose before it
        self.word_before = False  # whether a letter is right before it: x["k"]
        self._refused: set[int] = set()  # offsets of the brackets behind the last [ that began nothing

    def opens(self, char: str) -> Reading[bool]:
        """Whether the bracket ``char`` at the position begins the document."""
        if self.emitter.strict:
            return char != "("
        if char == "{":
            return (yield from self._object(1))
        if char == "[":
            is_index = self.word_before and (yield from self.source.peek(1)) != "{"
            refused = is_index or self.source.offset in self._refused
            return not refused and (yield from self._array(1))
        return not self.prose and (yield from self._tuple(1))

    def _object(self, at: int) -> Reading[bool]:
        at = yield from self.ahead.skip(at, written=True)
        char = yield from self.source.peek(at)
        if not char or char in QUOTES or char == ",":
            return True
        if char == "\\" or char == "&":
            return bool((yield from self.ahead.escape_kind(at)))
        if char == "}":
            return (yield from self._stands_alone(at + 1, "{}"))
        if char == "{":
            return (yield from self.source.peek((yield from self.ahead.skip(at + 1)))) in tuple(QUOTES)
        end = yield from self.ahead.ellipsis(at)
        if end > at:
            end = yield from self.ahead.skip(end)
            char = yield from self.source.peek(end)
            return char == "," or (char == "}" and (yield from self._stands_alone(end + 1)))
        start = at
        while (char := (yield from self.source.peek(at))) and char not in "{}[]\n,:：=":
            if char in QUOTES or at - start > _LONGEST_KEY:
                break
            at += 1
        if not char:
            return not self.prose
        if char in QUOTES and at > start:
            if (yield from self.ahead.string_prefix(start)):
                return True
            if not self.prose and self.source.part(at - 1, at) in tuple(SPACE):
                return True
            return (yield from self.source.peek((yield from self.ahead.skip(at + 1)))) in tuple(COLONS)
        return at > start and char in COLONS

    def _array(self, at: int) -> Reading[bool]:
        """In prose footnotes (``[1]``, ``[[1], [2]]``) begin nothing: the first item that is none decides."""
        depth, inner = 1, set[int]()
        while True:
            at = yield from self.ahead.skip(at, written=True)
            char = yield from self.source.peek(at)
            if char == "[":
                inner.add(self.source.offset + at)
                depth, at = depth + 1, at + 1
            elif self.prose and at < _LONGEST_NOTES and (end := (yield from self._short_item(at, depth))):
                depth -= char == "]"
                at = yield from self.ahead.skip(end)
                at += (yield from self.source.peek(at)) == ","
            else:
                break
        if char == "]" and depth == 1:
            whole = self.source.part(0, at + 1)
            opens = yield from self._stands_alone(at + 1, "" if whole.strip(_NOTHING) else whole)
        else:
            opens = yield from self._items(at)
        self._refused = set() if opens else inner
        return opens

    def _short_item(self, at: int, depth: int) -> Reading[int]:
        """Return the position behind ``{}``, an inner ``]`` or the number before one; 0 if none is there."""
        char = yield from self.source.peek(at)
        if char == "{":
            end = yield from self.ahead.skip(at + 1)
            return end + 1 if (yield from self.source.peek(end)) == "}" else 0
        if depth == 1 or char == "]":
            return at + 1 if depth > 1 else 0
        end, is_scalar = yield from self._bare(at)
        return end if is_scalar and (yield from self.source.peek(end)) == "]" else 0

    def _items(self, at: int) -> Reading[bool]:
        char = yield from self.source.peek(at)
        if not char or char in QUOTES or char == "]":
            return True
        if char == "{":
            return (yield from self._object(at + 1))
        if char == "\\" or char == "&":
            return bool((yield from self.ahead.escape_kind(at)))
        if char == "(":
            return not self.prose or (yield from self._tuples(at + 1))
        if char in ",.…":
            return not self.prose
        return (yield from self._bare_items(at))

    def _bare_items(self, at: int) -> Reading[bool]:
        """``[1, 2]`` is a document, ``[1]`` in prose a footnote, ``[as requested, …]`` prose."""
        at, is_scalar = yield from self._bare(at)
        if (yield from self.source.peek(at)) != "]":
            return is_scalar or not self.prose
        after = yield from self.source.peek((yield from self.ahead.skip(at + 1)))
        is_tag = not is_scalar and bool(after) and after in "{["  # [INFO] {…}
        return not is_tag and (yield from self._stands_alone(at + 1))

    def _bare(self, at: int) -> Reading[tuple[int, bool]]:
        """Return where the item without quotes at ``at`` ends, and whether it is a number or literal."""
        start = at
        while (char := (yield from self.source.peek(at))) and char not in ",]\n[{\"';" and at - start < 100:
            at += 1
        return at, not isinstance(classify(self.source.part(start, at).strip(SPACE))[0], str)

    def _tuple(self, at: int) -> Reading[bool]:
        at = yield from self.ahead.skip(at)
        char = yield from self.source.peek(at)
        if char and char in QUOTES:
            at = yield from self.ahead.behind(at)
        else:
            last = at + _LONGEST_NUMBER
            while (char := (yield from self.source.peek(at))) and char in "-+.0123456789eE" and at < last:
                at += 1
        return (yield from self.source.peek(at)) == ","

    def _tuples(self, at: int) -> Reading[bool]:
        """Whether a tuple begins at ``at`` behind which another one follows, or no text."""
        if not (yield from self._tuple(at)):
            return False
        last = at + _LONGEST_NOTES
        while (char := (yield from self.source.peek(at))) and char not in "()[]{}\n" and at < last:
            at += 1
        at = yield from self.ahead.skip(at + 1)
        if char == ")" and (yield from self.source.peek(at)) == "]":
            return (yield from self._stands_alone(at + 1))
        if char == ")" and (yield from self.source.peek(at)) == ",":
            char = yield from self.source.peek((yield from self.ahead.skip(at + 1)))
            return char == "("
        return not char

    def _stands_alone(self, at: int, empty: str = "") -> Reading[bool]:
        """Whether nothing but the end of the text or of a fence follows; mostly true where no prose is.

        :param empty: the document that it is, if no other one comes.
        """
        self.empty = self.empty or empty
        at = yield from self.ahead.skip(at)
        char = yield from self.source.peek(at)
        if self.prose:
            while char and char in ");":  # a call around the document
                at = yield from self.ahead.skip(at + 1)
                char = yield from self.source.peek(at)
            return not char or (yield from self._fence_closes(at))
        return not char or char in "`,;){[}]"

    def _fence_closes(self, at: int) -> Reading[bool]:
        """Whether a fence ends at ``at``; one that begins has its language or the document behind it."""
        if not (yield from self.source.starts("```", at)):
            return False
        char = yield from self.source.peek(at + 3)
        following = yield from self.source.peek((yield from self.ahead.skip(at + 3)))
        return not (char.isalnum() or (following and following in "{["))
