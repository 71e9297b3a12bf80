"""The kinds of providers, and the one place that builds them.

A kind is a name (``openai``, ``scripted``, or one that a site adds) for a :class:`ProviderKind`: a factory,
what it can do, and what options its rows may have.
"""

from __future__ import annotations

from collections.abc import Mapping

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.provider import Provider

from .kinds import KINDS, Factory, ProviderKind, kind_names, kind_of, preload

__all__ = ["KINDS", "Factory", "ProviderKind", "build_provider", "kind_names", "kind_of", "preload"]


def build_provider(plan: ProviderPlan, key: str = "", kinds: Mapping[str, str] | None = None) -> Provider:
    """Return the provider that ``plan`` describes.

    Building opens no connection. Keep what was built, for it keeps connections for the calls to come, and
    call ``aclose()`` when it is no longer needed.

    :param key: the API key itself, looked up by the caller; ``""`` for servers that need none.
    :param kinds: further kinds, as for :func:`kind_of`.
    :raises UsageError: an unknown kind, a path that cannot be imported, or options the kind does not have.
    """
    return kind_of(plan.kind, kinds or {}).load()(plan, key)
