"""Who has a conversation open, as far as somebody says so."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q

from lingstream.models import Occasion

__all__ = ["Present", "among", "told_by"]

#: Returns the condition on rows of conversations that somebody has them open: ``Q`` or ``Exists``.
Present = Callable[[], Q]

_told: list[Present] = []


def told_by(present: Present) -> Present:
    """Have ``present`` say who is there; the last one counts, and without any everybody is."""
    _told[:] = [present]
    return present


def among(audience: str) -> Q:
    """Return the condition on rows of conversations that they belong to an occasion's audience."""
    if audience == Occasion.Audience.ANY or not _told:
        return Q() if audience != Occasion.Audience.ABSENT else Q(pk=None)
    present = Q(_told[0]())
    return present if audience == Occasion.Audience.PRESENT else ~present
