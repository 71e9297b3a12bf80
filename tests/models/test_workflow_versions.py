"""Drafts and published versions: what runs start from, and what becomes of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import ProtectedError

from lingstream.access.identity import Identity
from lingstream.core.engine.plan import BotPlan, Plan
from lingstream.core.engine.registry import workflow as python_workflow
from lingstream.core.exceptions import UsageError
from lingstream.execution.plans import load_inner_plan, load_plan
from lingstream.execution.start import Start, create_run
from lingstream.models import (
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    PublishedStep,
    Run,
    Step,
    Trigger,
    Workflow,
    WorkflowVersion,
)
from tests.access.test_migration import migrate
from tests.tables import Versions

ASKED = {"type": "object", "required": ["question"]}


@pytest.fixture
def facts(db: None) -> Workflow:
    Provider.objects.create(name="demo", kind="scripted")
    workflow = Workflow.objects.create(slug="facts", input_schema=ASKED, limits={"bots": 3})
    first = Step.objects.create(
        workflow=workflow, name="answer", input="{{ input.question }}", prompt=prompt("short"), timeout=5
    )
    second = Step.objects.create(workflow=workflow, name="details", only=["a"], root="details")
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="answer")
    return workflow


def prompt(slug: str) -> Prompt:
    row = Prompt.objects.create(slug=slug)
    version = PromptVersion.objects.create(prompt=row, text=f"Be {slug}.")
    PromptLabel.objects.create(prompt=row, name="production", version=version)
    return row


def expect(code: str) -> Any:
    return pytest.raises(UsageError, check=lambda error: error.code == code)


def edit(workflow: Workflow, **columns: Any) -> None:
    Step.objects.filter(workflow=workflow, name="answer").update(**columns)


def inputs(slug: str = "facts") -> list[str]:
    return [step.input for step in load_plan(slug).steps]


class TestStarting:
    def test_without_a_version_from_the_rows(self, facts: Workflow) -> None:
        edit(facts, input="hello")
        assert inputs() == ["hello", "{{ value }}"] and load_plan("facts").published == 0

    def test_a_version_is_the_plan_that_the_rows_made(
        self, facts: Workflow, django_assert_max_num_queries: Any
    ) -> None:
        before = load_plan("facts").to_json()
        facts.publish()
        with django_assert_max_num_queries(5):
            plan = load_plan("facts")
        assert plan.to_json() == {**before, "published": 1}

    def test_edits_wait_until_they_are_published(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, input="hello")
        Workflow.objects.update(limits={}, input_schema={}, show_reasoning=True)
        plan = load_plan("facts")
        assert (plan.steps[0].input, plan.limits.bots, plan.show_reasoning) == (
            "{{ input.question }}",
            3,
            False,
        )
        assert plan.steps[0].show_reasoning is False
        with pytest.raises(UsageError, match="question"):
            create_run(Start("facts", {}), Identity.of_site())
        facts.publish()
        plan = load_plan("facts")
        assert (plan.steps[0].input, plan.limits.bots, plan.published) == ("hello", 64, 2)
        assert plan.show_reasoning is True

    def test_prompts_are_published_by_themselves(self, facts: Workflow) -> None:
        facts.publish()
        row = Prompt.objects.get()
        new = PromptVersion.objects.create(prompt=row, text="Be long.")
        assert load_plan("facts").steps[0].prompt == "Be short."
        PromptLabel.objects.update(version=new)
        assert load_plan("facts").steps[0].prompt == "Be long."

    def test_who_may_start_it_holds_at_once(self, facts: Workflow) -> None:
        facts.publish()
        Workflow.objects.update(enabled=False)
        with expect("workflow-disabled"):
            load_plan("facts")

    def test_saving_a_row_from_before_leaves_what_is_live(self, facts: Workflow) -> None:
        facts.publish()
        before = Workflow.objects.get()
        Step.objects.filter(name="answer").update(name="reply")
        facts.publish()
        before.name = "Facts"
        before.save()
        now = Workflow.objects.get()
        assert (now.name, now.published.number, now.draft_only) == ("Facts", 2, False)
        assert load_plan("facts", before).steps[0].name == "reply"  # as start() has read it

    def test_a_draft_only_does_not_start(self, facts: Workflow) -> None:
        Workflow.objects.update(draft_only=True)
        with expect("not-published"):
            load_plan("facts")
        Workflow.objects.get().publish()
        assert load_plan("facts").published == 1

    def test_one_inside_another_is_the_published_one(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, input="hello")
        Workflow.objects.update(input_schema={})
        plan = load_inner_plan("facts")
        assert (plan.steps[0].input, plan.published, plan.input_schema) == ("{{ input.question }}", 1, ASKED)

    def test_a_function_takes_its_steps_from_the_version(self, facts: Workflow) -> None:
        @python_workflow("facts")
        async def function(run: Any) -> None: ...

        facts.publish()
        edit(facts, input="hello")
        plan = load_plan("facts", python=True)
        assert (plan.step("answer").input, plan.published, plan.triggers) == ("{{ input.question }}", 1, ())


class TestPublishing:
    def test_is_counted_and_signed(self, facts: Workflow) -> None:
        user = User.objects.create_user("ada")
        facts.publish(by=user, note="first")
        edit(facts, input="hello")
        facts.publish()
        rows = facts.versions.values_list("number", "note", "created_by__username")
        assert list(rows) == [(2, "", None), (1, "first", "ada")]

    def test_what_is_published_already_is_not_again(self, facts: Workflow) -> None:
        facts.publish()
        assert not facts.differs
        with expect("unchanged"):
            facts.publish()
        edit(facts, schema={"properties": {"b": {}, "a": {}}})
        assert facts.differs
        facts.publish()
        edit(facts, schema={"properties": {"a": {}, "b": {}}})
        assert facts.differs, "the order of a schema is that in which a model writes"

    @pytest.mark.parametrize(
        ("columns", "where"),
        [
            ({"input": "{{ valeu }}"}, "steps/answer/input: "),
            ({"label": "gone"}, "steps/answer/label: "),
            ({"kind": "unheard-of"}, "steps/answer/kind: "),
            ({"root": "x/{{ match[0] }}"}, "steps/answer/root: "),
        ],
    )
    def test_what_cannot_work_is_not(self, facts: Workflow, columns: Any, where: str) -> None:
        edit(facts, **columns)
        with pytest.raises(UsageError, match=where) as caught:
            facts.publish()
        assert caught.value.code == "draft"
        assert not WorkflowVersion.objects.exists()

    def test_neither_is_one_that_nothing_starts(self, facts: Workflow) -> None:
        first, second = facts.steps.order_by("pk")
        Trigger.objects.create(workflow=facts, source=second, target=first)
        with pytest.raises(UsageError, match="nothing starts"):
            facts.publish()
        empty = Workflow.objects.create(slug="empty")
        with pytest.raises(UsageError, match="Expected a step"):
            empty.publish()

    def test_versions_never_change(self, facts: Workflow) -> None:
        version = facts.publish()
        for change in (
            version.save,
            version.delete,
            WorkflowVersion.objects.all().delete,
            lambda: WorkflowVersion.objects.update(note="x"),
        ):
            with expect("immutable"), transaction.atomic():
                change()

    def test_they_go_with_their_workflow(self, facts: Workflow) -> None:
        facts.publish()
        Workflow.objects.all().delete()
        assert not (WorkflowVersion.objects.exists() or PublishedStep.objects.exists())


class TestWhatAVersionNames:
    """A version names prompts and providers that have lives of their own."""

    def test_may_be_renamed(self, facts: Workflow) -> None:
        facts.publish()
        Prompt.objects.update(slug="brief")
        assert load_plan("facts").steps[0].prompt_version == "brief v1"
        assert not facts.differs

    def test_may_not_be_deleted_when_the_draft_has_done_without(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, prompt=None)
        with pytest.raises(ProtectedError):
            Prompt.objects.all().delete()
        facts.publish()
        Prompt.objects.all().delete()

    def test_a_label_stays_while_the_published_version_asks_for_it(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, prompt=None)
        label = PromptLabel.objects.get()
        assert label.in_use(label.users()).count("facts/answer") == 1
        with pytest.raises(ProtectedError):
            label.delete()
        Workflow.objects.update(enabled=False)
        label.delete()


class TestGoingBack:
    def test_is_for_runs_and_for_the_draft(self, facts: Workflow) -> None:
        facts.publish()
        kept = Step.objects.get(name="answer").pk
        Step.objects.create(workflow=facts, name="extra", input="x", root="extra")
        edit(facts, input="hello")
        facts.publish()
        facts.roll_back(1)
        assert inputs() == ["{{ input.question }}", "{{ value }}"]
        assert load_plan("facts").published == 1
        assert Step.objects.get(name="answer").pk == kept
        assert not facts.differs and facts.versions.count() == 2

    def test_keeps_a_draft_that_was_no_version(self, facts: Workflow) -> None:
        user = User.objects.create_user("ada")
        facts.publish()
        edit(facts, input="hello")
        facts.publish()
        edit(facts, input="work in progress")
        facts.roll_back(1, by=user)
        kept = facts.versions.get(number=3)
        assert (kept.plan["steps"][0]["input"], kept.created_by) == ("work in progress", user)
        facts.take_up(3)
        assert load_plan("facts").published == 1 and facts.differs
        facts.publish()
        assert inputs()[0] == "work in progress"

    def test_is_refused_where_a_prompt_has_gone_and_changes_nothing(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, prompt=None)
        facts.publish()
        Prompt.objects.all().delete()
        with expect("unknown-prompt"):
            facts.roll_back(1)
        assert Workflow.objects.get().published.number == 2
        with expect("unknown-version"):
            facts.roll_back(9)

    def test_is_refused_where_a_label_has_gone_and_changes_nothing(self, facts: Workflow) -> None:
        facts.publish()
        edit(facts, prompt=None, input="hello")
        facts.publish()
        PromptLabel.objects.all().delete()
        with expect("draft"):
            facts.roll_back(1)
        assert inputs()[0] == "hello" and Workflow.objects.get().published.number == 2

    def test_a_run_keeps_its_plan(self, facts: Workflow) -> None:
        facts.publish()
        run, _new = create_run(Start("facts", {"question": "why?"}), Identity.of_site())
        edit(facts, input="hello")
        facts.publish()
        plan = Plan.from_json(Run.objects.get(pk=run.pk).plan)
        assert (plan.published, plan.steps[0].input) == (1, "{{ input.question }}")


@pytest.fixture
def before_versions(transactional_db: None, versions: Versions) -> Iterator[Any]:
    with versions.at("lingstream", "0018_schedules") as apps:
        yield apps


def test_workflows_from_before_are_published_and_back(before_versions: Any) -> None:
    target = [("lingstream", "0018_schedules")]
    apps = before_versions
    old = {name: apps.get_model("lingstream", name) for name in ("Workflow", "Step", "Trigger", "Prompt")}
    workflow = old["Workflow"].objects.create(slug="facts", limits={"bots": 3})
    asked = old["Prompt"].objects.create(slug="short")
    steps = [
        old["Step"].objects.create(workflow=workflow, name=name, position=position, prompt=asked)
        for name, position in (("second", 2), ("first", 1))
    ]
    old["Trigger"].objects.create(workflow=workflow, source=steps[1], target=steps[0], pattern="a")
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())
    row = Workflow.objects.get()
    assert row.published and row.published.number == 1 and not row.differs
    assert [step["name"] for step in row.published.plan["steps"]] == ["first", "second"]
    assert row.published_steps.get(name="first").prompt_id == asked.pk
    migrate(*target)
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert Workflow.objects.get().published.number == 1


@pytest.fixture
def before_lists(transactional_db: None, versions: Versions) -> Iterator[Any]:
    with versions.at("lingstream", "0026_occasions_in_the_plural") as apps:
        yield apps


def test_runs_from_before_are_listed_by_their_version(before_lists: Any) -> None:
    old = before_lists.get_model("lingstream", "Run")
    step = BotPlan("say", prompt='NUL \x00, and "published":9')
    plans = [Plan("facts", published=12, steps=(step,)).to_json(), Plan("facts", steps=(step,)).to_json(), {}]
    made = [old.objects.create(workflow="facts", plan=plan).pk for plan in plans]
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert [Run.objects.get(pk=pk).published for pk in made] == [12, 0, 0]
    old.objects.create(workflow="facts")  # a process of before goes on meanwhile
