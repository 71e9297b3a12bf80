"""The rows: what they keep, what they refuse."""

from __future__ import annotations

import sys
import threading
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from lingstream.core.exceptions import UsageError
from lingstream.models import (
    BotRun,
    Conversation,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Run,
    Step,
    Trigger,
    Workflow,
    owner_key,
)
from lingstream.models.fields import JSONFormField, encode

pytestmark = pytest.mark.django_db


def make_prompt(slug: str = "details", text: str = "Explain.", **columns: Any) -> Prompt:
    prompt = Prompt.objects.create(slug=slug, **columns)
    version = PromptVersion.objects.create(prompt=prompt, text=text)
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    return prompt


def make_step(name: str = "answer", workflow: Workflow | None = None, **columns: Any) -> Step:
    workflow = workflow or Workflow.objects.get_or_create(slug="facts")[0]
    return Step.objects.create(workflow=workflow, name=name, **columns)


def faults(row: Any, exclude: tuple[str, ...] = ()) -> dict[str, list[str]]:
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        return error.message_dict
    return {}


def test_the_migration_is_complete() -> None:
    call_command("makemigrations", "lingstream", check=True, dry_run=True, verbosity=0)


class TestJSONText:
    @pytest.mark.parametrize(
        "value",
        [
            {"z": 1, "a": [None, True, 1.5, "云", {}]},
            "a NUL \x00 in text",
            "a lone surrogate \ud800",
            [],
            "",
            None,
            2**80,
        ],
    )
    def test_keeps_values_and_the_order_of_keys(self, value: Any) -> None:
        run = Run.objects.create(workflow="w", document=value)
        stored = Run.objects.get(pk=run.pk).document
        assert stored == value
        assert encode(stored) == encode(value)

    def test_is_ascii_text_in_the_database(self) -> None:
        run = Run.objects.create(workflow="w", document={"云": "\x00"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT document FROM lingstream_run WHERE id = %s", [run.pk.hex])
            assert cursor.fetchone()[0] == '{"\\u4e91":"\\u0000"}'

    def test_infinity_becomes_null_as_on_the_wire(self) -> None:
        run = Run.objects.create(workflow="w", document=[float("inf"), float("nan"), 1])
        run.refresh_from_db()
        assert run.document == [None, None, 1]

    def test_can_be_asked_for_equality_only(self) -> None:
        Run.objects.create(workflow="w", input={"a": 1})
        assert Run.objects.filter(input={"a": 1}).exists()
        with pytest.raises(FieldError, match="icontains"):
            Run.objects.filter(input__icontains="a").exists()

    def test_survives_dumpdata_and_loaddata(self) -> None:
        run = Run.objects.create(workflow="w", document={"a": "\x00"})
        text = serializers.serialize("json", [run])
        Run.objects.all().delete()
        for row in serializers.deserialize("json", text):
            row.save()
        assert Run.objects.get().document == {"a": "\x00"}

    def test_an_empty_form_field_is_the_empty_value(self) -> None:
        field = Step._meta.get_field("params").formfield()
        assert isinstance(field, JSONFormField)
        assert field.clean("") == {}
        assert field.clean('{"b": 1, "a": 2}') == {"b": 1, "a": 2}
        assert not field.has_changed({}, "")
        assert not field.has_changed({"a": "ä"}, field.prepare_value({"a": "ä"}))
        with pytest.raises(ValidationError, match="line 2"):
            field.clean('{\n"a" 1}')

    @pytest.mark.parametrize("depth", [101, 1_000, 200_000])
    def test_a_form_field_bounds_the_depth(self, depth: int) -> None:
        field = Step._meta.get_field("params").formfield()
        text = '{"a":' + "[" * depth + "]" * depth + "}"
        with pytest.raises(ValidationError, match="levels of nesting"):
            field.clean(text)
        assert field.has_changed({}, text)
        assert field.prepare_value(field.bound_data(text, {})) if depth > 10_000 else True


class TestPromptVersions:
    def test_are_numbered_per_prompt(self) -> None:
        first, second = make_prompt("a"), make_prompt("b")
        assert [PromptVersion.objects.create(prompt=first, text="x").number for _ in range(2)] == [2, 3]
        assert second.newest is not None
        assert second.newest.number == 1

    def test_never_change(self) -> None:
        version = make_prompt().newest
        assert version is not None
        version.text = "other"
        for change in (
            version.save,
            version.delete,
            lambda: PromptVersion.objects.update(text="other"),
            lambda: PromptVersion.objects.all().delete(),
            lambda: PromptVersion.objects.bulk_update([version], ["text"]),
        ):
            with pytest.raises(UsageError, match="never changes") as caught, transaction.atomic():
                change()
            assert caught.value.code == "immutable"
        version.refresh_from_db()
        assert version.text == "Explain."

    def test_go_with_their_prompt(self) -> None:
        prompt = make_prompt()
        prompt.delete()
        assert not PromptVersion.objects.exists()

    def test_keep_their_text_when_their_author_goes(self) -> None:
        user = User.objects.create(username="ed")
        prompt = make_prompt()
        version = PromptVersion.objects.create(prompt=prompt, text="x", created_by=user)
        user.delete()
        version.refresh_from_db()
        assert version.created_by is None

    def test_a_syntax_error_and_an_unknown_variable_are_told_with_their_line(self) -> None:
        prompt = Prompt.objects.create(slug="p", variables={"tone": "friendly"})
        assert faults(PromptVersion(prompt=prompt, text="{{ tone }} {{ input.q }}"), ("number",)) == {}
        assert faults(PromptVersion(prompt=prompt, text="a\n{{ tone }"))["text"] == ["Line 2: unexpected '}'"]
        assert (
            "Line 2: unknown variable “tony”"
            in faults(PromptVersion(prompt=prompt, text="\n{{ tony }}"))["text"][0]
        )

    def test_a_prompt_in_use_is_not_deleted(self) -> None:
        prompt = make_prompt()
        make_step(prompt=prompt)
        with pytest.raises(ProtectedError):
            prompt.delete()

    def test_a_label_points_to_a_version_of_its_own_prompt_that_works_now(self) -> None:
        prompt, other = make_prompt("a", "{{ tone }}", variables={"tone": ""}), make_prompt("b")
        label = PromptLabel(prompt=prompt, name="beta", version=prompt.versions.get())
        assert faults(label) == {}
        prompt.variables = {}
        assert "unknown variable “tone”" in faults(label)["version"][0]
        label.version = other.newest  # type: ignore[assignment]
        assert "of another" in faults(label)["version"][0]


@pytest.mark.django_db(transaction=True)
def test_versions_saved_at_the_same_time_get_different_numbers() -> None:
    prompt = make_prompt()
    start = threading.Barrier(4)

    def save() -> None:
        start.wait()
        PromptVersion.objects.create(prompt=prompt, text="x")
        connection.close()

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = PromptVersion.objects.filter(prompt=prompt).order_by("number").values_list("number", flat=True)
    assert list(numbers) == [1, 2, 3, 4, 5]


class TestWorkflows:
    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("input_schema", {"type": "strin"}, "at type"),
            (
                "input_schema",
                {"properties": {"a": {"pattern": "(?!x)"}}},
                "properties/a/pattern: expect",
            ),
            ("input_schema", {"$ref": "https://example.com/x"}, "within the schema"),
            ("input_schema", [], ""),
            ("input_schema", [1], "Expected a JSON object"),
            ("limits", {"bot": 1}, "Expected limits among"),
            ("limits", {"bots": 0}, "positive number for bots"),
            ("limits", {"bots": 1.5}, "positive number for bots"),
            ("limits", {"seconds": True}, "positive number for seconds"),
        ],
    )
    def test_schema_and_limits_are_checked(self, column: str, value: Any, message: str) -> None:
        found = faults(Workflow(slug="w", **{column: value}))
        assert message in "".join(found.get(column, [""]))
        assert bool(found) == bool(message)

    def test_good_ones_pass(self) -> None:
        schema = {"type": "object", "required": ["question"]}
        assert faults(Workflow(slug="w", input_schema=schema, limits={"bots": 3, "seconds": 2.5})) == {}

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("input", "{{ valeu }}", "did you mean “value”?"),
            ("input", "{% if %}", "Line 1"),
            ("root", "outline/{{ mtach[0] }}", "did you mean “match”?"),
            ("only", ["a//b"], "Expected a uri pattern"),
            ("exclude", "a", "Expected a list of uri patterns"),
            ("schema", {"type": "strin"}, "not a JSON schema"),
            ("name", "a b", "Expected letters"),
            ("label", "beta", "it has: production"),
            ("params", 3, "Expected a JSON object"),
        ],
    )
    def test_a_step_is_checked(self, column: str, value: Any, message: str) -> None:
        step = Step(workflow=Workflow.objects.create(slug="w"), name="s", prompt=make_prompt())
        setattr(step, column, value)
        assert message in faults(step)[column][0]

    @pytest.mark.parametrize(
        ("columns", "field", "message"),
        [
            ({"kind": "mystery"}, "kind", "expected a step kind among"),
            ({"kind": "bot", "options": {"x": 1}}, "options", "'x' was unexpected"),
            ({"kind": "compute"}, "options", "expected the option 'set' or 'from'"),
            (
                {"kind": "compute", "options": {"set": {"a": "1 +"}}},
                "options",
                "set/a: Line 1: expected an ex",
            ),
            ({"kind": "compute", "options": {"set": {"a": "valeu"}}}, "options", "did you mean “value”?"),
            (
                {"kind": "workflow", "options": {"workflow": "none"}},
                "options",
                "Expected the slug of a workflow",
            ),
            ({"kind": "workflow", "options": {"workflow": "w"}}, "options", "w → w"),
            ({"kind": "workflow", "options": {"workflow": "back"}}, "options", "w → back → w"),
            ({"retries": 6}, "retries", "less than or equal to 5"),
            ({"timeout": 0}, "timeout", "greater than or equal to 0.1"),
            ({"kind": "compute", "options": {"set": {"a": "value + 1"}}}, "", ""),
            ({"kind": "workflow", "options": {"workflow": "cloud-facts-python"}}, "", ""),
        ],
    )
    def test_a_step_of_another_kind_is_checked(self, columns: Any, field: str, message: str) -> None:
        back = Workflow.objects.create(slug="back")
        Step.objects.create(workflow=back, name="b", kind="workflow", options={"workflow": "w"})
        found = faults(Step(workflow=Workflow.objects.create(slug="w"), name="s", **columns))
        assert list(found) == ([field] if field else [])
        assert message in "".join(found.get(field, [""]))

    def test_a_joined_trigger_may_use_how_many_failed(self) -> None:
        step = make_step()
        other = Step.objects.create(workflow=step.workflow, name="other")
        trigger = Trigger(workflow=step.workflow, source=step, target=other, condition="failed == 0")
        assert "unknown variable" in faults(trigger)["condition"][0]
        trigger.event = "joined"
        assert faults(trigger) == {}

    def test_an_input_may_use_what_its_prompt_declares(self) -> None:
        prompt = make_prompt(variables={"tone": "friendly"})
        assert faults(make_step(prompt=prompt, input="{{ tone }}: {{ value }}")) == {}

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("condition", "value >", "expected an expression"),
            ("pattern", "a//b", "Expected a uri pattern"),
            ("input", "{{ x }}", "unknown variable"),
            ("root", "{{ x }}", "unknown variable"),
            ("event", "click", "expected an event that answer emits"),
        ],
    )
    def test_a_trigger_is_checked(self, column: str, value: Any, message: str) -> None:
        step = make_step()
        Step.objects.create(workflow=step.workflow, name="entry")
        trigger = Trigger(workflow=step.workflow, source=step, target=step, pattern="a/*/b")
        assert faults(trigger) == {}
        setattr(trigger, column, value)
        assert message in faults(trigger)[column][0]

    def test_a_trigger_leaves_something_that_starts(self) -> None:
        workflow = Workflow.objects.create(slug="circle")
        first, second = (Step.objects.create(workflow=workflow, name=name) for name in ("a", "b"))
        forth = Trigger(workflow=workflow, source=first, target=second)
        forth.full_clean()
        forth.save()
        with pytest.raises(ValidationError, match="nothing starts"):
            Trigger(workflow=workflow, source=second, target=first).full_clean()
        forth.target = first
        forth.full_clean()

    def test_a_trigger_joins_steps_of_one_workflow(self) -> None:
        step = make_step()
        other = make_step("b", Workflow.objects.create(slug="other"))
        found = faults(Trigger(workflow=step.workflow, source=step, target=other))
        assert "of another" in found["target"][0]


