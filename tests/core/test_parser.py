"""Valid JSON: what comes out, when, and that it equals ``json.loads``."""

from __future__ import annotations

import json

import pytest

from lingstream.core.exceptions import UsageError
from lingstream.core.ops import Append, Closed, Set
from lingstream.core.parser import StreamParser, TextParser

from .parsing import chunk_streams, every_cut, parse

# The "must accept" files of a public conformance corpus (nst/JSONTestSuite, y_*), one text each.
MUST_ACCEPT = {
    "array_arraysWithSpaces": "[[]   ]",
    "array_empty-string": '[""]',
    "array_empty": "[]",
    "array_ending_with_newline": '["a"]\n',
    "array_false": "[false]",
    "array_heterogeneous": '[null, 1, "1", {}]',
    "array_null": "[null]",
    "array_with_1_and_newline": "[1\n]",
    "array_with_leading_space": " [1]",
    "array_with_several_null": "[1,null,null,null,2]",
    "array_with_trailing_space": "[2] ",
    "number": "[123e65]",
    "number_0e+1": "[0e+1]",
    "number_0e1": "[0e1]",
    "number_after_space": "[ 4]",
    "number_double_close_to_zero": "[-0." + "0" * 77 + "1]",
    "number_int_with_exp": "[20e1]",
    "number_minus_zero": "[-0]",
    "number_negative_int": "[-123]",
    "number_negative_one": "[-1]",
    "number_negative_zero": "[-0]",
    "number_real_capital_e": "[1E22]",
    "number_real_capital_e_neg_exp": "[1E-2]",
    "number_real_capital_e_pos_exp": "[1E+2]",
    "number_real_exponent": "[123e45]",
    "number_real_fraction_exponent": "[123.456e78]",
    "number_real_neg_exp": "[1e-2]",
    "number_real_pos_exponent": "[1e+2]",
    "number_simple_int": "[123]",
    "number_simple_real": "[123.456789]",
    "object": '{"asd":"sdf", "dfg":"fgh"}',
    "object_basic": '{"asd":"sdf"}',
    "object_duplicated_key": '{"a":"b","a":"c"}',
    "object_duplicated_key_and_value": '{"a":"b","a":"b"}',
    "object_empty": "{}",
    "object_empty_key": '{"":0}',
    "object_escaped_null_in_key": '{"foo\\u0000bar": 42}',
    "object_extreme_numbers": '{ "min": -1.0e+28, "max": 1.0e+28 }',
    "object_long_strings": '{"x":[{"id": "' + "x" * 40 + '"}], "id": "' + "x" * 40 + '"}',
    "object_simple": '{"a":[]}',
    "object_string_unicode": '{"title":"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430"}',
    "object_with_newlines": '{\n"a": "b"\n}',
    "string_1_2_3_bytes_UTF-8_sequences": '["\\u0060\\u012a\\u12AB"]',
    "string_accepted_surrogate_pair": '["\\uD801\\udc37"]',
    "string_accepted_surrogate_pairs": '["\\ud83d\\ude39\\ud83d\\udc8d"]',
    "string_allowed_escapes": '["\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    "string_backslash_and_u_escaped_zero": '["\\\\u0000"]',
    "string_backslash_doublequotes": '["\\""]',
    "string_comments": '["a/*b*/c/*d//e"]',
    "string_double_escape_a": '["\\\\a"]',
    "string_double_escape_n": '["\\\\n"]',
    "string_escaped_control_character": '["\\u0012"]',
    "string_escaped_noncharacter": '["\\uFFFF"]',
    "string_in_array": '["asd"]',
    "string_in_array_with_leading_space": '[ "asd"]',
    "string_last_surrogates_1_and_2": '["\\uDBFF\\uDFFF"]',
    "string_nbsp_uescaped": '["new\\u00A0line"]',
    "string_nonCharacterInUTF-8_U+10FFFF": '["\U0010ffff"]',
    "string_nonCharacterInUTF-8_U+FFFF": '["\uffff"]',
    "string_null_escape": '["\\u0000"]',
    "string_one-byte-utf-8": '["\\u002c"]',
    "string_pi": '["π"]',
    "string_reservedCharacterInUTF-8_U+1BFFF": '["\U0001bfff"]',
    "string_simple_ascii": '["asd "]',
    "string_space": '" "',
    "string_surrogates_U+1D11E_MUSICAL_SYMBOL_G_CLEF": '["\\uD834\\uDd1e"]',
    "string_three-byte-utf-8": '["\\u0821"]',
    "string_two-byte-utf-8": '["\\u0123"]',
    "string_u+2028_line_sep": '["\u2028"]',
    "string_u+2029_par_sep": '["\u2029"]',
    "string_uEscape": '["\\u0061\\u30af\\u30EA\\u30b9"]',
    "string_uescaped_newline": '["new\\u000Aline"]',
    "string_unescaped_char_delete": '["\x7f"]',
    "string_unicode": '["\\uA66D"]',
    "string_unicodeEscapedBackslash": '["\\u005C"]',
    "string_unicode_2": '["⍂㈴⍂"]',
    "string_unicode_U+10FFFE_nonchar": '["\\uDBFF\\uDFFE"]',
    "string_unicode_U+1FFFE_nonchar": '["\\uD83F\\uDFFE"]',
    "string_unicode_U+200B_ZERO_WIDTH_SPACE": '["\\u200B"]',
    "string_unicode_U+2064_invisible_plus": '["\\u2064"]',
    "string_unicode_U+FDD0_nonchar": '["\\uFDD0"]',
    "string_unicode_U+FFFE_nonchar": '["\\uFFFE"]',
    "string_unicode_escaped_double_quote": '["\\u0022"]',
    "string_utf8": '["€𝄞"]',
    "string_with_del_character": '["a\x7fa"]',
    "structure_lonely_false": "false",
    "structure_lonely_int": "42",
    "structure_lonely_negative_real": "-0.1",
    "structure_lonely_null": "null",
    "structure_lonely_string": '"asd"',
    "structure_lonely_true": "true",
    "structure_string_empty": '""',
    "structure_trailing_newline": '["a"]\n',
    "structure_true_in_array": "[true]",
    "structure_whitespace_array": " [] ",
}


