"""What docs/upgrading.md promises holds: versions, additive and reversible migrations, the wire's number."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.test import AsyncClient

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDS_OR_ALTERS = (
    migrations.CreateModel,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AddConstraint,
    migrations.AlterField,
    migrations.AlterModelOptions,
    migrations.RunPython,  # of what was added just before
)
WIDENED = {"lingstream_example_name"}  # constraints that came back in the same migration and allow more


@pytest.mark.parametrize(
    ("what", "classifier"), [("Python", "Programming Language :: Python"), ("Django", "Framework :: Django")]
)
def test_the_versions_are_those_of_the_package(what: str, classifier: str) -> None:
    told = re.search(rf"^\| {what} \| (.+?) \|$", PAGE, re.MULTILINE)
    known = [
        found[1]
        for text in PROJECT["classifiers"]
        if (found := re.fullmatch(rf"{classifier} :: (\d+\.\d+)", text))
    ]
    assert told and told[1].split(", ") == known
    assert f"{what} {known[0]} to {known[-1]}" in README


@pytest.mark.django_db
def test_migrations_add_and_can_be_reversed() -> None:
    loader = MigrationLoader(connection)
    ours = [found for (app, _), found in loader.disk_migrations.items() if app == "lingstream"]
    assert ours
    for migration in ours:
        for operation in migration.operations:
            widens = isinstance(operation, migrations.RemoveConstraint) and operation.name in WIDENED
            forgets = (
                isinstance(operation, migrations.SeparateDatabaseAndState)
                and not operation.database_operations
            )
            known = widens or forgets or isinstance(operation, ADDS_OR_ALTERS)
            assert known, f"{migration}: {operation.describe()}"
            assert operation.reversible, f"{migration}: {operation.describe()}"


@pytest.mark.django_db(transaction=True)
async def test_every_answer_says_the_number_of_the_wire() -> None:
    told = re.search(r"`(Ling-Protocol): (\d+)`", PAGE)
    assert told
    answer = await AsyncClient().get("/ling/runs/none/")
    assert (answer.status_code, answer[told[1]]) == (404, told[2])
