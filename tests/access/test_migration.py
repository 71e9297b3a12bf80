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


def test_steps_from_before_are_bots_and_the_version_before_can_still_store_its_own(
    first_version: MigrationExecutor,
) -> None:
    target = [("lingstream", "0004_once")]
    migrate(*target)
    apps = MigrationExecutor(connection).loader.project_state(target).apps
    old = {name: apps.get_model("lingstream", name) for name in ("Workflow", "Step", "Trigger", "Run")}

    def store(slug: str) -> None:
        workflow = old["Workflow"].objects.create(slug=slug)
        step = old["Step"].objects.create(workflow=workflow, name="a")
        old["Trigger"].objects.create(workflow=workflow, source=step, target=step)
        old["Run"].objects.create(workflow=slug)

    store("before")
    migrate(*first_version.loader.graph.leaf_nodes("lingstream"))
    store("after")
    for step in Step.objects.all():
        assert (step.kind, step.options, step.timeout, step.retries) == ("bot", {}, None, 0)
    assert [trigger.otherwise for trigger in Trigger.objects.all()] == [False, False]
    assert [(run.plan_version, run.kinds) for run in Run.objects.all()] == [(1, ""), (1, "")]
    Step.objects.create(workflow=Workflow.objects.get(slug="after"), name="b", kind="compute")
    migrate(*target)
    assert old["Step"].objects.count() == 3


def test_bot_runs_from_before_are_bots_and_the_version_before_can_still_store_its_own(
    first_version: MigrationExecutor,
) -> None:
    target = [("lingstream", "0003_access")]
    migrate(*target)
    apps = MigrationExecutor(connection).loader.project_state(target).apps
    run = apps.get_model("lingstream", "Run").objects.create(workflow="old")
    old = apps.get_model("lingstream", "BotRun")
    old.objects.create(run=run, step="a", instance="a#1", digest="d", replay_key="1", output="said")
    migrate(*first_version.loader.graph.leaf_nodes("lingstream"))
    old.objects.create(run=run, step="a", instance="a#2", digest="d", replay_key="2")
    rows = BotRun.objects.order_by("instance")
    assert [(row.kind, row.request, row.result, row.output) for row in rows] == [
        ("bot", None, None, "said"),
        ("bot", None, None, ""),
    ]
    assert DatabaseJournal.load(Run.objects.get()) == {}  # they are still at work
    migrate(*target)
    assert old.objects.count() == 2
