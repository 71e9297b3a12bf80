"""Hours of a person's day, by that person's clock: over both changes of the clock, too."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone

__all__ = ["after_quiet", "is_quiet", "is_zone", "zone_of"]

_MINUTE = timedelta(minutes=1)
_LONGEST = 64  # characters of a name, as the column
_SHIFT = 180  # minutes by which no clock is ever put forward or back at once


def zone_of(name: str) -> tzinfo:
    """Return the time zone of that name; the site's, where it is empty or nobody knows it."""
    try:
        return ZoneInfo(name) if name else timezone.get_default_timezone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.get_default_timezone()


def is_zone(name: str) -> bool:
    """Whether there is a time zone of that name."""
    try:
        return len(name) <= _LONGEST and bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def is_quiet(at: datetime, begin: time | None, end: time | None, zone: tzinfo) -> bool:
    """Whether a clock in ``zone`` shows a time from ``begin`` on and before ``end``, over midnight too.

    All of them count to the minute; where the two are the same, nothing is quiet.
    """
    if begin is None or end is None:
        return False
    begin, end, shown = map(_to_the_minute, (begin, end, at.astimezone(zone).time()))
    return begin <= shown < end if begin <= end else shown >= begin or shown < end


def after_quiet(at: datetime, begin: time | None, end: time | None, zone: tzinfo) -> datetime:
    """Return ``at``, or where that is quiet the first minute behind it that is not."""
    if begin is None or end is None or not is_quiet(at, begin, end, zone):
        return at
    shown = at.astimezone(zone)
    left = (end.hour - shown.hour) * 60 + end.minute - shown.minute
    at = at.replace(second=0, microsecond=0) + max(0, left % 1_440 - _SHIFT) * _MINUTE
    # The rest in steps: an end may be there twice on a day, or not at all.
    while is_quiet(at, begin, end, zone):
        at += _MINUTE
    return at


def _to_the_minute(at: time) -> time:
    return at.replace(second=0, microsecond=0, tzinfo=None)
