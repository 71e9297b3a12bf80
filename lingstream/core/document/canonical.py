"""The checksum of a document: CRC-32 of its canonical JSON, as every client can compute it.

Canonical is RFC 8785 (JSON Canonicalization Scheme): keys in the order of their UTF-16 code units, no
space, each number as ECMAScript writes the double nearest to it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

__all__ = ["canonical_json", "crc32"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = {None: "null", True: "true", False: "false"}
_EXACT = 2**53  # integers up to here are doubles as they are


def crc32(document: Any) -> int:
    """Return the unsigned CRC-32 over the UTF-8 of the document's canonical JSON."""
    return zlib.crc32(canonical_json(document).encode())


def canonical_json(document: Any) -> str:
    """Return the document's canonical JSON."""
    parts: list[str] = []
    # With a stack of its own: a model may nest deeper than Python recurses. In it are what is left of each
    # open container, and what closes it.
    stack: list[tuple[Iterator[tuple[str, Any]], str]] = [(iter([("", document)]), "")]
    while stack:
        items, closer = stack[-1]
        for before, item in items:
            if not isinstance(item, (dict, list)):
                parts.append(before + _scalar(item))
                continue
            opener, closer = ("{", "}") if isinstance(item, dict) else ("[", "]")
            parts.append(before + opener)
            stack.append((_items(item), closer))
            break
        else:
            parts.append(closer)
            stack.pop()
    return "".join(parts)


def _items(container: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is inside, each with what stands before it."""
    comma = ""
    if isinstance(container, list):
        for item in container:
            yield comma, item
            comma = ","
        return
    plain = all(map(str.isascii, container))  # and so in the same order
    for key in sorted(container) if plain else sorted(container, key=_utf16):
        yield f"{comma}{_string(key)}:", container[key]
        comma = ","


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    return str(value) if type(value) is int and -_EXACT <= value <= _EXACT else _number(value)


def _string(text: str) -> str:
    written = encode_basestring(text)
    if text.isascii() or not _SURROGATE.search(text):
        return written
    # JSON.stringify escapes the lone ones; two halves are one character to it.
    written = _utf16(written).decode("utf-16-be", "surrogatepass")
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _number(value: int | float) -> str:
    """Write a number as ECMAScript's ``Number::toString`` does: Python's digits are the shortest ones too."""
    try:
        double = float(value)
    except OverflowError:
        return "null"  # JSON.stringify(Infinity)
    if double == 0:
        return "0"
    if not isfinite(double):
        return "null"
    sign = "-" if double < 0 else ""
    mantissa, _, exponent = f"{abs(double)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # point: how many digits stand before the decimal point
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return f"{sign}{digits}{'0' * (point - count)}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if count > 1 else ''}{power}"
