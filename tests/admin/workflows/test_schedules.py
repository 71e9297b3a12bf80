"""Schedules in the admin: made there, by whom, as whom; what the page tells."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from lingstream.models import Conversation, Run, Schedule, Workflow

from ..forms import client_with, errors_of, form_data

pytestmark = pytest.mark.django_db
URL = "/admin/lingstream/schedule/"
VERBS = ("add", "change", "view", "delete")


@pytest.fixture(autouse=True)
def workflow() -> Workflow:
    return Workflow.objects.create(slug="digest")


@pytest.fixture
def editor() -> User:
    user = User.objects.create_user("eve", is_staff=True)
    named = [f"{verb}_schedule" for verb in VERBS]
    user.user_permissions.set(Permission.objects.filter(codename__in=named))
    return user


@pytest.fixture
def client_of(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client


def row(**columns: Any) -> dict[str, Any]:
    given = {"name": "daily", "workflow": "digest", "cron": "0 9 * * *", "enabled": "on"}
    return {"input": "{}", "jitter": 0, **given, **columns}


def send(client: Client, data: dict[str, Any], schedule: Schedule | None = None, **headers: Any) -> Any:
    return client.post(f"{URL}{schedule.pk}/change/" if schedule else f"{URL}add/", data, headers=headers)


class TestOneIsMade:
    def test_without_code(self, admin_client: Client) -> None:
        page = admin_client.get(f"{URL}add/").content.decode()
        assert '<option value="digest">' in page and '<option value="cloud-facts-python">' in page
        response = send(admin_client, row(input='{"days": 1}', jitter=60))
        assert response.status_code == 302, errors_of(response)
        made = Schedule.objects.get()
        assert (made.cron, made.every, made.input, made.jitter) == ("0 9 * * *", None, {"days": 1}, 60)
        assert made.next_at and made.next_at > timezone.now() and made.owner is None

    @pytest.mark.parametrize(
        ("columns", "field"),
        [({"every": 60}, "__all__"), ({"cron": "soon"}, "cron"), ({"workflow": "gone"}, "workflow")],
    )
    def test_what_is_wrong_is_told(self, admin_client: Client, columns: Any, field: str) -> None:
        assert list(errors_of(send(admin_client, row(**columns)))) == [field]

    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"cron": "soon"}, "cron"),
            ({"cron": "0 0 30 2 *"}, "cron"),
            ({"cron": "", "every": 10**15}, "every"),
            ({"cron": "", "every": 10**17}, "every"),
        ],
    )
    def test_what_is_wrong_with_one_that_is_there_is_told_and_stays(
        self, admin_client: Client, columns: Any, field: str
    ) -> None:
        schedule = Schedule.objects.create(name="daily", workflow="digest", cron="0 9 * * *")
        response = send(admin_client, row(name="typed", **columns), schedule)
        assert list(errors_of(response)) == [field] and 'value="typed"' in response.content.decode()


class TestThePage:
    @pytest.mark.parametrize(
        ("verbs", "private", "sees"),
        [(["view"], True, False), (["view"], False, True), (["view", "change"], True, True)],
    )
    def test_shows_the_input_of_a_private_workflow_to_who_may_change_it(
        self, verbs: list[str], private: bool, sees: bool
    ) -> None:
        Workflow.objects.update(private=private)
        schedule = Schedule.objects.create(name="daily", workflow="digest", every=60, input="SECRET")
        Schedule.objects.update(last_error='"SECRET" is not of type "integer"')
        client = client_with(*(f"{verb}_schedule" for verb in verbs))
        page = client.get(f"{URL}{schedule.pk}/change/").content.decode()
        assert ("SECRET" in page, "withheld" in page) == (sees, not sees)
        assert ("SECRET" in client.get(URL).content.decode()) is not private
        for lookup in ("input", "last_error__contains"):
            assert client.get(URL, {lookup: "SECRET"}).status_code in (302, 400)

    def test_tells_the_next_times_and_the_last_one(self, admin_client: Client) -> None:
        schedule = Schedule.objects.create(name="daily", workflow="digest", cron="0 9 * * MON")
        run = Run.objects.create(workflow="digest")
        Schedule.objects.update(last_at=timezone.now(), last_run=run.pk, last_error="the <workflow> is off")
        page = admin_client.get(f"{URL}{schedule.pk}/change/").content.decode()
        assert page.count("<li>Mon ") == 5 and f"/run/{run.pk}/change/" in page
        assert "the &lt;workflow&gt; is off" in page
        shown = admin_client.get(URL).content.decode()
        assert "0 9 * * MON" in shown and "the &lt;workflow&gt; is off" in shown
        run.delete()
        assert f"/run/{run.pk}" not in admin_client.get(f"{URL}{schedule.pk}/change/").content.decode()


class TestAsWhom:
    """What a step may see is what the owner of its run may see."""

    def test_an_editor_makes_his_own_and_nobodys(self, client_of: Client, editor: User) -> None:
        ann = User.objects.create_user("ann")
        assert "owner" in errors_of(send(client_of, row(owner=ann.pk)))
        hers = Conversation.objects.create(owner=ann)
        assert "conversation" in errors_of(send(client_of, row(conversation=str(hers.pk))))
        for name, owner in (("mine", editor.pk), ("nobodys", "")):
            assert send(client_of, row(name=name, owner=owner)).status_code == 302
        assert {each.owner for each in Schedule.objects.all()} == {editor, None}

    @pytest.mark.parametrize("whose", ["ann", "conversation", "visitor", "eve", ""])
    def test_and_changes_no_others(self, client_of: Client, editor: User, whose: str) -> None:
        ann = User.objects.create_user("ann")
        columns: dict[str, Any] = {"ann": {"owner": ann}, "eve": {"owner": editor}}.get(whose, {})
        if whose in ("conversation", "visitor"):
            owner = ann if whose == "conversation" else None
            columns["conversation"] = Conversation.objects.create(owner=owner)
        schedule = Schedule.objects.create(name="x", workflow="digest", every=60, **columns)
        mine = whose in ("eve", "")
        assert client_of.get(f"{URL}{schedule.pk}/change/").status_code == 200
        data = row(name="y", owner=editor.pk if whose == "eve" else "")
        assert send(client_of, data, schedule).status_code == (302 if mine else 403)
        deleted = {"action": "delete_selected", "_selected_action": [schedule.pk], "post": "yes"}
        client_of.post(URL, deleted)
        assert Schedule.objects.exists() is not mine

    def test_a_superuser_says_whose(self, admin_client: Client) -> None:
        ann = User.objects.create_user("ann")
        hers = Conversation.objects.create(owner=ann)
        assert send(admin_client, row(owner=ann.pk)).status_code == 302
        assert send(admin_client, row(name="talk", conversation=str(hers.pk))).status_code == 302
        found = errors_of(send(admin_client, row(name="both", conversation=str(hers.pk), owner=ann.pk)))
        assert list(found) == ["conversation"]


class TestATenant:
    @pytest.fixture(autouse=True)
    def tenants(self, settings: Any) -> None:
        Group.objects.bulk_create(Group(name=scope) for scope in "ab")
        settings.ALLOWED_HOSTS = ["*"]
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}

    def test_has_its_own(self, client_of: Client, admin_client: Client) -> None:
        for scope in "ab":
            Schedule.objects.create(name=f"of-{scope}", workflow="digest", every=60, scope=scope)
        for client in (client_of, admin_client):
            shown = client.get(URL, headers={"host": "a.example"}).content.decode()
            assert "of-a" in shown and "of-b" not in shown
        assert send(client_of, row(scope="b"), host="a.example").status_code == 302
        assert Schedule.objects.get(name="daily").scope == "a"
        assert send(admin_client, row(name="any", scope="b"), host="all.example").status_code == 302
        assert Schedule.objects.get(name="any").scope == "b"

    def test_speaks_in_its_own_conversations(self, admin_client: Client) -> None:
        talks = {scope: Conversation.objects.create(scope=scope) for scope in "ab"}
        data = row(conversation=str(talks["b"].pk))
        refused = send(admin_client, data, host="a.example")
        assert list(errors_of(refused)) == ["conversation"]
        html = refused.content.decode()
        assert str(talks["b"].pk) in html and "conversation/" + str(talks["b"].pk) not in html
        assert send(admin_client, data, host="b.example").status_code == 302
        page = admin_client.get(f"{URL}{Schedule.objects.get().pk}/change/", headers={"host": "b.example"})
        assert form_data(page)["conversation"] == talks["b"].pk
