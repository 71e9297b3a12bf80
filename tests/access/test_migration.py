"""Rows that exist keep what they say; new ones begin closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from lingstream.models import Workflow


def migrate(*targets: tuple[str, str]) -> MigrationExecutor:
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets))
    return MigrationExecutor(connection)


@pytest.fixture
def first_version(transactional_db: None) -> Iterator[MigrationExecutor]:
    """The tables as the first migration makes them; afterwards as all of them do."""
    yield migrate(("lingstream", "0001_initial"))
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes("lingstream"))


def test_old_rows_stay_open_and_new_ones_are_not(first_version: MigrationExecutor) -> None:
    before = first_version.loader.project_state([("lingstream", "0001_initial")]).apps
    old = before.get_model("lingstream", "Workflow")
    for slug, access in (("said-nothing", None), ("said-permission", "permission")):
        old.objects.create(slug=slug, **({"access": access} if access else {}))
    migrate(*first_version.loader.graph.leaf_nodes("lingstream"))
    kept = {row.slug: (row.access, row.show_reasoning) for row in Workflow.objects.all()}
    assert kept == {"said-nothing": ("anyone", True), "said-permission": ("permission", True)}
    new = Workflow.objects.create(slug="new")
    assert (new.access, new.show_reasoning) == ("authenticated", False)
