"""Rows that are written once."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext as _

from ..core.exceptions import UsageError

__all__ = ["ImmutableQuerySet", "refuse_change"]


class ImmutableQuerySet(models.QuerySet):  # type: ignore[type-arg]
    """Queries of versions: to be read."""

    def update(self, **kwargs: Any) -> NoReturn:
        refuse_change(self.model, "update")

    def delete(self) -> NoReturn:
        refuse_change(self.model, "delete")


def refuse_change(model: type[models.Model], what: str) -> NoReturn:
    """Refuse to change a version.

    :raises UsageError: ``immutable``.
    """
    text = _(
        "a %(kind)s never changes, so that a run can say which one it used; expected a new version, got "
        "%(what)s()"
    )
    raise UsageError(text % {"kind": model._meta.verbose_name, "what": what}, code="immutable")
