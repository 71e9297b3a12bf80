"""Valid JSON: what comes out, when, and that it equals ``json.loads``."""

from __future__ import annotations

import json

import pytest

from lingstream.core.document.ops import Append, Closed, Set
from lingstream.core.exceptions import ParseError, UsageError
from lingstream.core.parsing import StreamParser, TextParser

from .support import chunk_streams, fold_all, parse


@pytest.mark.parametrize("name", ["outline", "mixed", "essay100k"])
def test_token_streams(name: str) -> None:
    chunks = chunk_streams()[name]
    parsed = parse(chunks)
    assert parsed.value == repr(json.loads("".join(chunks)))
    assert parsed.repairs == []
    assert parsed.fixes == 0


def test_ops_of_a_small_document() -> None:
    parser = StreamParser(root="a/0")
    assert parser.feed('{"n": 1, "s": "he') == [
        Set("a/0", {}),
        Set("a/0/n", 1),
        Closed("a/0/n", 1),
        Append("a/0/s", "he"),
    ]
    assert parser.value == {"n": 1, "s": "he"}
    assert parser.feed('y", "e": "", "l": [') == [
        Append("a/0/s", "y"),
        Closed("a/0/s", "hey"),
        Set("a/0/e", ""),
        Closed("a/0/e", ""),
        Set("a/0/l", []),
    ]
    assert parser.feed("true, null]}") == [
        Set("a/0/l/0", True),
        Closed("a/0/l/0", True),
        Set("a/0/l/1", None),
        Closed("a/0/l/1", None),
        Closed("a/0/l", [True, None]),
    ]
    assert parser.close() == [Closed("a/0", {"n": 1, "s": "hey", "e": "", "l": [True, None]})]
    assert parser.close() == []


def test_uris_escape_keys() -> None:
    parsed = parse(['{"a/b": 1, "": 2, "..": 3, "c\\\\d": 4}'])
    uris = [op.uri for op in parsed.ops if isinstance(op, Set)]
    assert uris == ["", "a\\/b", "\\0", "\\..", "c\\\\d"]


def test_one_append_per_run_of_characters_per_chunk() -> None:
    parser = StreamParser()
    parser.feed('{"a": "')
    assert parser.feed('x\\n\\u4e2d\\"y') == [Append("a", 'x\n中"y')]


def test_no_op_splits_an_escape_or_a_surrogate_pair() -> None:
    parser = StreamParser()
    ops = [op for char in '{"a": "\\ud83d\\ude00\\n' for op in parser.feed(char)]
    assert ops == [Set("", {}), Append("a", "😀"), Append("a", "\n")]


def test_surrogates_that_come_in_two_chunks_are_joined() -> None:
    assert parse(['{"a": "\ud83d', '\ude00"}']).value == repr({"a": "😀"})


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ('{"a": "x", "b', "a"),
        ('["x", ', "0"),
        ('{"a": {"b": "x"', "a/b"),
    ],
)
def test_a_string_settles_only_with_proof(text: str, uri: str) -> None:
    parser = StreamParser()
    proof = {"a": '":', "0": '"', "a/b": "}"}[uri]
    assert uri not in [op.uri for op in parser.feed(text) if isinstance(op, Closed)]
    assert Closed(uri, "x") in parser.feed(proof)


def test_a_strict_parser_settles_a_string_at_its_quote() -> None:
    assert Closed("a", "x") in StreamParser(repair=False).feed('{"a": "x"')


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("[1E400, -1e999]", [None, None], "overflow"),
        ('["\\ud83d x"]', ["\ufffd x"], "surrogate"),
        ('["\\ude00"]', ["\ufffd"], "surrogate"),
        ('{"\\ud83d": 1}', {"\ufffd": 1}, "surrogate"),
    ],
)
def test_what_json_allows_and_no_client_can_read_is_listed(text: str, value: object, kind: str) -> None:
    for strict in (False, True):
        parsed = parse([text], repair=not strict)
        assert parsed.value == repr(value)
        assert {repair.kind for repair in parsed.repairs} == {kind}


@pytest.mark.parametrize(
    "text", ["[-0]", "[-0.0, 0.0]", f"[{10**400}]", f"[-{'9' * 4299}]", "[1.0, 1e2, 5E-324]"]
)
def test_numbers_are_what_json_loads_makes_of_them(text: str) -> None:
    assert parse([text]).value == repr(json.loads(text))
    assert parse(list(text)).value == repr(json.loads(text))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": 1, "a": 2}', [2]),
        ('{"a": 1, "a": "x"}', [""]),
        ('{"a": {"b": 1}, "a": [2]}', [[]]),
        ('{"a": "x", "a": ""}', [""]),
    ],
)
def test_a_duplicate_key_replaces_with_a_fix(text: str, values: list[object]) -> None:
    parsed = parse([text])
    assert parsed.value == repr(json.loads(text))
    assert [op.value for op in parsed.ops if isinstance(op, Set) and op.fix] == values
    assert parsed.repairs == []


def test_empty_chunks_bring_no_ops() -> None:
    parser = StreamParser()
    for text in ("", "{", '"', "a", '"', ":", '"', "x", "1"):
        parser.feed(text)
        assert parser.feed("") == []


def test_text_after_close_is_refused() -> None:
    parser = StreamParser()
    parser.close()
    with pytest.raises(UsageError):
        parser.feed("{}")


def test_text_parser_appends_everything_at_the_root() -> None:
    parser = TextParser(root="answer")
    assert parser.feed("Hello ") == [Append("answer", "Hello ")]
    assert parser.feed("") == []
    assert parser.feed('{"a') == [Append("answer", '{"a')]
    assert parser.value == 'Hello {"a'
    assert parser.close() == [Closed("answer", 'Hello {"a')]
    assert parser.close() == []
    assert parser.repairs == []


def test_text_parser_without_text() -> None:
    parser = TextParser(root="answer")
    assert parser.close() == [Set("answer", ""), Closed("answer", "")]


def test_an_error_is_raised_again() -> None:
    parser = StreamParser(repair=False)
    for _ in range(2):
        with pytest.raises(ParseError):
            parser.feed("[1,,]")
    assert fold_all(parser.close()) == parser.value == [1]
    assert parser.close() == []
