"""Workflows as documents: written, read within bounds, compared, and made rows again."""

from __future__ import annotations

import json
import sys
from datetime import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lingstream.core.engine import kinds, registry
from lingstream.core.engine.kinds import StepKind
from lingstream.core.exceptions import UsageError
from lingstream.execution.export.applying import Imported, import_document
from lingstream.execution.export.reading import MAX_SIZE, read_document, schema_problems
from lingstream.execution.export.schema import document_schema
from lingstream.execution.export.texts import FORMATS, as_text, written
from lingstream.execution.export.writing import export_document, workflow_data
from lingstream.execution.plans import load_plan
from lingstream.models import (
    Chat,
    Example,
    Occasion,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Run,
    Step,
    Trigger,
    Workflow,
)
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import Site, store_cloud_facts

DOCS = Path(__file__).resolve().parents[2] / "docs"


def wipe() -> None:
    Workflow.objects.all().delete()
    for model in (Prompt, Provider):
        model.objects.all().delete()  # type: ignore[attr-defined]


def prompt(slug: str, *texts: str, **columns: Any) -> Prompt:
    """A prompt whose newest text is live."""
    row = Prompt.objects.create(slug=slug, **columns)
    for text in texts:
        version = PromptVersion.objects.create(prompt=row, text=text, note=f"note on {text[:9]}")
    PromptLabel.objects.create(prompt=row, name="production", version=version)
    return row


@pytest.fixture
def everything(db: None) -> Workflow:
    """A site that uses what there is."""
    Provider.objects.create(name="demo", kind="scripted", default_model="small", options={"rate": 5})
    big = Provider.objects.create(
        name="big", kind="scripted", base_url="http://localhost/v1", max_concurrency=3
    )
    prompt("tone", "Be kind.\n")
    asked = prompt(
        "details", "one", "two {{ tone }}", 'three {% include "prompt:tone" %}', variables={"tone": "dry"}
    )
    PromptLabel.objects.create(prompt=asked, name="staging", version=asked.versions.get(number=1))
    live = asked.labels.get(name="production")
    live.other, live.weight = asked.versions.get(number=1), 30
    live.save()
    inner = Workflow.objects.create(slug="inner", access="authenticated")
    Step.objects.create(workflow=inner, name="only", input="{{ input }}")
    workflow = Workflow.objects.create(
        slug="outer",
        name="Äußeres",
        access="anyone",
        limits={"bots": 9},
        input_schema={"type": "object", "properties": {"q": {"type": "string"}, "a": {}}},
        retention_days=30,
    )
    first = Step.objects.create(
        workflow=workflow,
        name="answer",
        prompt=asked,
        provider=big,
        model="m",
        input="{{ input.q }}",
        pinned=2,
    )
    second = Step.objects.create(
        workflow=workflow,
        name="inside",
        kind="workflow",
        options={"workflow": "inner"},
        root="x",
        timeout=2.5,
    )
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="a", input="", root="")
    Chat.objects.create(workflow=workflow, helper=big, input_uri="q", greeting={"en": "Hello!"})
    Occasion.objects.create(
        workflow=workflow, kind="silence", name="quiet", after=60, quiet_from=time(22), quiet_to=time(6, 30)
    )
    for name, asked_for in (("empty", None), ("short", {"q": "Why?", "a": [1.5, "é\n"]})):
        Example.objects.create(workflow=workflow, name=name, input=asked_for)
    for row in (inner, workflow):
        row.publish()
    return workflow


def plans() -> Any:
    slugs = Workflow.objects.values_list("slug", flat=True)
    return json.loads(json.dumps({slug: load_plan(slug).to_json() for slug in slugs}))