@pytest.mark.parametrize("text", MUST_ACCEPT.values(), ids=MUST_ACCEPT.keys())
def test_conformance_corpus_is_untouched_at_every_cut(text: str) -> None:
    whole = parse([text])
    assert whole.value == repr(json.loads(text))
    assert whole.repairs == []
    assert parse([text], repair=False).told == whole.told
    for pieces in every_cut(text):
        assert parse(pieces).told == whole.told
        assert parse(pieces, repair=False).told == whole.told


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


def test_no_document() -> None:
    parsed = parse(["Sorry, I cannot {do} that."])
    assert parsed.value == "None"
    assert parsed.preamble == "Sorry, I cannot {do} that."
    assert parsed.ops == []


def test_preamble_and_reasoning_are_drained_piece_by_piece() -> None:
    parser = StreamParser()
    parser.feed("<think>let me")
    assert parser.take_reasoning() == "let me"
    parser.feed(" see</think>Sure: ")
    assert (parser.take_reasoning(), parser.take_preamble()) == (" see", "Sure: ")
    parser.feed('{"a": 1}')
    assert (parser.take_reasoning(), parser.take_preamble()) == ("", "")


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


def test_text_parser_keeps_what_only_begins_like_reasoning() -> None:
    for pieces in (["\n<", "p>x"], [" ", "\n", "<", "t", "p>x"], ["\n<p>x"]):
        parser = TextParser()
        for piece in pieces:
            parser.feed(piece)
        parser.close()
        assert parser.value == "".join(pieces)


def test_text_parser_keeps_reasoning_apart() -> None:
    parser = TextParser()
    ops = [op for char in "<think>hm</think>\nyes <b>" for op in parser.feed(char)]
    assert "".join(op.delta for op in ops if isinstance(op, Append)) == "yes <b>"
    assert parser.take_reasoning() == "hm"
