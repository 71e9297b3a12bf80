"""From rows to plans, keys and inputs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lingstream.core.engine.inputs import check_input
from lingstream.core.engine.plan import BotPlan, Limits, Plan, ProviderPlan, StepPlan, TriggerPlan
from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.execution.needs import needs_of
from lingstream.execution.plans import load_inner_plan, load_plan, load_provider_plans
from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Trigger, Workflow
from lingstream.providers.policy import admits, carries, check_provider, provider_key


@pytest.fixture
def facts(db: None) -> Workflow:
    """A workflow that uses every column."""
    Provider.objects.create(name="demo", kind="scripted", default_model="small", max_concurrency=3)
    big = Provider.objects.create(
        name="big", kind="openai", base_url="http://localhost/v1", options={"timeout": 3}
    )
    prompt = Prompt.objects.create(slug="details", variables={"tone": "friendly", "length": 3})
    for text in ("one", "{{ tone }}", "three"):
        PromptVersion.objects.create(prompt=prompt, text=text)
    PromptLabel.objects.create(prompt=prompt, name="production", version=prompt.versions.get(number=2))
    workflow = Workflow.objects.create(slug="facts", limits={"bots": 5, "seconds": 1.5})
    first = Step.objects.create(workflow=workflow, name="answer", input="{{ input.q }}", position=1)
    second = Step.objects.create(
        workflow=workflow,
        name="details",
        position=2,
        prompt=prompt,
        variables={"tone": "dry"},
        provider=big,
        model="large",
        params={"temperature": 0},
        root="x/{{ match[0] }}",
        format="text",
        only=["a"],
        exclude=["b"],
        quiet=True,
        optional=True,
        history=True,
        schema={"type": "string"},
    )
    Trigger.objects.create(
        workflow=workflow,
        source=first,
        target=second,
        pattern="a/*",
        condition="value",
        input="{{ uri }}",
        root="y",
    )
    return workflow


def expect(code: str) -> Any:
    return pytest.raises(UsageError, check=lambda error: error.code == code)


class TestLoadPlan:
    def test_resolves_everything(self, facts: Workflow) -> None:
        demo = ProviderPlan(name="demo", kind="scripted", model="small", max_concurrency=3)
        big = ProviderPlan(name="big", kind="openai", base_url="http://localhost/v1", options={"timeout": 3})
        assert load_plan("facts") == Plan(
            workflow="facts",
            steps=(
                BotPlan(name="answer", input="{{ input.q }}", provider=demo, model="small"),
                BotPlan(
                    name="details",
                    prompt="{{ tone }}",
                    variables={"tone": "dry", "length": 3},
                    prompt_version="details v2",
                    root="x/{{ match[0] }}",
                    provider=big,
                    model="large",
                    params={"temperature": 0},
                    format="text",
                    only=("a",),
                    exclude=("b",),
                    quiet=True,
                    optional=True,
                    history=True,
                    schema={"type": "string"},
                ),
            ),
            triggers=(
                TriggerPlan(
                    "answer", "details", pattern="a/*", condition="value", input="{{ uri }}", root="y"
                ),
            ),
            providers=(demo, big),
            limits=Limits(bots=5, seconds=1.5),
        )

    def test_is_stored_and_read_again_unchanged(self, facts: Workflow) -> None:
        plan = load_plan("facts")
        assert Plan.from_json(plan.to_json()) == plan

    def test_thoughts_are_shown_as_the_workflow_says_for_steps_of_each_kind(self, facts: Workflow) -> None:
        Step.objects.create(workflow=facts, name="sum", kind="compute", options={"set": {"a": "1"}})
        for shown in (False, True):
            Workflow.objects.update(show_reasoning=shown)
            assert {step.show_reasoning for step in load_plan("facts").steps} == {shown}

    def test_moving_a_label_changes_the_next_plan(self, facts: Workflow) -> None:
        label = PromptLabel.objects.get()
        label.version = PromptVersion.objects.get(number=3)
        label.save()
        assert load_plan("facts").step("details").prompt == "three"

    def test_takes_few_queries_however_many_steps(
        self, facts: Workflow, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(20):
            Step.objects.create(workflow=facts, name=f"s{number}", prompt=Prompt.objects.get())
        with django_assert_max_num_queries(6):
            load_plan("facts")

    def test_an_unknown_one(self, db: None) -> None:
        with expect("unknown-workflow"):
            load_plan("nope")

    def test_one_that_is_switched_off(self, facts: Workflow) -> None:
        Workflow.objects.update(enabled=False)
        for python in (False, True):
            with expect("workflow-disabled"):
                load_plan("facts", python=python)

    def test_a_label_that_is_missing(self, facts: Workflow) -> None:
        Step.objects.update(label="staging")
        with expect("no-label"):
            load_plan("facts")

    def test_no_default_provider(self, facts: Workflow, settings: Any) -> None:
        settings.LINGSTREAM = {"DEFAULT_PROVIDER": "other"}
        with expect("no-provider"):
            load_plan("facts")

    def test_no_model(self, facts: Workflow) -> None:
        Step.objects.filter(name="details").update(model="")
        with expect("no-model"):
            load_plan("facts")

    @pytest.mark.parametrize("python", [False, True])
    def test_a_site_without_any_provider_is_told_what_to_do(self, facts: Workflow, python: bool) -> None:
        Step.objects.update(provider=None)
        Provider.objects.all().delete()
        with pytest.raises(UsageError, match="there is no provider yet: add one called “demo” in") as caught:
            load_plan("facts", python=python)
        assert caught.value.to_wire()["code"] == "no-provider"
        assert caught.value.to_wire()["provider"] == "demo"

    @pytest.mark.parametrize("edges", [["answer-answer", "answer-details"], ["details-answer"]])
    def test_in_which_nothing_starts(self, facts: Workflow, edges: list[str]) -> None:
        for edge in edges:
            source, target = (Step.objects.get(name=name) for name in edge.split("-"))
            Trigger.objects.create(workflow=facts, source=source, target=target)
        with expect("nothing-starts") as caught:
            load_plan("facts")
        assert "in the workflow 'facts' nothing starts: expected a step" in caught.value.message
        assert load_plan("facts", python=True).python, "there a function decides what starts"

    def test_no_steps(self, db: None) -> None:
        Workflow.objects.create(slug="empty")
        with expect("no-steps"):
            load_plan("empty")

    def test_one_in_python_has_all_providers_the_default_first(self, facts: Workflow) -> None:
        plan = load_plan("anything", python=True)
        assert plan.python
        assert [provider.name for provider in plan.providers] == ["demo", "big"]
        assert load_provider_plans() == plan.providers

    def test_one_in_python_takes_limits_and_steps_of_its_row(self, facts: Workflow) -> None:
        plan = load_plan("facts", python=True)
        assert plan.python
        assert plan.limits.bots == 5
        assert plan.step("details").prompt == "{{ tone }}"
        assert plan.triggers == ()


def inner(slug: str, to: str) -> Step:
    """A workflow whose one step executes another one."""
    row, _ = Workflow.objects.get_or_create(slug=slug)
    return Step.objects.create(workflow=row, name="ask", kind="workflow", options={"workflow": to})


class TestOtherKinds:
    def test_have_their_options_and_no_provider(self, facts: Workflow) -> None:
        Workflow.objects.create(slug="sum")
        Step.objects.create(
            workflow=Workflow.objects.get(slug="sum"),
            name="add",
            kind="compute",
            options={"set": {"total": "1 + 1"}},
            timeout=2.5,
            retries=3,
            only=["total"],
        )
        plan = load_plan("sum")
        assert plan == Plan(
            workflow="sum",
            steps=(
                StepPlan(
                    "add",
                    "compute",
                    options={"set": {"total": "1 + 1"}},
                    timeout=2.5,
                    retries=3,
                    only=("total",),
                ),
            ),
        )
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
        assert needs_of(plan) == "compute"

    @pytest.mark.parametrize(
        ("columns", "code"),
        [({"kind": "gone"}, "unknown-kind"), ({"kind": "compute", "options": {"set": {}}}, "option")],
    )
    def test_a_row_that_does_not_fit_any_more(self, facts: Workflow, columns: Any, code: str) -> None:
        Step.objects.filter(name="details").update(**columns)
        with expect(code) as caught:
            load_plan("facts")
        assert isinstance(caught.value, ConfigurationError)
        assert "the step 'details'" in caught.value.message

    def test_a_workflow_inside_is_part_of_the_plan(self, facts: Workflow) -> None:
        inner("outer", "middle")
        inner("middle", "facts")
        schema = {"type": "object"}
        Workflow.objects.filter(slug="facts").update(input_schema=schema)
        plan = load_plan("outer")
        assert list(plan.workflows) == ["middle", "facts"]
        assert plan.workflows["facts"] == replace(load_plan("facts"), input_schema=schema)
        assert load_inner_plan("middle").workflows == {"facts": plan.workflows["facts"]}
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
        assert needs_of(plan) == "workflow"

    def test_one_inside_that_is_a_function_has_to_be_known(self, db: None) -> None:
        inner("outer", "cloud-facts-python")
        assert needs_of(load_plan("outer")) == "@cloud-facts-python workflow"

    def test_a_circle(self, db: None) -> None:
        inner("one", "two")
        inner("two", "one")
        with expect("workflow-cycle") as caught:
            load_plan("one")
        assert "one → two → one" in caught.value.message

    def test_one_inside_that_is_switched_off(self, facts: Workflow) -> None:
        inner("outer", "facts")
        Workflow.objects.filter(slug="facts").update(enabled=False)
        with expect("workflow-disabled"):
            load_plan("outer")


class TestStoredBefore:
    def test_a_plan_without_kinds_reads_as_one_of_bots(self, facts: Workflow) -> None:
        plan = load_plan("facts")
        stored = json.loads(json.dumps(plan.to_json()))
        for name in ("version", "workflows", "input_schema"):
            del stored[name]
        for step in stored["steps"]:
            for name in ("kind", "options", "timeout", "retries", "messages"):
                del step[name]
        for trigger in stored["triggers"]:
            del trigger["otherwise"]
        assert Plan.from_json(stored) == plan

    def test_one_of_a_later_version_is_not_guessed_at(self, facts: Workflow) -> None:
        with pytest.raises(UsageError, match="expected a plan of version 3 at most, got 4"):
            Plan.from_json({**load_plan("facts").to_json(), "version": 4})


class TestValidateInput:
    SCHEMA = {
        "type": "object",
        "properties": {
            "question": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "items": {"enum": ["a"]}},
        },
        "required": ["question"],
    }

    @pytest.mark.parametrize("value", [{"question": "x"}, {"question": "x", "tags": ["a"], "more": 1}])
    def test_accepts_what_fits(self, value: Any) -> None:
        check_input(self.SCHEMA, value)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({}, '"question" is a required property'),
            ({"question": 3}, "at 'question': 3 is not of type \"string\""),
            ({"question": ""}, "at 'question': it is empty"),
            ({"question": "x", "tags": ["a", "b"]}, "at 'tags/1': \"b\" is not one of"),
            ("text", 'is not of type "object"'),
            ({"question": ["x" * 9999]}, "a list of 1 items is not of type"),
        ],
    )
    def test_names_the_place_and_what_was_expected(self, value: Any, message: str) -> None:
        with expect("invalid-input") as caught:
            check_input(self.SCHEMA, value)
        assert message in caught.value.message
        assert len(caught.value.message) < 500

    @pytest.mark.parametrize(
        ("value", "uri"),
        [({}, ""), ({"question": ""}, "question"), ({"question": "x", "tags": ["b"]}, "tags/0")],
    )
    def test_tells_pages_at_which_field(self, value: Any, uri: str) -> None:
        with expect("invalid-input") as caught:
            check_input(self.SCHEMA, value)
        assert caught.value.to_wire()["uri"] == uri

    def test_an_empty_schema_accepts_anything(self) -> None:
        check_input({}, [1, None])

    @pytest.mark.parametrize("schema", [{"$ref": "http://127.0.0.1:1/schema.json"}, {"pattern": "(?=a)"}])
    def test_a_stored_schema_that_cannot_be_used_is_told_and_nothing_is_fetched(self, schema: Any) -> None:
        with expect("invalid-schema") as caught:
            check_input(schema, {})
        assert "the workflow's input schema cannot be used: at" in caught.value.message

    @pytest.mark.parametrize("schema", [{}, {"type": "array"}])
    def test_depth_is_bounded_whatever_the_schema(self, schema: Any) -> None:
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        with expect("too-deep"):
            check_input(schema, deep)


class TestKeys:
    @pytest.mark.parametrize(
        ("prefix", "url"),
        [
            ("https://api.x.com", "https://api.x.com"),
            ("https://api.x.com", "https://api.x.com/v1"),
            ("https://api.x.com/", "https://API.X.com:443/v1/"),
            ("https://api.x.com/v1", "https://api.x.com/v1"),
            ("https://api.x.com/v1/", "https://api.x.com/v1"),
            ("https://api.x.com/v1", "https://api.x.com/v1/deployments"),
            ("http://[::1]:11434/v1", "http://[::1]:11434/v1"),
        ],
    )
    def test_a_prefix_admits_what_lies_below_it(self, prefix: str, url: str) -> None:
        assert admits(prefix, url)

    @pytest.mark.parametrize(
        ("prefix", "url"),
        [
            ("https://api.x.com", "https://api.x.com.evil.com"),
            ("https://api.x.com", "https://api.x.com@evil.com"),
            ("https://api.x.com", "https://user:pw@api.x.com"),
            ("https://api.x.com", "https://evil.com/https://api.x.com"),
            ("https://api.x.com", "https://evil.com#api.x.com"),
            ("https://api.x.com", "https://evil.com?https://api.x.com"),
            ("https://api.x.com", "https://evil.com\\@api.x.com"),
            ("https://api.x.com", "https://api.x.com\\.evil.com"),
            ("https://api.x.com", "http://api.x.com"),
            ("https://api.x.com", "https://api.x.com:8443"),
            ("https://api.x.com", "https://api.x.com:99999"),
            ("https://api.x.com", "//api.x.com"),
            ("https://api.x.com", "file://api.x.com"),
            ("https://api.x.com", ""),
            ("https://api.x.com", "https://api.x.com\n.evil.com"),
            ("https://api.x.com", " https://api.x.com"),
            ("https://api.x.com", "https://api.x.co\u043c"),
            ("https://api.x.com/v1", "https://api.x.com/v10"),
            ("https://api.x.com/v1", "https://api.x.com/"),
            ("https://api.x.com/v1", "https://api.x.com/v1/../admin"),
            ("https://api.x.com/v1", "https://api.x.com/v1/%2e%2e/admin"),
            ("https://api.x.com/v1", "https://api.x.com/v1/./x"),
            ("", "https://api.x.com"),
            ("https://", "https://api.x.com"),
        ],
    )
    def test_a_prefix_admits_nothing_that_looks_like_it(self, prefix: str, url: str) -> None:
        assert not admits(prefix, url)

    @pytest.mark.parametrize(
        ("url", "may"),
        [
            ("https://api.x.com/v1", True),
            ("https://api.x.com/v1/?q=https://evil.com/@#x", True),
            ("https://api.x.com/v1/group%2Fproject/a%20b", True),
            ("https://api.x.com/v1/a..b", True),
            ("https://api.x.com/v2?/v1", False),
            ("https://api.x.com/v%31/x", False),
            ("https://api.x.com%2Fv1/x", False),
            ("https://api.x.com/v1/%2e%2e/admin", False),
            ("https://api.x.com/v1/x%2F..%2F../admin", False),
            ("https://api.x.com/v1/x%252F..%252Fadmin", False),
            ("https://api.x.com/v1/..;x/admin", False),
            ("https://api.x.com/v1/..%5Cadmin", False),
            ("https://evil.com/?https://api.x.com/v1", False),
        ],
    )
    def test_a_request_carries_one_below_a_prefix_whatever_its_query_and_escapes(
        self, settings: Any, url: str, may: bool
    ) -> None:
        settings.LINGSTREAM = {"PROVIDER_KEYS": {"KEY": ["https://api.x.com/v1"]}}
        assert carries("KEY", url) is may
        assert not carries("OTHER", url)

    @pytest.fixture
    def site(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.LINGSTREAM = {
            "PROVIDER_KEYS": {"KEY": ["https://api.x.com/v1", "https://api.openai.com"]},
            "PROVIDER_KINDS": {"own": "lingstream.providers.openai.build"},
            "ALLOW_HOSTS": ["localhost:11434"],
        }
        monkeypatch.setenv("KEY", "s3cret")
        monkeypatch.setenv("OTHER", "0ther")

    def plan(self, **columns: Any) -> ProviderPlan:
        return ProviderPlan(
            **{"kind": "openai", "base_url": "https://api.x.com/v1", "key_name": "KEY", **columns}
        )

    @pytest.mark.parametrize(
        ("columns", "key"),
        [
            ({}, "s3cret"),
            ({"base_url": ""}, "s3cret"),
            ({"kind": "own"}, "s3cret"),
            ({"key_name": "", "base_url": "http://localhost:11434/v1"}, ""),
            ({"kind": "scripted", "key_name": "OTHER"}, ""),
        ],
    )
    def test_a_listed_key_is_read(self, site: None, columns: dict[str, Any], key: str) -> None:
        assert provider_key(self.plan(**columns)) == key

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            ({"key_name": "OTHER"}, "key-not-listed"),
            ({"base_url": "https://evil.com"}, "base-url"),
            ({"base_url": "", "kind": "own"}, "base-url"),
            ({"base_url": "nonsense", "key_name": ""}, "base-url"),
            ({"base_url": "http://127.0.0.1/v1", "key_name": ""}, "base-url"),
            ({"base_url": "http://localhost:6379", "key_name": "", "kind": "own"}, "base-url"),
            ({"options": {"azure_endpoint": "https://evil.com"}}, "option"),
            ({"options": {"default_headers": {}}, "key_name": ""}, "option"),
            ({"kind": "scripted", "options": {"script": "subprocess.run"}}, "option"),
            ({"kind": "scripted", "options": {"script": "lingsitex.y"}}, "option"),
        ],
    )
    def test_any_other_is_refused_without_being_named(
        self, site: None, columns: dict[str, Any], code: str
    ) -> None:
        with expect(code) as caught:
            provider_key(self.plan(**columns))
        assert "s3cret" not in caught.value.message
        assert "0ther" not in caught.value.message
        with expect(code):
            check_provider(self.plan(**columns))

    def test_a_missing_key_is_told_by_its_name(self, site: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KEY")
        with expect("key-missing") as caught:
            provider_key(self.plan())
        assert "KEY" in caught.value.message
