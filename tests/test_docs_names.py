"""What the pages name is there: modules, what is in them, files, permissions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
from django.apps import apps

from lingstream.execution import failures
from lingstream.transports.socket import SUBPROTOCOL

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
# What is released has the names of its time.
PAGES["CHANGELOG.md"] = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1]

pages = pytest.mark.parametrize("page", sorted(PAGES))


def names(text: str) -> Iterator[str]:
    """Yield the dotted names in a page, and those that its examples import."""
    yield from re.findall(r"\blingstream(?:\.[A-Za-z_]\w*)+", text)
    for module, imported in re.findall(r"^ *from (lingstream[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        yield from (f"{module}.{name.split()[0]}" for name in imported.split(","))


def other_words() -> set[str]:
    """What has the app's name in front and is nothing to import (ids of checks have a test of their own)."""
    words = {SUBPROTOCOL, failures.logger.name}
    for model in apps.get_app_config("lingstream").get_models():
        options = model._meta
        words |= {f"lingstream.{name}" for name, _ in options.permissions}
        words |= {f"lingstream.{name}_{options.model_name}" for name in options.default_permissions}
    return words


def exists(name: str) -> bool:
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pages
def test_names_lead_somewhere(page: str) -> None:
    named = {name for name in names(PAGES[page]) if not re.fullmatch(r"lingstream\.[EW]\d{3}", name)}
    assert sorted(name for name in named - other_words() if not exists(name)) == []


@pages
def test_files_are_where_they_are_said_to_be(page: str) -> None:
    suffixes = "py|js|mjs|json|jsonl|yml|toml|html|sh"
    named = re.findall(rf"`((?:[\w.-]+/)+[\w.-]+\.(?:{suffixes}))`", PAGES[page])
    places = (ROOT, ROOT / "docs", ROOT / "lingstream")
    assert sorted(name for name in set(named) if not any((place / name).exists() for place in places)) == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("lingstream.start", True),
        ("lingstream.checks", True),
        ("lingstream.transports.stream", True),
        ("lingstream.transports.stream.Streams", True),
        ("lingstream.core.log.ports.Hub.find", True),
        ("lingstream.core.log.ports.Hub.look", False),
        ("lingstream.streaming.Streams", False),
        ("lingstream.streaming", False),
    ],
)
def test_what_is_not_there_would_be_seen(name: str, there: bool) -> None:
    assert exists(name) == there
