r"""jsonuri: the address of a value inside a JSON document.

Segments are joined by ``/`` as in the npm package ``jsonuri`` v4 (``outline/0/topic``); the root is the
empty string. Inside a key ``/`` is written ``\/`` and ``\`` is written ``\\``; a key that npm would read
as a path instruction (``.``, ``..``, ``@first``, ``[@last]``) gets a backslash in front; the empty key is
``\0``. So the encoding is a bijection between lists of keys and uris.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from lingstream.core.exceptions import JsonUriError
from lingstream.core.phrases import Phrase

__all__ = [
    "child",
    "concat",
    "escape",
    "get",
    "index",
    "join",
    "match",
    "normalize",
    "overlaps",
    "parent",
    "put",
    "segments",
    "set",
    "split",
    "stars",
    "unescape",
]

_INSTRUCTION = re.compile(r"\.\.?\Z|@|\[@")
_SEGMENTS = re.compile(r"((?:[^\\/]|\\.)*)(/|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")
_MISSING: Any = object()


def escape(key: str | int) -> str:
    """Return ``key`` as one segment of a uri."""
    text = str(key)
    if "\\" in text or "/" in text:
        text = text.replace("\\", "\\\\").replace("/", "\\/")
    if not text:
        return "\\0"
    return "\\" + text if _INSTRUCTION.match(text) else text


def unescape(segment: str) -> str:
    """Return the key that one segment stands for; the inverse of :func:`escape`."""
    if "\\" not in segment:
        return segment
    return "" if segment == "\\0" else _ESCAPED.sub(r"\1", segment)


def join(*keys: str | int) -> str:
    """Return the uri of the value reached by ``keys``: ``join("a/b", 0) == r"a\\/b/0"``."""
    return "/".join(map(escape, keys))


def concat(root: str, uri: str) -> str:
    """Return ``uri`` (relative) below ``root``; either may be the root ``""``."""
    return f"{root}/{uri}" if root and uri else root or uri


def split(uri: str) -> list[str]:
    """Return the keys that lead to ``uri``; the inverse of :func:`join`.

    :raises JsonUriError: an empty segment or a lone backslash at the end.
    """
    if not uri:
        return []
    segments = uri.split("/") if "\\" not in uri else _split_escaped(uri)
    if "" in segments:
        raise JsonUriError(_empty_segment(uri), uri=uri)
    return [unescape(segment) for segment in segments]


def segments(uri: str) -> list[str]:
    r"""Return the segments of a uri or a pattern as they are written: ``*`` is a star, ``\*`` a key.

    :raises JsonUriError: as :func:`split`.
    """
    split(uri)
    return _split_escaped(uri) if uri else []


def stars(pattern: str) -> int:
    """Return how many stars a pattern has, which is how many keys and uris :func:`match` returns.

    :raises JsonUriError: as :func:`split`.
    """
    return sum(segment in ("*", "**") for segment in segments(pattern))


def normalize(uri: str) -> str:
    r"""Return the one way to write ``uri``: ``\a`` names the same key as ``a``.

    What compares uris as text relies on it: ownership, merging, and the builder's cache.

    :raises JsonUriError: as :func:`split`.
    """
    return join(*split(uri))


def parent(uri: str) -> tuple[str, str]:
    """Return the uri of the container of ``uri`` and the last key, unescaped.

    :raises JsonUriError: ``uri`` is the root, which has no container, or begins or ends with a slash.
    """
    if not uri:
        raise JsonUriError(Phrase("expected a uri below the root, got the root"), uri=uri)
    if "\\" not in uri:
        head, slash, segment = uri.rpartition("/")
    else:
        *above, segment = _split_escaped(uri)
        head, slash = "/".join(above), "/" if above else ""
    if not segment or (slash and not head):
        raise JsonUriError(_empty_segment(uri), uri=uri)
    return head, unescape(segment)


def index(key: str) -> int | None:
    """Return the array index that ``key`` writes, or ``None``: ``01`` and ``٣`` are keys of objects only."""
    return int(key) if _INDEX.fullmatch(key) else None


def match(pattern: str, uri: str) -> tuple[str, ...] | None:
    """Match ``uri`` against a glob of segments.

    ``*`` stands for exactly one segment and ``**`` for any number of them, none included; everything else
    for itself. A literal star in a key is written ``\\*`` in the pattern.

    :returns: the keys that the ``*`` stood for (and the uris that ``**`` stood for), or ``None``.
    """
    if pattern == uri and "*" not in pattern:
        return ()
    wanted = _split_escaped(pattern) if pattern else []
    given = _split_escaped(uri) if uri else []
    return _match(wanted, given)


def overlaps(pattern: str, uri: str) -> bool:
    """Whether something at or below ``uri`` could match ``pattern``."""
    wanted = _split_escaped(pattern) if pattern else []
    for position, segment in enumerate(_split_escaped(uri) if uri else []):
        if position == len(wanted):
            return False
        if wanted[position] == "**":
            return True
        if not _same(wanted[position], segment):
            return False
    return True


def get(document: Any, uri: str, default: Any = None) -> Any:
    """Return the value at ``uri``, or ``default`` where the document has none."""
    value = document
    for key in split(uri):
        value = child(value, key, _MISSING)
        if value is _MISSING:
            return default
    return value


def child(container: Any, key: str, default: Any = None) -> Any:
    """Return the value at ``key`` of one container, or ``default``."""
    if isinstance(container, dict):
        return container.get(key, default)
    if isinstance(container, list) and (place := index(key)) is not None and place < len(container):
        return container[place]
    return default


def set(document: Any, uri: str, value: Any) -> Any:
    """Set ``value`` at ``uri`` and return the document's root (a new one only for the root uri).

    :raises JsonUriError: a missing parent, or an array index past the end.
    """
    if not uri:
        return value
    head, key = parent(uri)
    container = get(document, head, _MISSING)
    put(container, key, value, uri)
    return document


def put(container: Any, key: str, value: Any, uri: str) -> None:
    """Set ``container[key]``, appending to an array at its end; ``uri`` is for the error."""
    if isinstance(container, dict):
        container[key] = value
        return
    if isinstance(container, list):
        place = index(key)
        if place is None or place > len(container):
            message = Phrase(
                "expected an index up to %(most)s, got %(got)r at %(uri)r",
                most=len(container),
                uri=uri,
                got=key,
            )
            raise JsonUriError(message, uri=uri)
        if place == len(container):
            container.append(value)
        else:
            container[place] = value
        return
    found = "nothing" if container is _MISSING else type(container).__name__
    message = Phrase("expected a container above %(uri)r, found %(found)s", uri=uri, found=found)
    raise JsonUriError(message, uri=uri)


def _empty_segment(uri: str) -> Phrase:
    return Phrase("expected segments joined by '/', got an empty one in %(uri)r", uri=uri)


def _split_escaped(uri: str) -> list[str]:
    """Split at the slashes that no backslash protects; segments stay escaped."""
    if "\\" not in uri:
        return uri.split("/")
    segments, position = [], 0
    while True:
        found = _SEGMENTS.match(uri, position)
        if found is None:
            message = Phrase("expected a character after the backslash that ends %(uri)r", uri=uri)
            raise JsonUriError(message, uri=uri)
        segments.append(found[1])
        position = found.end()
        if not found[2]:
            return segments


def _same(wanted: str, given: str) -> bool:
    if wanted == "*" or wanted == given:
        return True
    return "\\" in wanted and unescape(wanted) == unescape(given)


_Row: TypeAlias = tuple[str, ...] | None  # what the stars stood for on the way to a place; None: not reached


def _match(wanted: Sequence[str], given: Sequence[str]) -> _Row:
    """Match whole lists of escaped segments, in time linear in their product.

    A recursive ``**`` would be exponential in the number of stars, and a uri is model output.
    """
    rows: list[_Row] = [(), *[None] * len(given)]
    for segment in wanted:
        rows = _skip(rows, given) if segment == "**" else _step(segment, rows, given)
    return rows[-1]


def _step(segment: str, rows: list[_Row], given: Sequence[str]) -> list[_Row]:
    """Advance by one segment from each place that was reached."""
    reached: list[_Row] = [None]
    for row, found in zip(rows, given, strict=False):
        if row is None or not _same(segment, found):
            reached.append(None)
        else:
            reached.append((*row, unescape(found)) if segment == "*" else row)
    return reached


def _skip(rows: list[_Row], given: Sequence[str]) -> list[_Row]:
    """Advance by any number of segments from the first place that was reached."""
    start = next((place for place, row in enumerate(rows) if row is not None), len(rows))
    if start == len(rows):
        return rows
    before = rows[start] or ()
    skipped: list[_Row] = [(*before, "/".join(given[start:end])) for end in range(start, len(rows))]
    return [*rows[:start], *skipped]
