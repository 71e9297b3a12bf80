"""Rows that others need: where several are deleted at once, those that go with them need nothing any more."""

from __future__ import annotations

from django.db import models

__all__ = ["NeededRows"]


class NeededRows(models.QuerySet):  # type: ignore[type-arg]
    """Rows whose model refuses, by ``refuse_deletion``, to go where others would lack them."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """As Django's.

        :raises ProtectedError: others need one of them.
        """
        going = list(self)
        for row in going:
            row.refuse_deletion(going)
        return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's: no manager has it
