"""Bounds, memory, and time linear in the text."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable

import pytest

from lingstream.core.document.ops import Append
from lingstream.core.exceptions import ParseLimitError
from lingstream.core.parsing import BaseParser, StreamParser, TextParser
from lingstream.core.parsing.html import HtmlParser
from lingstream.core.parsing.schema import SchemaParser

from .support import Folded, fold_all, parse


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize(
    ("text", "limits", "uri", "offset"),
    [
        ("[[[[1]]]]", {"max_depth": 3}, "0/0/0", 3),
        ('{"a": [' + '{"b":' * 9, {"max_depth": 4}, "a/0/b/b", 17),
        ('{"a": "12345"}', {"max_chars": 10}, None, 10),
        ('{"a": 1, "abcdef": 2}', {"max_key": 5}, "", None),
        ('{"a": [1, 123456]}', {"max_number": 5}, "a/1", 10),
        ("-123456", {"max_number": 5}, "", 0),
    ],
)
def test_past_a_bound(
    text: str, limits: dict[str, int], uri: str | None, offset: int | None, repair: bool
) -> None:
    for pieces in ([text], list(text)):
        with pytest.raises(ParseLimitError) as caught:
            parse(pieces, repair=repair, **limits)
        assert uri is None or caught.value.uri == uri
        assert offset is None or caught.value.offset == offset


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (StreamParser, '{"a": "x”, [1] y", "b": 12, "c": ["d"'),
        (StreamParser, '{"a": "x\\", \n\n y", "b": ["c", {"d": 1}, "e": "f'),
        (StreamParser, '```json\n{a: "the "x", "y" items", b: [tru'),
        (TextParser, "So <think> it is </thin"),
        (HtmlParser, "<think>a</think>\n<p>x &amp; <b>y</b></p>"),
    ],
)
def test_what_came_before_a_bound_is_in_the_document(make: Callable[..., BaseParser], text: str) -> None:
    """As if the text had been cut off there, also what was held back."""
    for bound in range(1, len(text)):
        cut_off = make()
        cut_off.feed(text[:bound])
        cut_off.close(cut=True)
        for pieces in ([text], list(text), [text[: bound - 1], text[bound - 1 :]]):
            parser, folded = make(max_chars=bound), Folded()
            with pytest.raises(ParseLimitError):
                for piece in pieces:
                    folded.take(parser.feed(piece))
            folded.take(parser.close())
            assert repr(folded.document) == repr(parser.value) == repr(cut_off.value)
            assert parser.close() == []


def test_what_came_before_any_other_bound_is_told_by_close() -> None:
    parser = StreamParser(max_depth=2)
    with pytest.raises(ParseLimitError):
        parser.feed('{"a": "x”", "b": [[')
    assert fold_all(parser.close()) == parser.value == {"a": "x”", "b": []}


@pytest.mark.parametrize("opening", ["[", '{"a":', "(", "{"])
def test_deep_nesting_is_refused_and_does_not_recurse(opening: str) -> None:
    text = "[" + opening * 100_000
    if opening == "{":
        assert parse([text]).value == "{}"  # braces behind braces are prose
    else:
        with pytest.raises(ParseLimitError):
            parse([text])


def test_depth_up_to_the_bound() -> None:
    assert parse(["[" * 512 + "]" * 512]).repairs == []


def test_white_space_behind_a_number_is_bounded_too() -> None:
    parser = StreamParser(max_chars=100_000)
    parser.feed("[1")
    with pytest.raises(ParseLimitError):
        for _ in range(1000):
            parser.feed(" " * 1000)


def test_text_parser_is_bounded() -> None:
    parser = TextParser(max_chars=10)
    parser.feed("0123456789")
    with pytest.raises(ParseLimitError):
        parser.feed("0")


def test_a_long_string_takes_memory_for_its_value_and_little_else() -> None:
    size = 10_000_000
    piece = "lorem ipsum dolor sit amet, consetetur s" * 10
    parser = StreamParser()
    parser.feed('{"a": "')
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            ops = parser.feed(piece)
        parser.feed('"}')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ops == [Append("a", piece)]
    assert len(parser.value["a"]) == size
    # The pieces, and for a moment their sum. A piece is one object of the caller's here.
    assert peak < 2 * size


def test_one_large_chunk_full_of_escapes_takes_a_few_times_its_size() -> None:
    text = '{"a": "' + "abcd\\n" * 200_000 + '"}'
    parser = StreamParser()
    tracemalloc.start()
    try:
        parser.feed(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(parser.value["a"]) == 1_000_000
    assert peak < 8 * len(text)


REPEATED = {
    "lists behind prose": ("x ", "[[1], "),
    "written white space": ('{"a": "x', '"\\n'),
    "written white space between values": ('{"a": [1', "\\n, 1"),
    "quotes in a fence": ('{"a": "```', '"\n```x '),
    "junk behind strings": ('{"a": "x', '"`, "b" '),
    "junk before keys": ('{"a": "x', '"[1], [2], "b": "x'),
    "plain": ('{"a": "', "lorem "),
    "items": ("[", '"x", 1, '),
    "quotes": ('{"a": "', '"'),
    "quoted commas": ('{"a": "', '",'),
    "inner quotes": ('{"a": "', 'x "y" '),
    "comments": ('{"a": "', '"/*'),
    "hashes": ('{"a": "x"', "# "),
    "backslashes": ('{"a": "', "\\"),
    "surrogates": ('{"a": "', "\\ud83d"),
    "bare": ('{"a": ', "b, "),
    "bare items": ("[", "a "),
    "lost quotes": ("{", '"a": "x,\n'),
    "wrong brackets": ('{"a":[1', "},"),
    "a run of brackets": ("[1", "}"),
    "brackets behind quotes": ('{"a": "', '"}'),
    "brackets of a string": ('{"a": "', '{"x"}, '),
    "lost quotes of bare keys": ("{", 'b: "x, '),
    "slashes": ("[1", " /"),
    "dots": ("[1", " ."),
    "dots behind a word": ('{"a": xy', "."),
    "ellipses behind a word": ('{"a": xy', "…"),
    "prose": ("", "{a ["),
    "quotes in prose": ("", '\n"a" '),
    "reasoning": ("<think>", "</"),
    "escaped": ('{\\"a\\": \\"', '\\\\\\"'),
    "quoted JSON": ('{"a": "', '{"b": "c", '),
    "quoted JSON in items": ("[", '"{"a": "b", "c": 1}, '),
    "remarks": ('{"a": "', '" (x '),
    "stray typography": ('{"a": "', '”, "'),
    "ends of reasoning": ('{"a": 1}', "</think>{}"),
    "nested reasoning": ("<think>", "<think></think>a"),
    "headers": ("", "<|channel|>final<|message|>"),
    "records without a brace": ("[", '{"k": 1}, "k": 2}, '),
    "records closed too early": ("[", '{"k": 1}, "l": 2}, '),
    "arrays closed too early": ("[", '{"k": 1}], '),
    "second lists": ('{"a": [1]', ", [1]"),
    "items of a list that was closed": ('{"a": ["x"]', ', "b", ["x"]'),
    "braces too many": ('{"a": [', '{"b": {"c": 1}}}, "d": 2}, '),
    "commas in a number": ("{", '"a": 1,000, '),
    "signs": ('{"a": "', "”, "),
    "escaped quotes": ('{"a": "', '\\", '),
    "signs in single quotes": ("{'a': '", "’, "),
    "prose like a record": ('[{"k": 1}]', ', {"k": 2} or'),
    "prose like records": ('[{"k": 1}]', ', {"k": 2}, {"k": 3} or'),
    "prose like keys": ('{"k": 1}', ', "l": "x" or'),
    "citations behind records": ("[", '{"k": 1} [1], '),
    "arrays behind records": ("[", '{"k": 1} [1], [2], '),
    "unescaped quotes": ("['", '"a", '),
    "values like comments": ("[", "#fff, "),
    "white space": ('{"a": "x",', " "),
    "an unquoted word": ('{"a": ', "xY7"),
    "unquoted Chinese": ('{"a": ', "汉字"),
    "blanks in an unquoted value": ('{"a": x', " "),
    "lines of nothing before a quote": ('{"a": "', "\n" * 99 + 'x"'),
    "brackets in prose": ("a ", "["),
    "low quotes at the start of lines": ("", "„\n"),
    "low quotes in single quotes": ("{'a': 'x", "' „x"),
    "low quotes behind a word": ('{"a": b', " „b"),
    "escaped quotes behind a word": ('{"a": b', '\\"'),
    "quotes behind a word": ('{"a": b', '"'),
    "commas behind a word": ('{"a": b!', ",! "),
    "nothing but commas behind a word": ('{"a": b', ","),
    "commas and ellipses behind a word": ('{"a": b', ",..."),
    "digits with commas behind a letter": ('{"a": x1', ",11"),
    "brackets in comments in prose": ("a {", "#{\n"),
    "quotes in comments": ('{"a": "x', '#"\n'),
    "comments for values": ("[1, ", "#a b\n"),
    "pieces of a string": ('{"a": "', """'“x”' "u" " + \""""),
    "comments for keys": ("{", "#a: x} y\n"),
}


