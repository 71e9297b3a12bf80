"""The views of the admin that Django has not, asked as each group of the staff, and by another tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from lingstream.access.groups import GROUPS
from lingstream.knowledge.models import Document, Source
from lingstream.models import Attachment, BotRun, Conversation, Feedback, Run, Schedule

from .forms import client_of
from .test_actions import PAGES, rows, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rows")]
__all__ = ["rows"]

OF_DJANGO = {"changelist", "add", "history", "delete", "change"}
READERS = {"viewers", "editors", "publishers", "operators"}
WRITERS = {"editors", "publishers"}
KEEPERS = {"operators", "knowledge editors"}
LED: dict[str, set[str]] = {
    "conversation_export": {"operators"},
    "attachment_download": {"operators"},
    "prompt_compare": READERS,
    "prompt_preview": READERS,
    "prompt_publish": {"publishers"},
    "prompt_trial": WRITERS,
    "run_steps": READERS,
    "run_stop": {"operators"},
    "run_again": WRITERS,
    "run_example": WRITERS,
    "run_play": READERS,
    "run_recording": READERS,
    "workflow_places": READERS,
    "workflow_trial": WRITERS,
    "workflow_versions": READERS,
    "workflow_import": WRITERS,
    "trial_inputs": READERS,
    "trial_examples": WRITERS,
    "trial": WRITERS,
    "trial_again": WRITERS,
    "collection_trial": {"knowledge editors"},
    "document_command": KEEPERS,
    "source_command": KEEPERS,
    "source_dry_run": KEEPERS,
    "source_upload": KEEPERS,
    "source_try": KEEPERS,
    "source_state": {*READERS, "knowledge editors"},
}
"""The groups that each view does something for."""

SCOPED = (Run, BotRun, Conversation, Feedback, Schedule, Attachment, Source, Document)
VALUES = {"plan": "new", "form": "json", "command": "sync"}


def views(*, djangos: bool = False) -> Iterator[tuple[Any, str, str]]:
    """The model, the name and the address of each view about a row, and of those of ours about none."""
    trial = Run.objects.get(trial=True).pk
    for model, page in PAGES.items():
        row = model._base_manager.order_by("pk").first()
        app, of = model._meta.app_label, model._meta.model_name
        for url in page.get_urls():
            is_djangos = bool(url.name) and url.name.removeprefix(f"{app}_{of}_") in OF_DJANGO
            names = url.pattern.converters
            if url.name and is_djangos is djangos and (names or not djangos) and (row or not names):
                about = {"object_id": row and row.pk, "pk": row and row.pk, "run_id": trial, **VALUES}
                address = reverse(f"admin:{url.name}", kwargs={name: about[name] for name in names})
                yield model, url.name.removeprefix(f"{app}_"), address


@pytest.fixture(autouse=True)
def trial(rows: None) -> Run:
    """One of somebody else's; and a file that nobody finds where it was put."""
    Attachment.objects.update(file="gone.txt")
    owner = User.objects.get(username="ada")
    return Run.objects.create(workflow="cloud-facts", trial=True, status="finished", owner=owner)


def test_each_is_told_here() -> None:
    assert {name for _model, name, _address in views()} == set(LED)


@pytest.mark.parametrize("group", [*GROUPS, "nobody"])
def test_a_group_has_its_views_and_no_others_do_anything(group: str) -> None:
    (browser, _user), led = client_of(group), set[str]()
    for _model, name, address in views():
        before = stored()
        by_link = browser.get(address)
        assert stored() == before, f"{name} does something for who follows a link"
        by_form = browser.post(address)
        if by_link.status_code in (200, 302) or by_form.status_code not in (403, 405):
            led.add(name)
        else:
            assert stored() == before, name
    assert led == {name for name, groups in LED.items() if group in groups}


def elsewhere(request: Any) -> str:
    return "elsewhere"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("djangos", [False, True])
def test_none_is_about_a_row_of_another_tenant(settings: Any, method: str, djangos: bool) -> None:
    browser, asked = Client(), set[Any]()
    browser.force_login(User.objects.get(username="ada"))
    run = Run.objects.get(status="running")
    assert b"Why?" in b"".join(browser.get(reverse("admin:lingstream_run_change", args=[run.pk])))
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.elsewhere"}
    before = stored()
    for model, name, address in views(djangos=djangos):
        is_scoped = model in SCOPED or name in ("trial", "trial_again")
        if is_scoped or not djangos:
            answer = getattr(browser, method)(address, {"post": "yes"})
            assert b"Why?" not in b"".join(answer), name
        if is_scoped:
            asked.add(model)
            assert stored() == before, name
            assert answer.status_code in (403, 404, 405) or answer["Location"] == "/admin/", name
    assert asked == set(SCOPED) or not djangos
