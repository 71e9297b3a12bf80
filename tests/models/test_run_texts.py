"""What runs are found by, before and after their errors had a column there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from lingstream.models import Run, RunText, add_errors
from tests.tables import Versions

pytestmark = pytest.mark.django_db


def test_a_run_is_found_by_what_its_error_says() -> None:
    run = Run.objects.create(workflow="facts", input="clouds")
    RunText.of(run)
    assert not RunText.objects.filter(words__match="rain").exists()
    add_errors({run.pk: [{"code": "x", "message": "it rains"}, {"code": "y"}], uuid4(): []})
    found = RunText.objects.get(words__match="rains clou")
    assert (found.run_id, found.input) == (run.pk, "clouds")


@pytest.fixture
def with_errors(transactional_db: None, versions: Versions) -> Iterator[Any]:
    with versions.at("lingstream", "0029_times_on_sqlite") as apps:
        yield apps


def test_a_process_of_the_version_before_goes_on_beside_the_new_ones(with_errors: Any) -> None:
    run, text = (with_errors.get_model("lingstream", name) for name in ("Run", "RunText"))
    before = text.objects.create(run=run.objects.create(workflow="facts"), error="gone", words="gone")
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("lingstream"))
    RunText.of(Run.objects.create(workflow="facts", input="clouds"))
    beside = text.objects.create(run=run.objects.create(workflow="facts"), input="rain", words="rain")
    text.objects.filter(pk=beside.pk).update(error="wet")
    assert [RunText.objects.get(words__match=word).pk for word in ("gone", "rain")] == [before.pk, beside.pk]
    assert [row.error for row in text.objects.order_by("pk")] == ["gone", "", "wet"]
    assert RunText.objects.filter(words__match="cloud").exists()  # its index is there as before
