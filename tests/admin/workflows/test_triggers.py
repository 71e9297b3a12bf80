"""Triggers on a workflow's page: what they wait for, and whether they are the last resort."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from lingstream.execution.plans import load_plan
from lingstream.models import Provider, Step, Trigger, Workflow

from ..forms import errors_of, post_page
from .test_workflows import URL, new_step, new_trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow() -> Workflow:
    workflow = Workflow.objects.create(slug="post")
    first = Step.objects.create(
        workflow=workflow, name="send", kind="letter", options={"to": "Ada", "paper": 4}, position=1
    )
    second = Step.objects.create(workflow=workflow, name="report", root="report", position=2)
    Trigger.objects.create(workflow=workflow, source=first, target=second, event="response")
    Provider.objects.create(name="demo", kind="scripted")
    return workflow


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


def offered(client: Client, page: str) -> list[Any]:
    formset = client.get(page).context["inline_admin_formsets"][1].formset
    choices: list[Any] = formset.forms[0].fields["event"].choices
    return choices


def test_more_triggers_take_no_more_queries(admin_client: Client, page: str, workflow: Workflow) -> None:
    admin_client.get(page)
    counts = []
    for event in ("error", "joined"):
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(page)
        counts.append(len(captured))
        source, target = workflow.steps.all()
        Trigger.objects.create(workflow=workflow, source=source, target=target, event=event)
    assert counts[0] == counts[1]


def test_events_are_chosen_among_those_that_there_are(admin_client: Client, page: str) -> None:
    *common, own = offered(admin_client, page)
    assert [value for value, _label in common] == [
        "string-response",
        "object-response",
        "inference-done",
        "response",
        "error",
        "joined",
    ]
    assert common[0][1] == "string-response: a text field is complete"
    assert ("letter-sent", "letter-sent (Write a letter)") in own[1]


@pytest.mark.parametrize("event", ["joined", "letter-sent", "error"])
def test_an_event_of_the_sources_kind_is_waited_for(
    admin_client: Client, page: str, workflow: Workflow, event: str
) -> None:
    assert post_page(admin_client, page, {"triggers-0-event": event}).status_code == 302
    assert load_plan("post").triggers[0].event == event


def test_an_event_of_another_kind_is_refused(admin_client: Client, page: str) -> None:
    changes = {
        **new_step(2, "more", root="more"),
        **new_trigger(1, "name:more", "name:more", event="letter-sent", condition="value"),
        **new_trigger(2, str(Step.objects.get(name="send").pk), "name:more", event="response"),
    }
    found = errors_of(post_page(admin_client, page, changes))
    assert list(found) == ["triggers-1-event"]
    assert found["triggers-1-event"][0].startswith("expected an event that more emits")


def test_an_event_that_no_kind_has_any_more_is_marked(
    admin_client: Client, page: str, workflow: Workflow
) -> None:
    workflow.triggers.update(event="mail-sent")
    assert offered(admin_client, page)[-1] == ("mail-sent", "mail-sent (not known here)")
    workflow.steps.filter(name="send").update(kind="gone")
    assert post_page(admin_client, page, {}).status_code == 302
    assert workflow.triggers.get().event == "mail-sent"
    found = errors_of(post_page(admin_client, page, {"triggers-0-event": "never"}))
    assert list(found) == ["triggers-0-event"]


def test_joined_knows_how_many_have_failed(admin_client: Client, page: str) -> None:
    joined = {"triggers-0-event": "joined", "triggers-0-condition": "failed == 0"}
    assert post_page(admin_client, page, joined).status_code == 302
    found = errors_of(post_page(admin_client, page, {**joined, "triggers-0-event": "response"}))
    assert "unknown variable “failed”" in found["triggers-0-condition"][0]


def test_a_trigger_is_the_last_resort(admin_client: Client, page: str) -> None:
    assert (
        "Otherwise: only where none of the others starts anything" in admin_client.get(page).content.decode()
    )
    assert not load_plan("post").triggers[0].otherwise
    assert post_page(admin_client, page, {"triggers-0-otherwise": "on"}).status_code == 302
    assert load_plan("post").triggers[0].otherwise
    assert "send response otherwise → report" in admin_client.get(page).content.decode()
