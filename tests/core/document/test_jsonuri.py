"""jsonuri: a bijection, equal to npm's for ordinary keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import JsonUriError
from tests.core.support import KEYS, counted, documents, in_node, keys, walk
from tests.node import peers

UNSAFE_IN_JS = {"__proto__", "prototype", "constructor"}


def ordinary(key: str) -> bool:
    """Keys that npm reads as they are: it knows ``\\/``, but no other escape."""
    return not (
        key in {"", ".", ".."} | UNSAFE_IN_JS or key.startswith("@") or key.startswith("[@") or "\\" in key
    )


paths = st.lists(keys | st.integers(0, 99).map(str), max_size=5)
ordinary_paths = st.lists(keys.filter(ordinary), min_size=1, max_size=4)


class TestEncoding:
    @settings(deadline=None)
    @given(paths)
    def test_split_is_the_inverse_of_join(self, path: list[str]) -> None:
        assert jsonuri.split(jsonuri.join(*path)) == path

    @settings(deadline=None)
    @given(paths, paths)
    def test_different_paths_have_different_uris(self, one: list[str], other: list[str]) -> None:
        assert (jsonuri.join(*one) == jsonuri.join(*other)) == (one == other)

    @settings(deadline=None)
    @given(st.text(alphabet="/\\.@[]0*ab", max_size=8))
    def test_every_uri_that_can_be_read_has_one_normal_form(self, uri: str) -> None:
        try:
            path = jsonuri.split(uri)
        except JsonUriError:
            return
        normal = jsonuri.normalize(uri)
        assert jsonuri.split(normal) == path
        assert jsonuri.normalize(normal) == normal

    @pytest.mark.parametrize(
        ("key", "segment"),
        [
            ("topic", "topic"),
            ("", "\\0"),
            ("0", "0"),
            ("a/b", "a\\/b"),
            ("\\", "\\\\"),
            ("\\0", "\\\\0"),
            (".", "\\."),
            ("..", "\\.."),
            ("...", "..."),
            (".\n", ".\n"),
            ("@first", "\\@first"),
            ("[@last]", "\\[@last]"),
            ("a@b", "a@b"),
            ("[0]", "[0]"),
            ("@a/b", "\\@a\\/b"),
        ],
    )
    def test_segments(self, key: str, segment: str) -> None:
        assert jsonuri.escape(key) == segment
        assert jsonuri.unescape(segment) == key

    @pytest.mark.parametrize("uri", ["/", "/a", "a/", "a//b", "\\", "a/\\", "\\/a/", "/\\a"])
    def test_what_is_no_uri_is_refused(self, uri: str) -> None:
        with pytest.raises(JsonUriError) as caught:
            jsonuri.split(uri)
        assert caught.value.uri == uri
        with pytest.raises(JsonUriError):
            jsonuri.set({"a": {}, "": {}}, uri, 1)

    @settings(deadline=None)
    @given(paths.filter(bool))
    def test_parent_takes_the_last_key_off(self, path: list[str]) -> None:
        assert jsonuri.parent(jsonuri.join(*path)) == (jsonuri.join(*path[:-1]), path[-1])

    @pytest.mark.parametrize("uri", ["", "/a", "a/", "\\/a/", "\\"])
    def test_parent_refuses(self, uri: str) -> None:
        with pytest.raises(JsonUriError):
            jsonuri.parent(uri)

    @settings(deadline=None)
    @given(paths, paths)
    def test_concat_joins_below_a_root(self, root: list[str], below: list[str]) -> None:
        joined = jsonuri.concat(jsonuri.join(*root), jsonuri.join(*below))
        assert joined == jsonuri.join(*root, *below)


class TestIndex:
    @pytest.mark.parametrize(("key", "index"), [("0", 0), ("7", 7), ("10", 10)])
    def test_of_an_array(self, key: str, index: int) -> None:
        assert jsonuri.index(key) == index

    @pytest.mark.parametrize("key", ["", "01", "-1", "+1", "1.0", " 1", "1\n", "٣", "²", "1e1", "9" * 17])
    def test_everything_else_is_a_key(self, key: str) -> None:
        assert jsonuri.index(key) is None


class TestMatch:
    @pytest.mark.parametrize(
        ("pattern", "uri", "found"),
        [
            ("", "", ()),
            ("", "a", None),
            ("answer", "answer", ()),
            ("answer", "answers", None),
            ("outline/*/topic", "outline/0/topic", ("0",)),
            ("outline/*/topic", "outline/0/details", None),
            ("outline/*/topic", "outline/0/topic/x", None),
            ("outline/*/topic", "outline/*/topic", ("*",)),
            ("*", "*", ("*",)),
            ("*", "", None),
            ("*/*", "a\\/b/\\0", ("a/b", "")),
            ("a*", "a*", ()),
            ("a*", "ab", None),
            ("\\*", "*", ()),
            ("\\*", "a", None),
            ("\\*\\*/x", "**/x", ()),
            ("a", "\\a", None),
            ("\\a", "a", ()),
            ("**", "", ("",)),
            ("**", "a/b", ("a/b",)),
            ("**/topic", "topic", ("",)),
            ("**/topic", "outline/0/topic", ("outline/0",)),
            ("outline/**", "outline", ("",)),
            ("outline/**", "outline/0/topic", ("0/topic",)),
            ("**/*/b", "x/a/b", ("x", "a")),
            ("**/a/**", "x/a/y/a/z", ("x", "y/a/z")),
            ("**/a", "b", None),
        ],
    )
    def test_cases(self, pattern: str, uri: str, found: tuple[str, ...] | None) -> None:
        assert jsonuri.match(pattern, uri) == found
        assert found is None or len(found) == jsonuri.stars(pattern)

    @settings(deadline=None)
    @given(paths, st.data())
    def test_stars_stand_for_the_keys_that_they_replace(self, path: list[str], data: st.DataObject) -> None:
        hidden = data.draw(st.lists(st.booleans(), min_size=len(path), max_size=len(path)))
        segments = [
            "*" if hide else jsonuri.escape(key).replace("*", "\\*")
            for key, hide in zip(path, hidden, strict=True)
        ]
        wanted = tuple(key for key, hide in zip(path, hidden, strict=True) if hide)
        assert jsonuri.match("/".join(segments), jsonuri.join(*path)) == wanted

    @settings(deadline=None)
    @given(paths, paths, paths)
    def test_two_stars_stand_for_any_number(
        self, head: list[str], middle: list[str], tail: list[str]
    ) -> None:
        def literal(path: list[str]) -> list[str]:
            return [jsonuri.escape(key).replace("*", "\\*") for key in path]

        pattern = "/".join([*literal(head), "**", *literal(tail)])
        assert jsonuri.match(pattern, jsonuri.join(*head, *middle, *tail)) is not None

    @pytest.mark.parametrize(
        ("pattern", "written"),
        [("", []), ("a/*/**", ["a", "*", "**"]), (r"\*/a\/b", [r"\*", r"a\/b"]), (r"\0", [r"\0"])],
    )
    def test_segments_stay_as_they_are_written(self, pattern: str, written: list[str]) -> None:
        assert jsonuri.segments(pattern) == written

    @pytest.mark.parametrize("pattern", ["/", "a//b", "a/", "a\\"])
    def test_what_is_no_pattern_has_none(self, pattern: str) -> None:
        with pytest.raises(JsonUriError):
            jsonuri.segments(pattern)

    def test_many_stars_take_no_exponential_time(self) -> None:
        pattern, uri = "/".join(["**", "a"] * 12 + ["b"]), "/".join(["a"] * 60)
        with counted(jsonuri._same) as compared:
            assert jsonuri.match(pattern, uri) is None
        assert 0 < len(compared) <= 25 * 60


class TestOverlaps:
    @pytest.mark.parametrize(
        ("pattern", "uri", "overlaps"),
        [
            ("a/b", "", True),
            ("a/b", "a", True),
            ("a/b", "a/b", True),
            ("a/b", "a/b/c", False),
            ("a/b", "c", False),
            ("a/*/c", "a/x", True),
            ("a/*/c", "a/x/d", False),
            ("**/c", "a/b", True),
            ("", "", True),
            ("", "a", False),
        ],
    )
    def test_cases(self, pattern: str, uri: str, overlaps: bool) -> None:
        assert jsonuri.overlaps(pattern, uri) is overlaps

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["a", "b", "*", "**"]), max_size=4).map("/".join), st.data())
    def test_whatever_matches_overlaps_with_all_that_is_above_it(
        self, pattern: str, data: st.DataObject
    ) -> None:
        path = data.draw(st.lists(st.sampled_from("ab"), max_size=5))
        if jsonuri.match(pattern, jsonuri.join(*path)) is not None:
            assert all(jsonuri.overlaps(pattern, jsonuri.join(*path[:end])) for end in range(len(path) + 1))


class TestGetAndSet:
    @settings(deadline=None)
    @given(documents)
    def test_every_value_is_found_at_its_uri(self, document: Any) -> None:
        for uri, value in walk(document):
            assert jsonuri.get(document, uri, "missing") is value

    @settings(deadline=None)
    @given(documents, st.data())
    def test_what_was_set_is_got(self, document: Any, data: st.DataObject) -> None:
        uri = data.draw(st.sampled_from([uri for uri, _ in walk(document)]))
        assert jsonuri.get(jsonuri.set(document, uri, "new"), uri) == "new"

    @pytest.mark.parametrize("uri", ["a/0/b", "a/1", "a/x", "a/01", "a/-1", "b", "s/0", "n/x"])
    def test_nothing_there(self, uri: str) -> None:
        assert jsonuri.get({"a": [{}], "s": "text", "n": None}, uri, "nothing") == "nothing"

    def test_null_is_a_value(self) -> None:
        assert jsonuri.get({"n": None}, "n", "nothing") is None

    def test_an_array_grows_at_its_end(self) -> None:
        document = jsonuri.set(jsonuri.set({"a": []}, "a/0", "x"), "a/1", "y")
        assert document == {"a": ["x", "y"]}

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("a/2", "expected an index up to 1, got '2' at 'a/2'"),
            ("a/01", "expected an index up to 1, got '01'"),
            ("b/c", "expected a container above 'b/c', found nothing"),
            ("s/0", "expected a container above 's/0', found str"),
        ],
    )
    def test_no_place(self, uri: str, message: str) -> None:
        document = {"a": [1], "s": "text"}
        with pytest.raises(JsonUriError, match=message) as caught:
            jsonuri.set(document, uri, 1)
        assert caught.value.uri == uri
        assert document == {"a": [1], "s": "text"}


class TestNpm:
    """The npm package ``jsonuri``, with which a plain peer folds our deltas."""

    def npm(self) -> str:
        return (peers() / "node_modules/jsonuri/dist/index.mjs").as_uri()

    def test_reads_and_writes_the_same_places(self) -> None:
        # One document per uri: npm creates what is missing, we must not rely on it.
        found: list[list[str]] = [["a/b", "c"], ["x", "0", "y"], ["云", " ", "[0]"], ["a.b", "*", "'\""]]

        @settings(deadline=None, max_examples=300, database=None)
        @given(ordinary_paths)
        def collect(path: list[str]) -> None:
            found.append(path)

        collect()
        cases = [(jsonuri.join(*path), _nested(path, "old"), _nested(path, "new")) for path in found]
        script = f"""
            import {{ get, set }} from {self.npm()!r};
            output = input.map(([uri, before]) => {{
                const value = get(before, uri);
                set(before, uri, 'new');
                return [value, before];
            }});"""
        answers = in_node(script, [[uri, before] for uri, before, _ in cases])
        for (uri, _, after), answer in zip(cases, answers, strict=True):
            assert answer == ["old", after], uri

    def test_joins_what_we_join(self) -> None:
        plain = [key for key in KEYS if ordinary(key) and "/" not in key]
        script = f"import {{ normalizeUri }} from {self.npm()!r}; output = normalizeUri(input);"
        assert in_node(script, plain) == jsonuri.join(*plain)


def _nested(path: list[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value
