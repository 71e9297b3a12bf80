"""The check of schedules that nobody sees to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.utils import timezone

from lingstream.models import Schedule


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("minutes", "enabled", "named"),
    [(11, True, True), (9, True, False), (11, False, False), (-5, True, False)],
)
def test_one_that_is_overdue_is_named(minutes: int, enabled: bool, named: bool) -> None:
    Schedule.objects.create(name="digest", workflow="digest", every=60)
    passed = timezone.now() - timedelta(minutes=minutes)
    Schedule.objects.update(next_at=passed, enabled=enabled)
    found = [each for each in run_checks(databases=["default"]) if each.id == "lingstream.W019"]
    told = f"1 schedules are overdue, 'digest' since {passed:%Y-%m-%d %H:%M} UTC."
    assert [each.msg for each in found] == [told] * named
