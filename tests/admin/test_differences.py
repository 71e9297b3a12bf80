"""What two texts do not share."""

from __future__ import annotations

import time

import pytest

from lingstream.admin.differences import Line, Piece, differences, hunks


def shown(lines: list[Line]) -> list[tuple[str, int | None, int | None]]:
    return [(line.kind, line.old, line.new) for line in lines]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", []),
        ("a\nb", "a\nb", [("same", 1, 1), ("same", 2, 2)]),
        ("a\r\nb\n", "a\nb", [("same", 1, 1), ("same", 2, 2)]),
        ("", "a", [("added", None, 1)]),
        ("a", "", [("removed", 1, None)]),
        ("a\nb\nc", "a\nB\nc", [("same", 1, 1), ("changed", 2, 2), ("same", 3, 3)]),
        ("a\nb", "a\nx\ny\nb", [("same", 1, 1), ("added", None, 2), ("added", None, 3), ("same", 2, 4)]),
        ("a\nb\nb", "a\nb", [("same", 1, 1), ("same", 2, 2), ("removed", 3, None)]),
    ],
)
def test_lines_are_set_beside_each_other(before: str, after: str, expected: object) -> None:
    assert shown(differences(before, after)) == expected


def test_in_a_changed_line_the_changed_words_are_told() -> None:
    (line,) = differences("Be kind and short.", "Be very kind, short.")
    assert [piece for piece in line.before if piece.changed] == [Piece(" and", True)]
    assert "".join(piece.text for piece in line.after) == "Be very kind, short."
    assert [piece.text for piece in line.after if piece.changed] == ["very ", ","]


def test_every_line_is_there_once() -> None:
    before, after = "a\nb\nc\nd\ne", "b\nx\nd\nc\ny"
    lines = differences(before, after)
    sides = (("before", "old", before), ("after", "new", after))
    for side, number, text in sides:
        mine = [line for line in lines if getattr(line, number)]
        assert [getattr(line, number) for line in mine] == list(range(1, 6))
        assert ["".join(piece.text for piece in getattr(line, side)) for line in mine] == text.split("\n")


def test_only_what_is_near_a_change_is_shown() -> None:
    before = [str(number) for number in range(40)]
    after = [*before]
    after[0], after[20] = "new", "other"
    found = hunks(differences("\n".join(before), "\n".join(after)))
    assert [(part[0].old, part[-1].old) for part in found.parts] == [(1, 4), (18, 24)]
    assert not hunks(differences("a", "a"))
    few = hunks(differences("\n".join(before), "\n".join(after)), 6)
    assert [len(part) for part in few.parts] == [4, 2]
    assert few.more == 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\n" * 50_000, "b\na\n" * 50_000),
        ("a\nb\n" * 700, "b\nc\na\n" * 466),
        ("a b " * 50_000, "b a " * 50_000),
        ("\n".join(map(str, range(1400))), "\n".join(map(str, range(1400, 0, -1)))),
    ],
)
def test_texts_that_are_made_to_be_compared_for_long_are_not(before: str, after: str) -> None:
    began = time.thread_time()
    differences(before, after)
    assert time.thread_time() - began < 5


def test_a_lone_surrogate_can_be_shown() -> None:
    (line,) = differences("", "\ud800")
    assert line.after == (Piece("\\ud800"),)
