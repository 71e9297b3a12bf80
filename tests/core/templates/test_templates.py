"""Templates: what they make of JSON values, what they refuse, and that no rendering is without bound."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from lingstream.core import templates
from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase
from lingstream.core.templates import budget, sandbox

CONTEXT: dict[str, Any] = {
    "input": {"question": "Why?", "items": ["a", "b"], "tags": ["ä", "<b>"], "none": None},
    "value": "cloud",
    "uri": "outline/0/topic",
    "match": ("0",),
    "document": {"outline": [{"topic": "cloud"}]},
    "history": [],
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ input.question }}", "Why?"),
        ("{{ input.tags }}", '["ä", "<b>"]'),
        ("{{ input.none }}", "null"),
        ("{{ true }} {{ 1.0 }} {{ 3 }}", "true 1.0 3"),
        ("{{ match }}", '["0"]'),
        (
            "{{ input|tojson }}",
            '{"question": "Why?", "items": ["a", "b"], "tags": ["ä", "<b>"], "none": null}',
        ),
        ("{{ document|tojson(indent=1) }}", '{\n "outline": [\n  {\n   "topic": "cloud"\n  }\n ]\n}'),
        ("{{ value ~ input.tags }}", 'cloud["ä", "<b>"]'),
        ("{{ input.items }}", '["a", "b"]'),
        ("{{ input.items|join('; ') }} {{ ', '.join(input.items) }}", "a; b a, b"),
        ("{% for key, item in document|items %}{{ key }}{% endfor %}", "outline"),
        ("{{ value.replace('c', 'k')|upper }}", "KLOUD"),
        ("{{ input.items|map('upper') }}", '["A", "B"]'),
        ("{{ [1, 2, 3]|sum }} {{ document.outline|map(attribute='topic')|join }}", "6 cloud"),
        ("{% if history %}x{% else %}none{% endif %}", "none"),
        ("{{ input.nope|default('-') }}{{ nope is defined }}", "-false"),
        ("text\n", "text\n"),
        ("{# a comment #}", ""),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) }}", "<1>"),
        ("{{ 'a\nb'|indent(2) }} {{ 1.25|round(1) }}", "a\n  b 1.2"),
    ],
)
def test_strings_interpolate_as_they_are_and_all_else_as_json(source: str, text: str) -> None:
    assert templates.render(source, CONTEXT) == text


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("", ""),
        ("outline/{{ match[0] }}/details", "outline/0/details"),
        ("outline/{{ 1 + 1 }}", "outline/2"),
        ("{{ 'a/b' }}/{{ '..' }}/{{ '' }}", r"a\/b/\../\0"),
        ("{{ uri }}", r"outline\/0\/topic"),
    ],
)
def test_each_interpolation_of_a_uri_is_one_segment(source: str, uri: str) -> None:
    assert templates.render_uri(source, CONTEXT) == uri


@pytest.mark.parametrize(
    "source", ["{{ input }}", "{{ none }}", "{{ true }}", "{{ 1.5 }}", "{{ input.nope }}"]
)
def test_a_uri_takes_text_and_integers_only(source: str) -> None:
    with pytest.raises(TemplateError):
        templates.render_uri(source, CONTEXT)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("plain", "plain"),
        ("a/b?c=d&e#f", "a%2Fb%3Fc%3Dd%26e%23f"),
        ("https://evil.com@x\\", "https%3A%2F%2Fevil.com%40x%5C"),
        ("云 é", "%E4%BA%91%20%C3%A9"),
        ("a\r\nb", "a%0D%0Ab"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("v1.2", "v1.2"),
        (5, "5"),
        (2.5, "2.5"),
        (True, "true"),
    ],
)
def test_each_interpolation_of_a_url_is_one_word(value: Any, part: str) -> None:
    source = "https://example.com/{{ value }}/x?q={{ value }}"
    assert templates.render_url(source, {"value": value}) == f"https://example.com/{part}/x?q={part}"


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_a_url_takes_text_and_numbers_only(value: Any) -> None:
    with pytest.raises(TemplateError, match="expected text or a number as a part of a URL"):
        templates.render_url("https://example.com/{{ value }}", {"value": value})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input }}", {"a": [1, None]}),
        (" {{- input.a -}} ", [1, None]),
        ("{{ input.a[0] + 1 }}", 2),
        ("{{ input }}!", '{"a": [1, null]}!'),
        ("{{ input.a[0] }}{{ input.a[0] }}", "11"),
        ("plain", "plain"),
        ("", ""),
        ("{% if input %}yes{% endif %}", "yes"),
        ("{{ '{{ x }}' }}", "{{ x }}"),
    ],
)
def test_a_single_expression_gives_its_value_and_all_else_text(source: str, value: Any) -> None:
    assert templates.evaluate(source, {"input": {"a": [1, None]}}) == value


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("a\n{{ nope }}", 2, "'nope' is undefined"),
        ("{{ input.nope }}", 1, "no attribute 'nope'"),
        ("\n\n{% if %}", 3, "Expected an expression"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ value|nofilter }}", 1, "No filter named"),
        ("{{ self }}", 1, "expected JSON data"),
    ],
)
def test_a_fault_is_told_with_its_line(source: str, line: int, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as caught:
        templates.render(source, CONTEXT)
    assert caught.value.line == line
    assert caught.value.code == "template"
    assert isinstance(caught.value.message, Phrase)
    assert isinstance(caught.value.message.values["message"], Phrase)


@pytest.mark.parametrize(
    "source",
    [
        "{{ value.__class__ }}",
        "{{ value|attr('__class__') }}",
        "{{ value['__class__'] }}",
        "{{ input.__class__.__mro__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ value.format }}",
        "{{ ''['format_map'] }}",
        "{{ (5).to_bytes(4) }}",
        "{{ input.items.append(1) }}",
        "{{ input.update(a=1) }}",
        "{{ dict.fromkeys('ab') }}",
        "{{ lipsum() }}",
        "{{ [1, 2]|random }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{{ value.encode() }}",
    ],
)
def test_templates_reach_neither_code_nor_chance(source: str) -> None:
    with pytest.raises(TemplateError):
        templates.render(source, CONTEXT)
    assert CONTEXT["input"]["items"] == ["a", "b"]


_GROW = "{% set ns = namespace(x='xx') %}{% for i in range(60) %}STEP{% endfor %}{{ ns.x }}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10**9 }}",
        "{{ 10**9 * 'x' }}",
        "{{ [1] * 10**9 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{% set n = 2**4000 %}{{ n * n }}",
        "{{ ('f' * 900000)|int(0, 16) // ('f' * 450000)|int(0, 16) > 1 }}",
        "{{ ('f' * 900000)|int(0, 16) % ('f' * 450000)|int(0, 16) > 1 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ value.center(10**9) }}",
        "{{ value.ljust(10**9) }}",
        "{{ '\t'.expandtabs(10**9) }}",
        "{{ 'x'|indent(10**9, true) }}",
        "{{ 1.5|round(10**9) }}",
        "{{ input|tojson(indent=10**9) }}",
        "{{ ('x' * 999999)|replace('', 'x' * 999999) }}",
        "{{ ('x' * 999999).replace('', 'x' * 999999) }}",
        "{{ range(99999)|join('x' * 999999) }}",
        "{{ ('x' * 999999).join(range(99999)|map('string')) }}",
        "{{ range(10**9) }}",
        "{{ ('x' * 999999) ~ ('x' * 999999) }}",
        "{{ range(99999)|map('replace', '', 'x' * 999999)|list|length }}",
        "{{ [[1]]|sum(start=[]) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(9) recursive %}{{ loop(range(9999)) }}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
        _GROW.replace("STEP", "{% set ns.x = ns.x ~ ns.x %}"),
        _GROW.replace("STEP", "{% set ns.x = ns.x + ns.x %}"),
        _GROW.replace("STEP", "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
        _GROW.replace("STEP", "{% set ns.x = [ns.x, ns.x] %}"),
        _GROW.replace("STEP", "{% set ns.x = (ns.x, ns.x) %}"),
        _GROW.replace("STEP", "{% set ns.x = {'a': ns.x, 'b': ns.x} %}"),
        _GROW.replace("STEP", "{% set ns.x = dict(a=ns.x, b=ns.x) %}"),
        _GROW.replace("STEP", "{% macro f() %}{% set ns.x = varargs %}{% endmacro %}{{ f(ns.x, ns.x) }}"),
        "{% set x %}{% for i in range(9999) %}{{ ('x' * 999999) ~ i }}{% endfor %}{% endset %}",
        pytest.param("{{ " + "(" * 5000 + ")" * 5000 + " }}", id="deep"),
        pytest.param("x" * (templates.MAX_SOURCE + 1), id="long"),
    ],
)
def test_no_rendering_is_without_bound(source: str) -> None:
    started = time.thread_time()
    with pytest.raises(TemplateError) as caught:
        templates.render(source, CONTEXT)
    assert time.thread_time() - started < budget.MAX_SECONDS + 3
    assert isinstance(caught.value.message, Phrase)


TAGS = [f"tag-{number:07}" for number in range(18_000)]  # 234 KB of JSON, as a visitor may send
SAME = ["x" * 12_000] * 19
LARGE = {
    "input": {
        "tags": TAGS,
        "known": [tag.replace("tag", "gat") for tag in TAGS],
        "numbers": list(range(40_000)),
        "rows": [{"a": number % 7, "b": "x" * 10} for number in range(9_000)],
        "keys": {f"key-{number}": number for number in range(14_000)},
        "text": "ab" * 117_000,
        "needle": "b" + "ab" * 58_000,
        "tagged": "<a>" * 78_000,
        "open": "<" * 234_000,
        "same": SAME,
        "more": [*SAME[:-1], "x" * 11_999 + "y"],
        "deep": {"a": [{"b": [TAGS, TAGS]}]},
        "pairs": [[number * (2**61 - 1), 0] for number in range(9_000)],  # whose hashes are all 0
        "digits": "f" * 117_000,
    },
    "value": "cloud",
}
_HUNDRED = "{% for n in range(1000) %}BODY{% endfor %}"
# What walks through data as often as there is data: seconds to hours, without a bound.
WALKS = [
    "{{ input.tags|select('in', input.known)|list|length }}",
    "{{ input.tags|reject('in', input.known)|select('in', input.known)|list|length }}",
    "{{ input.tags" + "|select('in', input.known)" * 20 + "|list|length }}",
    "{{ input.numbers" + "|select" * 150 + "|list|length }}",
    "{{ input.numbers" + "|map('string')" * 150 + "|list|length }}",
    "{{ input.rows|selectattr('b', 'in', input.known)|list|length }}",
    "{% for tag in input.tags if tag in input.known %}{{ tag }}{% endfor %}",
    "{% for tag in input.tags %}{{ input.known.index(tag) if tag in input.known }}{% endfor %}",
    "{% for tag in input.tags %}{{ input.known.count(tag) }}{% endfor %}",
    "{{ input.tags|map('replace', 'tag', input.text)|list|length }}",
    "{{ input.tags|map('indent', input.text)|list|length }}",
    _HUNDRED.replace("BODY", "{% if input.deep == input.deep %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.same == input.more %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.same < input.more %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.needle in input.text %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|sort %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|unique|list %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.rows|groupby('a') %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.keys|dictsort %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|join(',') %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input|tojson %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|max %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.numbers|sum %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text.rfind(input.needle) %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text.rsplit(input.needle) %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text.strip(input.needle) %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text|trim(input.needle) %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text.upper() %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text|title %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text|wordcount %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tagged|striptags %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tagged|escape %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.open|urlencode %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.text is lower %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags[1:] %}{% endif %}" * 50),
    _HUNDRED.replace("BODY", "{% if input.tags + input.known %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.keys.keys() - input.tags %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|list %}{% endif %}" * 20),
    _HUNDRED.replace("BODY", "{% if input.text|list|reverse|list %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if input.tags|string %}{% endif %}"),
    _HUNDRED.replace("BODY", "{% if dict(input.keys) %}{% endif %}" * 20),
    _HUNDRED.replace("BODY", "{% if range(99999)|list %}{% endif %}"),
    "{% macro f(x) %}{% for t in x %}{{ f(x[1:]) }}{% endfor %}{% endmacro %}{{ f(input.tags) }}",
    "{% for t in input.tags recursive %}{{ loop(input.tags) }}{% endfor %}",
    "{% for t in input.rows %}{{ loop.changed(input.rows) }}{% endfor %}",
    "{{ dict(input.pairs)|length }}",
    "{% set ns = namespace(input.pairs) %}{{ ns }}",
    "{{ input.digits|int(0, 16) // (input.digits[:50000]|int(0, 16)) }}",
    "{{ input.digits|int(0, 16) % (input.digits[:50000]|int(0, 16)) }}",
]


@pytest.mark.parametrize("source", [*WALKS[:5], *WALKS[11::9]])  # each takes all that it may
def test_who_walks_pays(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(budget, "MAX_SECONDS", 0.5)
    started = time.thread_time()
    with contextlib.suppress(TemplateError):  # the cheap ones are ready by then
        templates.render(source, LARGE)
    assert time.thread_time() - started < budget.MAX_SECONDS + 1


@pytest.mark.parametrize("source", WALKS)
def test_what_is_to_be_brief_ends_before_anybody_waits(source: str) -> None:
    templates._template(source, templates.TEXT)
    started = time.thread_time()
    with pytest.raises((templates.TooLong, TemplateError)):
        templates.render(source, LARGE, brief=True)
    assert time.thread_time() - started < 0.1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ input.tags|length }}{{ input.tags|first }}", "18000tag-0000000"),
        ("{{ input.tags|select('in', input.tags[:50])|list|length }}", "50"),
        ("{{ input.tags|sort|last }} {{ input.tagged|striptags }}", "tag-0017999 "),
        ("{% for row in input.rows if row.a == 3 %}{{ loop.index if loop.last }}{% endfor %}", "1286"),
        ("{{ 'tag-0000001' in input.tags }} {{ 'key-5' in input.keys }}", "true true"),
        ("{{ input.rows|groupby('a')|length }} {{ input.numbers|sum }}", "7 799980000"),
        ("{{ '<p>a <!-- > --> b</p> &amp; c <'|striptags }}", "a b & c <"),
    ],
)  # fmt: skip
def test_usual_work_on_much_data_is_done(source: str, text: str) -> None:
    assert templates.render(source, LARGE) == text


def test_waiting_is_nobodys_fault() -> None:
    """The limit is CPU time: a machine that is busy with something else does not fail a rendering."""
    slept: list[None] = []

    class Slow(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> Any:
            if not slept:
                time.sleep(budget.MAX_SECONDS + 0.2)
                slept.append(None)
            return super().__getitem__(key)

    source = "{% for n in range(3000) %}{% if value.a %}{% endif %}{% endfor %}done"
    assert templates.render(source, {"value": Slow(a=1)}) == "done"
    assert slept


def test_a_long_template_is_compiled_where_nobody_waits() -> None:
    source = "word " * 5_000 + "{{ value }}"
    with pytest.raises(templates.TooLong):
        templates.render(source, {"value": 1}, brief=True)
    assert templates.render(source, {"value": 1}) == "word " * 5_000 + "1"
    assert templates.render(source, {"value": 1}, brief=True) == "word " * 5_000 + "1"


def test_output_up_to_the_bound_is_rendered() -> None:
    text = "x" * sandbox.MAX_OUTPUT
    assert templates.render("{{ value }}", {"value": text}) == text
    with pytest.raises(TemplateError, match="1000000 characters"):
        templates.render("{{ value }}y", {"value": text})


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("", True),
        ("  ", True),
        ("value|length > 3", True),
        ("value == 'rain'", False),
        ("value in ['cloud', 'fog']", True),
        ("input.tags and not history", True),
        ("match[0]|int < 3", True),
    ],
)
def test_conditions_are_expressions(source: str, holds: bool) -> None:
    assert templates.holds(source, CONTEXT) is holds


@pytest.mark.parametrize(
    "source", ["nope", "input.nope", "value >", "value }} {{ uri", "'x' * 10**9", "1 / 0"]
)
def test_a_condition_that_cannot_be_decided_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError):
        templates.holds(source, CONTEXT)


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        ("{{ input.question }} {{ tone }} {% for i in range(3) %}{{ i }}{% endfor %}", []),
        (
            "a\n{{ questoin }}",
            ["Line 2: unknown variable “questoin”; known are document, history, input, match, tone"],
        ),
        ("{{ tonne }}", ["Line 1: unknown variable “tonne”; did you mean “tone”?"]),
        ("{% if x %}{% endif %}\n{{ y }}", ["Line 1: unknown variable “x”", "Line 2: unknown variable “y”"]),
        ("{{ tone }\n", ["Line 1: unexpected '}'"]),
        ("\n{% for %}", ["Line 2: Expected an expression"]),
        ("{{ tone|center(3) }}", ["Line 1: No filter named 'center'."]),
        ("{{ tone is nice }}", ["Line 1: No test named 'nice'."]),
        (
            "\n{% include 'x' %}",
            ["Line 2: include, import and extends are not available; a prompt may include another one"],
        ),
    ],
)
def test_check_lists_every_problem_with_its_line(source: str, problems: list[str]) -> None:
    told = templates.check(source, ["tone"])
    assert [each for each in told if not isinstance(each.message, Phrase)] == []
    found = [str(problem) for problem in told]
    assert len(found) == len(problems)
    for problem, start in zip(found, problems, strict=True):
        assert problem.startswith(start)


def test_check_leaves_variables_alone_that_are_not_known_yet() -> None:
    assert templates.check("{{ anything }}", None) == []
    assert templates.check("{{ anything }", None) != []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("value|length > 3", ""),
        ("value >", "expected an expression"),
        ("valu", "did you mean “value”?"),
        ("value }} {{ uri", "expected an expression"),
    ],
)
def test_check_condition(source: str, problem: str) -> None:
    found = templates.check_condition(source)
    assert bool(found) == bool(problem)
    assert not problem or problem in found[0].message


@pytest.mark.parametrize(
    "source",
    [
        *("{{ a", "{{ ( ] }}", "{{ 'a }}", "{{ a.}}", "{{ a b }}", "{{ a is none is none }}", "{{ 1 + }}"),
        *("{# a", "{% a %}", "{% if a %}", "{% if a %}{% endfor %}", "{% for a b %}", "{% %}"),
        *("{% for a in b %}{% if a %}{% endfor %}", "{% set 1 = 2 %}", "{% call a %}", "{{ f(**a, b) }}"),
    ],
)
def test_what_jinja_says_of_syntax_is_known(source: str) -> None:
    (problem,) = templates.check(source, None)
    assert isinstance(problem.message, Phrase), problem.message


def test_rendering_never_changes_the_context() -> None:
    context = {"value": {"a": [1]}}
    templates.render("{% set value = 2 %}{{ value }}", context)
    assert context == {"value": {"a": [1]}}


def test_the_docs_list_every_filter() -> None:
    text = (Path(__file__).parents[3] / "docs/admin.md").read_text()
    listed = text.split("The filters are `")[1].split("`")[0].split()
    assert sorted(listed) == sorted(name for name in sandbox.TEXT.filters if not name.startswith("~"))