class TestProviders:
    @pytest.fixture(autouse=True)
    def keys(self, settings: Any) -> None:
        settings.LINGSTREAM = {
            "PROVIDER_KEYS": {"KEY": ["https://api.x.com/v1"]},
            "PROVIDER_KINDS": {"own": "tests.site.scripted", "gone": "site.own"},
        }

    def make(self, **columns: Any) -> Provider:
        return Provider(
            **{
                "name": "p",
                "kind": "openai",
                "base_url": "https://api.x.com/v1",
                "key_name": "KEY",
                **columns,
            }
        )

    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({}, ""),
            ({"kind": "own"}, ""),
            ({"kind": "gone"}, "kind"),
            ({"kind": "other"}, "kind"),
            ({"key_name": "HOME"}, "key_name"),
            ({"base_url": "https://evil.com/v1"}, "base_url"),
            ({"base_url": "https://evil.com/v1", "key_name": ""}, ""),
            ({"base_url": "ftp://api.x.com", "key_name": ""}, "base_url"),
            ({"options": {"base_url": "https://evil.com"}}, "options"),
            ({"options": [1]}, "options"),
            ({"kind": "scripted", "options": {"script": "os.system"}}, "options"),
            ({"kind": "scripted", "options": {"script": "lingsite.recorded.answers"}}, "options"),
            ({"kind": "scripted", "options": {"script": "recorded"}}, ""),
        ],
    )
    def test_a_key_goes_only_where_the_site_lets_it(self, columns: dict[str, Any], field: str) -> None:
        assert list(faults(self.make(**columns))) == ([field] if field else [])

    def test_an_unknown_script_is_told_the_known_ones(self) -> None:
        (message,) = faults(self.make(kind="scripted", options={"script": "daphne.__main__.x"}))["options"]
        assert "'script'" in message
        assert '"recorded"' in message
        assert "daphne.__main__" not in sys.modules

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"timeut": 5}, "'timeut' was unexpected"),
            ({"timeout": "5"}, "'timeout': \"5\" is not of type"),
            ({"timeout": 0}, "'timeout'"),
            ({"timeout": 1e9}, "'timeout'"),
            ({"timeout": True}, "'timeout'"),
            ({"max_retries": 1.5}, "'max_retries'"),
            ({"max_retries": 1_000_000}, "'max_retries'"),
            ({"max_connections": 0}, "'max_connections'"),
            ({"azure": "yes"}, "'azure'"),
            ({"api_version": "2024/../x"}, "'api_version'"),
            ({"deployment": "../../chat"}, "'deployment'"),
            ({"deployment": ".."}, "'deployment'"),
            ({"deployment": "a?b"}, "'deployment'"),
            ({"deployment": "a", "api_version": "1"}, ""),
            ({"organization": "a\r\nX: y"}, "'organization'"),
            ({"project": "ä"}, "'project'"),
            ({"headers": {"Authorization": "Bearer x"}}, "the name"),
            ({"headers": {"API-Key": "x"}}, "the name"),
            ({"headers": {"Proxy-Authorization": "x"}}, "the name"),
            ({"headers": {"Host": "x"}}, "the name"),
            ({"headers": {"Transfer-Encoding": "chunked"}}, "the name"),
            ({"headers": {"X-A\r\nX": "y"}}, "the name"),
            ({"headers": {"X A": "y"}}, "the name"),
            ({"headers": {"": "y"}}, "the name"),
            ({"headers": {"X-A": "y\r\nAuthorization: z"}}, "'headers/X-A'"),
            ({"headers": {"X-A": "ä"}}, "'headers/X-A'"),
            ({"headers": {"X-A": 5}}, "'headers/X-A'"),
            ({"headers": ["X-A"]}, "'headers'"),
            ({"headers": {"HTTP-Referer": "https://example.com", "X-Title": "my site"}}, ""),
            ({"params": {"stream": False}}, "the name"),
            ({"params": {"temperature": 0.5}}, ""),
            ({"timeout": 30, "max_retries": 0, "max_connections": 5, "model": "m"}, ""),
        ],
    )
    def test_options_are_checked_by_what_the_kind_takes(self, options: Any, message: str) -> None:
        found = faults(self.make(options=options))
        assert list(found) == (["options"] if message else [])
        assert message in "".join(found.get("options", [""]))

    @pytest.mark.parametrize(
        ("options", "good"),
        [
            ({"rate": -1}, False),
            ({"chunk": [3, 1]}, False),
            ({"chunk": [0, 1]}, False),
            ({"chunk": [1]}, False),
            ({"seed": "x"}, False),
            ({"answers": 5}, False),
            ({"usage": {}}, False),
            ({"headers": {}}, False),
            ({"rate": 0, "chunk": [1, 3], "seed": 1, "usage": False, "answers": {"a": "b"}}, True),
        ],
    )
    def test_options_of_a_scripted_one(self, options: Any, good: bool) -> None:
        assert list(faults(self.make(kind="scripted", options=options))) == ([] if good else ["options"])

    def test_azure_needs_the_address_of_the_resource(self) -> None:
        assert list(faults(self.make(base_url="", options={"deployment": "a"}))) == ["base_url"]

    def test_a_kind_of_the_sites_own_may_say_what_it_takes(self, settings: Any) -> None:
        settings.LINGSTREAM = {"PROVIDER_KINDS": {"own": "tests.site.strict"}}
        row = {"kind": "own", "key_name": "", "base_url": ""}
        assert list(faults(self.make(**row, options={"level": 3}))) == []
        assert list(faults(self.make(**row, options={"level": "x"}))) == ["options"]