@pytest.mark.parametrize("format", FORMATS)
class TestRoundTrip:
    def test_is_equal(self, everything: Workflow, format: str) -> None:
        text, before = written(export_document(), format), plans()
        assert '"examples": [' in text or "examples:" in text
        wipe()
        found = import_document(read_document(text))
        assert not found.problems and {change.action for change in found.changes} == {"created"}
        assert written(export_document(), format) == text
        kept = dict(Example.objects.values_list("name", "input"))
        assert kept == {"empty": None, "short": {"q": "Why?", "a": [1.5, "é\n"]}}
        after = json.loads(
            json.dumps(plans()).replace("details v1", "details v2")
        )  # its number is of this site
        assert after == before

    def test_a_second_time_changes_nothing(self, everything: Workflow, format: str) -> None:
        found = import_document(read_document(written(export_document(), format)))
        assert {change.action for change in found.changes} == {"unchanged"}
        assert everything.versions.count() == 1 and PromptVersion.objects.count() == 4

    async def test_a_run_writes_the_same_document(self, site: Site, format: str) -> None:
        sites.answers = {"one": '{"answer": "No."}'}
        await sync_to_async(store_cloud_facts)()
        text = await sync_to_async(lambda: written(export_document(), format))()
        before = await ended((await site.start("cloud-facts")).json()["run"])
        await sync_to_async(wipe)()
        await sync_to_async(lambda: import_document(read_document(text)))()
        after = await ended((await site.start("cloud-facts")).json()["run"])
        assert (after.status, after.document) == (Run.Status.FINISHED, before.document)
        assert before.document and before.plan != after.plan


class TestWriting:
    def test_what_is_as_usual_is_left_out_and_nothing_of_the_site_is_in_it(self, db: None) -> None:
        Provider.objects.create(name="demo", kind="scripted")
        user = User.objects.create_user("ada-lovelace")
        workflow = Workflow.objects.create(slug="facts", access="anyone")
        Step.objects.create(workflow=workflow, name="b", prompt=prompt("p", "Hello."), position=7)
        Step.objects.create(workflow=workflow, name="a", quiet=True, position=3)
        workflow.publish(by=user, note="secret")
        version = {"labels": ["production"], "note": "note on Hello.", "text": "Hello."}
        assert export_document(["facts"]) == {
            "lingstream": 1,
            "providers": {"demo": {"kind": "scripted"}},
            "prompts": {"p": {"versions": [version]}},
            "workflows": {
                "facts": {
                    "access": "anyone",
                    "steps": [{"name": "a", "quiet": True}, {"name": "b", "prompt": "p"}],
                    "triggers": [],
                }
            },
        }

    def test_takes_what_is_published_or_the_draft(self, everything: Workflow) -> None:
        Step.objects.filter(name="answer").update(input="draft")
        as_published, draft = (
            export_document(["outer"], drafts=drafts)["workflows"]["outer"] for drafts in (False, True)
        )
        assert (as_published["steps"][0]["input"], as_published.get("draft")) == ("{{ input.q }}", None)
        assert (draft["steps"][0]["input"], draft["draft"]) == ("draft", True)

    def test_of_one_workflow_has_what_it_needs_and_no_more(self, everything: Workflow) -> None:
        Provider.objects.create(name="other", kind="scripted")
        prompt("unused", "x")
        data = export_document(["outer"])
        assert {name: list(rows) for name, rows in data.items() if name != "lingstream"} == {
            "providers": ["big", "demo"],
            "prompts": ["details", "tone"],
            "workflows": ["inner", "outer"],
        }
        assert list(export_document()["prompts"]) == ["details", "tone", "unused"]

    def test_has_the_examples_of_one_tenant_that_a_document_can_hold(self, everything: Workflow) -> None:
        Example.objects.create(workflow=everything, name="theirs", scope="shop", input=1)
        deep: Any = json.loads("[" * 95 + "]" * 95)
        for name, asked_for in (("odd", {"q": "\0"}), ("deep", deep), ("too deep", [deep])):
            Example.objects.create(workflow=everything, name=name, scope="shop", input=asked_for)

        def exported(**more: Any) -> list[str]:
            entry = export_document(["outer"], **more)["workflows"]["outer"]
            return [each["name"] for each in entry.get("examples", [])]

        assert exported() == ["empty", "short"]
        assert exported(scope="shop") == ["deep", "theirs"]
        assert read_document(written(export_document(scope="shop"), "json"))
        assert exported(scope=None) == exported(withheld=["outer"]) == []

    def test_asks_once_for_all_that_steps_pin(self, everything: Workflow) -> None:
        row = Workflow.objects.select_related("published", "chat__helper").get(slug="outer")
        with CaptureQueriesContext(connection) as few:
            workflow_data(row, drafts=True)
        asked = Prompt.objects.get(slug="details")
        for number in range(5):
            Step.objects.create(
                workflow=everything, name=f"s{number}", prompt=asked, pinned=1 + number % 2, root=f"r{number}"
            )
        with CaptureQueriesContext(connection) as many:
            data = workflow_data(row, drafts=True)
        assert [step.get("pinned") for step in data["steps"]] == [2, None, 1, 2, 1, 2, 1]
        assert len(many) == len(few)

    def test_names_the_collections_that_steps_ask_for(self, everything: Workflow) -> None:
        class Find(StepKind):
            kind = "find"
            options_schema = {"type": "object", "properties": {"collection": {}}}

        kinds.register_kind(Find())
        for number, named in enumerate(("docs", ["news", "docs"])):
            options = {"collection": named}
            Step.objects.create(
                workflow=everything, name=f"f{number}", kind="find", options=options, root=f"f{number}"
            )
        data = export_document(["outer"], drafts=True)
        assert data["collections"] == ["docs", "news"]
        assert import_document(data, dry_run=True).missing == ["docs", "news"]

    def test_an_unknown_workflow(self, everything: Workflow) -> None:
        with pytest.raises(UsageError, match="no workflow “nope”"):
            export_document(["nope"])

    @pytest.mark.parametrize(
        "text", ["no", "12:30", "1e5", "0x1f", "", " a", "a\nb", "  x\n y ", "~", "<<", "- é", "#"]
    )
    def test_any_text_comes_back_from_yaml(self, text: str) -> None:
        assert read_document(written({"lingstream": text}, "yaml")) == {"lingstream": text}


