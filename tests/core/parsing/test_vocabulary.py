"""The marks of reasoning: each of them, in each format, wherever it is cut, and switched off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from lingstream.core.parsing import REASONING, BaseParser, StreamParser, TextParser
from lingstream.core.parsing.html import HtmlParser
from lingstream.core.parsing.schema import SchemaParser

from .support import every_cut, fold_all

HARMONY = "<|channel|>"
#: The beginning of reasoning, as :data:`REASONING` names it, with its end.
MARKS = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning", "reflection")},
    **{f"<{name}>": f"</{name}>" for name in ("analysis", "scratchpad", "seed:think", "mm:think")},
    "<longcat_think>": "</longcat_think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>": "<channel|>",
    "<|think:start|>": "<|think:end|>",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<unused94>": "<unused95>",
    "[unused16]": "[unused17]",
    HARMONY: "<|end|><|start|>assistant<|channel|>final<|message|>",
}
THOUGHT = '{"x": 0}? <b>No</b> [1] '
ANSWERS: dict[str, tuple[str, Any]] = {
    "json": ('{"a": 1}', {"a": 1}),
    "schema": ('{"a": "1"}', {"a": 1}),
    "text": ("Yes <b>.", "Yes <b>."),
    "html": ("<p>Yes</p>", {"children": [{"tag": "p", "attrs": {}, "children": ["Yes"]}]}),
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}

Make = Callable[..., BaseParser | SchemaParser]


def with_schema(**options: Any) -> SchemaParser:
    return SchemaParser(StreamParser(**options), SCHEMA)


MAKE: dict[str, Make] = {
    "json": StreamParser,
    "schema": with_schema,
    "text": TextParser,
    "html": HtmlParser,
}
marks = pytest.mark.parametrize("mark", MARKS)
formats = pytest.mark.parametrize("format", MAKE)


def read(make: Make, pieces: Iterable[str]) -> tuple[Any, str, str]:
    parser = make()
    ops = [op for piece in pieces for op in parser.feed(piece)] + parser.close()
    prose, reasoning = parser.take_beside()
    return fold_all(ops), reasoning, prose


def opened(mark: str) -> str:
    return mark + ("analysis<|message|>" if mark == HARMONY else "")


def spaced(marks: str) -> str:
    return re.sub(r"\|?[>\]▷]", r" \g<0>", marks)


def test_each_mark_is_here() -> None:
    assert set(MARKS) == set(REASONING)


@marks
@formats
def test_what_is_marked_is_reasoning_wherever_it_is_cut(mark: str, format: str) -> None:
    answer, value = ANSWERS[format]
    text = f"{opened(mark)}{THOUGHT}{MARKS[mark]}\n{answer}"
    for pieces in every_cut(text):
        assert read(MAKE[format], pieces) == (value, THOUGHT, "")


@marks
@formats
def test_white_space_and_case_of_a_mark_do_not_matter(mark: str, format: str) -> None:
    answer, value = ANSWERS[format]
    for begin, end in ((opened(mark), MARKS[mark]), (opened(mark).upper(), MARKS[mark].upper())):
        text = f"{spaced(begin)}{THOUGHT}{spaced(end)}\n{answer}"
        for pieces in ([text], text):
            assert read(MAKE[format], pieces) == (value, THOUGHT, "")


@marks
@formats
def test_a_text_that_ends_inside_reads_the_same_wherever_it_is_cut(mark: str, format: str) -> None:
    text = f"{opened(mark)}{THOUGHT}{MARKS[mark]}\n{ANSWERS[format][0]}"
    for end in range(len(text)):
        assert read(MAKE[format], text[:end]) == read(MAKE[format], [text[:end]])


@marks
@pytest.mark.parametrize("format", ["json", "schema", "text"])
def test_where_the_beginning_stood_in_the_prompt_the_end_says_so(mark: str, format: str) -> None:
    answer, value = ANSWERS[format]
    for pieces in every_cut(f"Hm so.\n{MARKS[mark]}\n{answer}"):
        found, reasoning, preamble = read(MAKE[format], pieces)
        thought = (reasoning + preamble).removesuffix("<|end|>")  # which alone ends nothing
        assert (found, thought.strip()) == (value, "Hm so.")


@marks
@formats
def test_each_mark_can_be_switched_off(mark: str, format: str) -> None:
    """Alone, and with all the others."""
    text = f"{opened(mark)}{THOUGHT}{MARKS[mark]}\n{ANSWERS[format][0]}"
    others = tuple(each for each in REASONING if each != mark)
    for chosen in (others, ()):
        make = partial(MAKE[format], reasoning=chosen)
        off = read(make, [text])
        assert off[1] == ""
        if format == "html":
            assert "No" in str(off[0])
        else:
            assert off[0] == (text if format == "text" else {"x": 0})
        for pieces in every_cut(text):
            assert read(make, pieces) == off
    only = partial(MAKE[format], reasoning=(mark,))
    assert read(only, [text]) == (ANSWERS[format][1], THOUGHT, "")
