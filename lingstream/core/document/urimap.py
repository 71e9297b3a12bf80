"""What is known of values by their uris, until what they were in is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from . import jsonuri

__all__ = ["UriMap"]

Item = TypeVar("Item")


class UriMap(dict[str, Item]):
    """A dict by uri that forgets what is below one uri without a look at any other.

    Entries are made by :meth:`put` and dropped by :meth:`forget_below`; to be read, and to be assigned to
    where there is an entry, it is a dict. Memory beyond a dict's: one item of a list for each entry, and a
    list for each container.
    """

    def __init__(self) -> None:
        super().__init__()
        # Those right below a container. What is in the map, or a key here, is in its container's list, once.
        self._below: dict[str, list[str]] = {}

    def put(self, uri: str, item: Item) -> None:
        """Keep ``item`` for ``uri``.

        :raises JsonUriError: ``uri`` has an empty segment.
        """
        lower, known = uri, uri in self or uri in self._below
        while lower and not known:
            head, _ = jsonuri.parent(lower)
            known = head in self or head in self._below
            self._below.setdefault(head, []).append(lower)
            lower = head
        self[uri] = item

    def below(self, uri: str) -> Iterator[str]:
        """The uris below ``uri`` that are in the map, those nearest to it first."""
        return (known for known in self._all_below(uri) if known in self)

    def forget_below(self, uri: str) -> None:
        """Drop what is below ``uri``, and keep ``uri``."""
        if uri not in self._below:
            return
        for known in self._all_below(uri):
            self.pop(known, None)
            self._below.pop(known, None)
        self._below[uri] = []

    def _all_below(self, uri: str) -> list[str]:
        found = list(self._below.get(uri, ()))
        for known in found:  # which grows meanwhile
            found.extend(self._below.get(known, ()))
        return found
