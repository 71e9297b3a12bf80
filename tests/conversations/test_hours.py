"""Quiet hours by a person's clock, over both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lingstream.conversations.hours import after_quiet, is_quiet, is_zone, zone_of

# In 2026 clocks change in Berlin on 29 March and 25 October, on Lord Howe by half an hour.
BERLIN, HOWE, NEPAL = (
    ZoneInfo(f"{name}") for name in ("Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")
)
ZONES = (BERLIN, HOWE, NEPAL, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia"), ZoneInfo("UTC"))
STEP = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


@pytest.mark.parametrize(
    ("zone", "hours", "at", "end"),
    [
        # an ordinary night, and what is not in it
        (BERLIN, ("22:00", "08:00"), "01-10T21:30", "01-11T07:00"),
        (BERLIN, ("22:00", "08:00"), "01-10T20:59", "01-10T20:59"),
        (BERLIN, ("22:00", "08:00"), "01-11T07:00", "01-11T07:00"),
        (BERLIN, ("13:00", "14:30"), "07-01T11:10", "07-01T12:30"),
        (BERLIN, ("00:00:00", "23:59:59"), "01-10T21:30", "01-10T22:59"),
        (BERLIN, ("08:00:00", "08:00:30"), "01-10T07:00", "01-10T07:00"),
        # the clock is put forward: the night is an hour shorter, and 02:30 is not there at all
        (BERLIN, ("22:00", "08:00"), "03-28T21:30", "03-29T06:00"),
        (BERLIN, ("22:00", "02:30"), "03-29T00:10", "03-29T01:00"),
        (BERLIN, ("02:15", "02:45"), "03-29T00:59", "03-29T00:59"),
        (BERLIN, ("02:15", "03:15"), "03-29T01:05", "03-29T01:15"),
        # it is put back: an hour longer, and 02:30 is there twice
        (BERLIN, ("22:00", "08:00"), "10-24T20:30", "10-25T07:00"),
        (BERLIN, ("22:00", "02:30"), "10-25T00:10", "10-25T00:30"),
        (BERLIN, ("22:00", "02:30"), "10-25T01:10", "10-25T01:30"),
        (BERLIN, ("02:00", "03:00"), "10-25T00:15", "10-25T02:00"),
        (HOWE, ("22:00", "02:00"), "10-03T15:20", "10-03T15:30"),
        (HOWE, ("22:00", "01:45"), "04-04T15:05", "04-04T15:15"),
        (NEPAL, ("22:00", "06:00"), "05-01T17:00", "05-02T00:15"),
    ],
)
def test_they_end_when_the_clock_shows_it(zone: ZoneInfo, hours: tuple[str, str], at: str, end: str) -> None:
    begin, until = map(time.fromisoformat, hours)
    assert after_quiet(utc(at), begin, until, zone).astimezone(UTC) == utc(end)


MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
MINUTES = st.integers(0, 1_439).map(lambda minute: time(minute // 60, minute % 60))
LENGTHS = st.integers(1, 1_320)  # of what is longer a day on which the clock changes may be full


@settings(max_examples=300, deadline=None)
@given(MOMENTS, MINUTES, LENGTHS, st.sampled_from(ZONES))
@example(utc("10-25T00:59"), time(2, 59), 1_300, BERLIN)
def test_they_end_with_the_first_minute_that_is_not_quiet(
    at: datetime, begin: time, length: int, zone: ZoneInfo
) -> None:
    minute = (begin.hour * 60 + begin.minute + length) % 1_440
    hours = begin, time(minute // 60, minute % 60), zone
    end = after_quiet(at, *hours)
    assert not is_quiet(end, *hours)
    if end == at:
        return
    assert end > at and end.second == 0
    assert is_quiet(at, *hours) and is_quiet(end - STEP, *hours)
    if at.astimezone(zone).utcoffset() == end.astimezone(zone).utcoffset():  # else a time is there twice
        minutes = (at + number * STEP for number in range(1_440))
        assert all(is_quiet(each, *hours) for each in minutes if each < end)


def test_without_hours_nothing_is_quiet() -> None:
    now = timezone.now()
    assert after_quiet(now, None, None, BERLIN) == now
    assert not is_quiet(now, None, time(1), BERLIN)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "x" * 300, "\0"])
def test_what_is_no_zone_is_the_sites(name: str) -> None:
    assert zone_of(name) is timezone.get_default_timezone()
    assert not is_zone(name)
    assert zone_of("Asia/Kathmandu") == NEPAL and is_zone("Asia/Kathmandu")
