"""The stage between the parser and the log that brings ops closer to a schema."""

from __future__ import annotations

from typing import Any, Protocol

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Op, Set, copy_json, make
from lingstream.core.parsing.emitter import Repair

from .coerce import coerce
from .places import Container, Places, Target
from .shape import NOTHING, Schemas, Shape

__all__ = ["Guide"]


class Reader(Protocol):
    """What is asked of a parser."""

    @property
    def read(self) -> int:
        """How many characters it has read."""
        ...

    @property
    def open_text(self) -> str:
        """What may be told of the open string."""
        ...


class Guide:
    """Brings a stream of ops closer to a schema, in time linear in their number.

    The invariants of the parser hold for what comes out too. Memory: the value once more, and one entry for
    each open container. What the schema says of a place is looked up when a value begins there, so that the
    pieces of a string cost next to nothing.

    :param schema: a JSON schema (draft 2020-12).
    :param root: uri of the document; the uris of all ops start with it.
    :param parser: whose ops they are.
    """

    def __init__(self, schema: Any, root: str, parser: Reader) -> None:
        self.repairs: list[Repair] = []
        """What was coerced, dropped, renamed or is missing, and how much text had been read by then."""
        self.straight: str | None = None
        """The uri of the open string if its appends need no look."""
        self._root = root
        self._parser = parser
        self._read: int | None = None  # how many characters, where the parser could not tell
        self._places = Places(Schemas(schema).shape(schema), root, self._note)
        self._open: Target | None = None  # the text that is being told of
        self._noted = 0  # how many repairs there were before it
        self._out: list[Op | Closed] = []

    def push(self, items: list[Op | Closed], read: int | None = None) -> list[Op | Closed]:
        """Take what the parser gave, and return what is to be told."""
        self._read = read
        scalar: Set | None = None  # a number or a literal: it is closed at once
        for item in items:
            if type(item) is Append:
                if item.uri == self.straight:
                    self._out.append(item)
                else:
                    self._grow(item)
            elif type(item) is Closed:
                if scalar is not None:
                    self._tell(scalar, item)
                    scalar = None
                elif self._open is not None and self._open.uri == item.uri:
                    self._settle(self._open, item)
                else:
                    self._close_container(item)
            elif type(item) is Set:
                if item.fix and item.uri == self._root:
                    self._places.restart()
                value_type = type(item.value)
                if value_type is dict or value_type is list:
                    if container := self._places.opened(item.uri):
                        self._retract(container, len(item.value))
                    else:
                        self._open_container(item)
                elif value_type is str:
                    self._set(item)
                else:
                    scalar = item
        out, self._out = self._out, []
        return out

    @property
    def value(self) -> Any:
        """The value as it is now: to be read and not changed."""
        if self._open is not None and self._open.streams:
            self._open.put("")  # so that the text can grow in place
            self._open.put(self._parser.open_text)
        return self._places.value

    # -- what comes in ------------------------------------------------------------------------------

    def _grow(self, op: Append) -> None:
        target = self._open
        if target is None or target.uri != op.uri:
            target = self._begin(op.uri, fix=False)
            if target.streams and target.fix:
                self._out.append(Set(target.out, "", True))
        if target.streams:
            self._out.append(op if target.out == op.uri else Append(target.out, op.delta))

    def _set(self, op: Set) -> None:
        """A text that nothing will be appended to, or the correction of one."""
        target = self._open
        if target is None or target.uri != op.uri:
            target = self._begin(op.uri, fix=op.fix)
        if target.streams:
            self._out.append(Set(target.out, op.value, op.fix or target.fix))

    def _begin(self, uri: str, *, fix: bool) -> Target:
        """A text begins; one that may have to change is withheld until it is whole."""
        self._noted = len(self.repairs)
        target = self._places.find(uri, fix)
        self._open, self.straight = target, None
        if target.dropped:
            return target
        if target.shape.takes_text:
            target.streams = True
        elif target.shape.wraps_text:
            self._wrap(target)
            target.streams = target.shape.streams
        if target.streams:
            target.put("")
            self.straight = uri if target.out == uri else None
        return target

    def _tell(self, op: Set, item: Closed) -> None:
        """A number, a literal or null: whole at once."""
        target = self._places.find(op.uri, op.fix)
        self._leave()
        if target.dropped:
            return
        value = op.value
        if type(value) not in target.shape.sure:
            value = self._meant(target, value)
        if value is op.value and target.out == op.uri and target.fix == op.fix:
            self._out.append(op)
        elif type(value) is str and value and not target.fix:
            self._out.append(Append(target.out, value))
        else:
            self._out.append(Set(target.out, value, target.fix))
        self._end(target, value, item)

    def _open_container(self, op: Set) -> None:
        if op.fix:
            self._take_back(op.uri)
        target = self._places.find(op.uri, op.fix)
        self._leave()
        value: Any = type(op.value)()
        if not target.dropped:
            if type(value) is dict and target.shape.wraps_object:
                self._wrap(target)
            target.put(value)
            is_same = target.out == op.uri and target.fix == op.fix
            self._out.append(op if is_same else Set(target.out, type(value)(), target.fix))
        self._places.open(target, value)

    def _close_container(self, item: Closed) -> None:
        container = self._places.close(item.uri)
        target = container.target
        if not target.dropped:
            if not item.cut and type(container.value) is dict:
                self._report_missing(container)
            self._out.append(make(Closed, (target.out, container.value, item.cut)))
        if target.wrapped is not None:
            self._out.append(Closed(target.wrapped, target.box, item.cut))

    def _settle(self, target: Target, item: Closed) -> None:
        """A text is whole: tell of it, unless it has been told of as it grew."""
        if self.straight is not None:
            self._leave()
            target.put(item.value)
            self._out.append(item)
            return
        self._leave()
        # A cut text where only other types or listed values may stand is an open word: it is not written.
        if target.dropped or (item.cut and not target.streams):
            return
        value = item.value
        if not target.streams:
            value = self._meant(target, value)
            if type(value) is str and value and not target.fix:
                self._out.append(Append(target.out, value))
            else:
                self._out.append(Set(target.out, value, target.fix))
        self._end(target, value, item)

    def _end(self, target: Target, value: Any, item: Closed) -> None:
        """A scalar is what it will be."""
        target.put(value)
        is_same = value is item.value and target.out == item.uri
        self._out.append(item if is_same else Closed(target.out, value, item.cut))
        if target.wrapped is not None:
            self._out.append(Closed(target.wrapped, target.box, item.cut))

    def _meant(self, target: Target, value: Any) -> Any:
        """What a scalar that was withheld is told of as; an array around it is opened on the way."""
        if target.shape.accepts(value):
            return value
        meant, kind = coerce(value, target.shape)
        if not kind and value is not None:
            meant, kind = coerce(value, self._item(target))
            if not self._item(target).accepts(meant):
                return value
            self._wrap(target)
        if kind:
            self._note(kind, target.out)
        return meant

    # -- the open string ------------------------------------------------------------------------------

    def _leave(self) -> None:
        """No text is open any more."""
        self._open = self.straight = None

    # -- arrays that are wanted, and arrays that lose their last item ---------------------------------

    def _item(self, target: Target) -> Shape:
        """What may stand in an array around the value: nothing, where there may be no array."""
        return target.shape.lone if target.wrapped is None else NOTHING

    def _wrap(self, target: Target) -> None:
        """Open an array around a lone value."""
        self._note("array", target.out)
        self._out.append(Set(target.out, [], target.fix))
        target.wrap()

    def _retract(self, container: Container, length: int) -> None:
        """The parser took the last item of an open array back: it is a key."""
        if self._open is not None:
            self._take_back(self._open.uri)
        self._leave()
        if not container.target.dropped and len(container.value) > length:
            del container.value[length:]
            self._out.append(Set(container.target.out, copy_json(container.value), True))

    def _take_back(self, uri: str) -> None:
        """The text that is open was none, if it is at ``uri``: what it was made is no repair."""
        if self._open is not None and self._open.uri == uri:
            del self.repairs[self._noted :]

    # -- repairs --------------------------------------------------------------------------------------

    def _report_missing(self, container: Container) -> None:
        for key in container.target.shape.required:
            if key not in container.names:
                self._note("missing", jsonuri.concat(container.target.out, jsonuri.escape(key)))

    def _note(self, kind: str, uri: str) -> None:
        read = self._parser.read if self._read is None else self._read
        self.repairs.append(Repair(f"schema-{kind}", uri, read))
