"""Who searches in tests, and what a site lets them see of its own rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db.models import Q

from lingstream.access.identity import Identity
from lingstream.core.engine import kinds
from lingstream.knowledge import registry

__all__ = ["asking", "groups_of", "in_run", "user", "visible"]


def user(name: str, **fields: Any) -> User:
    return User.objects.create(username=name, **fields)


def asking(who: User | None, scope: str | None = "") -> Identity:
    return Identity(who or AnonymousUser(), scope=scope)


def in_run(who: User | None, scope: str = "") -> kinds.Identity:
    return kinds.Identity(str(who.pk) if who else "", (), scope)


def groups_of(who: Any) -> Any:
    return Group.objects.filter(user__in=[who.pk] if who.pk else [])


def visible(monkeypatch: pytest.MonkeyPatch, slug: str, model: Any, rows: Callable[[Any], Any]) -> None:
    """Have the documents of a source be rows of a model, of which a user sees some."""
    parts: dict[str, Any] = dict.fromkeys(("title", "url", "owner", "scope", "metadata"))
    indexed = registry.Indexed(
        slug=slug, model=model, collection=slug, text=["name"], only=Q(), visible_to=rows, updated_field="",
        every=0, **parts,
    )  # fmt: skip
    monkeypatch.setitem(registry._declared, slug, indexed)
