"""The admin: rows of one tenant, and no filter or search that reads out what no page shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from lingstream.models import BotRun, Conversation, Run

pytestmark = pytest.mark.django_db
URL = "/admin/lingstream/"
READING = ["view_run", "view_botrun", "view_conversation", "delete_run", "cancel_run"]


@pytest.fixture
def staff() -> Client:
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=READING))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rows(settings: Any) -> dict[str, dict[str, Any]]:
    """A run, its conversation and its bot in each of two tenants."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
    found = {}
    for scope in ("a", "b"):
        Group.objects.create(name=scope)
        conversation = Conversation.objects.create(scope=scope, title=f"talk-{scope}")
        run = Run.objects.create(
            workflow=f"flow-{scope}", scope=scope, conversation=conversation, status="running"
        )
        bot = BotRun.objects.create(run=run, step="s", instance=f"bot-{scope}#1", digest="d")
        found[scope] = {"run": run, "conversation": conversation, "botrun": bot}
    return found


@pytest.mark.parametrize("model", ["run", "conversation", "botrun"])
def test_lists_and_pages_show_one_tenant(
    staff: Client, admin_client: Client, rows: dict[str, dict[str, Any]], model: str
) -> None:
    pages = {scope: f"{URL}{model}/{rows[scope][model].pk}/change/" for scope in rows}
    for client in (staff, admin_client):
        for here, other in (("a", "b"), ("b", "a")):
            headers = {"host": f"{here}.example"}
            shown = client.get(f"{URL}{model}/", headers=headers).content.decode()
            assert f"/{rows[here][model].pk}/change/" in shown
            assert f"/{rows[other][model].pk}/change/" not in shown
            assert f"flow-{other}" not in shown and f"bot-{other}" not in shown
            assert client.get(pages[here], headers=headers).status_code == 200
            assert client.get(pages[other], headers=headers).status_code == 302  # there is no such row
    everything = admin_client.get(f"{URL}{model}/", headers={"host": "all.example"}).content.decode()
    assert all(f"/{rows[scope][model].pk}/change/" in everything for scope in rows)
    assert staff.get(f"{URL}{model}/", headers={"host": "all.example"}).status_code == 403


@pytest.mark.parametrize("action", ["stop", "delete_selected"])
def test_actions_reach_one_tenant(staff: Client, rows: dict[str, dict[str, Any]], action: str) -> None:
    mine, theirs = rows["a"]["run"], rows["b"]["run"]
    if action == "delete_selected":
        Run.objects.update(status=Run.Status.FINISHED)
    data = {"action": action, "_selected_action": [str(mine.pk), str(theirs.pk)], "post": "yes"}
    assert staff.post(f"{URL}run/", data, headers={"host": "a.example"}).status_code == 302
    theirs.refresh_from_db()
    assert theirs.cancel_requested_at is None
    if action == "stop":
        mine.refresh_from_db()
        assert mine.cancel_requested_at is not None
    else:
        assert not Run.objects.filter(pk=mine.pk).exists()


PROBES = [
    ("run", "session_key__regex", "^a"),
    ("run", "session_key__startswith", "a"),
    ("run", "owner_key__contains", "session:a"),
    ("run", "key__regex", "^a"),
    ("run", "counted_for__startswith", "address:"),
    ("run", "conversation__session_key__regex", "^a"),
    ("run", "owner__password__startswith", "pbkdf2"),
    ("conversation", "session_key__regex", "^a"),
    ("conversation", "runs__key__startswith", "a"),
    ("conversation", "owner__password__startswith", "pbkdf2"),
    ("botrun", "run__session_key__regex", "^a"),
    ("botrun", "run__owner__password__startswith", "pbkdf2"),
    ("botrun", "replay_key__startswith", "a"),
]


@pytest.mark.parametrize(("model", "lookup", "value"), PROBES)
def test_a_url_does_not_filter_by_what_no_page_shows(
    staff: Client, model: str, lookup: str, value: str
) -> None:
    assert staff.get(f"{URL}{model}/", {lookup: value}).status_code == 400


def test_search_does_not_find_pieces_of_what_opens_runs(staff: Client) -> None:
    ann = User.objects.create_user("ann")
    runs = [
        Run.objects.create(workflow="one", session_key="abcdef0123456789"),
        Run.objects.create(workflow="two", key="0f8fad5b-d9cb-469f"),
        Run.objects.create(workflow="six", owner=ann, key="her-key"),
    ]
    expected = {
        "abcdef": [],
        "session:abcdef": [],
        "0f8fad5b": [],
        "0f8fad5b-d9cb-469f": [],
        "ann": [runs[2]],
        "one": [runs[0]],
    }
    for text, wanted in expected.items():
        shown = staff.get(f"{URL}run/", {"q": text}).content.decode()
        assert [run for run in runs if f"/{run.pk}/change/" in shown] == wanted, text
    pages = [staff.get(f"{URL}run/{run.pk}/change/").content.decode() for run in runs]
    assert "abcdef" not in pages[0]
    assert "0f8fad5b-d9cb" not in pages[1]
    assert "her-key" in pages[2]
