"""What the parser has built: the value, the ops that tell of it, and the list of repairs.

One :class:`Emitter` is shared by ``fastpath`` and by the modules of ``repair``. It knows nothing about text;
it is told "a container opens", "this string grows", "this value is settled".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Op, Set, make
from lingstream.core.exceptions import ParseError, ParseLimitError
from lingstream.core.phrases import Phrase

__all__ = ["Emitter", "Guide", "Limits", "Repair"]

E = TypeVar("E", bound=ParseError)
_VALID_JSON = ("overflow", "surrogate")


class Repair(NamedTuple):
    """One repair: what kind, while reading the value at ``uri``, after ``offset`` characters of text."""

    kind: str
    uri: str
    offset: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one parser; past one of them :class:`ParseLimitError` is raised."""

    depth: int
    chars: int
    key: int
    number: int


class Guide(Protocol):
    """Changes ops before they are told."""

    straight: str | None
    """The uri of the open string, if what is appended to it is told as it is, without a look."""

    def push(self, items: list[Op | Closed], read: int | None = None) -> list[Op | Closed]:
        """Return what is to be told.

        :param read: how many characters have been read.
        """
        ...


class Emitter:
    """Builds the value and collects ops.

    :param root: uri under which the document lives; every uri that comes out starts with it.
    :param strict: raise :class:`ParseError` where a repair would be listed.
    """

    def __init__(self, root: str, limits: Limits, *, strict: bool) -> None:
        self.root = root
        self.limits = limits
        self.strict = strict
        self.out: list[Op | Closed] = []
        self.repairs: list[Repair] = []
        self.line: Callable[[int], int | None] = lambda offset: None  # for errors in strict mode
        self.on_error: Callable[[ParseError], None] = lambda error: None  # told of the error that ends it all
        self.value: Any = None
        self.stack: list[tuple[Any, str, str, str]] = []  # the open containers above the current one
        self.container: Any = None  # the innermost open container, None around the document
        self.closer = ""  # what closes it
        self.uri = root  # its uri
        self.prefix = ""  # what the uris of its values start with
        self.key = ""  # the key whose value is being read, if it is an object
        self.closed: Any = None  # the container that was closed last
        self.parts: list[str] = []  # the open string
        self.run: list[str] = []  # those of its parts that no op has told of yet
        self.held: int | None = None  # how many of these may be told of; None for all
        self.joined = 0  # how many of its parts told() has put together
        self._text = ""  # and what they are
        self.open = ""  # its uri
        self.index = 0  # its place, if it is an item of an array
        self.is_open = False  # whether there is one
        self.shown = False  # whether an op has told of it already
        self.replaced = False  # whether one of them is a ``fix``
        self.cut = False  # whether the text was cut off where it ends
        self.again = False  # whether there was a document before, which was taken back
        self.guide: Guide | None = None

    def take(self) -> list[Op | Closed]:
        """Return the ops since the last call."""
        self._flush(self.held)
        if self.held:
            self.held = 0
        out, self.out = self.out, []
        return self.guide.push(out) if self.guide and out else out

    def child(self) -> str:
        """The uri of the value that is read now or next: the container's own after its last item."""
        container = self.container
        if type(container) is list:
            return f"{self.prefix}{len(container)}"
        if container is None:
            return self.uri
        key = self.key
        if "/" in key or "\\" in key or key[:1] in ".@[":
            return self.prefix + jsonuri.escape(key)
        return self.prefix + key

    @property
    def parent(self) -> Any:
        """The container around the innermost one, ``None`` around the document."""
        return self.stack[-1][0] if self.stack else None

    @property
    def levels(self) -> str:
        """What closes each of the open containers, the innermost first."""
        return self.closer + "".join(closer for _, _, closer, _ in reversed(self.stack))

    def restart(self) -> None:
        """Begin anew: what comes next replaces the document."""
        self.stack.clear()
        self.container, self.closer, self.uri, self.prefix, self.key = None, "", self.root, "", ""
        self.again = True

    # -- values ---------------------------------------------------------------

    def open_container(
        self, uri: str, value: dict[str, Any] | list[Any], closer: str, offset: int, fix: bool = False
    ) -> None:
        """Begin an object or an array where the next value belongs.

        :param fix: something else was told of there.
        """
        if len(self.stack) >= self.limits.depth:
            raise self.limit(Phrase("containers inside each other"), self.limits.depth, uri, offset)
        self.out.append(make(Set, (uri, type(value)(), self._place(value) or fix)))
        self.stack.append((self.container, self.uri, self.closer, self.prefix))
        self.container, self.uri, self.closer = value, uri, closer
        self.prefix = uri + "/" if uri else ""

    def reopen(self, uri: str) -> None:
        """Go back into the container that was the last value of the innermost one."""
        value = self.container[-1] if type(self.container) is list else self.container[self.key]
        self.stack.append((self.container, self.uri, self.closer, self.prefix))
        self.container, self.uri, self.closer = value, uri, "]" if type(value) is list else "}"
        self.prefix = uri + "/" if uri else ""

    def close_container(self, *, cut: bool = False) -> None:
        """End the innermost container and go back to the one above it."""
        self.out.append(make(Closed, (self.uri, self.container, cut)))
        self.closed = self.container
        self.container, self.uri, self.closer, self.prefix = self.stack.pop()

    def scalar(self, value: Any) -> None:
        """Emit a number, a boolean or null: whole, once."""
        uri = self.child()
        self.out.append(make(Set, (uri, value, self._place(value))))
        self.out.append(make(Closed, (uri, value, False)))

    def begin_string(self, uri: str) -> None:
        """Begin a string where the next value belongs; it is told of with its first characters."""
        self.open = uri
        self.parts.clear()
        self.joined = 0
        self.is_open = True
        self.shown = self.replaced = False
        container = self.container
        if type(container) is list:
            self.index = len(container)
        elif self.again if container is None else self.key in container:
            self.correct("")

    def append(self, text: str) -> None:
        """Let the open string grow."""
        self.parts.append(text)
        self.run.append(text)

    def hold(self) -> None:
        """Let no op tell of what is appended from here on, before :meth:`release` or the string's end."""
        self.held = len(self.run)

    def release(self) -> None:
        """Let ops tell of all there is of the open string."""
        self.held = None

    @property
    def held_text(self) -> str:
        """What is held back of the open string."""
        return "" if self.held is None else "".join(self.run[self.held :])

    def told(self) -> str:
        """What may be told of the open string, in time that depends on what is new.

        It grows in place while nobody else refers to what this returned the last time.
        """
        told = len(self.parts) - self._hidden
        text = self._text if self.joined else ""
        self._text = ""
        text += "".join(self.parts[self.joined : told])
        self._text, self.joined = text, told
        return text

    def settle(self, *, cut: bool = False) -> None:
        """End the open string: nothing will be appended any more."""
        if self.run:
            self._flush()
        value = "".join(self.parts)
        if not self.shown and not value:
            self.out.append(Set(self.open, ""))
        if self.closer == "}":
            self.container[self.key] = value
        else:
            self._store(value)
        self.is_open = False
        self._text = ""
        self.out.append(make(Closed, (self.open, value, cut)))

    def correct(self, text: str) -> None:
        """Replace the open string: by a ``fix``, unless only what nobody has seen yet changes."""
        unseen = self._unseen()
        seen = "".join(self.parts)
        seen = seen[: len(seen) - len(unseen)]
        self.parts[:] = [text] if text else []
        self.joined = 0
        self._store(text)
        if unseen and text.startswith(seen):
            self.out.pop()
            self.shown = bool(seen) or self.replaced
            if len(text) > len(seen):
                self.out.append(Append(self.open, text[len(seen) :]))
            return
        self.out.append(Set(self.open, text, True))
        self.shown = self.replaced = True

    def retract(self) -> tuple[str, bool]:
        """Take the open string back: an item of an array that turned out to be a key.

        It stays in the array until :meth:`drop_retracted`, if it was told of.

        :return: the key, and whether an op that was returned has told of it.
        """
        text, unseen = "".join(self.parts), self._unseen()
        seen = unseen != text
        self.container[self.index :] = [text] if seen else []
        self.is_open = False
        if text and not seen:
            self.out.pop()
        return text, seen

    def drop_retracted(self) -> None:
        """Take the item that was retracted out of its array."""
        del self.container[self.index :]

    def end_retracted(self, *, seen: bool) -> None:
        """Close the array whose last item was retracted."""
        if seen:
            self.out.append(Set(self.uri, list(self.container), True))
        self.close_container()

    @property
    def _hidden(self) -> int:
        """How many parts of the open string are held back."""
        return 0 if self.held is None else len(self.run) - self.held

    def _unseen(self) -> str:
        """The end of the open string that no call has returned yet."""
        self._flush()
        last = self.out[-1] if self.out else None
        return last.delta if type(last) is Append and last.uri == self.open else ""

    def view(self) -> Any:
        """The value as it is now, with what there is of an open string."""
        if self.is_open and len(self.parts) > self._hidden:
            self._store("")  # so that the text can grow in place
            self._store(self.told())
        return self.value

    # -- faults ---------------------------------------------------------------

    def note(self, kind: str, expected: str, got: str, offset: int, uri: str | None = None) -> None:
        """List a repair; in strict mode raise, but for what is valid JSON and yet has no value.

        Faults of one kind in one value are listed once, where the first of them is: a string with raw
        newlines would otherwise need more memory for its repairs than for itself.
        """
        where = (self.open if self.is_open else self.child()) if uri is None else uri
        if self.strict and kind not in _VALID_JSON:
            found, line = repr(got) if got else "the end of the text", self.line(offset)
            message = f"expected {expected}, got {found} at {where!r} (line {line}, offset {offset})"
            raise self._last(ParseError(message, uri=where, offset=offset, line=line))
        if not self.repairs or self.repairs[-1][:2] != (kind, where):
            self.repairs.append(Repair(kind, where, offset))

    def limit(self, what: Phrase, bound: int, uri: str, offset: int) -> ParseLimitError:
        """The error for text past a bound."""
        message = Phrase(
            "expected at most %(most)s %(what)s, got more at %(uri)r (offset %(offset)s)",
            most=bound,
            what=what,
            uri=uri,
            offset=offset,
        )
        return self._last(ParseLimitError(message, uri=uri, offset=offset, line=self.line(offset)))

    def _last(self, error: E) -> E:
        self.on_error(error)
        return error

    def _flush(self, most: int | None = None) -> None:
        """Tell of the open string's growth: one op for all its characters in one chunk.

        :param most: how many of the parts that no op has told of may be.
        """
        if most is None:
            self.held = None
        if run := self.run[:most]:
            if self.out and type(last := self.out[-1]) is Append and last.uri == self.open:
                run.insert(0, last.delta)  # the fast path's, from the same chunk
                self.out.pop()
            self.out.append(Append(self.open, "".join(run)))
            del self.run[:most]
            self.shown = True

    def _place(self, value: Any) -> bool:
        """Put a value where it belongs; return whether it replaces one (a duplicate key)."""
        container = self.container
        if type(container) is list:
            container.append(value)
        elif container is None:
            self.value = value
            return self.again
        else:
            replaced = self.key in container
            container[self.key] = value
            return replaced
        return False

    def _store(self, value: str) -> None:
        container = self.container
        if type(container) is list:
            container[self.index :] = [value]  # where view() may have put the beginning of it
        elif container is None:
            self.value = value
        else:
            container[self.key] = value
