"""When something has changed, as sitemaps and feeds write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

__all__ = ["latest"]

_DAY = len("2026-01-01")
_LONGEST = 100


def latest(text: str) -> datetime | None:
    """Return the latest moment that a date may mean (a day is one until it ends), ``None`` if it is none.

    :param text: as in ISO 8601 or in RFC 5322; where it names no zone it is UTC.
    """
    text = text.strip()[:_LONGEST]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, IndexError, OverflowError):
            return None
    try:
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        return found + timedelta(days=1) if len(text) <= _DAY else found
    except OverflowError:
        return None
