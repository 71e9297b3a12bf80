"""The seven invariants, over generated documents, valid and broken, and generated cuts."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.ops import fold
from lingstream.core.exceptions import ParseError
from lingstream.core.parsing import StreamParser
from lingstream.core.parsing.tokenizer import Reading, Source

from .support import every_cut, parse, repair_cases

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, database=None)

TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(list("{}[]\",:\\'/ \n#+&<`“，0")), max_size=8
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 10**30, "", "true", '", "a": "'])
    | TEXT
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
LAYOUTS = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"separators": (" ,\t", " :\r\n")}])


@st.composite
def texts(draw: st.DrawFn) -> str:
    layout = draw(LAYOUTS)
    return json.dumps(draw(DOCUMENTS), ensure_ascii=draw(st.booleans()), **layout)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A text with a few characters gone, added or replaced."""
    text = draw(texts() | st.sampled_from([case["input"] for case in repair_cases()]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.sampled_from([0, 0, 1, 1, 5, 1000]))
        text = (
            text[:at]
            + draw(st.sampled_from([*"{}[]\",:\\'/-.#+&<`“，0a \n", "", "\ud83d"]))
            + text[at + gone :]
        )
    return text


def pieces(text: str, seed: int) -> list[str]:
    """Cut at random, empty pieces included."""
    dice = random.Random(seed)
    cuts = sorted(dice.randint(0, len(text)) for _ in range(dice.randint(1, 8)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@BOUNDED
@given(texts())
def test_valid_json_equals_json_loads_at_every_cut(text: str) -> None:
    expected = repr(json.loads(text))
    whole = parse([text])
    assert (whole.value, whole.repairs, whole.preamble) == (expected, [], "")
    assert whole.fixes == 0
    for cut in every_cut(text) if len(text) < 60 else [list(text)]:
        assert parse(cut).told == whole.told
    assert parse(list(text), repair=False).told == whole.told


@BOUNDED
@given(broken(), st.integers(0, 1000))
def test_broken_json_never_raises_and_no_cut_changes_the_result(text: str, seed: int) -> None:
    whole = parse([text])
    assert parse(list(text)).told == whole.told
    assert parse(pieces(text, seed)).told == whole.told


@BOUNDED
@given(st.text(max_size=40), st.integers(0, 1000))
def test_any_text_at_all(text: str, seed: int) -> None:
    whole = parse([text])
    assert parse(list(text)).told == whole.told
    assert parse(pieces(text, seed)).told == whole.told


@BOUNDED
@given(broken())
def test_strict_mode_accepts_what_json_loads_accepts(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        accepted = None
    else:
        accepted = repr(expected)
    for cut in ([text], list(text)):
        try:
            value = parse(cut, repair=False).value
        except ParseError:
            value = None
        if accepted is None or value is None:
            assert accepted == value
        elif "\\ud" not in accepted:
            assert value == accepted


@BOUNDED
@given(texts(), st.integers(0, 1000))
def test_the_partial_view_is_a_beginning_of_the_document(text: str, seed: int) -> None:
    document = json.loads(text)
    parser, view = StreamParser(), None
    for piece in pieces(text, seed):
        for op in parser.feed(piece):
            view = fold(view, op)
        assert repr(view) == repr(parser.value)
        assert view is None or begins(view, document)


@BOUNDED
@given(texts())
def test_a_valid_text_cut_off_keeps_what_is_there(text: str) -> None:
    document = json.loads(text)
    if not isinstance(document, dict | list):
        return
    for end in range(1, len(text), max(1, len(text) // 40)):
        assert begins(parse([text[:end]]).document, document, cut=True)


def begins(part: Any, whole: Any, *, cut: bool = False) -> bool:
    """Whether ``part`` is ``whole`` in the making: less of it, but nothing else.

    :param cut: the last number may be half of one, and the last value null.
    """
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and begins(value, whole[key], cut=cut) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(
            begins(value, other, cut=cut) for value, other in zip(part, whole, strict=False)
        )
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if cut and part is None:
        return True
    if cut and isinstance(part, int | float) and isinstance(whole, int | float):
        return True
    return repr(part) == repr(whole)


class Repairing(StreamParser):
    """A parser without the fast path."""

    def _read(self, source: Source) -> Reading[None]:
        yield from self._repairer.start()
        while not self._repairer.finished:
            yield from self._repairer.step()


@BOUNDED
@given(broken() | texts())
def test_the_fast_path_is_only_fast(text: str) -> None:
    """The repairing parser alone comes to the same result as both together."""
    assert parse([text], Repairing).told == parse([text]).told


@BOUNDED
@given(st.lists(st.floats(), min_size=1))
def test_numbers_that_json_cannot_write_become_null(numbers: list[float]) -> None:
    parsed = parse([json.dumps(numbers)])
    assert parsed.document == [number if math.isfinite(number) else None for number in numbers]
