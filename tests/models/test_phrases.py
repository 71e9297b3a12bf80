"""Messages in a column: English to who asks the database, and a phrase to who tells them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import translation

from lingstream.core.phrases import Phrase
from lingstream.models import Schedule
from lingstream.models.phrases import PhraseField, translated

pytestmark = pytest.mark.django_db

FULL = Phrase("the run started more than %(most)s bots", most=5)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="digest", workflow="digest", every=60)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (FULL, "运行启动的机器人超过 5 个"),
        (
            Phrase("%(what)s failed by a fault of the server; its log tells more", what=Phrase("the step")),
            "步骤",
        ),
        ("the server's own words", "the server's own words"),
        ("", ""),
    ],
)
def test_they_are_read_as_they_were_written(schedule: Schedule, told: str, said: str) -> None:
    Schedule.objects.update(last_error=told)
    read = Schedule.objects.values_list("last_error", flat=True).get()
    schedule.refresh_from_db()
    for found in (read, schedule.last_error):
        assert found == told
        with translation.override("zh-hans"):
            assert said in translated(found)
    schedule.save()  # as who writes all columns does
    schedule.refresh_from_db()
    assert parts(schedule.last_error) == parts(told)


WIDE = '{"template": "%(a)2000000000s", "values": {"a": 1}}'


@pytest.mark.parametrize("behind", ["", "1", "[" * 5_000, WIDE])
def test_a_text_that_came_with_the_mark_of_parts_keeps_its_words(schedule: Schedule, behind: str) -> None:
    Schedule.objects.update(last_error=f"its words\x1f{behind}")
    schedule.refresh_from_db()
    assert (schedule.last_error, parts(schedule.last_error)) == (f"its words {behind}", None)
    with connection.cursor() as cursor:  # as the process of an older version wrote it
        cursor.execute("UPDATE lingstream_schedule SET last_error = %s", [f"its words\x1f{behind}"])
    schedule.refresh_from_db()
    assert parts(schedule.last_error) is None


def parts(text: str) -> object:
    return text.values if isinstance(text, Phrase) else None


def test_they_are_found_in_english(schedule: Schedule) -> None:
    Schedule.objects.update(last_error=FULL)
    assert Schedule.objects.filter(last_error__icontains="more than 5 bots").exists()
    assert not Schedule.objects.filter(last_error="").exists()


def test_what_a_process_of_an_older_version_adds_is_no_phrase(schedule: Schedule) -> None:
    Schedule.objects.update(last_error=FULL)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE lingstream_schedule SET last_error = 'the host: ' || last_error")
    schedule.refresh_from_db()
    assert schedule.last_error == f"the host: {FULL}"
    assert parts(schedule.last_error) is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE lingstream_schedule SET last_error = last_error || '; and more'")
    schedule.refresh_from_db()
    assert str(FULL) in schedule.last_error


def test_to_migrations_the_column_is_text() -> None:
    field = Schedule._meta.get_field("last_error")
    assert isinstance(field, PhraseField)
    assert field.deconstruct()[1] == "django.db.models.TextField"