class TestRuns:
    def test_are_owned_by_a_user_a_visitor_a_session_or_nobody(self) -> None:
        user = User.objects.create(username="u")
        assert Run.objects.create(workflow="w", owner=user).owner_key == f"user:{user.pk}"
        assert Run.objects.create(workflow="w", session_key="s").owner_key == "session:s"
        assert Run.objects.create(workflow="w", session_key="s", visitor="v").owner_key == "visitor:v"
        assert Run.objects.create(workflow="w", owner=user, visitor="v").owner_key == f"user:{user.pk}"
        assert Run.objects.create(workflow="w").owner_key == owner_key(None, "") == "anyone"

    def test_the_owner_key_follows_the_owner(self) -> None:
        run = Run.objects.create(workflow="w", session_key="s")
        run.owner = User.objects.create(username="u")
        run.save(update_fields=["owner"])
        run.refresh_from_db()
        assert run.owner_key == f"user:{run.owner_id}"
        run.owner, run.visitor = None, "v"
        run.save(update_fields=["owner", "visitor"])
        run.refresh_from_db()
        assert run.owner_key == "visitor:v"

    def test_a_key_is_used_once_per_owner_and_scope(self) -> None:
        Run.objects.create(workflow="w", session_key="s", key="k")
        Run.objects.create(workflow="w", session_key="s", key="k", scope="tenant")
        Run.objects.create(workflow="w", session_key="other", key="k")
        Run.objects.create(workflow="w", session_key="s")
        Run.objects.create(workflow="w", session_key="s")
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.create(workflow="x", session_key="s", key="k")

    def test_go_with_their_owner(self) -> None:
        user = User.objects.create(username="u")
        run = Run.objects.create(
            workflow="w", owner=user, conversation=Conversation.objects.create(owner=user)
        )
        BotRun.objects.create(run=run, step="s", instance="s#1", digest="d")
        user.delete()
        assert not Run.objects.exists()
        assert not Conversation.objects.exists()

    def test_have_ended_when_nothing_will_be_added(self) -> None:
        ended = {status for status in Run.Status if Run(workflow="w", status=status).ended}
        assert ended == {Run.Status.FINISHED, Run.Status.FAILED, Run.Status.CANCELED, Run.Status.LOST}

    def test_a_bot_run_has_one_row_per_replay_key(self) -> None:
        run = Run.objects.create(workflow="w")
        row = {"run": run, "step": "s", "instance": "s#1", "root": "a" * 9000 + "\x00", "digest": "d"}
        first = BotRun.objects.create(**row)
        assert first.replay_key == BotRun.make_replay_key("s", row["root"], "d", 0)
        BotRun.objects.create(**row, occurrence=1)
        BotRun.objects.create(**{**row, "run": Run.objects.create(workflow="w")})
        with pytest.raises(IntegrityError), transaction.atomic():
            BotRun.objects.create(**row)

    def test_have_uuids(self) -> None:
        assert isinstance(Run.objects.create(workflow="w").pk, uuid.UUID)


@pytest.mark.parametrize("model", [Prompt, Workflow])
def test_no_manager_deletes_all(model: Any) -> None:
    assert not hasattr(model.objects, "delete")  # as Django's: only a query does
