"""Whether a trigger's pattern can meet what a step writes: by its root, its format, its schema, a document.

The answer errs on one side: where a root, a schema or a document cannot be followed to its end, everything
can be met. No regular expression of a schema is run against more than a key of the pattern, and the states of
the search (a place of the pattern beside a place of the schema) are weighed.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from lingstream.core.document import jsonuri
from lingstream.core.parsing.schema.alternatives import type_of
from lingstream.core.parsing.schema.shape import Schemas

__all__ = [
    "Budget",
    "Glob",
    "Place",
    "Root",
    "Stored",
    "glob",
    "meets",
    "meets_root",
    "written",
]

#: The keys of a uri, ``None`` for one that an interpolation decides; or ``None``: not even how many is known.
Root: TypeAlias = tuple[str | None, ...] | None

_TEXT = {"type": "string"}
_HTML = {
    "type": "object",
    "properties": {"children": {"$ref": "#/$defs/children"}},
    "additionalProperties": False,
    "$defs": {
        "children": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/element"}]}},
        "element": {
            "type": "object",
            "properties": {
                "tag": {"type": "string"},
                "attrs": {"type": "object", "additionalProperties": {"type": "string"}},
                "children": {"$ref": "#/$defs/children"},
            },
            "additionalProperties": False,
        },
    },
}


class Segment(NamedTuple):
    """One segment of a pattern; ``many`` for ``**``, and without a key for ``*``."""

    key: str | None = None
    many: bool = False


Glob: TypeAlias = tuple[Segment, ...]


class Place(Protocol):
    """What may stand at one place of a document: a schema's shape, or a value that stood there."""

    @property
    def types(self) -> Collection[str]:
        """The JSON types that it may have."""
        ...

    @property
    def identity(self) -> Hashable:
        """Equal for two that say the same."""
        ...

    @property
    def weight(self) -> int:
        """What it costs to look at."""
        ...

    def below(self, key: str, *, told: bool) -> Iterable[Place]:
        """What may stand at a key or an index; if ``told``, only where it is said to be there."""
        ...

    def inside(self, *, told: bool) -> Iterable[Place]:
        """What may stand at all keys and indices."""
        ...


class Stored:
    """A value of a document as a :class:`Place`."""

    def __init__(self, value: Any) -> None:
        self._value = value

    @property
    def types(self) -> Collection[str]:
        """See :class:`Place`."""
        return type_of(self._value)

    @property
    def identity(self) -> Hashable:
        """See :class:`Place`."""
        return id(self._value)

    @property
    def weight(self) -> int:
        """See :class:`Place`."""
        return 1

    def below(self, key: str, *, told: bool) -> Iterator[Place]:
        """See :class:`Place`."""
        missing = object()
        found = jsonuri.child(self._value, key, missing)
        if found is not missing:
            yield Stored(found)

    def inside(self, *, told: bool) -> Iterator[Place]:
        """See :class:`Place`."""
        if isinstance(self._value, (dict, list)):
            yield from map(Stored, self._value.values() if isinstance(self._value, dict) else self._value)


class Budget:
    """How much may still be looked at; where nothing is left, everything counts as met.

    :param weight: of all places, each as often as the search comes by.
    """

    def __init__(self, weight: int) -> None:
        self._left = weight

    def spend(self, weight: int) -> bool:
        """Take some; whether there was enough."""
        self._left -= weight
        return self._left >= 0


def glob(pattern: str) -> Glob:
    """Take a trigger's pattern apart; an empty one meets everything, as ``**`` does.

    :raises JsonUriError: it is none.
    """
    stars = {"*": Segment(), "**": Segment(many=True)}
    segments = jsonuri.segments(pattern or "**")
    return tuple(stars.get(each) or Segment(jsonuri.unescape(each)) for each in segments)


def written(format: str, schema: dict[str, Any] | None) -> Place:
    """Return what a bot of this format writes at its root."""
    whole: Any = {"text": _TEXT, "html": _HTML}.get(format, schema)
    return Schemas(whole).shape(whole if whole else True)


def meets_root(wanted: Glob, root: Root) -> bool:
    """Whether the pattern can match the root itself, which is the uri of how a step ends."""
    return root is None or len(wanted) in _after(wanted, root)


def meets(
    wanted: Glob, root: Root, place: Place, types: Collection[str], budget: Budget, *, told: bool = False
) -> bool:
    """Whether the pattern can match a value of one of ``types`` at or below ``root``, where ``place`` is.

    :param told: only by what a schema tells of, and not by what it merely does not forbid.
    """
    if root is None:
        return True
    pending = [(place, position) for position in _after(wanted, root)]
    seen: dict[tuple[Hashable, int], Place] = {}  # the places are kept, as identities may be of objects
    while pending:
        place, position = pending.pop()
        if (place.identity, position) in seen:
            continue
        seen[place.identity, position] = place
        if position == len(wanted) and set(types) & set(place.types):
            return True
        for state in _next(wanted, place, position, told):
            if not budget.spend(state[0].weight):
                return True
            pending.append(state)
    return False


def _next(wanted: Glob, place: Place, position: int, told: bool) -> Iterator[tuple[Place, int]]:
    """What comes after one state: the pattern's next segment at what may stand below."""
    if position == len(wanted):
        return
    segment = wanted[position]
    if segment.many:
        yield place, position + 1
    after = position if segment.many else position + 1
    below = place.inside(told=told) if segment.key is None else place.below(segment.key, told=told)
    for each in below:
        yield each, after


def _after(wanted: Glob, root: Sequence[str | None]) -> set[int]:
    """Return where in the pattern one may be after the segments of a root."""
    reached = set(_skipped(wanted, {0}))
    for key in root:
        reached = set(_skipped(wanted, _stepped(wanted, reached, key)))
    return reached


def _stepped(wanted: Glob, reached: Iterable[int], key: str | None) -> Iterator[int]:
    for position in reached:
        if position < len(wanted):
            segment = wanted[position]
            if segment.many:
                yield position
            elif segment.key is None or key is None or segment.key == key:
                yield position + 1


def _skipped(wanted: Glob, reached: Iterable[int]) -> Iterator[int]:
    """A ``**`` may stand for nothing."""
    for position in reached:
        yield position
        while position < len(wanted) and wanted[position].many:
            position += 1
            yield position
