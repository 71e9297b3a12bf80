"""Checks of occasions: those that can never fire are named, in the admin and in code."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks

import lingstream
from lingstream.conversations import declared
from lingstream.core.engine import registry
from lingstream.models import Occasion, Workflow

CLOSED = {"type": "object", "properties": {"question": {}}, "additionalProperties": False}


def named() -> list[str]:
    found = run_checks(databases=["default"])
    return [message.msg.partition(":")[0] for message in found if message.id == "lingstream.W018"]


@pytest.fixture
def workflow(db: None, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(registry, "_declared", {})
    return Workflow.objects.create(slug="talk", input_schema=CLOSED)


def declare() -> None:
    @lingstream.workflow("talk", occasions=[lingstream.Greeting()])
    async def function(run: object) -> None: ...


def test_a_row_that_its_workflow_refuses(workflow: Workflow) -> None:
    for name, kind, enabled in [("late", "silence", True), ("off", "signal", False)]:
        Occasion.objects.create(workflow=workflow, kind=kind, name=name, enabled=enabled)
    Occasion.objects.create(slug="python", kind="greeting", name="greeting")
    assert named() == ["The occasion 'late' of 'talk' cannot fire"]
    Workflow.objects.update(input_schema={})
    assert named() == []


def test_one_in_code_that_got_no_row(workflow: Workflow) -> None:
    declare()
    (fault,) = declared.sync()
    assert fault[:2] == ("talk", "greeting") and "occasion" in fault[2]
    assert named() == ["The occasion 'greeting' of 'talk' cannot fire"]


def test_one_in_code_that_was_stored_before_or_is_off(workflow: Workflow) -> None:
    declare()
    Workflow.objects.update(input_schema={})
    assert declared.sync() == [] and named() == []
    Workflow.objects.update(input_schema=CLOSED)
    assert named() == ["The occasion 'greeting' of 'talk' cannot fire"]
    Occasion.objects.update(enabled=False)
    assert named() == []
