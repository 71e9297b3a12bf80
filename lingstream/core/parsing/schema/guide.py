"""The stage between the parser and the log that brings ops closer to a schema."""

from __future__ import annotations

from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Document, Op, Set
from lingstream.core.parsing.emitter import Repair

from .coerce import coerce
from .places import Container, Places, Target
from .shape import NOTHING, Schemas, Shape

__all__ = ["Guide"]


class Guide:
    """Brings a stream of ops closer to a schema, in time linear in their number.

    The invariants of the parser hold for what comes out too. Memory: the value once more, and one entry for
    each open container.

    :param schema: a JSON schema (draft 2020-12).
    :param root: uri of the document; the uris of all ops start with it.
    """

    def __init__(self, schema: Any, root: str = "") -> None:
        self.repairs: list[Repair] = []
        """What was coerced, dropped, renamed or is missing, and how much text had been read by then."""
        self._root = root
        self._places = Places(Schemas(schema).shape(schema), root, self._note)
        self._document = Document(_above(root))
        self._open: Target | None = None  # the scalar that is being told of
        self._out: list[Op | Closed] = []
        self._applied = 0  # how many of them are in the document
        self._offset = 0

    def push(self, items: list[Op | Closed], offset: int) -> list[Op | Closed]:
        """Take what the parser gave, and return what is to be told.

        :param offset: characters of text that have been read.
        """
        self._offset = offset
        if not items or (len(items) == 1 and self._open is not None and self._open.goes_on(items[0])):
            self._document.apply(items)
            return items
        for item in items:
            if isinstance(item, Append):
                self._grow(item)
            elif isinstance(item, Closed):
                self._close(item)
            else:
                self._set(item)
        self._sync()
        out, self._out, self._applied = self._out, [], 0
        return out

    @property
    def value(self) -> Any:
        """The value as it is now: to be read and not changed."""
        return self._document.get(self._root)

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
        if op.fix and op.uri == self._root:
            self._places.open.clear()  # the document begins anew
        if isinstance(op.value, (dict, list)):
            if container := self._places.open.get(op.uri):
                self._retract(container, len(op.value))
            else:
                self._open_container(op)
            return
        target = self._open
        if target is None or target.uri != op.uri:
            target = self._begin(op.uri, fix=op.fix, text=isinstance(op.value, str))
        if target.streams:
            self._out.append(Set(target.out, op.value, op.fix or target.fix))

    def _begin(self, uri: str, *, fix: bool, text: bool = True) -> Target:
        """A scalar begins; those that may have to change are withheld until they are whole."""
        target = self._open = self._places.find(uri, fix)
        if target.dropped or not text:
            return target
        if target.shape.types <= {"array", "object"} and "string" in self._item(target).free:
            self._wrap(target)
        target.streams = "string" in target.shape.free or target.shape.types <= {"object"}
        return target

    def _open_container(self, op: Set) -> None:
        kind = "array" if isinstance(op.value, list) else "object"
        target, self._open = self._places.find(op.uri, op.fix), None
        if not target.dropped:
            if kind == "object" and kind not in target.shape.types and kind in self._item(target).types:
                self._wrap(target)
            self._out.append(Set(target.out, type(op.value)(), target.fix))
        self._places.open[op.uri] = Container(target, kind)

    def _close(self, item: Closed) -> None:
        scalar = self._open if self._open is not None and self._open.uri == item.uri else None
        container = None if scalar else self._places.close(item.uri)
        target = container.target if container else scalar
        assert target is not None  # noqa: S101  (every value begins before it ends)
        if container is None:
            self._open = None
            # A cut text where only other types or listed values may stand is an open word: it is not written.
            if target.dropped or (item.cut and not target.streams):
                return
            self._settle(target, item.value, cut=item.cut)
        elif not target.dropped:
            if not item.cut:
                self._report_missing(container)
            self._tell_closed(target.out, cut=item.cut)
        if target.wrapped is not None:
            self._tell_closed(target.wrapped, cut=item.cut)

    def _settle(self, target: Target, value: Any, *, cut: bool) -> None:
        """A scalar is whole: tell of it, unless it has been told of as it grew."""
        if not target.streams:
            value = self._meant(target, value)
            if isinstance(value, str) and value and not target.fix:
                self._out.append(Append(target.out, value))
            else:
                self._out.append(Set(target.out, value, target.fix))
        self._out.append(Closed(target.out, value, cut))

    def _meant(self, target: Target, value: Any) -> Any:
        """What a scalar that was withheld is told of as; an array around it is opened on the way."""
        meant, kind = coerce(value, target.shape)
        if not kind and value is not None and not target.shape.accepts(value):
            meant, kind = coerce(value, self._item(target))
            if not self._item(target).accepts(meant):
                return value
            self._wrap(target)
        if kind:
            self._note(kind, target.out)
        return meant

    # -- arrays that are wanted, and arrays that lose their last item ---------------------------------

    def _item(self, target: Target) -> Shape:
        """What may stand in an array around the value: nothing, where there may be no array."""
        is_wanted = "array" in target.shape.free and target.wrapped is None
        return target.shape.item(0) if is_wanted else NOTHING

    def _wrap(self, target: Target) -> None:
        """Open an array around a lone value."""
        self._note("array", target.out)
        self._out.append(Set(target.out, [], target.fix))
        target.wrap()

    def _retract(self, container: Container, length: int) -> None:
        """The parser took the last item of an open array back: it is a key."""
        self._open = None
        out = container.target.out
        if container.target.dropped:
            return
        self._sync()
        items = self._document.get(out)
        if len(items) > length:
            self._out.append(Set(out, items[:length], True))

    # -- what goes out --------------------------------------------------------------------------------

    def _tell_closed(self, uri: str, *, cut: bool) -> None:
        self._sync()
        self._out.append(Closed(uri, self._document.get(uri), cut))

    def _report_missing(self, container: Container) -> None:
        if container.kind == "object":
            for key in container.target.shape.required:
                if key not in container.names:
                    self._note("missing", jsonuri.concat(container.target.out, jsonuri.escape(key)))

    def _sync(self) -> None:
        """Let the document know of the ops that have come since the last call."""
        self._document.apply(self._out[self._applied :])
        self._applied = len(self._out)

    def _note(self, kind: str, uri: str) -> None:
        self.repairs.append(Repair(f"schema-{kind}", uri, self._offset))


def _above(root: str) -> Any:
    """What stands above the root, where the builder of the value looks for it."""
    keys = jsonuri.split(root)
    document: Any = {} if keys else None
    for key in reversed(keys[:-1]):
        document = {key: document}
    return document
