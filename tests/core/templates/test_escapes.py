"""Escapes from Jinja2's sandbox that advisories have made public, by their numbers: none works here.

Each is tried with all that reads a template or an expression: prompts, inputs and roots of steps, addresses,
conditions and the kind ``compute``. Jinja2 without a sandbox shows that they do what they are meant to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from jinja2 import DictLoader, Environment
from jinja2.filters import FILTERS

from lingstream.core import templates
from lingstream.core.exceptions import TemplateError
from lingstream.core.templates import sandbox
from lingstream.core.templates.fragments import fragments

_LEAK = "{0.__init__.__builtins__[__import__]}"  # of a class written in Python, as namespace is
_NAMED = "{x.__init__.__builtins__[__import__]}"
_REACHED = "built-in function __import__"
CONTEXT: dict[str, Any] = {
    "input": {"leak": _LEAK, "named": _NAMED, "keys": {'a onload="x()" b': "c"}, "text": "x"}
}

Reader = Callable[..., Any]
TEMPLATES: dict[str, Reader] = {
    "prompt": templates.render,
    "input": templates.evaluate,
    "root": templates.render_uri,
    "address": templates.render_url,
}
EXPRESSIONS: dict[str, Reader] = {"condition": templates.holds, "compute": templates.compute}

# By what they do: a string's format reads attributes that no template may.
EXPRESSED: list[tuple[str, str]] = [
    ("CVE-2016-10745", f"'{_LEAK}'.format(namespace)"),
    ("CVE-2016-10745", f"'{_NAMED}'.format(x=namespace)"),
    ("CVE-2016-10745", "input.leak.format(namespace)"),
    ("CVE-2016-10745", "(input.leak|e).format(namespace)"),
    ("CVE-2016-10745", "input.leak['format'](namespace)"),
    ("CVE-2019-10906", f"'{_NAMED}'.format_map({{'x': namespace}})"),
    ("CVE-2019-10906", "input.named.format_map(dict(x=namespace))"),
    ("CVE-2019-10906", "(input.named|e).format_map({'x': namespace})"),
    ("CVE-2019-8341", "[].__class__.__base__.__subclasses__()|map('string')|join"),
    ("CVE-2019-8341", "namespace.__init__.__builtins__['__import__']|string"),
    ("CVE-2024-56326", "{'run': input.leak.format}['run'](namespace)"),
    ("CVE-2024-56326", "dict(run=input.leak.format).run(namespace)"),
    ("CVE-2024-56326", "([input.leak.format]|first)(namespace)"),
    ("CVE-2024-56326", "([input.leak]|map(attribute='format')|first)(namespace)"),
    ("CVE-2024-56326", "([input.leak]|groupby('format')|first)[0](namespace)"),
    ("CVE-2025-27516", "(input.leak|attr('format'))(namespace)"),
    ("CVE-2025-27516", "(input.named|attr('format_map'))({'x': namespace})"),
    ("CVE-2025-27516", "([input.leak]|map('attr', 'format')|first)(namespace)"),
    ("CVE-2025-27516", "namespace|attr('__init__')|attr('__builtins__')|string"),
]
WRITTEN: list[tuple[str, str]] = [
    *((number, f"{{{{ {source} }}}}") for number, source in EXPRESSED),
    ("CVE-2024-56326", "{% set ns = namespace(run=input.leak.format) %}{{ ns.run(namespace) }}"),
    ("CVE-2024-56326", "{% macro f(run) %}{{ run(namespace) }}{% endmacro %}{{ f(input.leak.format) }}"),
    ("CVE-2024-56326", "{% set run %}{{ input.leak }}{% endset %}{{ [run.format][0](namespace) }}"),
    ("CVE-2025-27516", "{% set run = input.leak|attr('format') %}{{ run(namespace) }}"),
    ("CVE-2025-27516", "{% for run in [input.leak]|map('attr', 'format') %}{{ run(namespace) }}{% endfor %}"),
]
#: Filters that are not there, whatever they would do.
FILTERED: list[tuple[str, str]] = [
    ("CVE-2020-28493", "('a@' + 'a.' * 9999)|urlize"),
    ("CVE-2020-28493", "[input.text]|map('urlize')|first"),
    ("CVE-2024-22195", "input.keys|xmlattr"),
    ("CVE-2024-22195", "[input.keys]|map('xmlattr')|first"),
    ("CVE-2024-34064", "{'a/onload=x()': 'c'}|xmlattr"),
    ("CVE-2024-34064", "{'a>': 'c'}|xmlattr(false)"),
]
#: Templates have no names that could be code, and none reaches another one.
NAMED: list[tuple[str, str]] = [
    ("CVE-2024-56201", "{% from '{1 + 1}' import x %}{{ x }}"),
    ("CVE-2024-56201", "{% import '{1 + 1}' as x %}"),
    ("CVE-2024-56201", "{% include '{1 + 1}' %}"),
    ("CVE-2024-56201", "{% extends '{1 + 1}' %}"),
    ("CVE-2024-56201", "{% include 'prompt:{1 + 1}' %}"),
]


def refused(read: Reader, source: str) -> None:
    started = time.thread_time()
    with pytest.raises(TemplateError):
        read(source, CONTEXT)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(("number", "source"), EXPRESSED)
def test_expressions_reach_no_code(number: str, source: str) -> None:
    for read in EXPRESSIONS.values():
        refused(read, source)


@pytest.mark.parametrize(("number", "source"), WRITTEN)
def test_templates_reach_no_code(number: str, source: str) -> None:
    for read in TEMPLATES.values():
        refused(read, source)


@pytest.mark.parametrize(("number", "source"), WRITTEN)
def test_without_a_sandbox_they_would(number: str, source: str) -> None:
    text = Environment().from_string(source).render(CONTEXT)
    assert _REACHED in text or "<class 'int'>" in text


@pytest.mark.parametrize(("number", "source"), FILTERED)
def test_filters_with_a_past_are_not_there(number: str, source: str) -> None:
    assert {"urlize", "xmlattr"} < FILTERS.keys()
    for read in EXPRESSIONS.values():
        refused(read, source)
    for read in TEMPLATES.values():
        refused(read, f"{{{{ {source} }}}}")
    for each in (sandbox.TEXT, sandbox.URI, sandbox.URL, sandbox.COMPUTE):
        assert not {"urlize", "xmlattr"} & each.filters.keys()


@pytest.mark.parametrize(("number", "source"), NAMED)
def test_no_template_has_a_name_that_another_one_writes(number: str, source: str) -> None:
    Environment(loader=DictLoader({"{1 + 1}": "", "prompt:{1 + 1}": ""})).from_string(source)
    for read in TEMPLATES.values():
        refused(read, source)
    assert templates.check(source)  # who saves it is told
    assert fragments(source) == []


@pytest.mark.parametrize("number", ["CVE-2014-0012", "CVE-2014-1402"])
def test_nothing_that_is_compiled_is_read_from_files(number: str) -> None:
    for each in (sandbox.TEXT, sandbox.URI, sandbox.URL, sandbox.COMPUTE):
        assert each.bytecode_cache is None and each.loader is None
