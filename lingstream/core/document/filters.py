"""What of a bot's output is sent: ``only`` and ``except`` globs of uris.

What is filtered is still parsed and still triggers other bots. The containers above what is sent are sent,
or it would have no place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from . import jsonuri
from .ops import Op, Set
from .urimap import UriMap

__all__ = ["UriFilter"]


class UriFilter:
    """Passes the ops that a viewer may see.

    Memory: one entry for each value and each container that has been written.

    :param root: the bot's root, in front of every glob.
    :param only: globs below ``root``; where given, nothing else passes.
    :param exclude: globs below ``root`` that do not pass, whatever ``only`` says.
    """

    def __init__(self, root: str, only: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._only = [jsonuri.concat(root, glob) for glob in only]
        self._exclude = [jsonuri.concat(root, glob) for glob in exclude]
        self._verdicts = UriMap[bool]()  # of strings, numbers and the like
        self._shown = UriMap[int]()  # containers that were passed, and how many items of an array

    def __call__(self, ops: Iterable[Op]) -> list[Op]:
        """Return the ops that pass.

        A hidden item of a visible array leaves null, to keep its neighbours' places.
        """
        passed: list[Op] = []
        for op in ops:
            container = type(op) is Set and isinstance(op.value, (dict, list))
            if container or (verdict := self._verdicts.get(op.uri)) is None:
                passed.extend(self._first(op, container))
            elif verdict:
                passed.append(op)
        return passed

    def shows(self, uri: str, container: bool) -> bool:
        """Whether the value at ``uri`` is sent; as a container also if only something below it is."""
        if any(_covers(glob, uri) for glob in self._exclude):
            return False
        if not self._only or any(_covers(glob, uri) for glob in self._only):
            return True
        return container and any(jsonuri.overlaps(glob, uri) for glob in self._only)

    def _first(self, op: Op, container: bool) -> list[Op]:
        """What passes of an op that opens a container, or is the first at its uri."""
        shown = self.shows(op.uri, container)
        if not container:
            self._verdicts.put(op.uri, shown)
        elif shown and isinstance(op, Set):
            # Another container stands there: its items have to take their places anew.
            self._verdicts.forget_below(op.uri)
            self._shown.forget_below(op.uri)
            op = op._replace(value=self._prune(op.uri, op.value))
        takes_place = self._takes_place(op.uri)
        if shown:
            return [op]
        return [Set(op.uri, None)] if takes_place else []

    def _takes_place(self, uri: str) -> bool:
        """Whether ``uri`` is the next item of a visible array, which is one longer from now on."""
        if not uri:
            return False
        head, key = jsonuri.parent(uri)
        length = self._shown.get(head, -1)
        if length < 0 or jsonuri.index(key) != length:
            return False
        self._shown[head] = length + 1
        return True

    def _prune(self, uri: str, value: Any) -> Any:
        """What a viewer gets of a container: those that come in one piece may hold what is hidden."""
        self._shown.put(uri, len(value) if isinstance(value, list) else -1)
        kept: Any = value.copy()
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            child = jsonuri.concat(uri, jsonuri.escape(key))
            container = isinstance(item, (dict, list))
            if self.shows(child, container):
                kept[key] = self._prune(child, item) if container else item
            elif isinstance(value, dict):
                del kept[key]
            else:
                kept[key] = None
        return kept


def _covers(glob: str, uri: str) -> bool:
    """Whether ``glob`` matches ``uri`` or something above it."""
    if jsonuri.match(glob, uri) is not None:
        return True
    while uri:
        uri = jsonuri.parent(uri)[0]
        if jsonuri.match(glob, uri) is not None:
            return True
    return False
