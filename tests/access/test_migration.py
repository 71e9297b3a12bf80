"""Rows that exist keep what they say; new ones begin closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from lingstream.execution.journal import DatabaseJournal
from lingstream.models import BotRun, Run, Step, Trigger, Workflow
from tests.tables import Versions


def migrate(*targets: tuple[str, str]) -> MigrationExecutor:
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets))
    return MigrationExecutor(connection)


@pytest.fixture
def first_version(transactional_db: None, versions: Versions) -> Iterator[MigrationExecutor]:
    """A database with the tables as the first migration makes them."""
    with versions.at("lingstream", "0001_initial"):
        yield MigrationExecutor(connection)


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


def test_what_is_from_before_is_bots_and_the_versions_before_can_still_store_their_own(
    first_version: MigrationExecutor,
) -> None:
    third, fourth = [("lingstream", "0003_access")], [("lingstream", "0004_once")]
    migrate(*third)
    apps = MigrationExecutor(connection).loader.project_state(third).apps
    run = apps.get_model("lingstream", "Run").objects.create(workflow="old")
    bot_runs = apps.get_model("lingstream", "BotRun").objects
    bot_runs.create(run=run, step="a", instance="a#1", digest="d", replay_key="1", output="said")
    migrate(*fourth)
    apps = MigrationExecutor(connection).loader.project_state(fourth).apps
    old = {name: apps.get_model("lingstream", name) for name in ("Workflow", "Step", "Trigger", "Run")}

    def store(slug: str) -> None:
        workflow = old["Workflow"].objects.create(slug=slug)
        step = old["Step"].objects.create(workflow=workflow, name="a")
        old["Trigger"].objects.create(workflow=workflow, source=step, target=step)
        old["Run"].objects.create(workflow=slug)

    store("before")
    migrate(*first_version.loader.graph.leaf_nodes("lingstream"))
    store("after")
    bot_runs.create(run=run, step="a", instance="a#2", digest="d", replay_key="2")
    for step in Step.objects.all():
        assert (step.kind, step.options, step.timeout, step.retries) == ("bot", {}, None, 0)
    assert [trigger.otherwise for trigger in Trigger.objects.all()] == [False, False]
    assert [(run.plan_version, run.kinds) for run in Run.objects.all()] == [(1, "")] * 3
    rows = BotRun.objects.order_by("instance")
    assert [(row.kind, row.request, row.result, row.output) for row in rows] == [
        ("bot", None, None, "said"),
        ("bot", None, None, ""),
    ]
    assert DatabaseJournal.load(Run.objects.get(workflow="old")) == {}  # they are still at work
    Step.objects.create(workflow=Workflow.objects.get(slug="after"), name="b", kind="compute")
    migrate(*fourth)
    assert old["Step"].objects.count() == 3
    migrate(*third)
    assert bot_runs.count() == 2
