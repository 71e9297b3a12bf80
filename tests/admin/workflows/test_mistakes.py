"""Every mistake that a workflow's page refuses or tells of: where it stands, and how it says to mend it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from lingstream.conf import app_settings
from lingstream.models import Provider, Step, Trigger, Workflow

from ..forms import errors_of, is_chinese, post_page
from .test_workflows import URL, new_step, new_trigger

pytestmark = pytest.mark.django_db

CLOSED = '{"type": "object", "properties": {"answer": {"type": "string"}}, "additionalProperties": false}'
EXAMPLE = '{"answer": "text", "list": [{"topic": "a"}, {"topic": "b"}], "rain": 5, "sure": 0.5, "no": null}'
WRAPPED = (
    '{"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "object"}}}'
)
REMOTE = '{"$ref": "https://example.org/schema.json"}'

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unreachable": (
        {**new_step(2, "lost"), **new_trigger(1, "name:lost", "name:lost", condition="value")},
        "steps-2-name",
        "expected triggers that lead to it from answer",
    ),
    "cycle without a bound": (
        new_trigger(1, "<details>", "<details>", event="response"),
        "triggers-1-condition",
        "expected a condition on one of these triggers",
    ),
    "match beyond the stars": ({"triggers-0-root": "{{ match[0] }}"}, "triggers-0-root", "its pattern has 0"),
    "match at the start": ({"steps-0-root": "{{ match[0] }}"}, "steps-0-root", "it starts with the run"),
    "one root of two": (
        {**new_step(2, "more", format="text"), "steps-0-format": "text", "triggers-0-pattern": ""},
        "steps-2-root",
        "expected another root for one of them",
    ),
    "a pattern beside the schema": (
        {"steps-0-schema": CLOSED, "triggers-0-pattern": "answr"},
        "triggers-0-pattern",
        "its schema allows nothing like it",
    ),
    "a pattern of an end": (
        {"triggers-0-event": "response"},
        "triggers-0-pattern",
        "at the root of the step",
    ),
    "an event of another kind": (
        {"triggers-0-event": "letter-sent"},
        "triggers-0-event",
        "expected an event that answer emits (string-response,",
    ),
    "no prompt and no input": ({"steps-0-input": ""}, "steps-0-input", "expected a prompt, or an input like"),
    "a root with a slash in front": ({"steps-0-root": "/a"}, "steps-0-root", "write a"),
    "a root with a slash at the end": ({"steps-1-root": "a/"}, "steps-1-root", "write a"),
    "a root with an empty segment": ({"steps-1-root": "a//{{ uri }}"}, "steps-1-root", "write a/{{ uri }}"),
    "such a root of a trigger": ({"triggers-0-root": "/a//b/"}, "triggers-0-root", "write a/b"),
    "half an escape": ({"steps-1-root": "a\\"}, "steps-1-root", "half an escape"),
    "a pattern that is no uri": ({"triggers-0-pattern": "a//b"}, "triggers-0-pattern", "outline/*/topic"),
    "NaN": ({"steps-0-params": '{"temperature": NaN}'}, "steps-0-params", "got NaN: leave it out"),
    "infinity": ({"limits": '{"seconds": -Infinity}'}, "limits", "got -Infinity: leave it out"),
    "a number beyond a double": ({"steps-0-variables": '{"x": [1e999]}'}, "steps-0-variables", "got 1e999"),
    "an integer beyond a double": ({"steps-0-params": "[" + "9" * 400 + "]"}, "steps-0-params", "9999…"),
    "a limit out of range": ({"limits": '{"bots": 0}'}, "limits", "Expected a positive number for bots"),
    "a parameter that is a field": ({"steps-0-params": '{"model": "x"}'}, "steps-0-params", '"model"'),
    "a parameter of another type": ({"steps-0-params": '{"temperature": "hot"}'}, "steps-0-params", '"hot"'),
    "a parameter out of range": ({"steps-0-params": '{"top_p": 2}'}, "steps-0-params", "maximum of 1"),
    "an example for a schema": ({"steps-0-schema": EXAMPLE}, "steps-0-schema", "This is an example"),
    "an example for the input": ({"input_schema": '{"question": "Why?"}'}, "input_schema", "an example"),
    "an envelope around a schema": ({"steps-0-schema": WRAPPED}, "steps-0-schema", "the JSON schema alone"),
    "a remote reference": ({"steps-0-schema": REMOTE}, "steps-0-schema", "like #/$defs/name"),
    "a reference to nothing": ({"steps-0-schema": '{"$ref": "#/$defs/x"}'}, "steps-0-schema", "not exist"),
    "an expression that goes back": ({"steps-0-schema": '{"pattern": "(?=a)b"}'}, "steps-0-schema", "linear"),
}
TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "a star without match": ({"triggers-0-pattern": "list/*/topic"}, "expected {{ match[0] }} in the root"),
    "a cycle that a model ends": (
        new_trigger(1, "<details>", "<details>", pattern="d/x"),
        "goes round: details → details, and no condition ends it",
    ),
    "value at the start": ({"steps-0-input": "{{ value }}"}, "expected {{ input.question }}"),
    "a field of two": (
        {"steps-0-schema": CLOSED, **new_step(2, "more", schema=CLOSED)},
        "both write the field 'answer'",
    ),
}


@pytest.fixture
def workflow() -> Workflow:
    Provider.objects.create(name=app_settings().default_provider, kind="openai")
    workflow = Workflow.objects.create(slug="facts")
    first = Step.objects.create(workflow=workflow, name="answer", input="{{ input.question }}", position=1)
    second = Step.objects.create(workflow=workflow, name="details", root="d", position=2)
    Trigger.objects.create(workflow=workflow, source=first, target=second, pattern="answer")
    return workflow


def save(client: Client, workflow: Workflow, changes: dict[str, Any]) -> Any:
    names = {f"<{step.name}>": str(step.pk) for step in workflow.steps.all()}
    changes = {name: names.get(value, value) for name, value in changes.items()}
    return post_page(client, f"{URL}{workflow.pk}/change/", changes)


@pytest.mark.parametrize(("changes", "place", "remedy"), REFUSED.values(), ids=REFUSED)
def test_is_refused_at_its_field(
    admin_client: Client, workflow: Workflow, changes: dict[str, Any], place: str, remedy: str
) -> None:
    found = errors_of(save(admin_client, workflow, changes))
    assert list(found) == [place]
    assert remedy in " ".join(found[place])
    assert list(workflow.steps.values_list("name", flat=True)) == ["answer", "details"]


@pytest.mark.parametrize(("changes", "remedy"), TOLD.values(), ids=TOLD)
def test_is_told_of_and_saved(
    admin_client: Client, workflow: Workflow, changes: dict[str, Any], remedy: str
) -> None:
    response = save(admin_client, workflow, changes)
    assert response.status_code == 302, errors_of(response)
    found = [str(each) for each in get_messages(response.wsgi_request) if each.level_tag == "warning"]
    assert any(remedy in each for each in found)


@pytest.mark.parametrize(
    "changes", [case[0] for case in (*REFUSED.values(), *TOLD.values())], ids=[*REFUSED, *TOLD]
)
def test_is_said_in_the_readers_language(
    chinese: Client, workflow: Workflow, changes: dict[str, Any]
) -> None:
    response = save(chinese, workflow, changes)
    told = [str(each) for each in get_messages(response.wsgi_request) if each.level_tag == "warning"]
    found = told or [text for texts in errors_of(response).values() for text in texts]
    assert found
    assert [text for text in found if not is_chinese(text)] == []


def test_nothing_starts_is_told_of_the_whole(admin_client: Client, workflow: Workflow) -> None:
    response = save(admin_client, workflow, new_trigger(1, "<details>", "<answer>", pattern="d"))
    assert "nothing starts: expected a step that no trigger starts" in response.content.decode()


def test_so_it_is_in_the_readers_language(chinese: Client, workflow: Workflow) -> None:
    response = save(chinese, workflow, new_trigger(1, "<details>", "<answer>", pattern="d"))
    assert (
        "没有任何步骤会启动：应有一个不由触发器启动的步骤，但 answer, details 都在等待触发器"
        in response.content.decode()
    )


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (WRAPPED, {"type": "object"}),
        ('{"name": "x", "strict": true, "schema": {"type": "array"}}', {"type": "array"}),
        (
            '{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}',
            {"type": "object"},
        ),
        ('{"name": "f", "description": "", "input_schema": {"type": "object"}}', {"type": "object"}),
        (
            EXAMPLE,
            {
                "type": "object",
                "properties": {
                    "answer": {"type": "string"},
                    "list": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"topic": {"type": "string"}},
                            "required": ["topic"],
                            "additionalProperties": False,
                        },
                    },
                    "rain": {"type": "integer"},
                    "sure": {"type": "number"},
                    "no": {},
                },
                "required": ["answer", "list", "rain", "sure", "no"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_the_schema_that_was_meant_is_offered_and_can_be_saved(
    admin_client: Client, workflow: Workflow, text: str, schema: dict[str, Any]
) -> None:
    response = save(admin_client, workflow, {"input_schema": text})
    html = response.content.decode()
    button = html[html.index('class="ling-convert"') :].partition("</button>")[0]
    offered = button.partition('data-ling-schema="')[2].partition('"')[0].replace("&quot;", '"')
    assert json.loads(offered) == schema
    assert "Take this schema" in button
    assert save(admin_client, workflow, {"input_schema": offered}).status_code == 302


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$comment": "anything"},
        {"title": "Answer", "description": "of a bot"},
        {"type": "object"},
        {"properties": {"schema": {"type": "object"}}},
        {"type": "object", "name": "x", "schema": {"type": "object"}, "required": ["a"]},
        {"x-own": 1},
    ],
)
def test_what_may_be_a_schema_is_one(admin_client: Client, workflow: Workflow, schema: Any) -> None:
    response = save(admin_client, workflow, {"input_schema": json.dumps(schema)})
    assert response.status_code == 302, errors_of(response)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('{"timout": 3}', "expected options among model, api, timeout,"),
        ('{"timeout": 99999}', "maximum of 3600"),
        ('{"timeout": NaN}', "got NaN"),
        ('{"params": {"stream": false}}', '"stream"'),
    ],
)
def test_options_that_a_provider_does_not_know(admin_client: Client, options: str, message: str) -> None:
    changes = {"name": "own", "kind": "openai", "options": options}
    found = errors_of(post_page(admin_client, "/admin/lingstream/provider/add/", changes))
    assert list(found) == ["options"]
    assert message in found["options"][0]


@pytest.mark.parametrize("options", ['{"timout": 3}', '{"timeout": 99999}', '{"timeout": NaN}', '{"url": 1}'])
def test_which_is_said_in_the_readers_language(chinese: Client, options: str) -> None:
    changes = {"name": "own", "kind": "openai", "options": options}
    (text,) = errors_of(post_page(chinese, "/admin/lingstream/provider/add/", changes))["options"]
    assert is_chinese(text), text


def test_parameters_are_those_of_the_steps_provider(admin_client: Client, workflow: Workflow) -> None:
    scripted = Provider.objects.create(name="recorded", kind="scripted")
    params = {"steps-0-params": '{"temperature": "hot"}', "steps-0-provider": scripted.pk}
    assert save(admin_client, workflow, params).status_code == 302