@pytest.mark.parametrize(
    ("head", "unit", "middle", "rest"),
    [
        ('{"a": "x', '#"\n', "'", "x"),
        ('{"a": "x', '#"\n', "", "]"),
        ('{"a": #b c\n', "#b c\n", "'", "x"),
        ("a {", "#{\n", "", "."),
        ('{"a": "x", "k:', " ", "", "y"),
    ],
)
def test_what_follows_many_signs_is_not_read_for_each(head: str, unit: str, middle: str, rest: str) -> None:
    """Comments, each with a sign that asks what follows them; and white space that a pattern may split."""

    def text(length: int) -> str:
        return head + unit * (length // len(unit)) + middle + rest * length + '!", "b": 1}'

    takes_linear_time(StreamParser, text, 100_000, 1_000)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (lambda length: '["a[1]' + "\n" * length + 'x" y"]', 190),
        (lambda length: '{a: "' + "\n" * length + 'x" y"}', 190),
        (lambda length: '{"a": x1' + ",11" * length + "}", 170),
        (lambda length: "1" * length + "x" + "1" * 15 * length, 500),
    ],
)
def test_what_a_pattern_may_split_in_many_ways_is_read_at_once(
    text: Callable[[int], str], short: int
) -> None:
    takes_linear_time(StreamParser, text, 100_000, short)


