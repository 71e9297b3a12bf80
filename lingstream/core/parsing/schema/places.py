"""Where the values of the input go: keys are renamed and dropped, lone values get an array around them."""

from __future__ import annotations

from collections.abc import Callable

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Op

from .shape import Shape

__all__ = ["Container", "Places", "Target"]


class Target:
    """Where one value of the input goes.

    :param uri: of the value in the input.
    :param out: of the value in the output.
    :param fix: another value stands there already.
    """

    __slots__ = ("dropped", "fix", "out", "shape", "streams", "uri", "wrapped")

    def __init__(self, uri: str, out: str, shape: Shape, fix: bool) -> None:
        self.uri = uri
        self.out = out
        self.shape = shape
        self.fix = fix
        self.streams = False
        self.dropped = False
        self.wrapped: str | None = None  # the uri of the array around it

    def goes_on(self, op: Op | Closed) -> bool:
        """Whether ``op`` is nothing but more of this string, at its own place."""
        return type(op) is Append and op.uri == self.uri == self.out and self.streams

    def wrap(self) -> None:
        """Go into an array, as its only item."""
        self.wrapped, self.fix = self.out, False
        self.out, self.shape = jsonuri.concat(self.out, "0"), self.shape.item(0)


class Container:
    """An open container of the input.

    :param kind: ``object`` or ``array``.
    """

    __slots__ = ("kind", "names", "target")

    def __init__(self, target: Target, kind: str) -> None:
        self.target = target
        self.kind = kind
        self.names: dict[str, str] = {}  # by key of the output, the key of the input


class Places:
    """Finds the target of each value.

    :param shape: what the schema says about the document.
    :param root: uri of the document.
    :param note: told of each key that is dropped or renamed, with its uri.
    """

    def __init__(self, shape: Shape, root: str, note: Callable[[str, str], None]) -> None:
        self.open: dict[str, Container] = {}
        self._last: tuple[str, Container] | None = None  # what was closed last: the parser may go on with it
        self._shape = shape
        self._root = root
        self._note = note

    def find(self, uri: str, fix: bool) -> Target:
        """Return the target of the value that begins at ``uri``; ``fix`` if the parser replaces one."""
        if uri == self._root:
            return Target(uri, uri, self._shape, fix)
        head, key = jsonuri.parent(uri)
        container = self.open.get(head) or self._reopen(head)
        if container.target.dropped:
            return self._dropped(uri, container.target.shape)
        if container.kind == "array":
            out = uri if container.target.out == head else jsonuri.concat(container.target.out, key)
            return Target(uri, out, container.target.shape.item(int(key)), fix)
        return self._member(uri, key, container)

    def close(self, uri: str) -> Container:
        """End a container, which may have been ended before."""
        container = self.open.pop(uri, None) or self._reopen(uri)
        self.open.pop(uri, None)
        self._last = uri, container
        return container

    def _reopen(self, uri: str) -> Container:
        assert self._last is not None and self._last[0] == uri  # noqa: S101  (nothing else is reopened)
        self.open[uri] = self._last[1]
        return self._last[1]

    def _member(self, uri: str, key: str, container: Container) -> Target:
        above = container.target
        name = above.shape.spelling(key)
        if name != key and container.names.get(name, key) != key:
            name = key  # the right one is there already
        place = _below(above.out, name)
        shape = above.shape.property(name)
        if shape is None:
            self._note("dropped", place)
            return self._dropped(uri, above.shape)
        if name != key and name not in container.names:
            self._note("renamed", place)
        fix = name in container.names
        container.names[name] = key
        return Target(uri, place, shape, fix)

    def _dropped(self, uri: str, shape: Shape) -> Target:
        target = Target(uri, uri, shape, False)
        target.dropped = True
        return target


def _below(uri: str, key: str) -> str:
    segment = jsonuri.escape(key)
    return f"{uri}/{segment}" if uri else segment
