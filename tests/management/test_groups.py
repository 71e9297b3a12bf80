"""Groups for a site's staff: made once, given what there is, and robbed of nothing."""

from __future__ import annotations

from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import Client

from lingstream.access.groups import GROUPS

pytestmark = pytest.mark.django_db

#: Permissions that a later migration may bring.
TO_COME = {"lingstream.publish_workflow", "lingstream.publish_prompt"}


def made() -> str:
    out = StringIO()
    call_command("ling_groups", stdout=out)
    return out.getvalue()


def names_of(group: str) -> set[str]:
    rows = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
    return {".".join(row) for row in rows}


def test_each_gets_what_there_is_of_what_it_may() -> None:
    told = made()
    assert "editors: " in told and "knowledge editors: " in told
    for name, names in GROUPS.items():
        assert names_of(name) | TO_COME >= set(names), name
    assert set(GROUPS) == {"editors", "publishers", "operators", "viewers", "knowledge editors"}
    assert not [name for name in names_of("viewers") if ".view_" not in name]
    assert names_of("viewers") < names_of("editors") < names_of("publishers")


def test_a_second_time_adds_what_is_new_and_takes_nothing() -> None:
    made()
    editors = Group.objects.get(name="editors")
    own = Permission.objects.get(codename="delete_user")
    editors.permissions.add(own)
    gone = Permission.objects.get(codename="view_workflow")
    editors.permissions.remove(gone)
    type_of = ContentType.objects.get_for_model(apps.get_model("lingstream", "Workflow"))
    Permission.objects.get_or_create(codename="publish_workflow", content_type=type_of)
    assert "\neditors: 1 permissions given" in made()
    assert {"auth.delete_user", "lingstream.view_workflow"} <= names_of("editors")
    assert "lingstream.publish_workflow" in names_of("publishers") - names_of("editors")
    assert "given" in made() and Group.objects.count() == len(GROUPS)


def test_a_group_of_an_app_that_is_not_there_is_not_made() -> None:
    Permission.objects.filter(content_type__app_label="lingstream_knowledge").delete()
    made()
    assert not Group.objects.filter(name="knowledge editors").exists()


@pytest.mark.parametrize(
    ("group", "opens", "not_open"),
    [
        (
            "viewers",
            ["lingstream/run", "lingstream/workflow"],
            ["lingstream/workflow/add", "lingstream/provider"],
        ),
        ("editors", ["lingstream/prompt/add", "lingstream/workflow/add"], ["lingstream/provider"]),
        ("operators", ["lingstream/provider/add", "lingstream/run"], ["lingstream/prompt/add"]),
        (
            "knowledge editors",
            ["lingstream_knowledge/source/add", "lingstream_knowledge/question"],
            ["lingstream/workflow", "lingstream_knowledge/embedder/add"],
        ),
    ],
)
def test_who_is_in_one_can_work(group: str, opens: list[str], not_open: list[str]) -> None:
    made()
    user = User.objects.create_user("ada", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    codes = {path: client.get(f"/admin/{path}/").status_code for path in [*opens, *not_open]}
    assert codes == {**dict.fromkeys(opens, 200), **dict.fromkeys(not_open, 403)}