def test_comments_that_have_been_passed_are_forgotten() -> None:
    parser = StreamParser()
    tracemalloc.start()
    try:
        for piece in ['{"a": "', *(['w" #c\n "' * 100] * 100)]:
            parser.feed(piece)
        kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/lookahead.py")])
    finally:
        tracemalloc.stop()
    assert sum(each.size for each in kept.statistics("filename")) < 300_000  # of 10,000 comments


IN_PLAIN_TEXT = {
    "marks of the end": ("a", "<|im_end|>"),
    "marks of the end and white space": ("", "<|im_end|>" + " " * 90),
    "marks of the end and text": ("a", "<|im_end|>" * 50 + "x"),
    "white space behind a mark": ("a<|im_end|>", " "),
    "reasoning": ("<think>", "</"),
    "ends of reasoning": ("a", "</think>"),
    "nested reasoning": ("<think>", "<think></think>a"),
    "headers": ("", "<|channel|>final<|message|>"),
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(("head", "unit"), REPEATED.values(), ids=REPEATED.keys())
def test_no_text_takes_more_than_linear_time(head: str, unit: str, size: int) -> None:
    takes_linear_time(StreamParser, repeated(head, unit), size, 2_000)


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize(("head", "unit"), IN_PLAIN_TEXT.values(), ids=IN_PLAIN_TEXT.keys())
def test_no_plain_text_takes_more_than_linear_time(head: str, unit: str, size: int) -> None:
    takes_linear_time(TextParser, repeated(head, unit), size, 10_000)  # up to more than is looked ahead


def repeated(head: str, unit: str) -> Callable[[int], str]:
    """Return what makes a text of a length: a beginning, and then the same again and again."""
    return lambda length: head + unit * (length // len(unit)) + "x"


def takes_linear_time(
    make: Callable[[], BaseParser], text_of: Callable[[int], str], size: int, short: int
) -> None:
    """Check that a text that is eight times as long takes eight times as long, in pieces of ``size``."""

    def seconds(length: int) -> float:
        text, parser = text_of(length), make()
        start = time.process_time()
        for index in range(0, len(text), size):
            parser.feed(text[index : index + size])
        parser.close()
        return time.process_time() - start

    gc.disable()  # a collection of all that other tests have left would be counted here
    try:
        most = 8 * min(seconds(short) for _ in range(3)) * 3 + 0.1  # quadratic would be 64 times
        assert any(seconds(8 * short) < most for _ in range(3))  # once is nearly always enough
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": %s}' % ("1" * 4_301 + "n"),
        '{"a": %s}' % ("1_" * 2_151 + "1"),
        '{"a": 1%s}' % ("，111" * 1_500),
        "[1, %sL" % ("1" * 4_301),
        "[0x%s]" % ("f" * 4_200),
        "0x" + "f" * 4_200,
        "0x" + "f" * 4_400,
        '{"a": 0b%s, "b": 1}' % ("1" * 14_290),
        "1" * 4_301 + "n",
    ],
)
def test_a_number_that_python_cannot_write_is_refused(text: str) -> None:
    for pieces in ([text], list(text)):
        with pytest.raises(ParseLimitError, match="characters in a number"):
            parse(pieces)


def test_numbers_up_to_the_bound() -> None:
    for text, value in (("1" * 4_299 + "n", int("1" * 4_299)), ("0x" + "f" * 3_500, 16**3_500 - 1)):
        assert parse(["[", text, "]"]).document == [value]


@pytest.mark.parametrize("unit", ["1,", "1.5,", "1,234,"])
def test_digits_with_commas_past_the_bound_are_read_once(unit: str) -> None:
    def seconds(length: int) -> float:
        parser = StreamParser()
        start = time.process_time()
        with pytest.raises(ParseLimitError):
            parser.feed('{"a": ' + unit * (length // len(unit)) + "1}")
        return time.process_time() - start

    short, long = (min(seconds(length) for _ in range(3)) for length in (6_000, 48_000))
    assert long < 8 * short * 3 + 0.1


@pytest.mark.parametrize("schema", [None, {"type": "object", "properties": {"a": {"type": "string"}}}])
@pytest.mark.parametrize("head", ["", "\t"])  # valid JSON, and no more
def test_a_look_after_each_chunk_takes_no_more_than_linear_time(
    schema: dict[str, object] | None, head: str
) -> None:
    def seconds(count: int) -> float:
        parser = StreamParser()
        reader = SchemaParser(parser, schema) if schema else parser
        reader.feed(f'{{"a": "{head}')
        start = time.process_time()
        for _ in range(count):
            reader.feed("abcd")
            assert reader.value["a"]
        return time.process_time() - start

    short, long = (min(seconds(count) for _ in range(3)) for count in (2_000, 16_000))
    assert long < 8 * short * 3 + 0.1
