"""The letters of JSON."""

from __future__ import annotations

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
        (UnescapeHtml, "{&quot;a&quot;: &#123;&amp;amp;}", '{"a": {&amp;}'),
        (UnescapeHtml, "a &quot", "a &quot"),
        (UnescapeHtml, "AT&T & co", "AT&T & co"),
    ],
)
def test_a_level_of_escapes_is_undone_wherever_it_is_cut(make: type[Unescape], text: str, plain: str) -> None:
    for pieces in every_cut(text):
        unescape = make()
        assert "".join(map(unescape.feed, pieces)) + unescape.close() == plain
