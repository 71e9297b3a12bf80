"""Prompts inside prompts, and prompts of several messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingstream.core import templates
from lingstream.core.exceptions import TemplateError
from lingstream.core.templates.fragments import MAX_DEPTH, Fragments, fragments, without_fragments
from lingstream.core.templates.messages import MAX_MESSAGES, sections
from lingstream.core.templates.sandbox import MAX_SOURCE

TEXTS = {
    ("tone", "production"): "Be kind.",
    ("tone", "beta"): "Be {{ how }}.",
    ("outer", "production"): 'A {% include "prompt:tone" %} Z',
    ("ring", "production"): '{% include "prompt:gnir" %}',
    ("gnir", "production"): '{% include "prompt:ring" %}',
    ("long", "production"): "x" * (MAX_SOURCE // 2),
    **{
        (f"deep{level}", "production"): f'{{% include "prompt:deep{level + 1}" %}}' * 50
        for level in range(MAX_DEPTH + 2)
    },
    **{
        (f"wide{level}", "production"): f'{{% include "prompt:wide{level + 1}" %}}' * 1_000
        for level in range(MAX_DEPTH - 1)
    },
    (f"wide{MAX_DEPTH - 1}", "production"): "",
}


def expanded(source: str) -> str:
    return Fragments(lambda *key: TEXTS[key]).expand(source, ("own",))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("Nothing to include.", "Nothing to include."),
        ('{% include "prompt:tone" %}', "Be kind."),
        ("{%include'prompt:tone'%}", "Be kind."),
        ('Now:\n{% include "prompt:tone@beta" %}\nEnd.\n', "Now:\nBe {{ how }}.\nEnd.\n"),
        ('a \n{%- include "prompt:tone" -%}\n b', "aBe kind.b"),
        ('{% include "prompt:outer" %}', "A Be kind. Z"),
        ('{% for x in y %}{% include "prompt:tone" %}{% endfor %}', "{% for x in y %}Be kind.{% endfor %}"),
        ('{# {% include "prompt:tone" %} #}', '{# {% include "prompt:tone" %} #}'),
        (
            '{% raw %}{% include "prompt:tone" %}{% endraw %}',
            '{% raw %}{% include "prompt:tone" %}{% endraw %}',
        ),
        ("{{ '{% include \"prompt:tone\" %}' }}", "{{ '{% include \"prompt:tone\" %}' }}"),
        ('{% include "/etc/passwd" %}', '{% include "/etc/passwd" %}'),
        ('{% include "prompt:tone" ignore missing %}', '{% include "prompt:tone" ignore missing %}'),
        ('{% include "prompt:" ~ x %}', '{% include "prompt:" ~ x %}'),
        ('{% include ["prompt:tone"] %}', '{% include ["prompt:tone"] %}'),
        ('{% include "prompt:to/ne" %}', '{% include "prompt:to/ne" %}'),
        ("words that include nothing {{ x }}", "words that include nothing {{ x }}"),
    ],
)
def test_a_tag_gives_way_to_the_text_of_a_prompt(source: str, text: str) -> None:
    assert expanded(source) == text


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        ('\n{% include "prompt:own" %}', "no circle of prompts, got own → own", 2),
        ('{% include "prompt:ring" %}', "no circle of prompts, got ring → gnir → ring", 1),
        ('{% include "prompt:deep0" %}', f"up to {MAX_DEPTH} deep", 1),
        ('{% include "prompt:long" %}' * 3, f"at most {MAX_SOURCE} characters", None),
        ('\n{% include "prompt:tone', "line 2: ", 2),
    ],
)
def test_what_would_not_end_is_refused_with_its_line(source: str, message: str, line: int | None) -> None:
    with pytest.raises(TemplateError, match=message) as raised:
        expanded(source)
    assert raised.value.line == line


def test_what_is_included_a_thousand_times_a_thousand_times_is_read_once() -> None:
    assert expanded('{% include "prompt:wide0" %}') == ""


def test_tags_are_told_with_their_lines() -> None:
    found = fragments('One\n{% include "prompt:tone" %}\n\n{% include "prompt:tone@beta" %}')
    assert found == [("tone", "production", 2), ("tone", "beta", 4)]
    assert without_fragments('a\n{% include "prompt:tone" %}\nb') == "a\n\nb"


@given(st.text(alphabet="{}%#-'\" \n\tinclude:@x", max_size=60))
def test_a_text_that_includes_nothing_renders_as_it_did(source: str) -> None:
    source = f"include {source}"
    try:
        plain = templates.render(source, {"x": 1, "include": 2})
    except TemplateError:
        return
    assert templates.render(expanded(source), {"x": 1, "include": 2}) == plain


class TestSections:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("", [("system", "", 1)]),
            ("Be kind.\n", [("system", "Be kind.", 1)]),
            (
                "Be kind.\n\n## user\nHi\n\n## assistant\n\nHo!\n",
                [("system", "Be kind.", 1), ("user", "Hi", 4), ("assistant", "Ho!", 8)],
            ),
            ("## User  \nHi", [("user", "Hi", 2)]),
            ("## system\nS\n## user\nU", [("system", "S", 2), ("user", "U", 4)]),
            (
                "# user\n### user\n## users\n ## user\n##user",
                [("system", "# user\n### user\n## users\n ## user\n##user", 1)],
            ),
        ],
    )
    def test_headings_begin_messages(self, source: str, expected: list[tuple[str, str, int]]) -> None:
        assert sections(source) == expected

    @pytest.mark.parametrize(
        ("source", "message", "line"),
        [
            ("a\n## user\n\n## assistant\nb", "expected a text below “## user”", 3),
            ("## user\nu\n## system\ns", "one system message, before all others", 4),
            ("s\n## system\nt", "one system message, before all others", 3),
            ("## user\nx\n" * (MAX_MESSAGES + 1), f"at most {MAX_MESSAGES} messages", None),
        ],
    )
    def test_what_is_no_conversation_is_refused(self, source: str, message: str, line: int | None) -> None:
        with pytest.raises(TemplateError, match=message) as raised:
            sections(source)
        assert raised.value.line == line
