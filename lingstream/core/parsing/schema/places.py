"""Where the values of the input go: keys are renamed and dropped, lone values get an array around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lingstream.core.document import jsonuri

from .shape import Shape

__all__ = ["Container", "Places", "Target"]


class Target:
    """Where one value of the input goes.

    :param uri: of the value in the input.
    :param out: of the value in the output.
    :param fix: another value stands there already.
    :param box: what the value is put into: an object, or an array, of the output.
    :param key: its place there.
    """

    __slots__ = ("box", "dropped", "fix", "key", "out", "shape", "streams", "uri", "wrapped")

    def __init__(self, uri: str, out: str, shape: Shape, fix: bool, box: Any, key: str | int) -> None:
        self.uri = uri
        self.out = out
        self.shape = shape
        self.fix = fix
        self.box = box
        self.key = key
        self.streams = False
        self.dropped = False
        self.wrapped: str | None = None  # the uri of the array around it, which is the box then

    def put(self, value: Any) -> None:
        """Let ``value`` stand there."""
        if type(self.box) is list and self.key == len(self.box):
            self.box.append(value)
        else:
            self.box[self.key] = value

    def wrap(self) -> None:
        """Go into an array, as its only item."""
        array: list[Any] = []
        self.put(array)
        self.box, self.key = array, 0
        self.wrapped, self.fix = self.out, False
        self.out, self.shape = jsonuri.concat(self.out, "0"), self.shape.item(0)


class Container:
    """An open container of the input.

    :param target: where it goes.
    :param value: what it has become in the output: an object or an array.
    :param above: the container around it.
    """

    __slots__ = ("above", "children", "names", "prefix", "same", "target", "value")

    def __init__(self, target: Target, value: Any, above: Container | None) -> None:
        self.target = target
        self.value = value
        self.above = above
        self.names: dict[str, str] = {}  # by key of the output, the key of the input
        # What the uris of its values begin with, where they go to where they are in the input.
        self.prefix: str | None = None
        self.same: Shape | None = None  # what may stand at each place, where that is the same
        self.children = target.shape.children
        if target.out == target.uri and not target.dropped:
            self.prefix = target.uri + "/" if target.uri else ""
            self.same = target.shape.each_item if type(value) is list else target.shape.each_property


class Places:
    """Finds the target of each value.

    :param shape: what the schema says about the document.
    :param root: uri of the document.
    :param note: told of each key that is dropped or renamed, with its uri.
    """

    def __init__(self, shape: Shape, root: str, note: Callable[[str, str], None]) -> None:
        self._open: dict[str, Container] = {}
        self._inner: Container | None = None  # what was opened last of them
        self._last: tuple[str, Container] | None = None  # what was closed last: the parser may go on with it
        self._top: dict[str, Any] = {"": None}  # what the document is put into
        self._shape = shape
        self._root = root
        self._note = note

    @property
    def value(self) -> Any:
        """What has been put at the root."""
        return self._top[""]

    def find(self, uri: str, fix: bool) -> Target:
        """Return the target of the value that begins at ``uri``; ``fix`` if the parser replaces one."""
        # Most values are the next one of the innermost container, and as they should be.
        inner = self._inner
        if inner is not None and (prefix := inner.prefix) is not None and uri.startswith(prefix):
            key, value, names = uri[len(prefix) :], inner.value, inner.names
            shape = inner.same or (inner.children.get(key) if type(value) is dict else None)
            if shape is not None and key and "/" not in key and "\\" not in key:
                if type(value) is list:
                    return Target(uri, uri, shape, fix, value, int(key))
                fix = key in names
                names[key] = key
                return Target(uri, uri, shape, fix, value, key)
        if uri == self._root:
            return Target(uri, uri, self._shape, fix, self._top, "")
        head, key = jsonuri.parent(uri)
        container = self._open.get(head) or self._reopen(head)
        above = container.target
        if above.dropped:
            return _dropped(uri, above.shape)
        if type(container.value) is dict:
            return self._member(uri, head, key, container)
        index = int(key)
        out = uri if above.out == head else jsonuri.concat(above.out, key)
        return Target(uri, out, above.shape.item(index), fix, container.value, index)

    def opened(self, uri: str) -> Container | None:
        """Return the container that is open at ``uri``."""
        return self._open.get(uri)

    def open(self, target: Target, value: Any) -> None:
        """Begin a container."""
        self._open[target.uri] = self._inner = Container(target, value, self._inner)

    def close(self, uri: str) -> Container:
        """End a container, which may have been ended before."""
        container = self._open.pop(uri, None) or self._last_one(uri)
        self._inner = container.above
        self._last = uri, container
        return container

    def restart(self) -> None:
        """Forget what is open: the document begins anew."""
        self._open.clear()
        self._inner = None

    def _reopen(self, uri: str) -> Container:
        self._open[uri] = self._inner = container = self._last_one(uri)
        return container

    def _last_one(self, uri: str) -> Container:
        assert self._last is not None and self._last[0] == uri  # noqa: S101  (nothing else is reopened)
        return self._last[1]

    def _member(self, uri: str, head: str, key: str, container: Container) -> Target:
        above, names = container.target, container.names
        name = above.shape.spelling(key)
        if name != key and names.get(name, key) != key:
            name = key  # the right one is there already
        place = uri if name == key and above.out == head else _below(above.out, name)
        shape = above.shape.property(name)
        if shape is None:
            self._note("dropped", place)
            return _dropped(uri, above.shape)
        fix = name in names
        if name != key and not fix:
            self._note("renamed", place)
        names[name] = key
        if key in above.shape.names:
            above.shape.children[key] = shape
        return Target(uri, place, shape, fix, container.value, name)


def _dropped(uri: str, shape: Shape) -> Target:
    target = Target(uri, uri, shape, False, None, "")
    target.dropped = True
    return target


def _below(uri: str, key: str) -> str:
    segment = jsonuri.escape(key)
    return f"{uri}/{segment}" if uri else segment
