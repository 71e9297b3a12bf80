"""What a search may find, and how the stores know it of a passage: by marks, which are numbers.

1. The places of :class:`Bounds` come from who asks and from the collection's row, never from what is asked.
2. ``where`` is one condition more: it takes passages away and adds none.
3. A passage has a mark for what it is and has, of 63 bits. Two things may share one, and a mark may be older
   than its document: the search looks at the rows of what it shows once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

from django.db.models import Q

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["Bounds", "Known", "Place", "Scalar", "Where", "marks_of", "narrowed", "values_of"]

Scalar: TypeAlias = str | int | float | bool | None
#: Values of metadata by name, or lists of which one is enough.
Where: TypeAlias = "Mapping[str, Scalar | Sequence[Scalar]]"

_MOST_MARKS = 64  # of one document's metadata; more are not narrowed by
_MOST_NAMES, _MOST_VALUES, _LONGEST_VALUE = 10, 50, 200  # of what narrows a search


class Known(tuple[Scalar, ...]):
    """Values to narrow by that nobody has typed, such as the groups of who asks: however many there are.

    What is longer than a value that documents are found by is of none.
    """

    __slots__ = ()


class Place(NamedTuple):
    """What may be found in one collection.

    :param scope: the tenant's documents; ``None``: every one's.
    :param owner_keys: whose documents; ``""`` is everybody's. ``None``: all there are, for an explanation.
    """

    collection_id: int
    scope: str | None
    owner_keys: tuple[str, ...] | None

    @property
    def marks(self) -> list[int]:
        """Those of which a passage has one."""
        if self.owner_keys is None:
            return [_mark("at", self.collection_id)]
        if self.scope is None:
            return [_mark("of", self.collection_id, key) for key in self.owner_keys]
        return [_mark("in", self.collection_id, self.scope, key) for key in self.owner_keys]

    def keeps_out(self, scope: str, owner_key: str) -> str:
        """Return why a document of the collection is not there (``scope`` or ``owner``), ``""``: it is."""
        if self.owner_keys is None:
            return ""
        if self.scope not in (None, scope):
            return "scope"
        return "" if owner_key in self.owner_keys else "owner"

    def kept(self, of: str = "") -> Q:
        """Return the condition that :meth:`keeps_out` keeps nothing out, for rows of the collection.

        :param of: what leads from them to their ``scope`` and ``owner_key``, such as ``"chunk__"``.
        """
        if self.owner_keys is None:
            return Q()
        whose = Q(**{f"{of}owner_key__in": self.owner_keys})
        return whose if self.scope is None else whose & Q(**{f"{of}scope": self.scope})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one search may find.

    :param places: in each of its collections.
    :param where: metadata by name: of a document's values one is among these.
    """

    places: Sequence[Place]
    where: Mapping[str, Sequence[Scalar]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def marks(self) -> list[list[int]]:
        """Groups of them: a passage that may be found has one of each."""
        places = [mark for place in self.places for mark in place.marks]
        return [
            places,
            *([_mark("has", name, each) for each in values] for name, values in self.where.items()),
        ]

    def has(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is what ``where`` asks for."""
        return all(
            not {_mark("has", name, each) for each in wanted}.isdisjoint(
                _mark("has", name, each) for each in values_of(metadata.get(name, ()))
            )
            for name, wanted in self.where.items()
        )


def marks_of(collection_id: int, scope: str, owner_key: str, metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Return what a passage is found by beside its words and its vector."""
    has = (_mark("has", name, each) for name, value in metadata.items() for each in values_of(value))
    whose = _mark("of", collection_id, owner_key), _mark("in", collection_id, scope, owner_key)
    return (_mark("at", collection_id), *whose, *islice(has, _MOST_MARKS))


def narrowed(where: Where) -> dict[str, Sequence[Scalar]]:
    """Return what narrows a search, a list for each name; one that is empty finds nothing.

    :raises UsageError: it is more than a search takes, but for :class:`Known`, or a value is no scalar.
    """
    if len(where) > _MOST_NAMES:
        message = Phrase(
            "expected up to %(most)s names to narrow by, got %(got)s", most=_MOST_NAMES, got=len(where)
        )
        raise UsageError(message, code="where")
    found: dict[str, Sequence[Scalar]] = {}
    for name, value in where.items():
        if isinstance(value, Known):
            found[name] = values_of(value)
            continue
        values = [*value] if isinstance(value, (list, tuple)) else [cast(Scalar, value)]
        if len(values) > _MOST_VALUES or not all(map(_is_scalar, values)):
            message = Phrase(
                "expected a text of up to %(longest)s characters, a number, a truth value or null, or up to "
                "%(most)s of them, to narrow %(name)s by, got %(got)s",
                longest=_LONGEST_VALUE,
                most=_MOST_VALUES,
                name=f"{name!r:.80}",
                got=f"{value!r:.80}",
            )
            raise UsageError(message, code="where")
        found[name] = values
    return found


def values_of(value: Any) -> list[Scalar]:
    """Return what a search may name of a value of metadata: itself, or what a list has; no objects."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if _is_scalar(each)]


def _is_scalar(value: Any) -> bool:
    return value is None or (isinstance(value, (str, int, float)) and len(str(value)) <= _LONGEST_VALUE)


@lru_cache(4_096, typed=True)
def _mark(*parts: Scalar) -> int:
    """The same number for the same parts in every process; 1.0 is 1, as in JSON."""
    plain = [int(each) if isinstance(each, float) and each.is_integer() else each for each in parts]
    digest = blake2b(json.dumps(plain).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
