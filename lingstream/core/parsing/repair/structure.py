"""Between keys and values: commas, colons, comments, brackets, and the end of the document.

:class:`Repairer` knows what the document wants next. It reads the structural characters (brackets, commas and
colons) itself, and has ``beginning``, ``keys``, ``strings`` and ``scalars`` read the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import (
    CLOSERS,
    COLONS,
    COMMAS,
    LOOKAHEAD,
    QUOTES,
    SPACE,
    Reading,
    Source,
    Unescape,
)

from .beginning import Beginning
from .delimiters import Delimiters
from .keys import KeyRepair
from .reopening import More, Record, Reopening, last_of
from .scalars import ScalarRepair
from .state import State
from .strings import StringRepair
from .values import OPENERS

__all__ = ["Repairer"]

_FENCE = "```"


class Repairer:
    """The state of one document, and the steps that take it further.

    :param on_escaped: told of what undoes the escapes, if the document turns out to be escaped as a whole.
    """

    def __init__(
        self, emitter: Emitter, source: Source, preamble: Preamble, on_escaped: Callable[[Unescape], None]
    ) -> None:
        self.emitter = emitter
        self.source = source
        self.state = State.FIRST
        self.ahead = Delimiters(emitter, source)
        self.strings = StringRepair(emitter, source, self.ahead, preamble)
        self.keys = KeyRepair(emitter, source, self.ahead)
        self.scalars = ScalarRepair(emitter, source, self.ahead, preamble)
        self.reopening = Reopening(emitter, source, self.ahead)
        self.preamble = preamble
        self.beginning = Beginning(emitter, source, self.ahead, preamble, on_escaped)
        self.end: int | None = None  # offset behind the root's end
        self.root_open = False  # the root's end was read, but observers were not told yet
        self.root_cut = False  # the text was cut off before the root's end
        self.finished = False

    def start(self) -> Reading[None]:
        """Read up to the first bracket of the document, or all of a document that is a scalar."""
        yield from self._start((yield from self.beginning.find()))

    def _start(self, opened: str) -> Reading[None]:
        if opened == "scalar":
            yield from self._lone_scalar()
        elif opened:
            self._open(opened)
        else:
            if self.emitter.strict:
                self._note("cut", "a JSON value", "")
            self.state = State.END
            self.finished = True

    def step(self) -> Reading[None]:
        """Read one token, of valid JSON or not, and go to the next state."""
        if self.state is State.END:
            yield from self._after_end()
            return
        if self.emitter.is_open:
            yield from self.strings.resume()
            yield from self._string_ended()
            return
        yield from self._space()
        char = yield from self.source.peek()
        if not char:
            self._finish(cut=self.emitter.cut)
        elif self.state is State.COLON:
            yield from self._colon(char)
        elif self.state is State.COMMA:
            yield from self._comma(char)
        elif self.state is not State.VALUE and isinstance(self.emitter.container, dict):
            yield from self._key(char)
        else:
            yield from self._value(char)

    # -- between the values ---------------------------------------------------------

    def _space(self) -> Reading[None]:
        """Use up white space and comments."""
        source = self.source
        while char := (yield from source.peek()):
            if char in SPACE:
                if char not in " \t\n\r":
                    self._note("white-space", "white space of JSON", char)
                source.pos += 1
                continue
            if char == "\\" and (yield from self.ahead.written_space(0)):
                self._note("white-space", "white space of JSON", source.part(0, 2))
                self.ahead.written = True
                source.pos += 2
                continue
            end = (yield from self.ahead.comment(0)) if char in "/#" else 0
            if not end or (yield from self._is_text(end)):
                return
            self._note("comment", "no comment", char)
            source.pos += end

    def _is_text(self, end: int) -> Reading[bool]:
        """Whether the comment from here to ``end`` is none, but a key or value that begins like one."""
        if self.state in (State.COLON, State.COMMA) or self.emitter.strict:
            return False
        is_key = self.state is not State.VALUE and isinstance(self.emitter.container, dict)
        return (yield from (self.ahead.comment_is_key(end) if is_key else self.ahead.comment_is_value(end)))

    def _comma(self, char: str) -> Reading[None]:
        if char in COMMAS:
            if char != ",":
                self._note("comma", "','", char)
            self.source.pos += 1
            self.state = State.NEXT
        elif char in CLOSERS:
            yield from self._close(char)
        elif (yield from self._skipped(char)):
            return
        elif (yield from self.ahead.mark_behind(last_of(self.emitter.container))):
            self._note("junk", "','", char)
            self.source.pos += yield from self.ahead.remark(0)
        elif char in QUOTES or char in "{[(-+$" or char.isalnum():
            self._note("comma", f"',' or {self.emitter.closer!r}", char)
            self.state = State.NEXT
        else:
            self._junk(char, f"',' or {self.emitter.closer!r}")

    def _colon(self, char: str) -> Reading[None]:
        if char in COLONS:
            if char != ":":
                self._note("colon", "':'", char)
            self.source.pos += 1
            while not self.emitter.strict and (more := (yield from self.source.peek())) and more in ":=>":
                self._note("colon", "':'", more)
                self.source.pos += 1
        else:
            self._note("colon", "':'", char)
        self.state = State.VALUE

    def _skipped(self, char: str) -> Reading[bool]:
        """Use up what may stand anywhere between tokens: ellipses, the end of a fence, escaped text."""
        end = yield from self.ahead.ellipsis(0)
        if end:
            self._note("ellipsis", "a value", "...")
            self.source.pos += end
            return True
        if char == "`" and (yield from self.source.starts("```")):
            self._finish()
            return True
        if char in self.preamble.vocabulary.first and char != "[" and (yield from self._is_draft()):
            return True
        if char == "\\" or char == "&":
            return (yield from self.beginning.escaped_document(char))
        return False

    def _junk(self, char: str, expected: str) -> None:
        self._note("junk", expected, char)
        self.source.pos += 1

    # -- keys and values --------------------------------------------------------------

    def _key(self, char: str) -> Reading[None]:
        if char in CLOSERS:
            if self.state is State.NEXT:
                self._note("comma", "a key", char)
            yield from self._close(char)
        elif char in COMMAS:
            self._junk_comma(char)
        elif self.state is State.NEXT and (yield from self._list_goes_on(char)):
            return
        elif char in "{[(":
            self._bracket_for_key(char)
        elif (yield from self._skipped(char)):
            return
        elif (yield from self.ahead.string_prefix(0)):
            self._junk(char, "a key")
        else:
            self._have_key((yield from self.keys.key(char)))

    def _have_key(self, key: str | None) -> None:
        if key is not None:
            self.emitter.key = self.keys.checked(key)
            self.state = State.COLON

    def _bracket_for_key(self, char: str) -> None:
        """A bracket where a key belongs: the next item of the array around this object, or too many."""
        self._note("bracket", "a key", char)
        if isinstance(self.emitter.parent, list) and self.state is State.NEXT:
            self.emitter.close_container()
        else:
            self.source.pos += 1

    def _list_goes_on(self, char: str) -> Reading[bool]:
        """Go into the last array, if it was closed too early, or a second one for its key follows."""
        emitter = self.emitter
        more = yield from self.reopening.list_follows(char)
        if more is More.NOTHING:
            return False
        self._note("bracket", "a key", char)
        emitter.key = next(reversed(emitter.container))
        emitter.reopen(emitter.child())
        self.source.pos += more is More.LIST
        return True

    def _junk_comma(self, char: str) -> None:
        self._note("comma", "a value", char)
        self.source.pos += 1
        self.state = State.NEXT

    def _value(self, char: str) -> Reading[None]:
        if (yield from self.ahead.string_prefix(0)):
            self._junk(char, "a value")
        elif self.state is not State.VALUE and (yield from self._is_record(char)):
            return
        elif char in QUOTES and (yield from self._opens_string(char)):
            yield from self.strings.value()
            yield from self._string_ended()
        elif char in OPENERS:
            self._open(char)
        elif char in CLOSERS or char in COMMAS:
            yield from self._no_value(char)
        elif (yield from self._skipped(char)):
            return
        elif char in ":=":
            self._junk(char, "a value")
        elif (yield from self.scalars.value()):
            self.state = State.COMMA

    def _opens_string(self, char: str) -> Reading[bool]:
        """Whether the quote opens a string: a fence does that ends before a comma or bracket."""
        if char != "`" or not (yield from self.source.starts(_FENCE)):
            return True
        at = len(_FENCE)
        while (found := self.source.find(_FENCE, at, LOOKAHEAD)) < 0:
            at = max(at, self.source.left - len(_FENCE) + 1)
            if at >= LOOKAHEAD or not (yield from self.source.more()):
                return False
        following = yield from self.source.peek((yield from self.ahead.skip(found + len(_FENCE))))
        return bool(following) and following in COMMAS + CLOSERS

    def _no_value(self, char: str) -> Reading[None]:
        if self.state is State.VALUE:
            self._note("value", "a value", char)
            self.emitter.scalar(None)
            self.state = State.COMMA
        elif char in COMMAS:
            self._junk_comma(char)
        else:
            if self.state is State.NEXT:
                self._note("comma", "a value", char)
            yield from self._close(char)

    def _string_ended(self) -> Reading[None]:
        self.state = State.COMMA
        key, emitter = self.strings.found_key, self.emitter
        if key is None:
            return
        opens = yield from self.reopening.first_record()
        emitter.drop_retracted()
        if opens:
            uri, seen = emitter.child(), self.strings.key_seen
            emitter.open_container(uri, {}, "}", self.source.offset, seen)
        else:
            emitter.end_retracted(seen=self.strings.key_seen)
        self._have_key(key)

    def _is_record(self, char: str) -> Reading[bool]:
        """Go to the object that a key in an array belongs to; false if there is no key."""
        record = yield from self.reopening.record()
        if record is Record.NONE:
            return False
        self._note("bracket", "a value", char)
        if record is Record.OUTER:
            self.emitter.close_container()
        elif record is Record.LAST:
            self._reopen_record()
        else:
            self.emitter.open_container(self.emitter.child(), {}, "}", self.source.offset)
        self.state = State.NEXT
        return True

    def _reopen_record(self) -> None:
        self.emitter.reopen(f"{self.emitter.prefix}{len(self.emitter.container) - 1}")

    # -- brackets ---------------------------------------------------------------------

    def _open(self, char: str) -> None:
        """An opening bracket; a tuple is an array."""
        if char == "(":
            self._note("bracket", "'['", char)
        value: dict[str, Any] | list[Any] = {} if char == "{" else []
        self.emitter.open_container(self.emitter.child(), value, OPENERS[char], self.source.offset)
        self.source.pos += 1
        self.state = State.FIRST

    def _close(self, char: str) -> Reading[None]:
        """A closing bracket: of this container, of the wrong kind, of one further out, or too many."""
        emitter = self.emitter
        if char == emitter.closer:
            self.source.pos += 1
            self._closed()
            return
        if char == ")" and self.ahead.calls:
            self.ahead.calls -= 1
            self.source.pos += 1
            return
        self._note("bracket", repr(emitter.closer), char)
        if char == "}" and (yield from self.reopening.is_superfluous()):
            self.source.pos += 1
            return
        levels = yield from self.ahead.levels_closed()
        goes_on = yield from self.reopening.record_goes_on(levels)
        self.source.pos += 1
        if goes_on:
            self._reopen_record()
            self.state = State.COMMA
            return
        for _ in range(levels):
            self._closed()

    def _closed(self) -> None:
        """One container ends. Of the root nobody is told before it is clear that it does not go on."""
        emitter = self.emitter
        is_root = len(emitter.stack) == 1
        self.state = State.END if is_root else State.COMMA
        if is_root:
            self.end = self.source.offset
        if is_root and not emitter.strict:
            self.root_open = True
        else:
            emitter.close_container()

    # -- the end ----------------------------------------------------------------------

    def _after_end(self) -> Reading[None]:
        """Behind the document: a key goes on with a root that was closed too early, all else is dropped."""
        source = self.source
        while (char := (yield from source.peek())) and char in SPACE:
            source.pos += 1
        if self.root_open and (yield from self.reopening.root_goes_on()):
            self._note("bracket", "the end of the text", self.emitter.closer)
            self.root_open, self.end = False, None
            self.state = State.COMMA
            return
        self._tell_root()
        if not char:
            self.finished = True
            return
        if char == "`" and (yield from source.starts("```")):
            source.pos += 3
            return
        self.emitter.note("trailing", "the end of the text", char, source.offset, self.emitter.root)
        while char := (yield from source.peek()):
            if char in self.preamble.vocabulary.first and (yield from self._is_draft()):
                return
            yield from self.preamble.pass_text(char)

    def _is_draft(self) -> Reading[bool]:
        """Whether reasoning ends here whose beginning stood in the prompt: then the document was a draft.

        It is taken back as soon as another one begins.
        """
        if not (yield from self.preamble.stray_end(quotable=self.state is State.END)):
            return False
        opened = yield from self.beginning.find_again()
        if opened:
            self.emitter.restart()
            self.root_open, self.root_cut, self.end = False, False, None
            yield from self._start(opened)
        return True

    def _tell_root(self) -> None:
        if self.root_open:
            self.root_open = False
            self.emitter.close_container(cut=self.root_cut)

    def _finish(self, *, cut: bool = False) -> None:
        """The text ended inside the document: close what is open."""
        if self.state is State.VALUE:
            self._note("cut", "a value", "")
            if not cut:
                self.emitter.scalar(None)
        if not self.beginning.braceless or len(self.emitter.stack) > 1:
            self._note("cut", repr(self.emitter.closer), "")
        while len(self.emitter.stack) > 1:
            self.emitter.close_container(cut=cut)
        self.root_open, self.root_cut = True, cut
        self.state = State.END

    def _lone_scalar(self) -> Reading[None]:
        """The whole text was one string, number or literal."""
        char = yield from self.source.peek()
        if char == '"':
            yield from self.strings.value()
        else:
            yield from self.scalars.value()
        self.state = State.END

    def _note(self, kind: str, expected: str, got: str) -> None:
        no_key_yet = self.state in (State.FIRST, State.NEXT) and isinstance(self.emitter.container, dict)
        uri = self.emitter.uri if no_key_yet or self.state is State.COMMA else None
        self.emitter.note(kind, expected, got, self.source.offset, uri)
