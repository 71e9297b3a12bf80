"""Ops, the smallest changes of a document, and the two ways to apply them.

:func:`fold` is the reference, written to be read: the JS client and every peer must agree with it.
:class:`Document` is the builder that the run log uses; it keeps open strings as parts, because ``+=`` on a
long string is quadratic (30 s for 1 MB that comes in pieces of four characters).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from lingstream.core.exceptions import JsonUriError
from lingstream.core.phrases import Phrase

from . import jsonuri

__all__ = ["Append", "Closed", "Document", "Op", "Set", "copy_json", "fold", "from_wire", "make"]

#: Makes a named tuple of a tuple of its fields, for those that are made for each token. ``Append(…)`` is a
#: Python function and takes twice as long.
make = tuple.__new__


class Append(NamedTuple):
    """Append ``delta`` to the string at ``uri``, starting from ``""`` where there is none."""

    uri: str
    delta: str

    def to_wire(self) -> dict[str, Any]:
        """``{"uri": …, "delta": …}``, which is also the form in which Ling sends it."""
        return {"uri": self.uri, "delta": self.delta}


class Set(NamedTuple):
    """Set ``value`` at ``uri``; ``fix`` marks the correction of something already shown."""

    uri: str
    value: Any
    fix: bool = False

    def to_wire(self) -> dict[str, Any]:
        """``{"uri": …, "value": …}``, and ``"fix": true`` on a correction."""
        wire = {"uri": self.uri, "value": self.value}
        return {**wire, "fix": True} if self.fix else wire


class Closed(NamedTuple):
    """The value at ``uri`` is settled; for observers, never on the wire.

    :param cut: the text ended inside it: more was to come.
    """

    uri: str
    value: Any
    cut: bool = False


Op: TypeAlias = Append | Set


def from_wire(wire: dict[str, Any]) -> Op:
    """Return the op that ``to_wire`` wrote.

    :raises JsonUriError: neither ``delta`` nor ``value`` is there, or ``uri`` is no string.
    """
    uri = wire.get("uri") if isinstance(wire, dict) else None
    if isinstance(uri, str):
        if isinstance(delta := wire.get("delta"), str):
            return Append(uri, delta)
        if "value" in wire:
            return Set(uri, wire["value"], bool(wire.get("fix")))
    message = Phrase("expected an op with uri and delta or value, got %(got)s", got=f"{wire!r}")
    raise JsonUriError(message, uri=str(uri))


def fold(document: Any, op: Op | Closed) -> Any:
    """Apply one op to ``document`` in place and return the root; a :class:`Closed` changes nothing.

    :raises JsonUriError: a missing parent, an array index past the end, an append to what is no string.
    """
    if isinstance(op, Closed):
        return document
    if isinstance(op, Set):
        return jsonuri.set(document, op.uri, copy_json(op.value))
    before = jsonuri.get(document, op.uri, "")
    if before is None and not op.uri:
        before = ""  # the document of a run that has written nothing yet is null
    if not isinstance(before, str):
        message = Phrase("expected a string at %(uri)r, found %(got)s", uri=op.uri, got=type(before).__name__)
        raise JsonUriError(message, uri=op.uri)
    return jsonuri.set(document, op.uri, before + op.delta)


class Document:
    """Builds a document from ops in time linear in their number.

    Containers are found by uri in a dict instead of walking from the root, and a string that is being
    appended to lives as a list of parts until somebody looks at it. Every uri has to be written as
    :func:`jsonuri.join` writes it.

    :param value: the document to start from; owned by the builder from then on.
    """

    def __init__(self, value: Any = None) -> None:
        self._root = value
        self._containers: dict[str, Any] = {}
        self._open: dict[str, tuple[Any, Any, list[str]]] = {}

    def apply(self, ops: Iterable[Op | Closed]) -> None:
        """Apply ``ops`` in order.

        :raises JsonUriError: as :func:`fold`; the ops before its ``position`` have been applied.
        """
        open_strings = self._open
        for position, op in enumerate(ops):
            try:
                if type(op) is Append:
                    entry = open_strings.get(op.uri)
                    if entry is None:
                        entry = self._open_string(op.uri)
                    entry[2].append(op.delta)
                elif type(op) is Set:
                    self._set(op.uri, op.value)
            except JsonUriError as error:
                error.position = position
                raise

    @property
    def value(self) -> Any:
        """The document as it is now: the builder's own, to be read and not changed."""
        self._settle()
        return self._root

    def get(self, uri: str, default: Any = None) -> Any:
        """Return the value at ``uri``, or ``default``."""
        self._settle()
        return jsonuri.get(self._root, uri, default)

    def container(self, uri: str) -> Any:
        """Return the object or array at ``uri``, or ``None``: without joining open strings."""
        found = self._containers.get(uri)
        if found is None:
            # All containers above are cached too: replacing one of them must forget this one (see _set).
            found, above = self._root, ""
            for key in jsonuri.split(uri):
                if not isinstance(found, (dict, list)):
                    return None
                self._containers[above] = found
                found, above = jsonuri.child(found, key), jsonuri.concat(above, jsonuri.escape(key))
            if not isinstance(found, (dict, list)):
                return None
            self._containers[uri] = found
        return found

    def has(self, uri: str) -> bool:
        """Whether there is a value at ``uri`` (a root that is null counts as none)."""
        return self.has_item(*jsonuri.parent(uri)) if uri else self._root is not None

    def has_item(self, head: str, key: str) -> bool:
        """Whether there is a value at ``key`` (unescaped) of the container at ``head``."""
        container = self.container(head)
        if isinstance(container, dict):
            return key in container
        place = jsonuri.index(key)
        return isinstance(container, list) and place is not None and place < len(container)

    def _set(self, uri: str, value: Any) -> None:
        value = copy_json(value)
        if uri:
            head, key = jsonuri.parent(uri)
            jsonuri.put(self.container(head), key, value, uri)
        else:
            self._root = value
        self._open.pop(uri, None)
        if uri in self._containers:
            self._forget(uri)
        if isinstance(value, (dict, list)):
            self._containers[uri] = value

    def _open_string(self, uri: str) -> tuple[Any, Any, list[str]]:
        container: Any = self
        key: Any = "_root"
        if not uri:
            before = "" if self._root is None else self._root
        else:
            head, name = jsonuri.parent(uri)
            container = self.container(head)
            before = jsonuri.child(container, name, "")
            if isinstance(before, str):
                jsonuri.put(container, name, before, uri)  # also the check that the place exists
            key = jsonuri.index(name) if isinstance(container, list) else name
        if not isinstance(before, str):
            message = Phrase(
                "expected a string at %(uri)r, found %(got)s", uri=uri, got=type(before).__name__
            )
            raise JsonUriError(message, uri=uri)
        entry = self._open[uri] = (container, key, [before] if before else [])
        return entry

    def _settle(self) -> None:
        """Join the parts of open strings into the document; later appends open them again."""
        for container, key, parts in self._open.values():
            text = "".join(parts)
            if container is self:
                self._root = text
            else:
                container[key] = text
        self._open.clear()

    def _forget(self, uri: str) -> None:
        """Drop what is cached at ``uri`` and below it: another value stands there.

        Looks at no more than the container that stood there, and at those in it that are cached, as all
        above a cached one are.
        """
        todo = [uri]
        while todo:
            head = todo.pop()
            container = self._containers.pop(head, None)
            if container is None:
                continue
            for key, item in container.items() if isinstance(container, dict) else enumerate(container):
                if isinstance(item, (dict, list)):
                    todo.append(jsonuri.concat(head, jsonuri.escape(key)))
                elif isinstance(item, str) and self._open:
                    self._open.pop(jsonuri.concat(head, jsonuri.escape(key)), None)


def copy_json(value: Any) -> Any:
    """Return a copy that shares nothing mutable: a container in an op must not grow with the document.

    Nesting costs no recursion: a model may nest deeper than Python likes.
    """
    if not isinstance(value, (dict, list)):
        return value
    copy: Any = value.copy()
    todo = [copy]
    while todo:
        container = todo.pop()
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(item, (dict, list)):
                container[key] = item.copy()
                todo.append(container[key])
    return copy
