"""Conversations and their files in the admin: what a support person sees, and who sees what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from lingstream.models import Attachment, Conversation, Feedback, Run, Schedule, Workflow

from .forms import client_with

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/"
EVIL = "<script>alert(1)</script>\ud800"


@pytest.fixture
def talk(settings: Any, tmp_path: Path) -> Conversation:
    """Three turns, the second beside the third, and a file."""
    settings.MEDIA_ROOT = str(tmp_path)
    owner = User.objects.create(username="asker")
    talk = Conversation.objects.create(owner=owner, workflow="talk", title="Clouds", count=3)
    asked = {"workflow": "talk", "conversation": talk, "status": "finished"}
    first = Run.objects.create(**asked, number=1, input={"question": "one"}, document={"answer": EVIL})
    Run.objects.create(**asked, number=2, input={"question": "two"}, parent=first)
    last = Run.objects.create(**asked, number=3, document={"answer": "three"}, parent=first, cause="code")
    Conversation.objects.filter(pk=talk.pk).update(leaf=last)
    file = ContentFile(b"<b>hi</b>", "note.html")
    names = {"name": "note.html", "content_type": "text/plain", "size": 9}
    Attachment.objects.create(conversation=talk, run=first, file=file, **names)
    return talk


def text_of(response: Any) -> str:
    return b"".join(response).decode() if response.streaming else response.content.decode()


def test_the_turns_stand_in_order_with_links_to_their_runs(admin_client: Client, talk: Conversation) -> None:
    html = text_of(admin_client.get(f"{URL}conversation/{talk.pk}/change/"))
    runs = list(Run.objects.order_by("number").values_list("pk", flat=True))
    places = [html.index(f"{URL}run/{pk}/change/") for pk in runs]
    assert places == sorted(places)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\ud800" in html and "<script>alert" not in html
    assert html.count("on another path") == 1 and "asker" in html
    assert f"{URL}attachment/?conversation__id__exact={talk.pk}" in html


def test_what_people_think_stands_with_the_turn(admin_client: Client, talk: Conversation) -> None:
    first, _, last = Run.objects.order_by("number")
    praise = Feedback.objects.create(run=first, value=1, uri="answer", comment="<b>so</b>")
    Feedback.objects.create(run=last, value=-1, reason="wrong", owner_key="somebody")
    html = text_of(admin_client.get(f"{URL}conversation/{talk.pk}/change/"))
    assert f"{URL}feedback/{praise.pk}/change/" in html and "&lt;b&gt;so&lt;/b&gt;" in html
    assert html.index("praised") < html.index("three") < html.index("blamed") < html.index("wrong")
    other = client_with("view_conversation", "view_run")
    assert "praised" not in text_of(other.get(f"{URL}conversation/{talk.pk}/change/"))


def test_a_long_one_shows_its_last_turns(admin_client: Client, talk: Conversation, monkeypatch: Any) -> None:
    monkeypatch.setattr("lingstream.admin.conversations._MOST_TURNS", 2)
    html = text_of(admin_client.get(f"{URL}conversation/{talk.pk}/change/"))
    assert "two" in html and "one" not in html.partition("ling-turns")[2].partition("field-shown_export")[0]
    assert "Those before" in html


@pytest.mark.parametrize("form", ["md", "json"])
def test_it_is_exported(admin_client: Client, talk: Conversation, form: str) -> None:
    page = text_of(admin_client.get(f"{URL}conversation/{talk.pk}/change/"))
    url = f"{URL}conversation/{talk.pk}/export/{form}/"
    assert url in page
    response = admin_client.get(url)
    text = text_of(response)
    assert response["Content-Disposition"] == f'attachment; filename="clouds.{form}"'
    if form == "json":
        assert [turn["number"] for turn in json.loads(text)["turns"]] == [1, 2, 3]
    else:
        assert text.startswith("# Clouds") and "two" not in text
    assert admin_client.get(f"{URL}conversation/{talk.pk}/export/pdf/").status_code == 404


def test_what_was_said_is_for_who_may_see_runs(talk: Conversation) -> None:
    client = client_with("view_conversation")
    html = text_of(client.get(f"{URL}conversation/{talk.pk}/change/"))
    assert "Clouds" in html and "alert(1)" not in html and "/export/" not in html
    assert client.get(f"{URL}conversation/{talk.pk}/export/md/").status_code == 403


@pytest.mark.parametrize("private", ["talk", "helper"])
@pytest.mark.parametrize(("rights", "sees"), [([], False), (["change_workflow"], True)])
def test_a_title_is_hidden_as_what_was_asked_is(
    talk: Conversation, private: str, rights: list[str], sees: bool
) -> None:
    """It is made of that: of the first question, or by a model of it all."""
    for slug in ("talk", "helper"):
        Workflow.objects.create(slug=slug, private=slug == private)
    Run.objects.create(workflow="helper", conversation=talk, number=4)
    Schedule.objects.create(name="daily", workflow="talk", every=60, conversation=talk)
    run, file = Run.objects.earliest("number"), Attachment.objects.get()
    models = ("conversation", "run", "attachment", "schedule")
    client = client_with(*(f"{verb}_{model}" for verb in ("view", "delete") for model in models), *rights)
    for page in (
        "conversation/",
        f"conversation/{talk.pk}/change/",
        f"conversation/{talk.pk}/delete/",
        f"run/{run.pk}/change/",
        "attachment/",
        f"attachment/{file.pk}/change/",
        f"schedule/{Schedule.objects.get().pk}/change/",
    ):
        html = text_of(client.get(f"{URL}{page}"))
        shows = sees and page in ("conversation/", f"conversation/{talk.pk}/change/")
        assert ("Clouds" in html) is shows, page
    found = client.get(f"{URL}conversation/", {"q": "louds"}).context["cl"].result_count
    assert (found == 1) is sees
    assert client.get(f"{URL}conversation/", {"q": "talk"}).context["cl"].result_count == 1


def test_a_file_is_downloaded_and_is_no_page(admin_client: Client, talk: Conversation) -> None:
    row = Attachment.objects.get()
    for query, found in (({"conversation__id__exact": str(talk.pk)}, True), ({"q": "other"}, False)):
        html = text_of(admin_client.get(f"{URL}attachment/", query))
        assert (f"{URL}attachment/{row.pk}/change/" in html) is found
    url = f"{URL}attachment/{row.pk}/download/"
    assert url in text_of(admin_client.get(f"{URL}attachment/{row.pk}/change/"))
    response = admin_client.get(url)
    assert (response.content, response["Content-Type"]) == (b"<b>hi</b>", "text/plain")
    assert response["Content-Disposition"] == 'attachment; filename="note.html"'
    assert (
        response["X-Content-Type-Options"] == "nosniff" and "sandbox" in response["Content-Security-Policy"]
    )
    assert client_with("view_conversation", "view_run").get(url).status_code == 403
    assert Client().get(url).status_code == 302
    default_storage.delete(row.file.name)
    assert admin_client.get(url).status_code == 404


def test_another_tenants_are_not_there(talk: Conversation, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
    for name in ("shop", "other"):
        Group.objects.create(name=name)
    Conversation.objects.update(scope="shop")
    Attachment.objects.update(scope="shop")
    client = client_with("view_conversation", "view_run", "view_attachment")
    for path in (f"conversation/{talk.pk}/export/md/", f"attachment/{Attachment.objects.get().pk}/download/"):
        for host, status in (("shop", 200), ("other", 404)):
            assert client.get(f"{URL}{path}", headers={"host": f"{host}.example"}).status_code == status


def test_opinions_are_filtered_by_workflows_of_those_that_are_listed(
    talk: Conversation, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
    Group.objects.create(name="shop")
    for workflow, scope in (("talk", "shop"), ("theirs", "other")):
        run = Run.objects.create(workflow=workflow, scope=scope)
        Feedback.objects.create(run=run, value=1, scope=scope)
    Run.objects.create(workflow="unloved", scope="shop")
    shown = client_with("view_feedback").get(f"{URL}feedback/", headers={"host": "shop.example"})
    html = text_of(shown).partition('id="changelist-filter"')[2]
    assert ">talk</a>" in html and ">theirs</a>" not in html and ">unloved</a>" not in html


@pytest.mark.parametrize("action", [False, True])
def test_it_is_deleted_with_all_that_is_in_it(
    admin_client: Client, talk: Conversation, action: bool, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        if action:
            data = {"action": "delete_selected", "_selected_action": [talk.pk], "post": "yes"}
            response = admin_client.post(f"{URL}conversation/", data)
        else:
            response = admin_client.post(f"{URL}conversation/{talk.pk}/delete/", {"post": "yes"})
    assert response.status_code == 302
    assert not (Conversation.objects.exists() or Run.objects.exists() or Attachment.objects.exists())
    assert default_storage.listdir("lingstream")[1] == []
