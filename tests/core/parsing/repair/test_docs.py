"""The examples of docs/repair.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ..support import every_cut, parse

PAGE = (Path(__file__).parents[4] / "docs" / "repair.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = re.findall(r"^\| `([\w-]+)` \| (`+) ?(.+?) ?\2(.*?) \| `(.+)` \|$", PAGE, re.MULTILINE)


def test_code_blocks() -> None:
    assert len(BLOCKS) == 2
    exec("\n".join(BLOCKS), {})


def test_rows_are_found() -> None:
    assert len(ROWS) == PAGE.count("\n| `")


@pytest.mark.parametrize(("kind", "ticks", "text", "remark", "expected"), ROWS)
def test_row(kind: str, ticks: str, text: str, remark: str, expected: str) -> None:
    text = text.replace("⏎", "\n")
    if "byte order mark" in remark:
        text = "\ufeff" + text.replace(" ", "\u00a0")
    whole = parse([text])
    assert whole.document == json.loads(expected)
    assert kind in [repair.kind for repair in whole.repairs]
    for cut in every_cut(text):
        assert parse(cut).told == whole.told
