"""Texts cut into passages: the built-in way and the package's keep the same promises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lingstream.core.exceptions import UsageError
from lingstream.knowledge.text import split as splitting
from lingstream.knowledge.text.split import MOST_PIECES, Piece, extent, split

WAYS = ["built-in", "semantic-text-splitter"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    use(request.param, monkeypatch)
    return request.param


def use(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut in one of the two ways; without the package, only the built-in one can be tested."""
    if way == "built-in":
        monkeypatch.setattr(splitting, "_splitter", lambda: None)
    else:
        pytest.importorskip("semantic_text_splitter")


def texts_of(text: str, pieces: list[Piece]) -> list[str]:
    return [text[piece.start : piece.end] for piece in pieces]


WORDS = st.sampled_from(
    [
        *(
            "word",
            "Ein Satz. ",
            "\n",
            "\n\n",
            "# H\n",
            "## Two\n\n",
            "```\n",
            "a\n---\n",
            "- item\n",
            "| a | b |\n",
        ),
        *("云朵很轻。", "e\u0301", "👩\u200d💻", "🇩🇪", "🇫🇷", "각", "ᄀ\u1161\u11a8", "\ud83d", "\ude00"),
        *(" ", "\t", "\r\n", "\x1c", "\u2003", "\0", "x" * 90),
    ]
)
TEXTS = st.text(st.characters(codec=None)) | st.lists(WORDS, max_size=120).map("".join)
SIZES = st.integers(100, 400)


def check(text: str, size: int) -> None:
    pieces = split(text, size)
    seen = 0
    for piece in pieces:
        assert not text[seen : piece.start].strip()
        passage = text[piece.start : piece.end]
        assert passage and passage == passage.strip()
        assert extent(passage) <= size
        seen = piece.end
    assert not text[seen:].strip()
    for piece in pieces:
        for place in (piece.start, piece.end):
            assert not splits_a_letter(text, place), (text[place - 2 : place], text[place : place + 2])


