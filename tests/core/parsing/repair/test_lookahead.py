"""What follows: the questions, asked of a text that has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lingstream.core.parsing.emitter import Emitter, Limits
from lingstream.core.parsing.repair.lookahead import Lookahead
from lingstream.core.parsing.tokenizer import Reading, Source

from ..support import parse


def answer(text: str, question: Callable[[Lookahead], Reading[Any]], container: Any = None) -> Any:
    emitter = Emitter("", Limits(9, 1000, 99, 99), strict=False)
    source = Source(emitter)
    source.put(text)
    source.done = True
    if container is not None:
        emitter.open_container("", container, "}" if isinstance(container, dict) else "]", 0)
    asked = question(Lookahead(emitter, source))
    with pytest.raises(StopIteration) as stopped:
        next(asked)
    assert (source.pos, source.text) == (0, text)
    return stopped.value.value


@pytest.mark.parametrize(
    ("question", "text", "end"),
    [
        ("skip", " \n\t x", 4),
        ("skip", " /* a */ // b\n # c\nx", 19),
        ("skip", "/x", 0),
        ("comment", "// a\nb", 4),
        ("comment", "/* a */b", 7),
        ("comment", "/* a", 4),
        ("comment", "a", 0),
        ("ellipsis", "...,", 3),
        ("ellipsis", "…,", 1),
        ("ellipsis", "..,", 0),
        ("ellipsis", "..", 2),
        ("quoted", '"a": 1', 3),
        ("quoted", '"a\\"b" c', 6),
        ("quoted", '""a"" b', 5),
        ("quoted", "“a” b", 3),
        ("behind", '"a"  : 1', 5),
    ],
)
def test_where_something_ends(question: str, text: str, end: int) -> None:
    assert answer(text, lambda ahead: getattr(ahead, question)(0)) == end


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('["x" ' + "." * 99 + "]", ["x"]),
        ('{"a": "x", ' + "." * 99 + ' "b": 1}', {"a": "x", "b": 1}),
        ("[1, " + "." * 99 + "]", [1]),
        ("{" + "." * 99 + ', "b": 1}', {"b": 1}),
        ('{"a": "x", „see „this": 1}', {"a": "x", "see „this": 1}),
        ('{"a": "x", „see „this”: 1}', {"a": "x", "see „this": 1}),
        ('{"a": "Er sagt „ja", „b „c“": 1}', {"a": "Er sagt „ja", "b „c": 1}),
        ('{"a": „x”, „b „c”: 1}', {"a": "x", "b „c": 1}),
        ("I think [ //</think>\n[as, b]", ["as", "b"]),
        ("see [ #```json\n[as, b]\n```", ["as", "b"]),
        ('{"a": b!,#x,k: 1\n!}', {"a": "b!,#x", "k": 1}),
        ('{"a": b!,#x,"k": 1\n!}', {"a": "b!,#x", "k": 1}),
        ('{"a": b!,/*x,k:"1"*/!}', {"a": "b!,/*x", "k": "1"}),
        ("['x'" + ")" * 600 + ', "y"]', ["x"]),
    ],
)
def test_what_is_kept_of_a_look_ahead_answers_as_another_look(text: str, document: Any) -> None:
    for pieces in ([text], text):
        assert parse(pieces).document == document


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        (
            "value_starts",
            ['"a"', "{", "[", "-1", ".5", "+1", "true", "None,"],
            ["", "a", ".", "+", "}", "tru"],
        ),
        ("string_prefix", ["u'a',", "b'a'}", "r'a' :", 'u"a",'], ["u'a", "u'a' b", "x'a',", 'u", "b":']),
        ("item_follows", ['"a"]', '"a", 1', '"a"'], ['"a" b', '"a", b', '"a": 1']),
    ],
)
def test_what_stands_there(question: str, yes: list[str], no: list[str]) -> None:
    for text in yes + no:
        assert answer(text, lambda ahead: getattr(ahead, question)(0)) is (text in yes), text


@pytest.mark.parametrize(
    ("text", "comma", "follows"),
    [
        ('"a": 1', False, True),
        ('"a" b', False, False),
        ('"a"}', True, True),
        ('"a"}', False, False),
        ("a: 1", True, True),
        ("a: words, more", True, True),
        ("a: words, more", False, False),
        ("a b c d", True, True),
        ("a, b", True, False),
        ("{", True, False),
    ],
)
def test_whether_a_key_follows(text: str, comma: bool, follows: bool) -> None:
    found = answer(text, lambda ahead: ahead.key_follows(0, inside=False, comma=comma), {})
    assert found is follows


@pytest.mark.parametrize(
    ("text", "kind"),
    [('\\"a', "\\"), ("\\n", ""), ("\\d", ""), ("&quot;a", "&"), ("&amp;a", ""), ("a", "")],
)
def test_what_a_document_is_escaped_with(text: str, kind: str) -> None:
    assert answer(text, lambda ahead: ahead.escape_kind(0)) == kind


@pytest.mark.parametrize(
    ("text", "found"), [("it's", True), ("it’s", True), ("its'", False), ('it"s', False), ("it' s", False)]
)
def test_an_apostrophe_stands_between_two_letters(text: str, found: bool) -> None:
    at = next(index for index, char in enumerate(text) if not char.isalnum())
    assert answer(text, lambda ahead: ahead.apostrophe(at)) is found
