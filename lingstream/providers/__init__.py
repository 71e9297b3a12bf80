"""The kinds of providers, and the one place that builds them.

A kind is a name (``openai``, ``scripted``, or one that a site adds) for a *factory*: a dotted path to a
callable ``(plan: ProviderPlan, key: str) -> Provider``. Its module, and with it a vendor's SDK, is imported
when the first provider of that kind is built, or earlier by :func:`preload`. What options a kind takes is a
JSON schema; a factory of a site's own may have one as its attribute ``options_schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from lingstream.core.exceptions import UsageError
from lingstream.core.plan import ProviderPlan
from lingstream.core.provider import Provider

from . import options

__all__ = ["KINDS", "Factory", "build_provider", "import_dotted", "options_schema", "preload"]

Factory: TypeAlias = Callable[[ProviderPlan, str], Provider]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "lingstream.providers.openai.build",
        "scripted": "lingstream.providers.scripted.build",
    }
)
_NONE: Mapping[str, str] = MappingProxyType({})


def build_provider(plan: ProviderPlan, key: str = "", kinds: Mapping[str, str] = _NONE) -> Provider:
    """Return the provider that ``plan`` describes.

    Building opens no connection. Keep what was built, for it keeps connections for the calls to come, and
    call ``aclose()`` when it is no longer needed.

    :param key: the API key itself, looked up by the caller; ``""`` for servers that need none.
    :param kinds: further kinds, name → dotted path of a factory; they win over :data:`KINDS`. Only these
        names are ever imported: a plan cannot name a path of its own.
    :raises UsageError: an unknown kind, a path that cannot be imported, or options the kind does not have.
    """
    return _factory(plan.kind, kinds)(plan, key)


def options_schema(kind: str, kinds: Mapping[str, str] = _NONE) -> dict[str, Any] | None:
    """Return the JSON schema of a kind's options; ``None`` where the kind does not say, or is unknown.

    :param kinds: as for :func:`build_provider`.
    """
    if kind in kinds:
        try:
            found = getattr(_factory(kind, kinds), "options_schema", None)
        except UsageError:
            return None  # a system check says so
        return found if isinstance(found, dict) else None
    if kind == "openai":
        return options.OPENAI
    if kind == "scripted":
        from .scripted import script_names  # it needs this module

        return options.scripted(script_names())
    return None


def preload(names: Iterable[str], kinds: Mapping[str, str] = _NONE) -> None:
    """Import the modules of these kinds now: a vendor's SDK may take a second.

    It blocks, so call it before serving, or in a thread.

    :raises UsageError: an unknown kind or one that cannot be imported.
    """
    for name in names:
        _factory(name, kinds)


def import_dotted(path: str) -> object:
    """Return what the dotted path names.

    :raises UsageError: no such module or name.
    """
    module, _, name = path.rpartition(".")
    try:
        return cast(object, getattr(import_module(module), name))
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"expected a dotted path that can be imported, got {path!r}: {error}") from error


def _factory(kind: str, kinds: Mapping[str, str]) -> Factory:
    path = kinds.get(kind) or KINDS.get(kind)
    if path is None:
        raise UsageError(f"expected a provider kind among {sorted({*KINDS, *kinds})}, got {kind!r}")
    return cast(Factory, import_dotted(path))
