"""Text as a document: bounded, whatever it holds, and checked by the schema before any row is looked at."""

from __future__ import annotations

import json
from typing import Any

from django.utils.translation import gettext as _

from lingstream.core.document import jsonuri
from lingstream.core.document.depth import check_depth
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import compile_schema
from lingstream.models.drafts import Problem
from lingstream.models.phrases import translated

from .schema import document_schema
from .values import check_values

__all__ = ["MAX_SIZE", "read_document", "schema_problems"]

#: Characters of a document.
MAX_SIZE = 1_000_000


def read_document(text: str) -> Any:
    """Return the data of a document: JSON if it begins with a brace, else YAML.

    :raises UsageError: ``too-large``, ``too-deep``; ``document``: it is neither, has a key twice, or what
        no row can hold; ``yaml``: PyYAML is not installed.
    """
    if len(text) > MAX_SIZE:
        problem = _("Expected up to %(most)d characters, got %(got)d.") % {"most": MAX_SIZE, "got": len(text)}
        raise UsageError(problem, code="too-large")
    data = _json(text) if text.lstrip("\ufeff \t\r\n").startswith("{") else _yaml(text)
    check_depth(data)
    check_values(data)
    return data


def schema_problems(data: Any) -> list[Problem]:
    """Return what the schema has against a document."""
    try:
        failures = compile_schema(document_schema()).failures(data)
    except UsageError as error:
        return [Problem("", translated(error.message))]
    return [Problem(_uri(failure.path), translated(failure.phrase)) for failure in failures]


def _json(text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError(_("Expected fewer levels of nesting."), code="too-deep") from None
    except json.JSONDecodeError as error:
        place = {"problem": error.msg, "line": error.lineno, "column": error.colno}
        text = _("This is not JSON: %(problem)s in line %(line)d, column %(column)d.") % place
        raise UsageError(text, code="document") from error
    except ValueError as error:  # among them numbers of thousands of digits
        raise UsageError(_("This is not JSON: %s.") % str(error)[:200], code="document") from error


def _yaml(text: str) -> Any:
    try:
        from .yaml import load
    except ImportError as error:
        told = _("Expected JSON, which begins with {; for YAML install lingstream[yaml].")
        raise UsageError(told, code="yaml") from error
    return load(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"expected a number, got {name}")


def _uri(path: tuple[str | int, ...]) -> str:
    return jsonuri.join(*path) if path else ""
