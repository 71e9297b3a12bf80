"""Prose and reasoning before the document."""

from __future__ import annotations

import pytest

from lingstream.core.document.ops import Append
from lingstream.core.exceptions import UsageError
from lingstream.core.parsing import StreamParser, TextParser

from .support import every_cut, fold_all, parse


def test_preamble_and_reasoning_are_drained_piece_by_piece() -> None:
    parser = StreamParser()
    parser.feed("<think>let me")
    assert parser.take_beside() == ("", "let me")
    parser.feed(" see</think>Sure: ")
    assert parser.take_beside() == ("Sure: ", " see")
    parser.feed('{"a": 1}')
    assert parser.take_beside() == ("", "")


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
    assert parser.take_beside() == ("", "hm")


@pytest.mark.parametrize(
    ("text", "value", "reasoning"),
    [
        ("a plan\n</think>\n\nHello [x] <b>", "Hello [x] <b>", "a plan\n"),
        ("<think >a <think>b</think> c</think>\nHi", "Hi", "a <think>b</think> c"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>Hi", "Hi", "a"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>Hi<|return|>\n", "Hi", "a"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Hi<|END_RESPONSE|>", "Hi", "a"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>\nHi", "Hi", "a"),
        ("Hi <b> <|im_end|>\n<|endoftext|>", "Hi <b> ", ""),
        ("你好<|im_end|>", "你好", ""),
        ("<|START_RESPONSE|>Hi", "<|START_RESPONSE|>Hi", ""),
        ("It ends with `<|im_end|>`", "It ends with `<|im_end|>`", ""),
        ("a <|im_end|> b", "a <|im_end|> b", ""),
        ("a<|im_end|> <|im_end|>b <|eot_id|>", "a<|im_end|> <|im_end|>b ", ""),
        ("<|endoftext|>", "<|endoftext|>", ""),
        ("<think>a</think><|im_end|>", "", "a"),
        ("a</think><|im_end|>", "", "a"),
        ("Hi<|im_en", "Hi<|im_en", ""),
        ("The `</think>` tag.", "The `</think>` tag.", ""),
        ("Use <think>x</think> so.", "Use <think>x</think> so.", ""),
        (
            "<think>a <think> in it</think> and the answer",
            "and the answer",
            "a <think> in it</think> and the answer",
        ),
    ],
)
def test_plain_text_takes_back_what_was_reasoning(text: str, value: str, reasoning: str) -> None:
    for pieces in every_cut(text):
        parser = TextParser()
        document = fold_all([op for piece in pieces for op in parser.feed(piece)] + parser.close())
        assert (document, parser.value, parser.take_beside()) == (value, value, ("", reasoning))


@pytest.mark.parametrize("space", [10, 2_000, 70_001, 200_000])
def test_text_behind_a_mark_of_the_end_is_kept_however_far_it_is(space: int) -> None:
    text = "a<|im_end|>" + " " * space + "b"
    for pieces in ([text], [text[:5], text[5:]], [text[:-1], "b"], [text[:1500], text[1500:]]):
        parser = TextParser()
        assert fold_all([op for piece in pieces for op in parser.feed(piece)] + parser.close()) == text
        assert parser.repairs == []


def test_a_mark_of_the_end_that_is_dropped_is_listed() -> None:
    parser = TextParser()
    parser.feed("a <|im_end|>\n")
    parser.close()
    assert [(repair.kind, repair.offset) for repair in parser.repairs] == [("junk", 2)]


def test_a_mark_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="expected marks of reasoning"):
        TextParser(reasoning=["<hm>"])


@pytest.mark.parametrize(
    ("text", "preamble", "reasoning"),
    [
        ('<think>a < b</think>{"a": 1}', "", "a < b"),
        ('<Thinking>a</think>b</THINKING>{"a": 1}', "", "a</think>b"),
        ('Hm. <thought>a</thought> So: {"a": 1}', "Hm. So: ", "a"),
        ('one [1]\n</think>\n{"a": 1}', "one [1]\n", ""),
        ('<thin {"a": 1}', "<thin ", ""),
        ('<reasoning>{"a": 1}', "", '{"a": 1}'),
    ],
)
def test_reasoning_is_kept_apart_wherever_it_is_cut(text: str, preamble: str, reasoning: str) -> None:
    for pieces in every_cut(text):
        parsed = parse(pieces)
        assert (parsed.preamble, parsed.reasoning) == (preamble, reasoning)


@pytest.mark.parametrize("text", ['" is "x', '" {"k": 1} "x', '"{"k": 1}"\n', '"x"'])
def test_a_quote_behind_a_mark_that_is_read_once_more_depends_on_no_cut(text: str) -> None:
    text = "<think>a<think>b</think></reasoning>" + text
    whole = parse([text]).told
    assert all(parse(pieces).told == whole for pieces in every_cut(text))
