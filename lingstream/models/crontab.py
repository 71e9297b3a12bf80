"""Times by a crontab, in the site's time zone: over both changes of its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

__all__ = ["planned", "validate_schedule"]

_FIELDS = 5  # with a sixth one there would be seconds


def planned(schedule: str, after: datetime) -> Iterator[datetime]:
    """Yield the times of a crontab behind ``after``, in the site's ``TIME_ZONE``.

    :raises ValidationError: it is no crontab of five fields.
    """
    local = after.astimezone(timezone.get_default_timezone())
    try:
        if len(schedule.split()) != _FIELDS:
            raise CronSimError("expected five fields")
        times = CronSim(schedule, local)
    except CronSimError as error:
        raise ValidationError(
            _("Expected five fields as in a crontab, like 0 9 * * MON-FRI, got %(got)s: %(why)s.")
            % {"got": repr(schedule[:80]), "why": error}
        ) from error
    # Where a clock is put back, it takes an hour that is there twice for the first one, which may be over. In
    # UTC, as two times of one zone are compared by what its clock shows.
    return (each for each in times if each.astimezone(UTC) > after)


def validate_schedule(schedule: str) -> None:
    """Refuse what is no crontab, or names a time that never comes."""
    if next(planned(schedule, timezone.now()), None) is None:
        raise ValidationError(_("Expected a time that comes, got %(got)s.") % {"got": repr(schedule[:80])})
