"""Filters: what is sent of a bot's output, and that it can be folded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.filters import UriFilter
from lingstream.core.document.ops import Append, Document, Op, Set
from lingstream.core.parsing import StreamParser
from tests.core.support import documents, folded, op_sequences, walk

OUTLINE = {
    "title": "Clouds",
    "outline": [{"topic": "a", "note": "x"}, {"topic": "b", "note": {"deep": ["y"]}}],
    "score": 7,
    "tags": ["one", "two"],
}


def parsed(document: Any, root: str = "") -> list[Op]:
    parser = StreamParser(root)
    items = [*parser.feed(json.dumps(document)), *parser.close()]
    return [op for op in items if isinstance(op, (Append, Set))]


def shown(document: Any, only: Sequence[str] = (), exclude: Sequence[str] = ()) -> Any:
    return folded(UriFilter("", only, exclude)(parsed(document)))


TOPICS = [{"topic": "a"}, {"topic": "b"}]
WITHOUT_NOTES = {"title": "Clouds", "outline": TOPICS, "score": 7}
DEEP = {"outline": [{}, {"note": {"deep": ["y"]}}], "tags": [None, None]}


@pytest.mark.parametrize(
    ("only", "exclude", "visible"),
    [
        pytest.param([], [], OUTLINE, id="nothing given"),
        pytest.param(["title"], [], {"title": "Clouds"}, id="only one"),
        pytest.param(["outline/*/topic"], [], {"outline": TOPICS}, id="containers above are sent"),
        pytest.param(["outline/1"], [], {"outline": [None, OUTLINE["outline"][1]]}, id="null keeps a place"),
        pytest.param(["outline"], ["outline/*/note"], {"outline": TOPICS}, id="both"),
        pytest.param([], ["outline/*/note", "tags"], WITHOUT_NOTES, id="except"),
        pytest.param([], ["tags/0"], {**OUTLINE, "tags": [None, "two"]}, id="except an item"),
        pytest.param([], ["tags/1"], {**OUTLINE, "tags": ["one", None]}, id="except the last item"),
        pytest.param(["**/deep"], [], DEEP, id="anywhere"),
        pytest.param(["nothing"], [], {}, id="what never comes"),
        pytest.param([], ["**"], None, id="nothing at all"),
        pytest.param(["**"], [], OUTLINE, id="everything"),
        pytest.param([], [""], None, id="except the root"),
        pytest.param(["title"], ["title"], {}, id="except wins"),
        pytest.param(["title/x"], [], {}, id="below a string"),
    ],
)
def test_what_is_visible(only: list[str], exclude: list[str], visible: Any) -> None:
    assert shown(OUTLINE, only, exclude) == visible


def test_globs_are_below_the_bots_root() -> None:
    uris = UriFilter("x/0", only=["title"])
    assert uris([Set("x/0", {}), Append("x/0/title", "a"), Append("x/0/other", "b")]) == [
        Set("x/0", {}),
        Append("x/0/title", "a"),
    ]


@pytest.mark.parametrize(
    ("uri", "container", "shows"),
    [
        ("outline", True, True),
        ("outline", False, False),
        ("outline/0/topic", False, True),
        ("x", True, False),
    ],
)
def test_tells_what_it_shows(uri: str, container: bool, shows: bool) -> None:
    assert UriFilter("", only=["outline/*/topic"]).shows(uri, container) is shows


class TestCorrections:
    def test_a_container_that_becomes_a_string_stays_hidden(self) -> None:
        uris = UriFilter("", only=["a/b"])
        ops = [Set("", {}), Set("a", {}), Append("a/b", "x"), Set("a", "secret", True), Append("a", "!")]
        assert uris(ops) == ops[:3]

    def test_what_comes_in_one_piece_is_pruned(self) -> None:
        uris = UriFilter("", exclude=["list/*/note", "list/1"])
        value = [{"topic": "a", "note": "secret"}, "secret", {"topic": "c"}]
        assert uris([Set("", {}), Set("list", value, True)]) == [
            Set("", {}),
            Set("list", [{"topic": "a"}, None, {"topic": "c"}], True),
        ]
        assert value[0] == {"topic": "a", "note": "secret"}

    def test_items_take_their_places_anew_in_an_array_that_shrank(self) -> None:
        uris = UriFilter("", exclude=["1"])
        ops = [Set("", []), Set("0", 0), Append("1", "x"), Set("", [0], True), Set("1", {}), Set("2", 2)]
        assert folded(uris(ops)) == [0, None, 2]


globs = st.lists(st.sampled_from(["a", "b", "*", "**", "0", "\\*"]), max_size=3).map("/".join)
filters = st.builds(
    lambda glob, way: UriFilter("", *way(glob)),
    globs,
    st.sampled_from(
        [
            lambda glob: ([glob], []),
            lambda glob: ([], [glob]),
            lambda glob: (["**"], [glob]),
            lambda glob: (["a"], [glob]),
        ]
    ),
)


@settings(deadline=None, max_examples=300)
@given(op_sequences, filters)
def test_what_passes_can_be_folded(ops: list[Op], uris: UriFilter) -> None:
    """Whatever comes: ops that fit the whole document fit the visible part of it."""
    Document().apply(uris(ops))


@settings(deadline=None, max_examples=200)
@given(documents, globs, st.booleans())
def test_hides_what_it_should_and_nothing_else(document: Any, glob: str, hide: bool) -> None:
    visible = shown(document, exclude=[glob]) if hide else shown(document, only=[glob])
    for uri, value in walk(document):
        if isinstance(value, (dict, list)):
            continue
        if covered(glob, uri) != hide:
            assert jsonuri.get(visible, uri, "missing") == value
        else:
            assert jsonuri.get(visible, uri) is None


def covered(glob: str, uri: str) -> bool:
    while jsonuri.match(glob, uri) is None:
        if not uri:
            return False
        uri = jsonuri.parent(uri)[0]
    return True
