"""Documents as YAML, with PyYAML (the extra ``yaml``).

Read by the rules of YAML 1.2 for what is a number, true or null, so that ``no`` and ``12:30`` are texts; and
written so that readers by the rules before take them for texts, too. What refers to something else (anchors,
aliases, tags) is refused before anything is built: a few lines of it can stand for gigabytes.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from django.utils.translation import gettext as _

from lingstream.core.document.depth import MAX_DEPTH
from lingstream.core.exceptions import UsageError

__all__ = ["dump", "load"]

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
_MOST_EVENTS = 200_000  # keys, values, beginnings and ends: 2 s of reading
_STRING = "tag:yaml.org,2002:str"


class _Loader(_Base):  # type: ignore[misc]
    """Reads scalars as JSON does, and no key twice."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in found:
                problem = _("Expected each key once, and as text, got %s.") % str(key)[:60]
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def construct_yaml_map(self, node: Any) -> Any:
        return self.construct_mapping(node)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they stand, and nothing twice by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar(_STRING, text, style="|" if "\n" in text else None)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)
_Dumper.add_representer(str, _text)
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    for _class in (_Loader, _Dumper):  # what would be read as one of them is quoted where it is a text
        _whole = re.compile(rf"(?:{_pattern})\Z")
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, list(_first))


def dump(data: Any) -> str:
    """Return a document as YAML."""
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
    return text


def load(text: str) -> Any:
    """Return the data of a YAML document.

    :raises UsageError: ``document``, ``too-deep``.
    """
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # it is a safe one
    except (yaml.YAMLError, ValueError) as error:
        told = _("This is not YAML that can be read: %s") % " ".join(str(error).split())[:300]
        raise UsageError(told, code="document") from error


def _check_events(text: str) -> None:
    """Look at the document as it is read, before anything is built of it."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > _MOST_EVENTS:
            raise UsageError(_("Expected fewer values than %d.") % _MOST_EVENTS, code="too-large")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UsageError(_("Expected YAML without anchors and aliases."), code="document")
        if tag := getattr(event, "tag", None):
            raise UsageError(_("Expected YAML without tags, got %s.") % tag[:60], code="document")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UsageError(_("Expected at most %d levels of nesting.") % MAX_DEPTH, code="too-deep")