def splits_a_letter(text: str, place: int) -> bool:
    """What must not be, said in another way than the splitter says it."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    flags = text[:place].rstrip("🇩🇪🇫🇷")
    return (
        (before in "e👩" and after in "\u0301\u200d")
        or (before == "\u200d" and after == "💻")
        or (before == "\ud83d" and after == "\ude00")
        or (after in "🇩🇪🇫🇷" and (place - len(flags)) % 2 == 1)
        or after in "\u1161\u11a8"
    )


@pytest.mark.parametrize("name", WAYS)
def test_passages_are_exact_in_order_small_enough_and_all_of_the_text(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(name, monkeypatch)
    settings(max_examples=300, deadline=None)(given(TEXTS, SIZES)(check))()


LETTERS = ["e\u0301", "👩\u200d💻", "👍🏽", "🇩🇪🇫🇷", "\ud83d\ude00", "ᄀ\u1161\u11a8", "x\ufe0f"]


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("overlap", [0, 40])
def test_a_letter_of_many_characters_is_never_cut(way: str, letter: str, overlap: int) -> None:
    text = letter * 200
    for size in range(100, 130):
        pieces = split(text, size, overlap)
        assert len(pieces) > 1
        unit = len(letter) // 2 if letter[0] in "🇩" else len(letter)
        assert all(piece.start % unit == piece.end % unit == 0 for piece in pieces)


@given(TEXTS, SIZES, st.integers(1, 50))
@example("0000000\U00012544" + "0" * 72 + "\u0800\U00010000", 100, 11)
@settings(deadline=None, max_examples=300)
def test_an_overlap_repeats_the_end_of_the_passage_before(text: str, size: int, overlap: int) -> None:
    pieces = split(text, size, overlap)
    assert all(extent(passage) <= size and passage == passage.strip() for passage in texts_of(text, pieces))
    assert not pieces or not text[max(piece.end for piece in pieces) :].strip()
    for before, piece in pairwise(pieces):
        assert before.start < piece.start and before.end < piece.end
        assert not text[before.end : piece.start].strip()
        assert extent(text[piece.start : before.end]) <= overlap


def test_a_long_text_overlaps_by_whole_words(way: str) -> None:
    text = "The cloud is light. " * 60
    pieces = split(text, 200, 40)
    for before, piece in pairwise(pieces):
        assert text[piece.start : before.end] in (
            "The cloud is light.",
            "The cloud is light. The cloud is light.",
        )


LONG = "word " * 30
PATHS = {
    "a level below": (f"# A\n{LONG}\n## B\n{LONG}", [("A",), ("A", "B")]),
    "up again": (f"## A\n{LONG}\n### B\n{LONG}\n## C\n{LONG}", [("A",), ("A", "B"), ("C",)]),
    "a level left out": (f"# A\n{LONG}\n### B\n{LONG}\n## C\n{LONG}", [("A",), ("A", "B"), ("A", "C")]),
    "text before the first": (f"{LONG}\n# A\n{LONG}", [(), ("A",)]),
    "setext": (f"A\n===\n{LONG}\n\nB\n---\n{LONG}", [("A",), ("A", "B")]),
    "dashes below a paragraph of two lines": (
        f"# A\n{LONG}\none\ntwo\n---\n{LONG}",
        [("A",), ("A",), ("A",)],
    ),
    "dashes below a list": (f"# A\n{LONG}\n\n- one\n---\n{LONG}", [("A",), ("A",), ("A",)]),
    "in fenced code": (f"# A\n{LONG}\n```sh\n# no\n```\n{LONG}", [("A",), ("A",), ("A",)]),
    "in a longer fence": (f"# A\n````\n```\n# no\n````\n# B\n{LONG}", [("A",), ("B",)]),
    "in tildes": (f"# A\n{LONG}\n~~~\n```\n# no\n~~~\n## B\n{LONG}", [("A",), ("A", "B")]),
    "code that is never closed": (f"# A\n```\n# no\n{LONG}", [("A",)]),
    "front matter": (f"---\ntitle: x\n---\n# A\n{LONG}", [(), ("A",)]),
    "no space": (f"#no\n{LONG}\n# A\n{LONG}", [(), ("A",)]),
    "markup": (f"# The `Run` of **[all](x.md)** my_own_run \\#\n{LONG}", [("The Run of all my_own_run #",)]),
    "a long one": (f"# {'x' * 500}\n{LONG}", None),
}


@pytest.mark.parametrize("name", PATHS)
def test_headings_are_a_passages_path(way: str, name: str) -> None:
    text, expected = PATHS[name]
    paths = [piece.heading for piece in split(text, 160)]
    if expected is None:
        assert all(len(heading) <= 200 for path in paths for heading in path)
    else:
        assert list(dict.fromkeys(paths)) == list(dict.fromkeys(expected))


def test_small_sections_beside_each_other_are_one_passage_below_what_they_share(way: str) -> None:
    text = "# All\n\n## One\n\nFirst.\n\n## Two\n\nSecond.\n\n# Other\n\n" + "word " * 236
    first, second = split(text)
    assert (first.heading, text[first.start : first.end][-7:]) == (("All",), "Second.")
    assert second.heading == ("Other",)


def test_large_ones_are_apart(way: str) -> None:
    text = "\n".join(f"# {name}\n\n{'word ' * 100}" for name in "ABC")
    assert [piece.heading for piece in split(text, 1200)] == [("A",), ("B",), ("C",)]


def test_cuts_are_at_the_best_break(way: str) -> None:
    paragraph = "One sentence is here. " * 8
    text = "\n\n".join([paragraph.strip()] * 4)
    passages = texts_of(text, split(text, 400))
    assert passages == [f"{paragraph.strip()}\n\n{paragraph.strip()}"] * 2
    assert all(passage.endswith(".") for passage in texts_of(paragraph, split(paragraph, 100)))


def test_a_chinese_passage_has_fewer_characters_as_each_says_more(way: str) -> None:
    text = "云朵很轻，风把它吹走。" * 200
    sizes = [piece.end - piece.start for piece in split(text, 1200)]
    assert 300 < max(sizes) <= 400
    assert all(passage.endswith("。") for passage in texts_of(text, split(text, 1200)))


def test_it_stops_at_the_most_pieces(way: str) -> None:
    pieces = split("word " * 200_000, 100)
    assert len(pieces) == MOST_PIECES


@pytest.mark.parametrize(("size", "overlap"), [(99, 0), (200, 101), (200, -1)])
def test_sizes_that_make_no_sense_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="expected a size of at least 100"):
        split("text", size, overlap)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "ab ",
        " ",
        "\n\n",
        "*",
        "[",
        "> ",
        "`",
        "- a\n",
        "# a\n",
        "云",
        "\u0301",
        "🇩",
        "\u200d",
        "[a](b",
        "a\n-\n",
        "\ud800",
    ],
)
def test_a_megabyte_takes_no_long_time(way: str, piece: str) -> None:
    """Without bounds the package takes 30 seconds for a megabyte of letters."""
    text = piece * (1_000_000 // len(piece))
    begin = time.process_time()
    split(text)
    assert time.process_time() - begin < 15
