"""Export and import on the list of workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from lingstream.execution.export.reading import read_document
from lingstream.execution.export.writing import export_document
from lingstream.execution.plans import load_plan
from lingstream.models import Example, Prompt, PromptLabel, PromptVersion, Provider, Step, Workflow
from tests.site import store_prompt

from ..forms import client_with
from .test_versions import told

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/workflow/"
IMPORT = f"{URL}import/"
PARTS = ("workflow", "step", "trigger", "chat", "occasion")
VIEWS = [f"view_{name}" for name in PARTS]
EDITS = [*VIEWS, *(f"{verb}_{name}" for verb in ("add", "change", "delete") for name in PARTS)]


@pytest.fixture
def workflow() -> Workflow:
    Provider.objects.create(name="demo", kind="scripted", base_url="http://secret.example/")
    prompt = Prompt.objects.create(slug="short")
    version = PromptVersion.objects.create(prompt=prompt, text="Be short.")
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    workflow = Workflow.objects.create(slug="facts", access="anyone")
    Step.objects.create(workflow=workflow, name="answer", input="{{ input.q }}", prompt=prompt)
    workflow.publish()
    return workflow


def export(client: Client, workflow: Workflow, action: str = "export_json") -> Any:
    return client.post(URL, {"action": action, "_selected_action": [workflow.pk]})


def changed() -> str:
    """What is there, with another input."""
    return json.dumps(export_document(["facts"])).replace("{{ input.q }}", "hello")


class TestExport:
    @pytest.mark.parametrize("format", ["json", "yaml"])
    def test_is_a_file(self, admin_client: Client, workflow: Workflow, format: str) -> None:
        response = export(admin_client, workflow, f"export_{format}")
        assert response["Content-Disposition"] == f'attachment; filename="facts.{format}"'
        assert read_document(response.content.decode()) == export_document(["facts"])

    @pytest.mark.parametrize(
        ("more", "sections"),
        [
            ([], ["workflows"]),
            (["view_prompt"], ["prompts", "workflows"]),
            (["view_prompt", "view_provider"], ["providers", "prompts", "workflows"]),
        ],
    )
    def test_holds_what_one_may_see(self, workflow: Workflow, more: list[str], sections: list[str]) -> None:
        response = export(client_with(*VIEWS, *more), workflow)
        assert list(response.json()) == ["lingstream", *sections]

    def test_of_prompts_holds_them_with_what_they_include(self) -> None:
        store_prompt("tone", "Be kind.")
        store_prompt("ask", '{% include "prompt:tone" %} Ask.')
        ask = Prompt.objects.get(slug="ask")
        posted = {"action": "export_json", "_selected_action": [ask.pk]}
        client = client_with("view_prompt", "add_prompt", "publish_prompt")
        response = client.post("/admin/lingstream/prompt/", posted)
        assert response["Content-Disposition"] == 'attachment; filename="ask.json"'
        found = response.json()
        assert list(found) == ["lingstream", "prompts"] and list(found["prompts"]) == ["ask", "tone"]
        link = f'href="{IMPORT}"'
        assert link in client.get("/admin/lingstream/prompt/").content.decode()
        Prompt.objects.all().delete()
        assert "_import" in client.post(IMPORT, {"text": response.content.decode()}).content.decode()
        done = client.post(IMPORT, {"text": response.content.decode(), "_import": "1"})
        assert done["Location"] == "/admin/lingstream/prompt/", done.content.decode()
        assert Prompt.objects.get(slug="ask").live.text.endswith("Ask.")

    def test_is_refused_where_not_all_of_a_workflow_may_be_seen(self, workflow: Workflow) -> None:
        response = export(client_with("view_workflow", "view_step"), workflow)
        assert told(response) == ["You need the permissions view_chat, view_occasion, view_trigger."]

    def test_holds_the_examples_of_the_tenant_for_who_may_see_them(
        self, workflow: Workflow, settings: Any
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.shop"}
        for scope in ("shop", ""):
            Example.objects.create(workflow=workflow, scope=scope, name="wish", input=scope)
        client = client_with(*VIEWS)
        assert "examples" not in export(client, workflow).json()["workflows"]["facts"]
        allow("view_example")
        told = export(client, workflow).json()["workflows"]["facts"]["examples"]
        assert told == [{"name": "wish", "input": "shop"}]
        Workflow.objects.update(private=True)
        assert "examples" not in export(client, workflow).json()["workflows"]["facts"]


def shop(request: Any) -> str:
    """The setting ``SCOPE``: all is of one tenant."""
    return "shop"


def allow(*permissions: str) -> None:
    User.objects.get(username="staff").user_permissions.add(
        *Permission.objects.filter(codename__in=permissions)
    )


class TestImport:
    def test_shows_what_would_change_and_then_does_it(self, admin_client: Client, workflow: Workflow) -> None:
        file = SimpleUploadedFile("facts.json", changed().encode())
        page = admin_client.post(IMPORT, {"file": file})
        actions = {str(each["change"].name): each["change"].action for each in page.context["shown"]}
        assert actions == {"demo": "unchanged", "short": "unchanged", "facts": "changed"}
        assert "published as v2" in page.content.decode() and load_plan("facts").published == 1
        done = admin_client.post(IMPORT, {"text": page.context["document"], "_import": ""})
        assert done.url == URL and told(done)[-1] == "Imported: 1 changed."
        assert load_plan("facts").steps[0].input == "hello"
        assert [(entry.object_repr, entry.change_message) for entry in LogEntry.objects.all()] == [
            ("facts", "Imported")
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not of type"),
            ("{", "This is not JSON"),
            ('{"lingstream": 2}', "lingstream: "),
            ('{"lingstream": 1, "workflows": {"x": {"access": "anyone"}}}', "workflows/x: "),
        ],
    )
    def test_says_what_is_wrong(self, admin_client: Client, text: str, message: str) -> None:
        for more in ({}, {"_import": ""}):
            assert message in admin_client.post(IMPORT, {"text": text, **more}).content.decode()

    def test_of_nothing_shows_nothing(self, admin_client: Client) -> None:
        html = admin_client.post(IMPORT, {"text": '{"lingstream": 1}'}).content.decode()
        assert "The document holds nothing." in html

    def test_a_file_that_is_no_text(self, admin_client: Client) -> None:
        file = SimpleUploadedFile("x.json", b"\xff\xfe")
        assert "UTF-8" in admin_client.post(IMPORT, {"file": file}).content.decode()

    def test_who_may_not_publish_imports_drafts(self, workflow: Workflow) -> None:
        client = client_with(*EDITS, "view_prompt", "view_provider")
        assert "Workflows stay drafts" in client.post(IMPORT, {"text": changed()}).content.decode()
        assert client.post(IMPORT, {"text": changed(), "_import": ""}).status_code == 302
        assert load_plan("facts").published == 1 and workflow.differs

    def test_what_may_not_be_seen_is_not_compared(self, workflow: Workflow) -> None:
        document = '{"lingstream": 1, "providers": {"demo": {"kind": "scripted"}}}'
        html = client_with(*EDITS).post(IMPORT, {"text": document}).content.decode()
        assert "You need the permissions view_provider." in html and "secret.example" not in html

    @pytest.mark.parametrize(
        ("permissions", "lacking"),
        [
            ([*VIEWS, "change_workflow"], "add_chat, add_occasion"),
            ([name for name in EDITS if name != "change_workflow"], "change_workflow"),
        ],
    )
    def test_each_change_needs_its_permission(
        self, workflow: Workflow, permissions: list[str], lacking: str
    ) -> None:
        client = client_with(*permissions, "view_prompt", "view_provider")
        for more in ({}, {"_import": ""}):
            response = client.post(IMPORT, {"text": changed(), **more})
            assert f"You need the permissions {lacking}" in response.content.decode()
        assert workflow.steps.get().input == "{{ input.q }}" and not workflow.differs

    def test_examples_need_their_own_and_become_the_tenants(self, workflow: Workflow, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.shop"}
        theirs = Example.objects.create(workflow=workflow, name="wish", input="SECRET")
        Example.objects.create(workflow=workflow, scope="shop", name="other", input=1)
        data = export_document(["facts"], scope=None)
        data["workflows"]["facts"]["examples"] = [{"name": "wish", "input": "new"}]
        client = client_with(*EDITS, "view_prompt", "view_provider")
        refused = client.post(IMPORT, {"text": json.dumps(data), "_import": ""}).content.decode()
        assert "You need the permissions add_example, change_example, view_example." in refused
        allow("view_example", "add_example", "change_example")
        shown = client.post(IMPORT, {"text": json.dumps(data)}).content.decode()
        assert "new" in shown and "SECRET" not in shown
        assert client.post(IMPORT, {"text": json.dumps(data), "_import": ""}).status_code == 302
        kept = list(workflow.examples.filter(scope="shop").values_list("name", "input"))
        theirs.refresh_from_db()
        assert (kept, theirs.input) == ([("other", 1), ("wish", "new")], "SECRET")
        data["workflows"]["facts"]["examples"] = [{"name": "twice"}, {"name": "twice"}]
        assert (
            "workflows/facts/examples/twice"
            in client.post(IMPORT, {"text": json.dumps(data)}).content.decode()
        )

    def test_texts_of_prompts_need_the_right_to_publish_them(self, workflow: Workflow) -> None:
        text = json.dumps(export_document(["facts"])).replace("Be short.", "Be rude.")
        permissions = [*EDITS, "view_prompt", "change_prompt", "view_provider"]
        response = client_with(*permissions).post(IMPORT, {"text": text, "_import": ""})
        assert "You need the permissions publish_prompt." in response.content.decode()
        assert load_plan("facts").steps[0].prompt == "Be short."

    def test_is_no_business_of_who_only_looks(self, workflow: Workflow, client: Client) -> None:
        assert client_with(*VIEWS).get(IMPORT).status_code == 403
        assert "/login/" in client.get(IMPORT).url

    def test_is_a_link_on_the_list(self, admin_client: Client) -> None:
        assert f'href="{IMPORT}"' in admin_client.get(URL).content.decode()
