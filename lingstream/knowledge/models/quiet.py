"""Sources go while no pass stores anything: what it stored would refer to what is gone, or keep it there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.apps import apps
from django.db import models, router, transaction

from lingstream.models.locks import locked

__all__ = ["WithSources"]

M = TypeVar("M", bound="WithSources")


class _WithSources(models.QuerySet[M]):
    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=router.db_for_write(self.model)):
            self.model.wait_for_sources(list(self.values_list("pk", flat=True)))
            return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's: no manager has it


class WithSources(models.Model):
    """A source, or what has some: where it is deleted, whoever works on one of them ends first.

    :cvar sources_by: by which lookup its rows have sources.
    """

    sources_by = "pk__in"

    objects = _WithSources.as_manager()

    class Meta:
        abstract = True

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """As Django's."""
        with transaction.atomic(using=router.db_for_write(type(self))):
            self.wait_for_sources([self.pk])
            return super().delete(*args, **kwargs)

    @classmethod
    def wait_for_sources(cls, pks: Iterable[Any]) -> None:
        """Lock the sources of some rows, within a transaction."""
        source: Any = apps.get_model("lingstream_knowledge", "Source")
        rows: models.QuerySet[Any] = source.objects.filter(**{cls.sources_by: pks}).order_by("pk")
        list(locked(rows, whole=True).values_list("pk"))
