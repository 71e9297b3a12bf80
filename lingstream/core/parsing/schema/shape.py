"""What a JSON schema says about one value, as far as repair has to know.

A schema is taken apart into *alternatives*: ``anyOf`` and ``oneOf`` make more of them, ``allOf`` and ``$ref``
make each of them longer. What is not understood here (``if``, ``not``, ``dependentSchemas``, a schema
elsewhere) allows everything; the validator judges at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from lingstream.core.document import jsonuri
from lingstream.core.validation.applicators import resolve
from lingstream.core.validation.patterns import matches_soon

from . import alternatives
from .alternatives import ANYTHING, Alternative, Part, listed, mapping, plain_key

__all__ = ["NOTHING", "Schemas", "Shape"]

_Alternatives: TypeAlias = Sequence[Alternative]

_MAX_SCHEMAS = 2_000  # references to references can be more than anybody could look at


class Schemas:
    """Takes the schemas of one document apart.

    :param schema: the whole schema, within which a ``$ref`` may point (``#``, ``#/$defs/name``).
    """

    def __init__(self, schema: Any) -> None:
        self._whole = schema
        self._left = 0  # how many schemas may still be looked at for one shape

    def shape(self, schema: Any) -> Shape:
        """Return what ``schema`` says."""
        return self.any_of([[schema]])

    def any_of(self, groups: Iterable[Sequence[Any]]) -> Shape:
        """Return the shape of a value that has to fit all schemas of one group."""
        self._left = _MAX_SCHEMAS
        found = [one for group in groups for one in _product(self._split(each, ()) for each in group)]
        return Shape(self, alternatives.bounded(found))

    def _split(self, schema: Any, refs: tuple[str, ...]) -> _Alternatives:
        if schema is False:
            return ()
        self._left -= 1
        if not isinstance(schema, Mapping) or self._left < 0:
            return ANYTHING
        return _product([((schema,),), *self._applied(schema, refs)])

    def _applied(self, schema: Part, refs: tuple[str, ...]) -> Iterator[_Alternatives]:
        """What the schemas inside ``schema`` say of the same value."""
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref not in refs:  # a schema that is its own definition says nothing
            yield self._split(resolve(self._whole, ref), (*refs, ref))
        for part in listed(schema, "allOf"):
            yield self._split(part, refs)
        for keyword in ("anyOf", "oneOf"):
            if parts := listed(schema, keyword):
                yield alternatives.bounded([one for part in parts for one in self._split(part, refs)])


class Shape:
    """What may stand at one place of the document."""

    def __init__(self, schemas: Schemas, found: _Alternatives) -> None:
        self._schemas = schemas
        self._alternatives = found
        self._items: dict[int, Shape] = {}
        self._properties: dict[str | None, Shape | None] = {}
        self.children: dict[str, Shape] = {}
        """What may stand at a key, of those that the schema names and that have come."""

    @cached_property
    def types(self) -> frozenset[str]:
        """The types that may stand here; ``number`` brings ``integer`` along."""
        return frozenset().union(*map(alternatives.types, self._alternatives))

    @cached_property
    def free(self) -> frozenset[str]:
        """Those of them that are not restricted to the members of an ``enum`` or ``const``."""
        unlisted = [each for each in self._alternatives if alternatives.members(each) is None]
        return frozenset().union(*map(alternatives.types, unlisted))

    @cached_property
    def members(self) -> list[Any]:
        """The values that an ``enum`` or ``const`` lists."""
        found: list[Any] = []
        for each in self._alternatives:
            allowed = alternatives.types(each)
            for member in alternatives.members(each) or ():
                if alternatives.type_of(member) & allowed and not alternatives.holds(found, member):
                    found.append(member)
        return found

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is of a type, or one of the members, that may stand here."""
        return bool(alternatives.type_of(value) & self.free) or alternatives.holds(self.members, value)

    @cached_property
    def sure(self) -> frozenset[type]:
        """The types of Python of which each value may stand here."""
        return frozenset(python for python, names in alternatives.PYTHON_TYPES.items() if names & self.free)

    @cached_property
    def streams(self) -> bool:
        """Whether a text may be told of here as it grows: it will stay a text, or fit nothing at all."""
        return "string" in self.free or self.types <= {"object"}

    @cached_property
    def lone(self) -> Shape:
        """What may stand in an array around a lone value: nothing, where there may be no array."""
        return self.item(0) if "array" in self.free else NOTHING

    @cached_property
    def wraps_text(self) -> bool:
        """Whether a text here can only be meant as the one item of an array."""
        return self.types <= {"array", "object"} and "string" in self.lone.free

    @cached_property
    def wraps_object(self) -> bool:
        """Whether an object here can only be meant as the one item of an array."""
        return "object" not in self.types and "object" in self.lone.types

    @cached_property
    def takes_text(self) -> bool:
        """Whether a text is told of here as it grows, and as what it is."""
        return self.streams and not self.wraps_text

    @property
    def identity(self) -> Hashable:
        """Equal for two shapes of one schema that say the same, as those of a recursive one do."""
        return tuple(tuple(map(id, parts)) for parts in self._alternatives)

    @property
    def weight(self) -> int:
        """How many schemas say it, at least one: what it costs to look at."""
        return sum(map(len, self._alternatives)) or 1

    def below(self, key: str, *, told: bool = False) -> Iterator[Shape]:
        """Yield what may stand at ``key`` of an object, and of an array if it is an index.

        :param told: only where the schema tells of the key; one that tells of none tells of all.
        """
        if "object" in self.types and (not told or not self.names or self.tells_of(key)):
            yield from filter(None, [self.property(key)])
        if "array" in self.types and (place := jsonuri.index(key)) is not None:
            yield self.item(place)

    def inside(self, *, told: bool = False) -> Iterator[Shape]:
        """Yield what may stand at any key, or at any place of an array.

        :param told: as for :meth:`below`.
        """
        if "object" in self.types:
            yield from filter(None, map(self.property, self.names))
            if self._patterns:
                yield self._schemas.any_of([[]])  # which keys they allow is not looked into
            elif not (told and self.names):
                yield from filter(None, [self.property(_unlike(self.names))])
        if "array" in self.types:
            yield from map(self.item, range(self._prefixes + 1))

    # -- arrays -----------------------------------------------------------------------------------

    def item(self, index: int) -> Shape:
        """What may stand at ``index`` of an array."""
        place = min(index, self._prefixes)
        if place not in self._items:
            groups = [[alternatives.item(part, place) for part in parts] for parts in self._of_type("array")]
            self._items[place] = self._schemas.any_of(groups or [[]])
        return self._items[place]

    @cached_property
    def each_item(self) -> Shape | None:
        """What may stand at each index of an array, where that is the same."""
        return None if self._prefixes else self.item(0)

    @cached_property
    def _prefixes(self) -> int:
        """The index from which on all items follow the same schema."""
        return max((len(listed(part, "prefixItems")) for part in self._parts("array")), default=0)

    # -- objects ----------------------------------------------------------------------------------

    @cached_property
    def required(self) -> list[str]:
        """The keys that an object must have, whichever alternative it follows."""
        wanted = [
            [key for part in parts for key in listed(part, "required")] for parts in self._of_type("object")
        ]
        first, *others = wanted or [[]]
        return list(dict.fromkeys(key for key in first if all(key in other for other in others)))

    def property(self, key: str) -> Shape | None:
        """What may stand at ``key`` of an object; ``None`` if the key may not be there."""
        known = key if key in self.names else None  # of all others the same is said, but for patterns
        if known is None and self._patterns:
            return self._property(key)  # not kept: these keys are the model's
        if known not in self._properties:
            self._properties[known] = self._property(key)
        return self._properties[known]

    @cached_property
    def each_property(self) -> Shape | None:
        """What may stand at each key of an object, where that is the same."""
        return None if self.names or self._patterns else self.property("")

    def tells_of(self, key: str) -> bool:
        """Whether the schema names ``key``, or one of its patterns fits it."""
        return key in self.names or self._matches_pattern(key)

    def spelling(self, key: str) -> str:
        """The property that ``key`` means: itself, or the only one that it differs from in spelling."""
        if not self.names or key in self.names or self._matches_pattern(key):
            return key
        found = self._spellings.get(plain_key(key), [])
        return found[0] if len(found) == 1 else key

    def _property(self, key: str) -> Shape | None:
        objects = self._of_type("object")
        groups = [group for parts in objects if (group := alternatives.group(parts, key)) is not None]
        if objects and not groups:
            return None
        return self._schemas.any_of(groups or [[]])

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys of an object that the schema tells of, whichever alternative it follows."""
        return frozenset(name for part in self._parts("object") for name in mapping(part, "properties"))

    @cached_property
    def _spellings(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self.names):
            found.setdefault(plain_key(name), []).append(name)
        return found

    @cached_property
    def _patterns(self) -> list[str]:
        parts = self._parts("object")
        return [pattern for part in parts for pattern in mapping(part, "patternProperties")]

    def _matches_pattern(self, key: str) -> bool:
        return any(matches_soon(pattern, key) for pattern in self._patterns)

    def _of_type(self, name: str) -> list[Alternative]:
        return [each for each in self._alternatives if name in alternatives.types(each)]

    def _parts(self, name: str) -> list[Part]:
        return [part for each in self._of_type(name) for part in each]


def _product(found: Iterable[_Alternatives]) -> _Alternatives:
    """The ways to take one alternative of each, as longer alternatives."""
    product: _Alternatives = ANYTHING
    for each in found:
        if len(product) * len(each) > alternatives.MAX_ALTERNATIVES:
            return ANYTHING
        product = [before + more for before in product for more in each]
    return product


def _unlike(names: Collection[str]) -> str:
    """A key that is none of ``names``."""
    return max(names, key=len, default="") + "-"


#: Nothing may stand there.
NOTHING = Shape(Schemas(False), ())
