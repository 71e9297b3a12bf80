"""Fuzz target: ``python -m tests.core.parsing.fuzz_parser [corpus folder] [-max_total_time=600]``.

Any text, cut anywhere, must give what it gives whole, and no exception. The tests run it for a few seconds.
"""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports(include=["lingstream.core"]):
    from lingstream.core import parsing as _parser  # noqa: F401

from tests.core.parsing.support import parse


def check(data: bytes) -> None:
    """Two bytes say where to cut, the rest is the text."""
    text = data[2:].decode("utf-8", "surrogatepass" if data[:1] == b"s" else "replace")
    whole = parse([text])
    first, second = sorted(byte * (len(text) + 1) // 256 for byte in data[:2].ljust(2, b"\0"))
    for cut in (list(text), [text[:first], text[first:second], text[second:]]):
        if parse(cut).told != whole.told:
            raise AssertionError(f"a cut changes the result: {cut!r}")
    try:
        expected = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError, RecursionError):
        return
    if not any("\ud800" <= char <= "\udfff" for char in json.dumps(expected, ensure_ascii=False)):
        listed = {repair.kind for repair in whole.repairs}
        if listed - {"overflow"} or (not listed and whole.value != repr(expected)):
            raise AssertionError(f"valid JSON was touched: {text!r}")


def one_input(data: bytes) -> None:
    try:
        check(data)
    except UnicodeDecodeError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