class TestReading:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: &x 1\nb: *x", "without anchors and aliases"),
            ("a: !!python/object:os.system x", "without tags"),
            ("a: 1\na: 2", "each key once"),
            ("1: 2", "as text"),
            ("[" * 200, "at most 100 levels"),
            ('{"a": ' + "[" * 100_000, "fewer levels"),
            ("a: b: c", "not YAML"),
            ("a: 1\n---\nb: 2", "not YAML"),
            ('{"a": 1, "a": 2}', "'a' is there twice"),
            ('{"a": NaN}', "expected a number, got NaN"),
            ('{"a": 1e999}', "finite"),
            ("- 1e999", "finite"),
            ('{"a": "\\u0000"}', "NUL"),
            ('{"a": "\\ud800"}', "half a character"),
            ('{"a": ' + "9" * 5_000 + "}", "not JSON"),
            ("{", "line 1, column 2"),
            ("x" * (MAX_SIZE + 1), "up to 1000000 characters"),
            ("[" + "a," * 250_000 + "]", "fewer values"),
        ],
    )
    def test_what_cannot_be_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            read_document(text)

    def test_numbers_are_as_in_json(self) -> None:
        assert read_document("[1, -2.5, 1e3, true, null, yes, 0o7, 2026-01-01]") == [
            1, -2.5, 1000.0, True, None, "yes", "0o7", "2026-01-01",
        ]  # fmt: skip

    def test_without_pyyaml_json_is_read_and_yaml_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        monkeypatch.delitem(sys.modules, "lingstream.execution.export.yaml", raising=False)
        assert read_document('{"a": 1}') == {"a": 1}
        for call in (lambda: read_document("a: 1"), lambda: written({}, "yaml")):
            with pytest.raises(UsageError, match=r"lingstream\[yaml\]"):
                call()

    def test_the_schema_is_the_published_one(self) -> None:
        assert json.loads((DOCS / "export-schema.json").read_text()) == document_schema(), (
            "ling_export --schema"
        )

    def test_the_schema_has_nothing_against_a_large_document(self) -> None:
        version = {"labels": ["production"], "text": "x y\n" * 300}
        data = {"lingstream": 1, "prompts": {f"p{number}": {"versions": [version]} for number in range(700)}}
        assert schema_problems(data) == []


