"""What is wrong with a workflow before anything runs: a table of the smallest ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from lingstream.core.engine import writes
from lingstream.core.engine.graph import CODES, Fault, Graph, Node, faults
from lingstream.core.engine.nodes import Known
from lingstream.core.engine.plan import BotPlan, Limits, Plan, TriggerPlan
from lingstream.core.engine.reach import Budget
from lingstream.core.phrases import Phrase
from tests.catalogs import APPS, said_in
from tests.core.engine import test_workflow as flows


def on(
    source: str, target: str, pattern: str = "", event: Any = "string-response", **more: Any
) -> TriggerPlan:
    return TriggerPlan(source, target, event, pattern, **more)


def graph(*parts: str | Node | TriggerPlan, depth: int = 8) -> Graph:
    """A graph of steps (a name stands for one with nothing special), each of which asks, and triggers."""
    triggers = tuple(part for part in parts if isinstance(part, TriggerPlan))
    steps = (part for part in parts if not isinstance(part, TriggerPlan))
    nodes = [Node(part) if isinstance(part, str) else part for part in steps]
    return Graph(tuple(replace(node, input=node.input or "Go on.") for node in nodes), triggers, depth)


def schema(*names: str, closed: bool = True, **more: Any) -> dict[str, Any]:
    """A schema of an object with these texts."""
    texts = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": {**texts, **more}, "additionalProperties": not closed}


LIST = {"type": "array", "items": schema("topic")}
TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "additionalProperties": False,
}
KEYED = {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False}
UNION = {"anyOf": [schema("a"), {"type": "object", "properties": {"b": {"type": "array"}}}]}


class Case(NamedTuple):
    """A graph, and what is wrong with it: ``code level place field``."""

    graph: Graph
    wrong: tuple[str, ...] = ()
    says: str = ""


def told(found: list[Fault]) -> tuple[str, ...]:
    def place(fault: Fault) -> str:
        return fault.step if fault.trigger is None else str(fault.trigger)

    return tuple(" ".join(filter(None, [each.code, each.level, place(each), each.field])) for each in found)


NOTHING_STARTS = {
    "no steps at all": Case(graph()),
    "one step": Case(graph("a")),
    "a step that waits for itself": Case(
        graph("a", on("a", "a", "x")),
        ("nothing-starts error",),
        "nothing starts: expected a step that no trigger starts, but each of a waits for one",
    ),
    "a circle": Case(graph("a", "b", on("a", "b", "x"), on("b", "a", "x")), ("nothing-starts error",)),
}

UNREACHABLE = {
    "through others": Case(graph("a", "b", "c", on("a", "b", "x"), on("b", "c", "x"))),
    "a step that only itself starts": Case(
        graph("a", "b", on("b", "b", "x")),
        ("unreachable error b name",),
        "b never starts: expected triggers that lead to it from a, got none",
    ),
    "a circle beside, and what hangs on it": Case(
        graph("a", "b", "c", "d", on("b", "c", "x"), on("c", "b", "x"), on("c", "d", "x")),
        ("unreachable error b name", "unreachable error c name", "unreachable error d name"),
    ),
}

CYCLE = {
    "a loop with a condition": Case(
        graph("in", "a", "b", on("in", "a", "x"), on("a", "b", "x"), on("b", "a", "x", condition="value > 3"))
    ),
    "a loop that a field starts": Case(
        graph("in", "a", on("in", "a", "x"), on("a", "a", "x")),
        ("cycle warning 1 condition",),
        "goes round: a → a, and no condition ends it; the run fails when more than 8 triggers",
    ),
    "a condition of spaces is none": Case(
        graph("in", "a", on("in", "a", "x"), on("a", "a", "x", condition="  ")),
        ("cycle warning 1 condition",),
    ),
    "one that ends in any case begins anew": Case(
        graph(
            "in",
            "a",
            "b",
            on("in", "a", "x"),
            on("a", "b", event="response"),
            on("b", "a", event="inference-done"),
        ),
        ("cycle error 2 condition",),
        "expected a condition on one of these triggers",
    ),
    "an error that is answered by another try": Case(
        graph("in", "a", on("in", "a", "x"), on("a", "a", event="error")), ("cycle warning 1 condition",)
    ),
    "what begins anew when all is over": Case(
        graph("in", "a", on("in", "a", "x"), on("a", "a", event="joined")), ("cycle error 1 condition",)
    ),
    "otherwise, where something else may start": Case(
        graph(
            *("in", "a", "b", on("in", "a", "x")),
            *(
                on("a", "b", event="response", condition="value"),
                on("a", "a", event="response", otherwise=True),
            ),
        )
    ),
    "otherwise, where nothing else does": Case(
        graph("in", "a", on("in", "a", "x"), on("a", "a", event="response", otherwise=True)),
        ("cycle error 1 condition",),
    ),
    "each circle is told of once": Case(
        graph(
            *("in", "a", "b"),
            *(on("in", "a", "x"), on("a", "a", event="response"), on("a", "a", "y")),
            *(on("a", "b", "x"), on("b", "b", "x"), on("b", "a", "x")),
        ),
        ("cycle error 1 condition", *(f"cycle warning {number} condition" for number in (2, 4, 5))),
    ),
}

OUT = Node("b", root="list/{{ match[0] }}/text")

ROOT_WITHOUT_MATCH = {
    "with match": Case(graph("a", OUT, on("a", "b", "list/*/topic"))),
    "with all of match": Case(graph("a", Node("b", root="x/{{ match|join('-') }}"), on("a", "b", "*/*"))),
    "with something else that changes": Case(
        graph(
            "a",
            Node("b", root="x/{{ value }}"),
            Node("c", root="{{ uri }}"),
            on("a", "b", "*"),
            on("a", "c", "*"),
        )
    ),
    "without": Case(
        graph("a", Node("b", root="x"), on("a", "b", "list/*/topic")),
        ("root-without-match warning 0 root",),
        "b may start several times at one root ('x'), where its bots write over each other: expected "
        "{{ match[0] }} in the root",
    ),
    "what stays the same in a run is no help": Case(
        graph("a", Node("b", root="x/{{ input.name }}"), on("a", "b", "**")),
        ("root-without-match warning 0 root",),
    ),
    "the trigger's root counts": Case(
        graph("a", OUT, on("a", "b", "list/*/topic", root="x")), ("root-without-match warning 0 root",)
    ),
    "an empty root of the trigger is one": Case(
        graph("a", OUT, on("a", "b", "list/*/topic", root="")),
        ("root-without-match warning 0 root",),
        "the top of",
    ),
    "half of it": Case(
        graph("a", Node("b", root="x/{{ match[0] }}"), on("a", "b", "*/x/*")),
        ("root-without-match warning 0 root",),
        "expected {{ match[0] }} and {{ match[1] }} in the root",
    ),
    "counted from the end": Case(
        graph("a", Node("b", root="{{ match[-1] }}/{{ match[-2] }}"), on("a", "b", "*/x/*"))
    ),
    "no pattern": Case(
        graph("a", Node("b", root="x"), on("a", "b")),
        ("root-without-match warning 0 root",),
        "a pattern with stars",
    ),
    "no pattern, but one event": Case(graph("a", Node("b", root="x"), on("a", "b", event="response"))),
    "text is one field": Case(graph(Node("a", format="text"), Node("b", root="x"), on("a", "b"))),
    "a step that shows nothing": Case(graph("a", Node("b", quiet=True), on("a", "b", "*"))),
    "a star that is a key": Case(graph("a", Node("b", root="x"), on("a", "b", r"\*"))),
    "after one that starts several times": Case(
        graph("a", OUT, Node("c", root="x"), on("a", "b", "list/*/topic"), on("b", "c", event="response")),
        ("root-without-match warning 1 root",),
    ),
    "after one of those that start several times": Case(
        graph(
            "a",
            OUT,
            Node("c", root="x"),
            on("a", "b", "list/*/topic"),
            on("b", "c", "list/0/text", "response"),
        )
    ),
}

MATCH_BEYOND = {
    "within": Case(
        graph("a", OUT, on("a", "b", "list/*/topic", input="{{ match[0] }}", condition="match[-1] != '0'"))
    ),
    "in the root": Case(
        graph("a", Node("b", root="x/{{ match[1] }}/{{ match[0] }}"), on("a", "b", "list/*/topic")),
        ("match-beyond error 0 pattern",),
        "the root of b asks for match[1], but its pattern has 1 star",
    ),
    "in the trigger's root": Case(
        graph("a", OUT, on("a", "b", "x", root="{{ match[0] }}")), ("match-beyond error 0 root",)
    ),
    "in the input": Case(
        graph("a", Node("b", input="{{ match[-2] }}"), on("a", "b", "x")), ("match-beyond error 0 pattern",)
    ),
    "in the trigger's input": Case(
        graph("a", Node("b", input="{{ match[0] }}"), on("a", "b", "x", input="{{ match.2 }}")),
        ("match-beyond error 0 input",),
    ),
    "in an input that is not used": Case(
        graph("a", Node("b", input="{{ match[7] }}"), on("a", "b", "x", input="{{ value }}"))
    ),
    "in the condition": Case(
        graph("a", "b", on("a", "b", "x", condition="match[0] == '1'")), ("match-beyond error 0 condition",)
    ),
    "in the prompt": Case(
        graph("a", Node("b", prompt="{{ match[0] }}"), on("a", "b", "x")), ("match-beyond error 0 pattern",)
    ),
    "for one of two triggers": Case(
        graph("a", OUT, on("a", "b", "list/*/topic"), on("a", "b", "list/0/title")),
        ("match-beyond error 1 pattern",),
    ),
    "where the run begins": Case(
        graph(OUT),
        ("match-beyond error b root",),
        "the root of b asks for match[0], but it starts with the run, without a pattern",
    ),
    "only where something holds": Case(
        graph("a", Node("b", input="{% if value %}{{ match[1] }}{% endif %}"), on("a", "b", "x"))
    ),
    "with a default": Case(graph("a", Node("b", input="{{ match[1]|default('-') }}"), on("a", "b", "x"))),
}

TEXT_A, TEXT_B = Node("a", format="text"), Node("b", format="text")

SHARED_ROOT = {
    "two of which nobody knows what they write": Case(graph("a", "b")),
    "two that write side by side": Case(graph(Node("a", schema=schema("x")), Node("b", schema=schema("y")))),
    "two that write one field": Case(
        graph(Node("a", schema=schema("x", "y")), Node("b", schema=schema("y", "z"))),
        ("shared-root warning b root",),
        "a and b start together and write at one root (the top of the document): both write the field 'y'",
    ),
    "one of them hides it": Case(
        graph(Node("a", schema=schema("y")), Node("b", schema=schema("y"), exclude=("y",)))
    ),
    "one of them shows other things": Case(
        graph(Node("a", schema=schema("y")), Node("b", schema=schema("x", "y"), only=("x",)))
    ),
    "one of them shows nothing": Case(graph(TEXT_A, Node("b", format="text", quiet=True))),
    "two texts": Case(graph(TEXT_A, TEXT_B), ("shared-root error b root",), "text takes the whole root"),
    "a text and fields": Case(graph("a", TEXT_B), ("shared-root error b root",)),
    "fields and a text": Case(graph(TEXT_A, "b"), ("shared-root error b root",)),
    "two trees": Case(
        graph(Node("a", format="html"), Node("b", format="html")),
        ("shared-root warning b root",),
        "'children'",
    ),
    "a tree and fields": Case(graph(Node("a", format="html"), "b")),
    "different roots": Case(graph(Node("a", format="text", root="x"), Node("b", format="text", root="y"))),
    "two ways to write one root": Case(
        graph(Node("a", format="text", root=r"\x"), Node("b", format="text", root="x")),
        ("shared-root error b root",),
    ),
    "one root of one match": Case(
        graph(
            "in",
            Node("a", format="text", root="x/{{ match[0] }}"),
            Node("b", format="text", root="x/{{ match[0] }}"),
            *(on("in", "a", "*"), on("in", "b", "*")),
        ),
        ("shared-root error 1 root",),
    ),
    "one step twice": Case(
        graph("in", "a", on("in", "a", "x"), on("in", "a", "x", input="other")),
        ("shared-root warning 1 root",),
        "they write the same fields",
    ),
    "at other moments": Case(
        graph(Node("in", root="in"), TEXT_A, TEXT_B, on("in", "a", "in/x"), on("in", "b", "in/y"))
    ),
    "one or the other": Case(
        graph(
            Node("in", root="in"),
            TEXT_A,
            TEXT_B,
            *(on("in", "a", "in/x", condition="value"), on("in", "b", "in/x", condition="not value")),
        )
    ),
    "one, or otherwise the other": Case(
        graph(
            Node("in", root="in"),
            TEXT_A,
            TEXT_B,
            *(on("in", "a", "in/x", condition="value"), on("in", "b", "in/x", otherwise=True)),
        )
    ),
}
UNKNOWN_EVENT = {
    "one that there is": Case(graph("a", "b", on("a", "b", "", "inference-done"))),
    "one that there is not": Case(
        graph("a", "b", on("a", "b", "", "finished")),
        ("unknown-event error 0 event",),
        "a emits (string-response, object-response, inference-done, response, error, joined), got finished",
    ),
    "of a kind that nobody told of": Case(graph(Node("a", kind="http"), "b", on("a", "b", "", "finished"))),
}

TYPED = Node("a", schema=schema("answer", score={"type": "number"}, list=LIST))
LOOSE = Node("a", schema=schema("answer", closed=False))


def met(node: Node, pattern: str, event: Any = "string-response") -> Graph:
    """Whether one pattern meets what one step writes."""
    return graph(node, Node("b", quiet=True), on("a", "b", pattern, event))


NEVER, HARDLY = ("pattern error 0 pattern",), ("pattern warning 0 pattern",)

PATTERN = {
    "a field of the schema": Case(met(TYPED, "answer")),
    "no field of a closed schema": Case(
        met(TYPED, "answr"),
        NEVER,
        "string-response of a at 'answr': never comes, as its schema allows nothing like it below the top of",
    ),
    "no field of an open schema": Case(met(LOOSE, "answr"), HARDLY, "its schema tells of nothing like it"),
    "below a text": Case(met(TYPED, "answer/x"), NEVER),
    "a number closes without an event": Case(met(TYPED, "score"), NEVER),
    "a list as text": Case(met(TYPED, "list"), NEVER),
    "a list": Case(met(TYPED, "list", "object-response")),
    "a text as a list": Case(met(TYPED, "answer", "object-response"), NEVER),
    "an item": Case(met(TYPED, "list/*", "object-response")),
    "an item by its number": Case(met(TYPED, "list/0/topic")),
    "an item by a name": Case(met(TYPED, "list/first/topic"), NEVER),
    "a field of an item": Case(met(TYPED, "list/*/topic")),
    "no field of an item": Case(met(TYPED, "list/*/title"), NEVER),
    "any field": Case(met(TYPED, "*")),
    "anything": Case(met(TYPED, "")),
    "anywhere": Case(met(TYPED, "**/topic")),
    "nowhere": Case(met(TYPED, "**/title"), NEVER),
    "the root": Case(met(TYPED, "**", "object-response")),
    "an object without any text": Case(met(Node("a", schema=schema()), "**"), NEVER),
    "one of several": Case(met(Node("a", schema=UNION), "a")),
    "the other one": Case(met(Node("a", schema=UNION), "b/*/c")),
    "deep in a tree": Case(met(Node("a", schema=TREE), "kids/*/kids/*/name")),
    "anywhere in a tree": Case(met(Node("a", schema=TREE), "**/kids/**/name")),
    "nowhere in a tree": Case(met(Node("a", schema=TREE), "**/kids/**/title"), NEVER),
    "keys by a pattern": Case(met(Node("a", schema=KEYED), "x1")),
    "no key by a pattern": Case(met(Node("a", schema=KEYED), "y"), NEVER),
    "below a root": Case(met(Node("a", root="r", schema=schema("x")), "r/x")),
    "beside the root": Case(met(Node("a", root="r"), "x"), NEVER, "it writes nothing there below 'r'"),
    "above the root": Case(met(Node("a", root="r/s"), "r", "object-response"), NEVER),
    "a key that is escaped": Case(met(Node("a", root=r"r\/s", schema=schema("x/y")), r"r\/s/x\/y")),
    "a root that is made in the run": Case(met(Node("a", root="r/{{ input.n }}/{{ value }}"), "r/1/2/x")),
    "but not there": Case(met(Node("a", root="r/{{ input.n }}"), "s/1/x"), NEVER, "below 'r/*'"),
    "beside all roots": Case(
        graph(
            "in",
            Node("a", root="r"),
            Node("b", quiet=True),
            *(on("in", "a", "x"), on("in", "a", "y", root="s")),
            on("a", "b", "t/x"),
        ),
        ("pattern error 2 pattern",),
        "below 'r' and 1 more",
    ),
    "below one of the roots": Case(
        graph(
            "in",
            Node("a", root="r"),
            Node("b", quiet=True),
            *(on("in", "a", "x"), on("in", "a", "y", root="s")),
            on("a", "b", "s/x"),
        ),
    ),
    "a root that cannot be told": Case(met(Node("a", root="{% if value %}x{% endif %}"), "s/1/x")),
    "text": Case(met(Node("a", format="text", root="t"), "t")),
    "text below its root": Case(met(Node("a", format="text", root="t"), "t/x"), NEVER, "it writes text"),
    "text as an object": Case(met(Node("a", format="text"), "", "object-response"), NEVER),
    "a node of a tree": Case(met(Node("a", format="html", root="t"), "t/children/*", "object-response")),
    "a text of a tree": Case(met(Node("a", format="html"), "children/**/children/*")),
    "no node of a tree": Case(met(Node("a", format="html"), "body"), NEVER, "it writes a tree of nodes"),
    "the end": Case(met(Node("a", root="r"), "r", "response")),
    "the end elsewhere": Case(
        met(Node("a", root="r"), "r/x", "response"), NEVER, "it comes at the root of the step, 'r'"
    ),
    "the end of one of many": Case(met(Node("a", root="r/{{ value }}"), "r/*", "inference-done")),
    "an error whose root was not rendered": Case(met(Node("a", root="r"), "**", "error")),
    "what is no pattern": Case(met(TYPED, "a//b")),
}

NOTHING_ASKED = {
    "with the run": Case(
        Graph((Node("a"),)),
        ("nothing-asked error a input",),
        "a has nothing to ask: expected a prompt, or an input like {{ input.question }}",
    ),
    "by a trigger": Case(
        Graph((Node("a", prompt="Hi"), Node("b")), (on("a", "b", "x"),)),
        ("nothing-asked error b input",),
        "an input like {{ value }}",
    ),
    "once for a step": Case(
        Graph((Node("a", prompt="Hi"), Node("b", input=" ")), (on("a", "b", "x"), on("a", "b", "y"))),
        ("nothing-asked error b input",),
    ),
    "a prompt": Case(Graph((Node("a", prompt="Hi"),))),
    "an input": Case(Graph((Node("a", input="Hi"),))),
    "an input of the trigger": Case(
        Graph((Node("a", input="Hi"), Node("b")), (on("a", "b", "x", input="Hi"),))
    ),
    "what was said before": Case(Graph((Node("a", history=True),))),
    "of another kind": Case(Graph((Node("a", kind="compute"),))),
}
VALUE_AT_START = {
    "in the input": Case(
        graph(Node("a", input="{{ value }}")),
        ("value-at-start warning a input",),
        "that is the whole input as JSON: expected {{ input.question }}",
    ),
    "in the prompt": Case(graph(Node("a", prompt="Of {{ value.x }}")), ("value-at-start warning a prompt",)),
    "after a trigger": Case(graph("a", Node("b", input="{{ value }}"), on("a", "b", "x"))),
    "of another kind": Case(graph(Node("a", kind="compute", input="{{ value }}"))),
}
INPUTS = {
    '{"type": "object", "properties": {"first-name": {}, "town": {}}}': "expected {{ input.town }}",
    '{"type": ["object", "null"]}': "expected {{ input.question }}",
    '{"type": "string"}': "",
    '{"type": ["string", "null"]}': "",
}

TABLES = {
    "nothing-starts": NOTHING_STARTS,
    "unreachable": UNREACHABLE,
    "cycle": CYCLE,
    "root-without-match": ROOT_WITHOUT_MATCH,
    "match-beyond": MATCH_BEYOND,
    "shared-root": SHARED_ROOT,
    "unknown-event": UNKNOWN_EVENT,
    "pattern": PATTERN,
    "nothing-asked": NOTHING_ASKED,
    "value-at-start": VALUE_AT_START,
}


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param(code, case, id=f"{code}: {name}")
        for code, table in TABLES.items()
        for name, case in table.items()
    ],
)
def test_what_is_wrong(code: str, case: Case) -> None:
    found = faults(case.graph)
    assert told(found) == case.wrong
    assert not case.says or any(case.says in fault.message for fault in found)


def templates_of(said: object) -> Iterator[str]:
    if isinstance(said, Phrase):
        yield said.template
        for value in said.values.values():
            yield from templates_of(value)


def test_what_is_told_can_be_said_in_other_languages() -> None:
    told = [fault for table in TABLES.values() for case in table.values() for fault in faults(case.graph)]
    assert [fault.code for fault in told if not isinstance(fault.message, Phrase)] == []
    said = said_in(APPS[0])
    assert {text for fault in told for text in templates_of(fault.message)} - said.keys() == set()


def test_every_code_has_a_table() -> None:
    assert tuple(TABLES) == CODES


@pytest.mark.parametrize(("schema", "says"), INPUTS.items())
def test_what_the_input_is_decides_what_is_to_be_asked(schema: str, says: str) -> None:
    found = faults(graph(Node("a", input="{{ value }}")), input=json.loads(schema))
    assert bool(found) is bool(says) and all(says in each.message for each in found)


def test_only_some_can_be_looked_for() -> None:
    both = graph("a", Node("b", root="{{ match[0] }}"), on("a", "b", "x"), on("b", "b", "y"))
    assert {each.code for each in faults(both)} == {"cycle", "match-beyond"}
    assert {each.code for each in faults(both, codes=("cycle",))} == {"cycle"}


def test_what_a_kind_emits_is_the_callers_to_say() -> None:
    found = graph(Node("a", kind="http"), "b", on("a", "b", "", "response"), on("a", "b", "", "joined"))
    assert told(faults(found, events={"http": ("response",)})) == ("unknown-event error 1 event",)
    assert faults(found, events={"http": ("response", "joined")}, codes=("unknown-event",)) == []


class TestTheLastDocument:
    """It tells what a step without a schema may write."""

    DOCUMENT = {"answer": "No.", "list": [{"topic": "rain", "score": 3}], "own": {}}

    @pytest.mark.parametrize(
        ("pattern", "event"),
        [
            ("answer", "string-response"),
            ("list/*/topic", "string-response"),
            ("list/0", "object-response"),
            ("**/topic", "string-response"),
            ("own", "object-response"),
            ("", "string-response"),
        ],
    )
    def test_has_it(self, pattern: str, event: str) -> None:
        assert faults(met(Node("a"), pattern, event), documents={"a": self.DOCUMENT}) == []

    @pytest.mark.parametrize(
        ("pattern", "event"),
        [
            ("answr", "string-response"),
            ("list/*/score", "string-response"),
            ("list/1/topic", "string-response"),
            ("answer", "object-response"),
            ("answer/*", "string-response"),
        ],
    )
    def test_has_nothing_like_it(self, pattern: str, event: str) -> None:
        found = faults(met(Node("a"), pattern, event), documents={"a": self.DOCUMENT})
        assert told(found) == HARDLY
        assert "the last document has nothing like it" in found[0].message

    @pytest.mark.parametrize(
        "node",
        [
            Node("a", quiet=True),
            Node("a", only=("x",)),
            Node("a", exclude=("x",)),
            Node("a", schema=schema("answr", closed=False)),
            Node("b"),
        ],
    )
    def test_of_what_is_hidden_or_has_a_schema_or_did_not_run_it_tells_nothing(self, node: Node) -> None:
        found = graph(node, Node("c", quiet=True), on(node.name, "c", "answr"))
        assert faults(found, documents={"a": self.DOCUMENT}) == []

    def test_may_be_large(self) -> None:
        deep: Any = "x"
        for _ in range(90):
            deep = {"a": deep, "b": [1] * 200}
        found = met(Node("a"), "/".join(["**", "a"] * 60 + ["nowhere"]))
        start = time.process_time()
        faults(found, documents={"a": deep})
        assert time.process_time() - start < 5


class TestWhatIsSound:
    """What the tests of the engine do on purpose."""

    def test_a_list_that_grows(self) -> None:
        assert faults(Graph.of(flows.OUTLINE), input={"type": "string"}) == []

    def test_a_plan_says_all_that_is_asked(self) -> None:
        step = BotPlan(
            "a",
            prompt="p",
            input="i",
            root="r",
            format="html",
            schema={"type": "object"},
            only=("x",),
            exclude=("y",),
            quiet=True,
        )
        trigger = on("a", "a", "x")
        read = Graph.of(Plan("test", steps=(step,), triggers=(trigger,), limits=Limits(depth=3)))
        node = Node("a", "bot", "p", "i", "r", "html", {"type": "object"}, ("x",), ("y",), True)
        assert read == Graph((node,), (trigger,), 3)


class TestBounds:
    """An editor's patterns, schemas and graphs."""

    def quick(self, found: Graph) -> list[Fault]:
        start = time.process_time()
        wrong = faults(found)
        assert time.process_time() - start < 5
        return wrong

    def test_many_stars_over_a_schema_that_goes_round(self) -> None:
        names = {f"k{number}": {"$ref": "#"} for number in range(300)}
        round_and_round = {"type": "object", "properties": names, "additionalProperties": False}
        self.quick(met(Node("a", schema=round_and_round), "/".join(["**", "k1"] * 100 + ["x"])))

    def test_alternatives_of_alternatives(self) -> None:
        inner: Any = {"type": "string"}
        for number in range(40):
            inner = {
                "properties": {f"p{number}": inner, "x": {}},
                "anyOf": [{"properties": {"y": inner}}] * 8,
            }
        self.quick(met(Node("a", schema=inner), "**/y/**/x/**/y/**/z"))

    def test_parts_of_parts(self) -> None:
        names = {f"k{number}": {"$ref": "#/$defs/parts"} for number in range(500)}
        parts = {"allOf": [{"minLength": 1}] * 1_900}
        self.quick(met(Node("a", schema={"properties": names, "$defs": {"parts": parts}}), "**/x/**/*/q/**"))

    def test_what_is_not_looked_at_any_more_is_no_fault(self) -> None:
        known = Known(states=Budget(1))
        assert not list(writes.pattern(met(TYPED, "list/*/title"), known))
        assert list(writes.pattern(met(TYPED, "list/*/title"), Known()))

    def test_many_steps_and_triggers(self) -> None:
        count = 1_000
        nodes = [Node(f"s{number}", root="x", schema=schema("a", "b")) for number in range(count)]
        chain = [on(f"s{number}", f"s{number + 1}", "x/*") for number in range(count - 1)]
        back = [on(f"s{number + 1}", f"s{number}", "x/a") for number in range(count - 1)]
        self.quick(Graph(tuple(nodes), tuple(chain)))
        self.quick(Graph(tuple(nodes), tuple(chain + back)))

    def test_one_step_with_many_roots(self) -> None:
        count = 500
        into = [on("a", "b", "x", root=f"r{number}/" + "y/" * 100 + "z") for number in range(count)]
        out = [on("b", "c", "/".join(["**", "y"] * 60 + ["q"])) for _ in range(count)]
        self.quick(graph("a", "b", "c", *into, *out))
