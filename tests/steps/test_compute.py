"""The kind ``compute``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from lingstream.core.engine.kinds import check_options
from lingstream.core.engine.plan import BotPlan, Plan, StepPlan, TriggerPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.steps import register_kinds
from lingstream.steps.compute import Compute
from lingstream.testing import StepContract
from tests.core.engine.test_workflow import LARGE, SLOW, MemoryJournal
from tests.core.support import outcome

register_kinds()

DATA = {"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "prices": [1.5, 2], "when": "2026-02-27", "n": " 12 "}


def compute(**options: Any) -> Plan:
    return Plan("test", steps=(StepPlan("sum", "compute", options=options),))


@pytest.mark.parametrize(
    ("options", "document"),
    [
        (
            {"set": {"total": "input.prices|sum", "deep/er": "input.b"}},
            {"total": 3.5, "deep": {"er": DATA["b"]}},
        ),
        ({"set": {"": "input.a + 1"}}, 2),
        ({"set": {"n": "input.n|to_int + 1", "x": "'1e3'|to_float"}}, {"n": 13, "x": 1000.0}),
        ({"set": {"d": "input.when|date_add(days=2)"}}, {"d": "2026-03-01"}),
        ({"set": {"d": "'2026-02-27T23:00:00+00:00'|date_add(hours=2)"}}, {"d": "2026-02-28T01:00:00+00:00"}),
        ({"set": {"d": "now[:5]"}}, {"d": "2031-"}),
        ({"from": "input.b"}, DATA["b"]),
        ({"from": "input", "keep": ["a", "n"]}, {"a": 1, "n": " 12 "}),
        ({"from": "input.b", "drop": ["c"], "rename": {"d": "x"}}, {"x": {"e": [3]}}),
        ({"from": "input.b", "flatten": "."}, {"c": 2, "d.e": [3]}),
        ({"from": "{'x': {}}", "flatten": "."}, {"x": {}}),
        ({"from": "input.b", "keep": ["c"], "set": {"more": "true"}}, {"c": 2, "more": True}),
        ({"set": {"slow": SLOW[2:-2]}}, {"slow": 1}),
    ],
)
async def test_puts_what_expressions_come_to(options: Any, document: Any) -> None:
    data = LARGE if "slow" in options.get("set", {}) else DATA
    ended = await outcome(compute(**options), input=data, began="2031-05-20T12:00:00+00:00")
    assert (ended.document, ended.errors) == (document, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set": {"x": "input.nothing"}}, "has no attribute 'nothing'"),
        ({"set": {"x": "'ten'|to_int"}}, "expected a number, got 'ten'"),
        ({"set": {"x": "'nan'|to_float"}}, "expected a number, got 'nan'"),
        (
            {"set": {"x": "input.when|date_add(years=1)"}},
            "expected weeks, days, hours, minutes, seconds, got years",
        ),
        ({"set": {"x": "input.n|date_add(days=1)"}}, "expected a time like"),
        ({"set": {"x": "input.when|date_add(days=10**9)"}}, "expected a time like"),
        ({"from": "input.prices", "drop": ["x"]}, "expected an object to drop fields of, got list"),
        ({"set": {"x": "range(99999)|list|tojson|length * [1]"}}, "characters"),
    ],
)
async def test_fails_by_itself_where_they_come_to_nothing(options: Any, message: str) -> None:
    ended = await outcome(compute(**options), input=DATA)
    (error,) = ended.errors
    assert message in error["message"]
    assert error["bot"] == "sum#1"


async def test_new_names_differ_and_are_the_same_when_it_is_executed_again() -> None:
    options = {"set": {"x": "uuid4()", "y": "[uuid4(), uuid4()]"}}
    flow = Plan(
        "test",
        steps=(BotPlan("list"), StepPlan("id", "compute", root="ids/{{ value }}", options=options)),
        triggers=(TriggerPlan("list", "id", pattern="names/*"),),
    )
    journal = MemoryJournal()
    first = await outcome(flow, '{"names": ["a", "b"]}', journal=journal, name="one")
    again = await outcome(flow, [], journal=journal, epoch=2, name="one")
    other = await outcome(flow, '{"names": ["a", "b"]}', name="two")
    assert again.document == first.document
    made = [each for ended in (first, other) for each in ended.document["ids"].values()]
    ids = [name for each in made for name in (each["x"], *each["y"])]
    assert len(set(ids)) == 12
    assert {str(UUID(name)) for name in ids} == set(ids)


async def test_is_no_call_and_part_of_the_snapshot_when_a_run_is_executed_again() -> None:
    flow = Plan(
        "test",
        steps=(
            BotPlan("ask", root="ask"),
            StepPlan("sum", "compute", root="sum", options={"set": {"x": "value.n + 1"}}),
            BotPlan("last", root="last", input="{{ value }}"),
        ),
        triggers=(TriggerPlan("ask", "sum", "response"), TriggerPlan("sum", "last", "response")),
    )
    journal = MemoryJournal()
    await outcome(flow, {'"x"': [ProviderError("gone")], "": '{"n": 1}'}, journal=journal)
    again = await outcome(flow, {'"x"': '{"n": 2}'}, journal=journal, epoch=2)
    assert again.frames[0].body["document"] == {"ask": {"n": 1}, "sum": {"x": 2}}
    assert {key[0] for key in journal.results} == {"ask", "last"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected the option 'set' or 'from'"),
        ({"set": {}}, "set"),
        ({"set": {"a": 1}}, "set/a"),
        ({"set": {"a": "1"}, "other": 1}, "other"),
        ({"from": "value", "keep": "a"}, "keep"),
        ({"from": "value", "flatten": ""}, "flatten"),
    ],
)
def test_options_are_checked(options: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(StepPlan("sum", "compute", options=options))
    assert message in caught.value.message


class TestContract(StepContract):
    kind = Compute()
    input = {"a": 1}
    options = {"from": "input", "set": {"b": "input.a + 1"}}
    document = {"a": 1, "b": 2}