def imported(data: Any, **more: Any) -> list[str]:
    return list(map(str, import_document(data, **more).problems))


def counts() -> list[int]:
    models: list[Any] = [
        Provider,
        Prompt,
        PromptVersion,
        PromptLabel,
        Workflow,
        Step,
        Trigger,
        Chat,
        Occasion,
    ]
    return [model.objects.count() for model in models]


BOT = {"name": "a", "input": "x"}
SIGNAL = {"kind": "signal", "name": "s"}
LIVE = {"labels": ["production"]}


def document(**workflow: Any) -> dict[str, Any]:
    return {
        "lingstream": 1,
        "workflows": {"new": {"access": "anyone", "steps": [BOT], "triggers": [], **workflow}},
    }


class TestRefusedDocuments:
    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            ([], "object"),
            ({"lingstream": 2}, "lingstream: "),
            ({"lingstream": 1, "secrets": {}}, "secrets"),
            ({"lingstream": 1, "workflows": {"no slug": {}}}, "no slug"),
            (document(steps=[{"name": "a", "id": 5}]), "workflows/new/steps/0"),
            (document(steps=[{"name": "a" * 101}]), "workflows/new/steps/0/name"),
            (document(access="nobody"), "workflows/new/access"),
            (document(steps=[BOT, BOT]), "workflows/new: Expected each step once"),
            (document(steps=[]), "workflows/new/steps: Expected a step"),
            (document(steps=[{**BOT, "input": "{{ valeu }}"}]), "workflows/new/steps/a/input: Line 1"),
            (document(steps=[{**BOT, "prompt": "gone"}]), "asks for the prompt “gone”"),
            (document(steps=[{**BOT, "provider": "gone"}]), "asks for the provider “gone”"),
            (document(steps=[{**BOT, "kind": "unheard-of"}]), "workflows/new/steps/a/kind"),
            (document(steps=[{**BOT, "schema": {"type": "strin"}}]), "workflows/new/steps/a/schema"),
            (document(triggers=[{"source": "a", "target": "b"}]), "got “b”"),
            (document(triggers=[{"source": "a", "target": "a"}]), "nothing starts"),
            (document(limits={"bot": 1}), "workflows/new/limits: Expected limits among"),
            (document(chat={"answer_uri": "a//b"}), "workflows/new/chat/answer_uri"),
            (document(chat={"helper": "gone"}), "workflows/new/chat/helper"),
            (document(occasions=[{"kind": "silence", "name": "s"}]), "workflows/new/occasions/s/after"),
            (document(occasions=[{**SIGNAL, "quiet_from": "x"}]), "workflows/new/occasions/s"),
            ({"lingstream": 1, "providers": {"p": {"kind": "telepathy"}}}, "providers/p/kind"),
            ({"lingstream": 1, "providers": {"p": {"options": {"api_key": "x"}}}}, "providers/p/options"),
            ({"lingstream": 1, "providers": {"p": {"key_name": "SECRET_KEY"}}}, "providers/p/key_name"),
            (
                {"lingstream": 1, "prompts": {"p": {"versions": [{**LIVE, "text": "{{ x }}"}]}}},
                "prompts/p/versions/production: Line 1",
            ),
        ],
    )  # fmt: skip
    @pytest.mark.django_db
    def test_change_nothing_and_name_the_place(self, data: Any, problem: str) -> None:
        Provider.objects.create(name="demo", kind="scripted")
        before = counts()
        assert problem in "\n".join(imported(data))
        assert counts() == before

    def test_a_workflow_that_leads_back_to_itself(self, everything: Workflow) -> None:
        data = export_document()
        data["workflows"]["inner"]["steps"][0] |= {"kind": "workflow", "options": {"workflow": "outer"}}
        assert any("circle" in problem for problem in imported(data))

    def test_a_pinned_version_that_is_not_in_it(self, everything: Workflow) -> None:
        data = export_document()
        for version in data["prompts"]["details"]["versions"]:
            version.pop("pinned", None)
        assert any("pins a version" in problem for problem in imported(data))


