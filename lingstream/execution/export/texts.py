"""Documents as text: JSON, or YAML with PyYAML; and as lines for people, to show what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from lingstream.core.exceptions import UsageError

__all__ = ["FORMATS", "as_text", "written"]

FORMATS = ("json", "yaml")


def written(data: Any, format: str) -> str:
    """Return a document as text, which ends with a line's end.

    :param format: one of :data:`FORMATS`.
    :raises UsageError: ``yaml``: PyYAML is not installed.
    """
    if format == "json":
        # A lone surrogate, which UTF-8 cannot have, is its escape, which JSON can.
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        return text.encode("utf-8", "backslashreplace").decode()
    try:
        from .yaml import dump
    except ImportError as error:
        raise UsageError(_("For YAML install lingstream[yaml]."), code="yaml") from error
    return dump(data)


def as_text(data: Any) -> str:
    """Return JSON data as indented lines, which look like YAML and are not meant to be read back."""
    return "\n".join(_lines(data))


def _lines(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _entry(f"{key}:", value)
    elif isinstance(data, list):
        for value in data:
            yield from _item(value)
    else:
        yield _scalar(data)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield f"{head} |"
        yield from _indented(iter(value.split("\n")))
    elif isinstance(value, (dict, list)) and value:
        yield head
        yield from _indented(_lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        for number, line in enumerate(_lines(value)):
            yield f"{'  ' if number else '- '}{line}"
    else:
        yield from _entry("-", value)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)


def _scalar(value: Any) -> str:
    is_plain = isinstance(value, str) and value.strip() == value != ""
    return value if is_plain else json.dumps(value, ensure_ascii=False)
