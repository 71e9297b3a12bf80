"""The checksum of a document: CRC-32 of its canonical JSON, as every client can compute it.

Canonical is RFC 8785 (JSON Canonicalization Scheme): keys in the order of their UTF-16 code units, no
space, each number as ECMAScript writes the double nearest to it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from math import isfinite
from typing import Any

__all__ = ["canonical_json", "crc32"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def crc32(document: Any) -> int:
    """Return the unsigned CRC-32 over the UTF-8 of the document's canonical JSON."""
    total = 0
    for part in _parts(document):
        total = zlib.crc32(part.encode(), total)
    return total


def canonical_json(document: Any) -> str:
    """Return the document's canonical JSON."""
    return "".join(_parts(document))


def _parts(document: Any) -> Iterator[str]:
    """Write ``document`` with a stack of its own: a model may nest deeper than Python recurses."""
    stack: list[Any] = [(document,)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
            continue
        (value,) = item
        if isinstance(value, dict):
            tail: list[Any] = ["{"]
            for count, key in enumerate(sorted(value, key=_utf16)):
                tail += [f"{',' if count else ''}{_string(key)}:", (value[key],)]
            stack.extend(reversed([*tail, "}"]))
        elif isinstance(value, list):
            tail = ["["]
            for count, element in enumerate(value):
                tail += [",", (element,)] if count else [(element,)]
            stack.extend(reversed([*tail, "]"]))
        else:
            yield _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _number(value)


def _string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    if _SURROGATE.search(written):  # JSON.stringify escapes the lone ones; two halves are one character to it
        written = _utf16(written).decode("utf-16-be", "surrogatepass")
        written = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
    return written


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
