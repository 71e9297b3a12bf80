"""Between keys and values, and where the document ends."""

from __future__ import annotations

import pytest

from lingstream.core.document.ops import Closed
from lingstream.core.exceptions import ParseError
from lingstream.core.parsing import StreamParser

from ..support import parse


@pytest.mark.parametrize(
    ("text", "uri", "offset", "line", "words"),
    [
        ('{"a": 1,}', "", 8, 1, "expected a key, got '}'"),
        ('{"a": [1,\n 2,\n x]}', "a/2", 15, 3, "got 'x'"),
        ('{\n"a"\n"b"}', "a", 6, 3, "expected ':'"),
        ('{"a": "x\ny"}', "a", 8, 1, "control character"),
        ('{"a": "\\q"}', "a", 7, 1, "expected an escape"),
        ('{"a": 01}', "a", 6, 1, "got '01'"),
        ('{"a": tru', "a", 6, 1, "got 'tru'"),
        ('{"a": 1', "", 7, 1, "expected '}', got the end of the text"),
        ('{"a": "x', "a", 8, 1, "expected a closing quote, got the end of the text"),
        ('{"a": 1} x', "", 9, 1, "expected the end of the text, got 'x'"),
        ("", "", 0, 1, "expected a JSON value, got the end of the text"),
        ("x", "", 0, 1, "got 'x'"),
        ('["a" "b"]', "", 5, 1, "expected ',' or ']'"),
    ],
)
def test_strict_errors_say_where_and_what(text: str, uri: str, offset: int, line: int, words: str) -> None:
    for pieces in ([text], list(text)):
        with pytest.raises(ParseError) as caught:
            parse(pieces, repair=False)
        error = caught.value
        assert (error.uri, error.offset, error.line) == (uri, offset, line)
        assert words in error.message
        assert type(error) is ParseError


def test_the_root_closes_when_it_is_clear_that_no_key_follows() -> None:
    parser = StreamParser()
    assert StreamParser().feed('["x"]\n!')[-1] == Closed("", ["x"])
    assert Closed("", {"a": 1}) in StreamParser(repair=False).feed('{"a": 1}')
    assert parser.feed('{"a": 1} ')[-1] == Closed("a", 1)
    assert parser.feed("\nSo") == [Closed("", {"a": 1})]
    assert [repair.kind for repair in parser.repairs] == ["trailing"]
