"""docs/settings.md has every setting that there is, with its type, bounds and default, and no other."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from lingstream.conf import BOUNDS, LingstreamSettings

PAGE = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in re.findall(r"^\| `[A-Z_]+` \|.*$", PAGE.partition("## What else is read")[0], re.MULTILINE)
]
KNOWN = {item.name.upper(): item for item in fields(LingstreamSettings)}


def default_of(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def test_every_setting_is_told_once_and_no_other() -> None:
    assert sorted(row[0].strip("`") for row in ROWS) == sorted(KNOWN)


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip("`") for row in ROWS])
def test_a_row_has_the_settings_type_bounds_and_default(row: list[str]) -> None:
    name, type_, default, what, when = row
    item = KNOWN[name.strip("`")]
    bounds = f" {BOUNDS[item.name]}" if item.name in BOUNDS else ""
    assert type_.replace("\\|", "|") == f"`{item.type}`{bounds}".replace("Mapping", "dict")
    told = ast.literal_eval(default.strip("`"))
    assert (type(told), told) == (type(default_of(item)), default_of(item))
    assert what and when


def test_the_example_passes_the_checks(settings: Any) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    settings.LINGSTREAM = names["LINGSTREAM"]
    faults = [item for item in run_checks() if (item.id or "").startswith("lingstream.E")]
    assert faults == []
