"""What a template asks for, without rendering it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lingstream.core import templates
from lingstream.core.exceptions import TemplateError
from lingstream.core.templates import sandbox
from lingstream.core.templates.reading import Reading, read, uri_segments

CONTEXT: dict[str, Any] = {"input": {}, "value": "", "uri": "", "document": {}, "history": []}


@pytest.mark.parametrize(
    ("source", "names", "match", "needs"),
    [
        ("plain", set(), set(), set()),
        ("{{ value }} {{ input.q }}", {"value", "input"}, set(), set()),
        ("{{ match[0] }}", {"match"}, {0}, {0}),
        ("{{ match.0 }}/{{ match[-1] }}", {"match"}, {0, -1}, {0, -1}),
        ("{{ match[2].name ~ match[0][1] }}", {"match"}, {0, 2}, {0, 2}),
        ("{{ match[1]|upper }}{{ match[0] == 'a' }}", {"match"}, {0, 1}, {0, 1}),
        ("{{ match[1]|int + 1 }}", {"match"}, {1}, {1}),
        ("{{ match }}", {"match"}, None, set()),
        ("{{ match[0] }}{{ match|length }}", {"match"}, None, {0}),
        ("{{ match[value] }}", {"match", "value"}, None, set()),
        ("{% for part in match %}{{ part }}{% endfor %}", {"match"}, None, set()),
        ("{{ match[1]|default('x') }}{{ match[2]|d('') }}", {"match"}, {1, 2}, set()),
        ("{{ match[1] is defined }}", {"match"}, {1}, set()),
        ("{% if match[1] %}{{ match[2] }}{% endif %}", {"match"}, {1, 2}, {1}),
        ("{{ match[1] if value else match[2] }}", {"match", "value"}, {1, 2}, set()),
        ("{{ value or match[1] }}", {"match", "value"}, {1}, set()),
        ("{{ match[1] and match[2] }}", {"match"}, {1, 2}, {1}),
        ("{% set match = ['x'] %}{{ match[5] }}", set(), set(), set()),
        ("{{ match[0] }}{% set match = ['x'] %}{{ match[5] }}", {"match"}, None, set()),
        ("{% set m = match[3] %}{{ m|default('x') }}", {"match"}, {3}, set()),
        ("{{ 'match[4]' }}{# match[5] #}", set(), set(), set()),
    ],
)
def test_names_and_numbers(source: str, names: set[str], match: set[int] | None, needs: set[int]) -> None:
    found = read(source)
    assert found == Reading(frozenset(names), None if match is None else frozenset(match), frozenset(needs))
    assert fails(source) or needs <= {0, -1}


def fails(source: str) -> bool:
    """Whether the template fails where the pattern has one star."""
    try:
        templates.render(source, {**CONTEXT, "match": ("a",)})
    except TemplateError:
        return True
    return False


@pytest.mark.parametrize("name", [name for name in sorted(sandbox.TEXT.filters) if name.isidentifier()])
def test_a_filter_that_takes_what_is_not_there_is_known(name: str) -> None:
    source = f"{{{{ match[3]|{name} }}}}"
    found = read(source)
    assert found is not None
    assert fails(source) or not found.needs


@pytest.mark.parametrize("source", ["{{", "{% if %}", "{{ " + "(" * 5_000 + "1", "x" * 300_000])
def test_what_does_not_compile_says_nothing(source: str) -> None:
    assert read(source) is None
    assert uri_segments(source) is None


@pytest.mark.parametrize(
    ("source", "segments"),
    [
        ("", ()),
        ("{# top #}", ()),
        ("a/b", ("a", "b")),
        ("outline/{{ match[0] }}/details", ("outline", None, "details")),
        ("{{ match[0] }}", (None,)),
        ("item-{{ match[0] }}{{ value }}/x", (None, "x")),
        (r"a\/b/\0", ("a/b", "")),
        ("{{ 'a/b' }}", (None,)),
        ("{% if value %}a{% endif %}", None),
        ("{% set a = 'x' %}{{ a }}", None),
        ("/a", None),
        ("a//{{ value }}", None),
        ("a\0b", None),
    ],
)
def test_segments_of_a_root(source: str, segments: tuple[str | None, ...] | None) -> None:
    assert uri_segments(source) == segments


@pytest.mark.parametrize("part", ["{{ match[0] }}", "{% if match %}x{% endif %}", "{{ value|upper|trim }}/"])
def test_reading_takes_time_linear_in_the_text(part: str) -> None:
    source = part * (50_000 // len(part))
    start = time.process_time()
    read(source)
    uri_segments(source)
    assert time.process_time() - start < 5