class TestImporting:
    def changed(self, found: Imported) -> dict[str, str]:
        return {f"{change.section}/{change.name}": change.action for change in found.changes}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_tells_what_changes(self, everything: Workflow, dry_run: bool) -> None:
        data = export_document(["outer"])
        data["workflows"]["outer"]["steps"][0]["input"] = "hello"
        data["prompts"]["tone"]["versions"][0]["text"] = "Be brief."
        data["providers"]["new"] = {"kind": "scripted"}
        found = import_document(data, dry_run=dry_run)
        assert {name: action for name, action in self.changed(found).items() if action != "unchanged"} == {
            "workflows/outer": "changed", "prompts/tone": "changed", "providers/new": "created",
        }  # fmt: skip
        (change,) = (change for change in found.changes if change.name == "outer")
        assert "input: hello" in change.after and "input: {{ input.q }}" in change.before
        assert change.published == 2
        assert load_plan("outer").published == (1 if dry_run else 2)
        assert Prompt.objects.get(slug="tone").versions.count() == (1 if dry_run else 2)

    def test_leaves_what_the_document_does_not_name(self, everything: Workflow) -> None:
        before = counts()
        import_document({"lingstream": 1, "providers": {"demo": {"kind": "scripted"}}})
        assert counts() == before and Provider.objects.get(name="demo").options == {}

    def test_a_workflow_is_all_of_it(self, everything: Workflow) -> None:
        data = export_document(["outer"])
        entry = data["workflows"]["outer"]
        entry["steps"], entry["triggers"] = entry["steps"][:1], []
        for name in ("chat", "occasions", "limits", "retention_days"):
            entry.pop(name, None)
        import_document(data)
        row = Workflow.objects.get(slug="outer")
        assert [step.name for step in row.steps.all()] == ["answer"] and not row.triggers.exists()
        assert not Chat.objects.exists() and not Occasion.objects.exists()
        assert (row.limits, row.retention_days) == ({}, None)

    @pytest.mark.parametrize("state", ["published", "draft only", "as saved"])
    def test_a_draft_that_it_takes_the_place_of_is_kept(self, everything: Workflow, state: str) -> None:
        data = export_document(["outer"])
        if state != "published":
            Workflow.objects.update(published=None, draft_only=state == "draft only")
        step = everything.steps.first()
        everything.steps.filter(pk=step.pk).update(input="an hour of work")
        ada = User.objects.create_user("ada")
        for publish in (False, True):  # and nothing is kept twice
            import_document(data, by=ada, publish=publish)
        kept = everything.versions.get(number=2)
        assert kept.data["steps"][0]["input"] == "an hour of work"
        assert (kept.created_by, kept.note) == (ada, "The draft that an import took the place of")
        assert everything.versions.exclude(note="Imported").count() == 2
        assert everything.steps.get(pk=step.pk).input == step.input

    def test_drafts_stay_drafts(self, everything: Workflow) -> None:
        data = export_document(["outer"])
        data["workflows"]["outer"]["steps"][0]["input"] = "hello"
        import_document(data, publish=False)
        assert load_plan("outer").published == 1 and everything.differs
        import_document(document(draft=True))
        with pytest.raises(UsageError, match="not been published"):
            load_plan("new")

    def test_moves_a_label_to_a_version_that_there_is(self, everything: Workflow) -> None:
        data = export_document(["outer"])
        one, *_ = data["prompts"]["details"]["versions"]
        for version in data["prompts"]["details"]["versions"]:
            version.pop("tests", None)
            version["labels"] = ["production", "staging"] if version is one else []
        import_document(data)
        label = PromptLabel.objects.select_related("version").get(prompt__slug="details", name="production")
        assert (label.version.number, label.other, label.weight) == (1, None, 0)

    def test_ends_a_test_that_the_document_does_not_have(self, everything: Workflow) -> None:
        data = export_document(["outer"])
        for version in data["prompts"]["details"]["versions"]:
            version.pop("tests", None)
        assert PromptLabel.objects.exclude(other=None).exists()
        changes = {change.name: change.action for change in import_document(data).changes}
        assert changes["details"] == "changed"
        assert not PromptLabel.objects.exclude(other=None).exists()

    def test_leaves_versions_that_nothing_asks_for(self, everything: Workflow) -> None:
        data = export_document(["outer"])
        data["prompts"]["details"]["versions"].append({"text": "Nobody asks for me."})
        import_document(data)
        assert not PromptVersion.objects.filter(text="Nobody asks for me.").exists()

    def test_versions_are_whose_import_it_is(self, db: None) -> None:
        Provider.objects.create(name="demo", kind="scripted")
        user = User.objects.create_user("ada")
        import_document(document(), by=user)
        version = Workflow.objects.get().versions.get()
        assert (version.created_by, version.note) == (user, "Imported")

    def test_a_row_of_a_function_does_not_keep_it_from_running(
        self, db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def function(run: Any) -> None: ...

        monkeypatch.setattr(registry, "_functions", {"new": function})
        assert imported(document(steps=[]), publish=False) == []
        assert load_plan("new", python=True).python


class TestCommands:
    def call(self, *arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out, stderr=out)
        return out.getvalue()

    @pytest.mark.parametrize("name", ["site.json", "site.yaml"])
    def test_there_and_back(self, everything: Workflow, tmp_path: Path, name: str) -> None:
        file = str(tmp_path / name)
        self.call("ling_export", "outer", "-o", file)
        text = Path(file).read_text()
        assert text.startswith("{" if name.endswith("json") else "lingstream: 1\n")
        wipe()
        assert "workflows outer: would be created and would be published as v1" in self.call(
            "ling_import", file, "--dry-run"
        )
        assert not Workflow.objects.exists()
        assert "workflows outer: created and published as v1" in self.call("ling_import", file)
        assert self.call("ling_export", "outer", "--format", name[-4:]) == text
        assert self.call("ling_import", file) == "6 unchanged\n"

    def test_show_what_differs(self, everything: Workflow, tmp_path: Path) -> None:
        file = tmp_path / "site.json"
        file.write_text(self.call("ling_export").replace("{{ input.q }}", "hello"))
        lines = self.call("ling_import", str(file), "--draft").splitlines()
        assert [line.split() for line in lines[1:4]] == [
            ["-", "input:", "{{", "input.q", "}}"], ["+", "input:", "hello"], ["+", "draft:", "true"],
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "message"),
        [("{", "not JSON"), ('{"lingstream": 3}', "nothing was imported"), (None, "No such file")],
    )
    def test_say_what_is_wrong(self, db: None, tmp_path: Path, text: str | None, message: str) -> None:
        file = tmp_path / "x.json"
        if text:
            file.write_text(text)
        with pytest.raises(CommandError, match=message):
            self.call("ling_import", str(file))
        with pytest.raises(CommandError, match="no workflow"):
            self.call("ling_export", "nope")
        with pytest.raises(CommandError, match="no prompt “nope”"):
            self.call("ling_export", "--prompt", "nope")
        for options in ((), ("--schema",)):
            with pytest.raises(CommandError, match="No such file"):
                self.call("ling_export", *options, "-o", str(tmp_path / "gone" / "x.json"))

    def test_write_prompts_without_workflows(self, everything: Workflow) -> None:
        slug = Prompt.objects.earliest("slug").slug
        found = json.loads(self.call("ling_export", "--prompt", slug))
        assert slug in found["prompts"] and set(found) == {"lingstream", "prompts"}


def test_data_as_lines() -> None:
    data = {"a": "x\n\ny", "b": [{"c": 1, "d": ["e"]}, "f\ng", []], "h": {}, "i": " j", "k": None}
    lines = ["a: |", "  x", "", "  y", "b:", "  - c: 1", "    d:", "      - e", "  - |", "    f", "    g"]
    assert as_text(data).splitlines() == [*lines, "  - []", "h: {}", 'i: " j"', "k: null"]
