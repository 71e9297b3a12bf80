"""The examples of docs/repair.md, and the overview of the folder."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from lingstream.core.parsing import repair, tokenizer

from ..support import every_cut, parse

PAGE = (Path(__file__).parents[4] / "docs" / "repair.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FOLDER = Path(repair.__file__ or "").parent
MODULES = {path.stem: path for path in sorted(FOLDER.glob("[a-z]*.py"))}
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


def overview() -> dict[str, set[str]]:
    """The kinds of repair that the overview lists for each module: what stands between two asterisks."""
    rows = re.findall(r"^(\w+) {2,}(\S.*(?:\n {3,}.*)*)", repair.__doc__ or "", re.MULTILINE)
    return {name: set(re.findall(r"[\w-]+", text.partition("*")[2])) for name, text in rows}


def words_of(path: str | Path) -> set[str]:
    """The strings in a module, but for those that something is compared with."""
    tree = ast.parse(Path(path).read_text("utf-8"))
    compared = {each for node in ast.walk(tree) if isinstance(node, ast.Compare) for each in node.comparators}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in compared)
    return {node.value for node in strings if isinstance(node.value, str)}


def test_the_overview_says_where_each_kind_lives() -> None:
    kinds = {kind for kind, *_ in ROWS}
    listed = overview()
    assert set(listed) == set(MODULES)
    assert set().union(*listed.values()) == kinds - {"reasoning"}
    decoded = words_of(tokenizer.__file__)
    for name, own in listed.items():
        words = words_of(MODULES[name])
        assert words & kinds <= own <= words | decoded, name


@pytest.mark.parametrize("name", ["delimiters", "lookahead", "remarks", "reopening", "values"])
def test_a_question_uses_up_no_text_and_emits_nothing(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            assert not (node.attr == "pos" and isinstance(node.ctx, ast.Store)), ast.unparse(node)
        if isinstance(node, ast.Call):
            assert "emitter" not in ast.unparse(node.func), ast.unparse(node)
