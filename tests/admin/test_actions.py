"""The actions of the admin's lists, pressed as each group of the staff, and by another tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.core.management import call_command
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from lingstream.access.groups import GROUPS
from lingstream.knowledge.models import Citation, Collection, Document, Question, Source, Sync, Upload
from lingstream.models import (
    Attachment,
    BotRun,
    Conversation,
    Feedback,
    Occasion,
    Prompt,
    Provider,
    Run,
    Runner,
    Schedule,
    Workflow,
)

from .forms import client_of

pytestmark = pytest.mark.django_db

PAGES = {
    model: page for model, page in site._registry.items() if model._meta.app_label.startswith("lingstream")
}
EXPORTS, DELETES = {"export_json", "export_yaml"}, {"delete_selected"}
READ = {Run: {"export_csv"}, Workflow: EXPORTS, Prompt: EXPORTS}
OFFERED: dict[str, dict[Any, set[str]]] = {
    "viewers": READ,
    "editors": {**READ, Run: {"export_csv", "again"}, Occasion: DELETES},
    "publishers": {
        **dict.fromkeys((Workflow, Prompt), EXPORTS | DELETES),
        Run: {"export_csv", "again"},
        **dict.fromkeys((Schedule, Occasion), DELETES),
    },
    "operators": {
        **READ,
        Run: {"export_csv", "stop"} | DELETES,
        **dict.fromkeys((BotRun, Feedback, Conversation, Attachment, Provider, Schedule), DELETES),
        Source: {"sync_selected", "pause_selected", "resume_selected"},
        Document: {"reindex", "leave_out"},
    },
    "knowledge editors": {
        Source: {"sync_selected", "pause_selected", "resume_selected"} | DELETES,
        Document: {"reindex", "leave_out"} | DELETES,
        Question: {"evaluate_selected"} | DELETES,
        Collection: {"evaluate_selected"} | DELETES,
    },
}
"""The actions of each list that has any, for each group."""


def _names(page: Any) -> list[str]:
    """The actions of a list, for whomever: tuples, from Django 6.1 on objects."""
    return [entry[1] if isinstance(entry, tuple) else entry.name for entry in page._get_base_actions()]


@pytest.fixture
def rows() -> None:
    """The demo, and a row of everything that belongs to somebody, of the tenant that is "" by default."""
    call_command("demo", stdout=StringIO())
    owner = User.objects.create_superuser("ada")
    conversation = Conversation.objects.create(workflow="companion", owner=owner)
    about = {"owner": owner, "runner": Runner.objects.create(), "conversation": conversation}
    run = Run.objects.create(workflow="cloud-facts", input={"question": "Why?"}, status="running", **about)
    BotRun.objects.create(run=run, step="answer", instance="answer#1", digest="d", status="failed")
    Feedback.objects.create(run=run, owner=owner, value=1)
    Schedule.objects.create(name="daily", workflow="outline", every=86400, owner=owner)
    Attachment.objects.create(conversation=conversation, owner=owner, name="a.txt", size=1)
    source = Source.objects.get()
    document = Document.objects.create(source=source, key="a.md", owner=owner, status=Document.Status.FAILED)
    Citation.objects.create(run=run, uri="citations/0", document=document)
    Sync.objects.create(source=source)
    Upload.objects.create(source=source, name="a.md", owner=owner)
    Question.objects.create(collection=source.collection, text="What?", expected=["a.md"])


def stored() -> dict[str, list[Any]]:
    """All that there is of ours."""
    models = [
        *apps.get_app_config("lingstream").get_models(),
        *apps.get_app_config("lingstream_knowledge").get_models(),
    ]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models}


def press(browser: Client, model: Any, action: str) -> Any:
    """Choose all rows of a list, whoever may see them, and confirm what is asked."""
    chosen = [str(pk) for pk in model._base_manager.values_list("pk", flat=True)]
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return browser.post(url, {"action": action, "_selected_action": chosen, "post": "yes"})


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Pages at which nobody looks."""
    with patch.object(TemplateResponse, "rendered_content", ""):
        yield


@pytest.mark.usefixtures("rows", "undrawn")
@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_its_actions_and_no_others_do_anything(group: str) -> None:
    browser, user = client_of(group)
    request = RequestFactory().get("/")
    request.user = user
    offered = {model: set(page.get_actions(request)) for model, page in PAGES.items()}
    assert {model: names for model, names in offered.items() if names} == OFFERED[group]
    before = stored()
    for model, page in PAGES.items():
        for name in _names(page):
            if name not in offered[model]:
                press(browser, model, name)
                assert stored() == before, (model, name)


@pytest.mark.usefixtures("rows")
def test_actions_take_no_row_of_another_tenant(settings: Any) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="ada"))
    mark = str(Run.objects.get(status="running").pk).encode()
    assert mark in b"".join(press(browser, Run, "export_csv"))
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.elsewhere"}
    scoped = (Run, BotRun, Conversation, Feedback, Schedule, Attachment, Source, Document)
    before = stored()
    for model in scoped:
        for name in _names(PAGES[model]):
            response = press(browser, model, name)
            assert stored() == before, (model, name)
            assert mark not in b"".join(response), (model, name)


def elsewhere(request: Any) -> str:
    return "elsewhere"


@pytest.mark.usefixtures("rows", "undrawn")
@pytest.mark.parametrize(
    ("group", "model"),
    [
        (group, model)
        for group, lists in OFFERED.items()
        for model, names in lists.items()
        if names >= DELETES
    ],
)
def test_who_may_delete_deletes_with_all_that_belongs_to_it(group: str, model: Any) -> None:
    browser, _user = client_of(group)
    Run.objects.update(status="finished")  # what goes on is not deleted, as is no prompt that a step asks
    Schedule.objects.update(owner=None)  # nor a schedule that speaks for somebody who may do more
    if model is Prompt:
        Workflow.objects.all().delete()
    press(browser, model, "delete_selected")
    assert not model._base_manager.exists()
