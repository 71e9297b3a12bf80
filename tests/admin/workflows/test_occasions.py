"""When the bot speaks first, on the workflow's page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from lingstream.models import Occasion, Workflow

from ..forms import client_with, errors_of, post_page

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow() -> Workflow:
    return Workflow.objects.create(slug="talk")


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"/admin/lingstream/workflow/{workflow.pk}/change/"


def occasion(workflow: Workflow | None, kind: str, **columns: Any) -> Occasion:
    return Occasion.objects.create(workflow=workflow, kind=kind, **{"name": kind, **columns})


def new(**columns: Any) -> dict[str, Any]:
    row = {"factor": 2, "min_gap": 0, "within_days": 30, "enabled": "on", **columns}
    return {"occasions-TOTAL_FORMS": 1, **{f"occasions-0-{name}": value for name, value in row.items()}}


class TestOnAWorkflowsPage:
    def test_one_is_added_without_code(self, admin_client: Client, page: str) -> None:
        row = new(kind="silence", name="silence", after=60, quiet_from="22:00", quiet_to="08:00")
        response = post_page(admin_client, page, row)
        assert response.status_code == 302, errors_of(response)
        row = Occasion.objects.get()
        assert (row.workflow_slug, row.after, row.most, row.whom, row.source) == (
            "talk",
            60,
            3,
            "any",
            "admin",
        )

    def test_one_without_a_name_has_that_of_its_kind(self, admin_client: Client, page: str) -> None:
        assert post_page(admin_client, page, new(kind="greeting", name="")).status_code == 302
        assert Occasion.objects.get().name == "greeting"

    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"kind": "silence", "name": "x"}, "after"),
            ({"kind": "schedule", "name": "x", "schedule": "soon"}, "schedule"),
            ({"kind": "signal", "name": "x", "condition": "1 +"}, "condition"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(
        self, admin_client: Client, page: str, columns: Any, field: str
    ) -> None:
        assert list(errors_of(post_page(admin_client, page, new(**columns)))) == [f"occasions-0-{field}"]

    def test_a_schema_that_refuses_what_an_occasion_gives_is_not_saved(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        occasion(workflow, "silence", after=60)
        closed = '{"properties": {"text": {}}, "additionalProperties": false}'
        found = errors_of(post_page(admin_client, page, {"input_schema": closed}))
        assert list(found) == ["occasions-0-__all__"] and "'occasion'" in found["occasions-0-__all__"][0]
        open = '{"properties": {"text": {}, "occasion": {}}, "additionalProperties": false}'
        chat = {"chat-TOTAL_FORMS": 1, "chat-0-input_uri": "text", "chat-0-max_files": 5}
        chat |= {
            "chat-0-history_tokens": 1,
            "chat-0-max_size": 9,
            "chat-0-longest": 9,
            "chat-0-origins": "[]",
        }
        chat |= {"chat-0-attachments": "none", "chat-0-on_abort": "continue", "chat-0-greeting": "{}"}
        found = errors_of(post_page(admin_client, page, {"input_schema": open}))  # the text is at "question"
        assert "'question'" in found["occasions-0-__all__"][0]
        response = post_page(admin_client, page, {"input_schema": open, **chat})
        assert response.status_code == 302, errors_of(response)

    @pytest.mark.parametrize(
        ("name", "message"),
        [("more", "at most one occasion of silence"), ("silence", "There is another one of this name")],
    )
    def test_a_second_silence_is_refused_and_a_second_of_one_name(
        self, admin_client: Client, page: str, workflow: Workflow, name: str, message: str
    ) -> None:
        occasion(workflow, "silence", after=60)
        row = {
            "occasions-TOTAL_FORMS": 2,
            "occasions-1-kind": "silence",
            "occasions-1-name": name,
            "occasions-1-after": 5,
            "occasions-1-factor": 2,
            "occasions-1-min_gap": 0,
            "occasions-1-within_days": 30,
        }
        response = post_page(admin_client, page, row)
        assert message in response.content.decode() and Occasion.objects.count() == 1

    def test_a_preview_says_when_the_next_ones_come(
        self, admin_client: Client, page: str, workflow: Workflow, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        occasion(workflow, "silence", after=60, quiet_from="22:00", quiet_to="08:00")
        occasion(workflow, "schedule", schedule="0 9 * * MON")
        text = admin_client.get(page).content.decode()
        assert (
            "After 60 s, 120 s, 240 s of silence; not from 10 p.m. to 8 a.m. by the person&#x27;s clock"
            in text
        )
        assert text.count("<li>Mon ") == 5 and (", 09:00 CET</li>" in text or ", 09:00 CEST</li>" in text)

    @pytest.mark.parametrize(
        ("kind", "columns", "field"),
        [
            ("schedule", {"schedule": "soon"}, "schedule"),
            ("schedule", {"schedule": ""}, "schedule"),
            ("silence", {"kind": "schedule"}, "schedule"),
            ("silence", {"factor": "1e200"}, "factor"),
        ],
    )
    def test_what_is_wrong_with_one_that_is_there_is_told_and_stays(
        self,
        admin_client: Client,
        page: str,
        workflow: Workflow,
        kind: str,
        columns: dict[str, Any],
        field: str,
    ) -> None:
        row = occasion(
            workflow, kind, **{"silence": {"after": 60}, "schedule": {"schedule": "0 9 * * *"}}[kind]
        )
        typed = {f"occasions-0-{name}": value for name, value in columns.items()}
        response = post_page(admin_client, page, {**typed, "name": "typed"})
        assert list(errors_of(response)) == [f"occasions-0-{field}"]
        assert 'value="typed"' in response.content.decode()
        alone = post_page(admin_client, f"/admin/lingstream/occasion/{row.pk}/change/", columns)
        assert list(errors_of(alone)) == [field]

    def test_a_webhook_shows_its_address_and_secret_and_renews_it(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        hook = occasion(workflow, "webhook")
        text = admin_client.get(page).content.decode()
        assert f"/ling/hooks/{hook.pk}/" in text and hook.secret() in text
        assert post_page(admin_client, page, {"occasions-0-renew": "on"}).status_code == 302
        renewed = Occasion.objects.get()
        assert renewed.secret_version == 2
        text = admin_client.get(page).content.decode()
        assert renewed.secret() in text and hook.secret() not in text

    def test_who_may_only_look_sees_no_secret(self, page: str, workflow: Workflow) -> None:
        hook = occasion(workflow, "webhook")
        text = client_with("view_workflow", "view_occasion").get(page).content.decode()
        assert "webhook" in text and hook.secret() not in text

    def test_what_code_declares_can_be_switched_off_and_no_more(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        occasion(workflow, "silence", after=60, source="code")
        change = {"occasions-0-after": 5, "occasions-0-DELETE": "on"}
        response = post_page(admin_client, page, change, remove=("occasions-0-enabled",))
        assert response.status_code == 302
        row = Occasion.objects.get()
        assert (row.after, row.enabled, row.source) == (60, False, "code")


class TestInTheirList:
    def test_those_of_workflows_in_python_alone(self, admin_client: Client) -> None:
        row = occasion(None, "silence", slug="python", after=60, source="code")
        url = "/admin/lingstream/occasion/"
        assert "python" in admin_client.get(url).content.decode()
        page = f"{url}{row.pk}/change/"
        assert post_page(admin_client, page, {"after": 5}, remove=("enabled",)).status_code == 302
        row.refresh_from_db()
        assert (row.after, row.enabled) == (60, False)
        assert admin_client.get(f"{url}add/").status_code == 403
        assert admin_client.post(f"{url}{row.pk}/delete/", {"post": "yes"}).status_code == 403
