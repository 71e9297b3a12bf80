"""The stage between the parser and the log that brings ops closer to a schema."""

from __future__ import annotations

from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Op, Set, copy_json
from lingstream.core.parsing.emitter import Repair

from .coerce import coerce
from .places import Container, Places, Target
from .shape import NOTHING, Schemas, Shape

__all__ = ["Guide"]


class Guide:
    """Brings a stream of ops closer to a schema, in time linear in their number.

    The invariants of the parser hold for what comes out too. Memory: the value once more, and one entry for
    each open container. What the schema says of a place is looked up when a value begins there, so that the
    pieces of a string cost next to nothing.

    :param schema: a JSON schema (draft 2020-12).
    :param root: uri of the document; the uris of all ops start with it.
    """

    def __init__(self, schema: Any, root: str = "") -> None:
        self.repairs: list[Repair] = []
        """What was coerced, dropped, renamed or is missing, and how much text had been read by then."""
        self.offset = 0
        """Characters of text that have been read."""
        self.straight: str | None = None
        """The uri of the open string if its appends go straight through: all they need is :attr:`parts`."""
        self.parts: list[str] = []
        """What the open string consists of, if it is told of as it grows."""
        self._root = root
        self._places = Places(Schemas(schema).shape(schema), root, self._note)
        self._open: Target | None = None  # the scalar that is being told of
        self._out: list[Op | Closed] = []

    def push(self, items: list[Op | Closed]) -> list[Op | Closed]:
        """Take what the parser gave, and return what is to be told."""
        for item in items:
            if type(item) is Append:
                self._grow(item)
            elif type(item) is Closed:
                self._close(item)
            elif type(item) is Set:
                self._set(item)
        out, self._out = self._out, []
        return out

    @property
    def value(self) -> Any:
        """The value as it is now: to be read and not changed."""
        self._put_open()
        return self._places.value

    # -- what comes in ------------------------------------------------------------------------------

    def _grow(self, op: Append) -> None:
        target = self._open
        if target is None or target.uri != op.uri:
            target = self._begin(op.uri, fix=False)
            if target.streams and target.fix:
                self._out.append(Set(target.out, "", True))
        if target.streams:
            self.parts.append(op.delta)
            self._out.append(op if target.out == op.uri else Append(target.out, op.delta))

    def _set(self, op: Set) -> None:
        if op.fix and op.uri == self._root:
            self._places.open.clear()  # the document begins anew
        if type(op.value) is dict or type(op.value) is list:
            if container := self._places.open.get(op.uri):
                self._retract(container, len(op.value))
            else:
                self._open_container(op)
            return
        target = self._open
        if target is None or target.uri != op.uri:
            target = self._begin(op.uri, fix=op.fix, text=type(op.value) is str)
        if target.streams:
            self.parts = [op.value]
            self._out.append(Set(target.out, op.value, op.fix or target.fix))

    def _begin(self, uri: str, *, fix: bool, text: bool = True) -> Target:
        """A scalar begins; those that may have to change are withheld until they are whole."""
        target = self._places.find(uri, fix)
        self._leave()
        self._open = target
        if target.dropped or not text:
            return target
        if target.shape.wraps_text:
            self._wrap(target)
        if target.shape.streams:
            target.streams = True
            target.put("")
            self.straight = uri if target.out == uri else None
        return target

    def _open_container(self, op: Set) -> None:
        target = self._places.find(op.uri, op.fix)
        self._leave()
        value: Any = type(op.value)()
        if not target.dropped:
            if (
                type(value) is dict
                and "object" not in target.shape.types
                and "object" in self._item(target).types
            ):
                self._wrap(target)
            target.put(value)
            self._out.append(Set(target.out, type(value)(), target.fix))
        self._places.open[op.uri] = Container(target, value)

    def _close(self, item: Closed) -> None:
        scalar = self._open
        if scalar is not None and scalar.uri == item.uri:
            self._settle(scalar, item)
        else:
            self._close_container(item)

    def _close_container(self, item: Closed) -> None:
        container = self._places.close(item.uri)
        target = container.target
        if not target.dropped:
            if not item.cut:
                self._report_missing(container)
            self._out.append(Closed(target.out, container.value, item.cut))
        if target.wrapped is not None:
            self._out.append(Closed(target.wrapped, target.box, item.cut))

    def _settle(self, target: Target, item: Closed) -> None:
        """A scalar is whole: tell of it, unless it has been told of as it grew."""
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

    def _put_open(self) -> None:
        """Let the value have what there is of the open string."""
        if self._open is not None and self._open.streams:
            self.parts = ["".join(self.parts)]  # so that who looks often does not join all of it again
            self._open.put(self.parts[0])

    def _leave(self) -> None:
        """No scalar is open any more."""
        self._open = self.straight = None
        self.parts = []

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
        self._leave()
        if not container.target.dropped and len(container.value) > length:
            del container.value[length:]
            self._out.append(Set(container.target.out, copy_json(container.value), True))

    # -- repairs --------------------------------------------------------------------------------------

    def _report_missing(self, container: Container) -> None:
        if type(container.value) is dict:
            for key in container.target.shape.required:
                if key not in container.names:
                    self._note("missing", jsonuri.concat(container.target.out, jsonuri.escape(key)))

    def _note(self, kind: str, uri: str) -> None:
        self.repairs.append(Repair(f"schema-{kind}", uri, self.offset))
