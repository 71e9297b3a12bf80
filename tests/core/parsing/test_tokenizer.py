"""The letters of JSON."""

from __future__ import annotations

import tracemalloc

import pytest

from lingstream.core.parsing.tokenizer import Unescape, UnescapeHtml

from .support import every_cut


@pytest.mark.parametrize(
    ("make", "text", "plain"),
    [
        (Unescape, r"{\"a\": \"\\n\"}", r'{"a": "\n"}'),
        (Unescape, r"{\n  \"a\": \u4e2d}", '{\n  "a": 中}'),
        (Unescape, r"\u12zz", r"\u12zz"),
        (Unescape, "x\\", "x\\"),
        (Unescape, r"\"a\"" * 60, '"a"' * 60),
        (UnescapeHtml, "{&quot;a&quot;: &#123;&amp;amp;}", '{"a": {&amp;}'),
        (UnescapeHtml, "a &quot", "a &quot"),
        (UnescapeHtml, "AT&T & co", "AT&T & co"),
        (UnescapeHtml, "a &notit; &notin; b", "a ¬it; ∉ b"),
        (UnescapeHtml, "&CounterClockwiseContourIntegral;&ampx y", "∳&x y"),
        (UnescapeHtml, "&#2" + "9" * 31 + "99;", "\ufffd99;"),
        (UnescapeHtml, "&#x2" + "0" * 40 + " &#x;&#;&;", "\ufffd" + "0" * 9 + " &#x;&#;&;"),
        (UnescapeHtml, "&" + "x" * 40, "&" + "x" * 40),
    ],
)
def test_a_level_of_escapes_is_undone_wherever_it_is_cut(make: type[Unescape], text: str, plain: str) -> None:
    for pieces in every_cut(text):
        unescape = make()
        assert "".join(map(unescape.feed, pieces)) + unescape.close() == plain


def test_one_large_chunk_full_of_escapes_takes_a_few_times_its_size() -> None:
    text = "abcd\\\\n" * 200_000
    tracemalloc.start()
    try:
        assert Unescape().feed(text) == "abcd\\n" * 200_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(text)
