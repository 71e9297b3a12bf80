"""Canonical JSON: what JavaScript writes, byte for byte."""

from __future__ import annotations

import json
import math
import random
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.canonical import canonical_json, crc32
from tests.core.support import documents, in_node

CHECKSUM = "./lingstream/static/lingstream/checksum.js"  # the client's own

# RFC 8785, appendix B, and the borders of ECMAScript's Number::toString.
NUMBERS: list[tuple[float | int, str]] = [
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-1.5, "-1.5"),
    (5e-324, "5e-324"),
    (-5e-324, "-5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308"),
    (9007199254740992, "9007199254740992"),
    (-9007199254740992, "-9007199254740992"),
    (2**53 + 1, "9007199254740992"),
    (295147905179352830000.0, "295147905179352830000"),
    (9.999999999999997e22, "9.999999999999997e+22"),
    (1e23, "1e+23"),
    (1.0000000000000001e23, "1.0000000000000001e+23"),
    (999999999999999700000.0, "999999999999999700000"),
    (999999999999999900000.0, "999999999999999900000"),
    (1e21, "1e+21"),
    (1e20, "100000000000000000000"),
    (10**20, "100000000000000000000"),
    (10**21, "1e+21"),
    (123456789012345678901234567890, "1.2345678901234568e+29"),
    (9.999999999999997e-7, "9.999999999999997e-7"),
    (0.000001, "0.000001"),
    (0.0000001, "1e-7"),
    (333333333.3333332, "333333333.3333332"),
    (333333333.33333325, "333333333.33333325"),
    (333333333.3333334, "333333333.3333334"),
    (333333333.3333333, "333333333.3333333"),
    (-0.0000033333333333333333, "-0.0000033333333333333333"),
    (1424953923781206.2, "1424953923781206.2"),
    (4.35, "4.35"),
    (0.1, "0.1"),
    (123.456, "123.456"),
    (1.5e300, "1.5e+300"),
    (10**400, "null"),
    (math.inf, "null"),
    (-math.inf, "null"),
    (math.nan, "null"),
]

DOCUMENTS: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    ([], "[]"),
    ({}, "{}"),
    ([[], {}, [1, "a"]], '[[],{},[1,"a"]]'),
    ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
    # RFC 8785, 3.2.3: by UTF-16 code units, so that an astral character sorts before U+FB33
    (
        {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7},
        '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
    ),
    ('\x00\x1f\b\t\n\f\r"\\/\x7f\u2028', '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028"'),
    ("云", '"云"'),
    ("\ud83d", '"\\ud83d"'),
    ("\ud83d\ude00", '"😀"'),
    ({chr(0xDC00): 1, chr(0xD800): 2}, '{"\\ud800":2,"\\udc00":1}'),
]


@pytest.mark.parametrize(("number", "written"), NUMBERS)
def test_numbers(number: float, written: str) -> None:
    assert canonical_json(number) == written


@pytest.mark.parametrize(("document", "written"), DOCUMENTS)
def test_documents(document: Any, written: str) -> None:
    assert canonical_json(document) == written
    assert crc32(document) == zlib.crc32(written.encode())


@settings(deadline=None)
@given(documents)
def test_is_json_of_the_same_document(document: Any) -> None:
    assert json.loads(canonical_json(document), parse_int=float) == _doubles(document)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(number: float) -> None:
    assert float(canonical_json(number)) == number


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5), st.randoms())
def test_order_of_the_keys_does_not_matter(document: dict[str, int], dice: random.Random) -> None:
    items = list(document.items())
    dice.shuffle(items)
    assert crc32(dict(items)) == crc32(document)


def test_deep_documents() -> None:
    document: Any = 1
    for _ in range(20_000):
        document = [document]
    assert canonical_json(document) == "[" * 20_000 + "1" + "]" * 20_000
    while isinstance(document, list):
        (document,) = document


class TestNode:
    def test_the_client_writes_and_sums_the_same(self) -> None:
        found: list[Any] = [document for document, _ in DOCUMENTS] + [
            number for number, _ in NUMBERS if isinstance(number, int) or math.isfinite(number)
        ]

        @settings(deadline=None, max_examples=300, database=None)
        @given(documents)
        def collect(document: Any) -> None:
            found.append(document)

        collect()
        script = (
            f"import {{ canonical, checksum }} from {CHECKSUM!r};\n"
            "output = input.map((document) => [canonical(document), checksum(document)]);"
        )
        for document, (text, checksum) in zip(found, in_node(script, found), strict=True):
            assert canonical_json(document) == text
            assert crc32(document) == checksum

    def test_numbers_are_written_as_javascript_writes_them(self) -> None:
        dice = random.Random(7)
        numbers = [number for number, _ in NUMBERS if isinstance(number, int) or math.isfinite(number)]
        numbers += [struct.unpack("d", dice.randbytes(8))[0] for _ in range(3_000)]
        numbers += [dice.randint(-(10**9), 10**9) * 10.0 ** dice.randint(-25, 25) for _ in range(3_000)]
        numbers += [float(f"1e{exponent}") for exponent in range(-30, 30)]
        numbers = [number for number in numbers if isinstance(number, int) or math.isfinite(number)]
        written = in_node("output = input.map((number) => JSON.stringify(number));", numbers)
        assert written == [canonical_json(number) for number in numbers]


def _doubles(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _doubles(item) for key, item in document.items()}
    if isinstance(document, list):
        return [_doubles(item) for item in document]
    return float(document) if type(document) is int else document
