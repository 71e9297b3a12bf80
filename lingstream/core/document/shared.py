"""One document, several writers: who may write where.

A bot drops the container-open at its own root when a container of that type is there already, so bots can
share a root. A field that exists is replaced once its writer has finished; two bots that write one field at
the same time is an error of the later one.

Bots that write items of one array come in any order: items before theirs hold null until they are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lingstream.core.exceptions import ConflictError
from lingstream.core.phrases import Phrase

from . import jsonuri
from .ops import Append, Document, Op, Set
from .urimap import UriMap

__all__ = ["SharedDocument"]

_MOST_EMPTY = 1_000  # items of an array that are held free at once: a model may decide on the index
_NOBODY = ""  # who owns them


class SharedDocument:
    """Decides what of each writer's ops goes into the run's document.

    Memory: one entry for each value that has been written.

    :param document: the run's document, to which the log applies what :meth:`admit` returns.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._owners = UriMap[str]()
        self._writing: set[str] = set()

    def begin(self, writer: str, root: str) -> list[Op]:
        """``writer`` starts to write below ``root``; return the ops that create the containers above it.

        A missing container becomes an array if the next key is ``0``, else an object.

        :raises ConflictError: something above ``root`` is no container, or an array that is much too short.
        """
        created = self._parents(root, most_empty=_MOST_EMPTY)
        self._writing.add(writer)
        return created

    def finish(self, writer: str) -> None:
        """``writer`` is done: others may replace what it wrote."""
        self._writing.discard(writer)

    def set(self, uri: str, value: Any) -> list[Op]:
        """Return the ops that set ``value`` at ``uri``, its parents included.

        :raises ConflictError: a bot is writing there, or the place cannot exist.
        """
        uri = jsonuri.normalize(uri)
        owner = self._owners.get(uri)
        if owner in self._writing:
            raise ConflictError(
                Phrase("cannot set %(uri)r: %(owner)s is writing it", uri=uri, owner=owner), uri=uri
            )
        ops = self._parents(uri)
        self._take_over(uri)
        return [*ops, Set(uri, value)]

    def admit(self, writer: str, root: str, ops: Iterable[Op]) -> list[Op]:
        """Return the ops of ``writer`` as they go into the document, to be applied before the next call.

        :raises ConflictError: see the module; the ops before the conflict are in its ``admitted``.
        """
        owners, admitted = self._owners, list[Op]()
        for op in ops:
            if owners.get(op.uri) == writer:
                if type(op) is Set:
                    owners.forget_below(op.uri)
                admitted.append(op)
                continue
            try:
                admitted.extend(self._claim(writer, root, op))
            except ConflictError as error:
                error.admitted = admitted
                raise
        return admitted

    def _claim(self, writer: str, root: str, op: Op) -> list[Op]:
        """The first op of ``writer`` at this uri."""
        uri, owner = op.uri, self._owners.get(op.uri)
        if not self._exists(uri, writer):
            self._owners.put(uri, writer)
            return [op]
        if (
            uri == root
            and isinstance(op, Set)
            and isinstance(op.value, (dict, list))
            and not self._is_held(uri)
        ):
            if type(self.document.container(uri)) is type(op.value):
                return []
            message = Phrase(
                "%(writer)s opens %(what)s at %(uri)r, where a value of another type stands",
                writer=writer,
                what=Phrase("an object") if isinstance(op.value, dict) else Phrase("an array"),
                uri=uri,
            )
            raise ConflictError(message, uri=uri)
        if owner in self._writing:
            message = Phrase(
                "%(writer)s and %(owner)s write %(uri)r at the same time", writer=writer, owner=owner, uri=uri
            )
            raise ConflictError(message, uri=uri)
        self._take_over(uri)
        self._owners.put(uri, writer)
        return [Set(uri, ""), op] if isinstance(op, Append) else [op]

    def _exists(self, uri: str, writer: str) -> bool:
        """Whether a value stands at ``uri``.

        :raises ConflictError: there is no place for one, because somebody replaced what was above it.
        """
        if not uri:
            return self.document.has(uri)
        head, key = jsonuri.parent(uri)
        if self.document.has_item(head, key):
            return True
        if self._owners.get(head) != writer and not self._has_place(head, key, writer):
            message = Phrase(
                "%(writer)s writes %(uri)r, but its container was replaced", writer=writer, uri=uri
            )
            raise ConflictError(message, uri=uri)
        return False

    def _has_place(self, head: str, key: str, writer: str) -> bool:
        """Whether something can be put at ``key`` of the container that stands at ``head``."""
        container = self.document.container(head)
        place = jsonuri.index(key)
        if not isinstance(container, list) or place is None:
            return isinstance(container, dict)
        # The item before it may be in the same batch.
        before = jsonuri.concat(head, str(place - 1))
        return place <= len(container) or self._owners.get(before) == writer

    def _parents(self, uri: str, most_empty: int = 0) -> list[Op]:
        missing: list[Op] = []
        keys = jsonuri.split(uri)
        for depth, key in enumerate(keys):
            head = jsonuri.join(*keys[:depth])
            container = self.document.container(head) if not missing else None
            if container is None:
                if not missing and self.document.has(head) and not self._is_held(head):
                    message = Phrase("expected a container at %(head)r, above %(uri)r", head=head, uri=uri)
                    raise ConflictError(message, uri=uri)
                missing.append(Set(head, [] if key == "0" else {}))
            elif isinstance(container, list):
                place, end = jsonuri.index(key), len(container)
                if place is None or place > end + most_empty:
                    message = Phrase(
                        "expected an index up to %(most)s at %(uri)r, got %(got)r",
                        most=end,
                        uri=head,
                        got=key,
                    )
                    raise ConflictError(message, uri=uri)
                missing += self._hold(head, range(end, place))
        return missing

    def _is_held(self, uri: str) -> bool:
        """Whether nothing but the null of :meth:`_hold` stands there."""
        return self._owners.get(uri) == _NOBODY and self.document.container(uri) is None

    def _hold(self, head: str, places: Iterable[int]) -> list[Op]:
        """Return the ops that hold items of an array free for who is to write them."""
        held = [jsonuri.concat(head, str(place)) for place in places]
        for uri in held:
            self._owners.put(uri, _NOBODY)
        return [Set(uri, None) for uri in held]

    def _take_over(self, uri: str) -> None:
        """Nobody owns any more what stands below ``uri``, which is about to be replaced.

        :raises ConflictError: a bot is writing there.
        """
        for name in self._owners.below(uri):
            if (owner := self._owners[name]) in self._writing:
                message = Phrase(
                    "cannot replace %(uri)r: %(owner)s is writing %(name)r", uri=uri, owner=owner, name=name
                )
                raise ConflictError(message, uri=uri)
        self._owners.forget_below(uri)
