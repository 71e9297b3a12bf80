"""Ops: the reference fold and the builder agree, and the builder is linear."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Document, Op, Set, copy_json, fold, from_wire
from lingstream.core.exceptions import JsonUriError
from tests.core.support import counted, documents, folded, op_sequences, walk

OUTLINE = [Set("", {}), Set("outline", []), Set("outline/0", {}), Append("outline/0/topic", "clo")]


def built(ops: Any, document: Any = None) -> Any:
    builder = Document(document)
    builder.apply(ops)
    return builder.value


class TestFoldAndDocument:
    @settings(deadline=None, max_examples=300)
    @given(op_sequences)
    def test_agree(self, ops: list[Op]) -> None:
        assert built(ops) == folded(ops)

    @settings(deadline=None, max_examples=300)
    @given(op_sequences, st.data())
    def test_agree_when_somebody_looks_in_the_middle(self, ops: list[Op], data: st.DataObject) -> None:
        builder, document = Document(), None
        for op in ops:
            builder.apply([op])
            document = fold(document, op)
            if data.draw(st.booleans()):
                assert builder.value == document
            if data.draw(st.booleans()):
                for uri, value in walk(document):
                    container = isinstance(value, (dict, list))
                    assert (builder.container(uri) is not None) == container
                    assert builder.has(uri) == (value is not None or bool(uri))
                    assert builder.get(uri, "missing") == value
        assert builder.value == document

    @settings(deadline=None)
    @given(documents, st.data())
    def test_agree_on_a_document_that_was_there_before(self, before: Any, data: st.DataObject) -> None:
        """A stored document: the builder has seen no op that opened its containers."""
        uris = [uri for uri, value in walk(before) if uri]
        ops: list[Op] = [Set(uri, {"b": {}}, True) for uri in uris if data.draw(st.booleans())]
        reference, builder = copy_json(before), Document(copy_json(before))
        for op in ops:
            try:
                reference = fold(reference, op)
            except JsonUriError:
                with pytest.raises(JsonUriError):
                    builder.apply([op])
            else:
                builder.apply([op])
            assert builder.value == reference

    def test_what_was_below_a_replaced_container_is_not_written_to(self) -> None:
        builder = Document({"a": {"b": {"c": "old"}}})
        builder.apply([Append("a/b/c", "er"), Set("a", {"b": {}}, True), Append("a/b/c", "new")])
        assert builder.value == {"a": {"b": {"c": "new"}}}

    @settings(deadline=None)
    @given(op_sequences)
    def test_closed_changes_nothing(self, ops: list[Op]) -> None:
        mixed = [item for op in ops for item in (op, Closed(op.uri, "x"))]
        assert folded(mixed) == built(mixed) == folded(ops)

    @settings(deadline=None)
    @given(op_sequences)
    def test_wire_and_back(self, ops: list[Op]) -> None:
        assert [from_wire(op.to_wire()) for op in ops] == ops

    def test_a_string_at_the_root(self) -> None:
        ops = [Append("", "Hel"), Append("", "lo")]
        assert folded(ops) == built(ops) == "Hello"

    def test_appends_go_on_after_somebody_looked(self) -> None:
        builder = Document()
        builder.apply(OUTLINE)
        assert builder.value == {"outline": [{"topic": "clo"}]}
        builder.apply([Append("outline/0/topic", "uds")])
        assert builder.value == {"outline": [{"topic": "clouds"}]}


REFUSED = [
    ("no parent", {}, Set("a/b", 1), "expected a container above 'a/b'"),
    ("no parent for a string", {}, Append("a/b", "x"), "expected a container above 'a/b'"),
    ("nothing at all", None, Append("a", "x"), "expected a container above 'a'"),
    ("past the end", {"a": []}, Set("a/1", 1), "expected an index up to 0, got '1'"),
    ("past the end with a string", {"a": []}, Append("a/1", "x"), "expected an index up to 0"),
    ("no index", [], Append("01", "x"), "expected an index up to 0, got '01'"),
    ("a digit of another script", [1, 2], Append("١", "x"), "expected an index up to 2"),
    ("append to a number", {"a": 1}, Append("a", "x"), "expected a string at 'a', found int"),
    ("append to null", {"a": None}, Append("a", "x"), "expected a string at 'a', found NoneType"),
    ("append to an item that is an object", [{}], Append("0", "x"), "expected a string at '0', found dict"),
    ("append to a container at the root", {}, Append("", "x"), "expected a string at '', found dict"),
    ("below a string", {"a": "text"}, Set("a/0", 1), "expected a container above 'a/0'"),
    ("an empty segment", {"a": {}}, Append("a/", "x"), "an empty one in 'a/'"),
    ("an empty segment in front", {}, Append("/a", "x"), "an empty one in '/a'"),
    ("an empty segment inside", {"a": {}}, Set("a//b", 1), "an empty one in 'a/"),
]


@pytest.mark.parametrize(
    ("document", "op", "message"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused_by_both(document: Any, op: Op, message: str) -> None:
    for apply in (lambda: fold(copy_json(document), op), lambda: built([op], copy_json(document))):
        with pytest.raises(JsonUriError, match=message):
            apply()


def test_the_ops_before_a_fault_are_applied() -> None:
    builder = Document()
    with pytest.raises(JsonUriError) as caught:
        builder.apply([Set("", {}), Append("a", "x"), Set("b/c", 1), Append("a", "y")])
    assert caught.value.position == 2
    assert builder.value == {"a": "x"}


@pytest.mark.parametrize(
    "wire",
    [{}, {"uri": "a"}, {"uri": 1, "value": 1}, {"delta": "x"}, {"uri": "a", "delta": 1}, [], "x", None],
)
def test_what_is_no_op_is_refused(wire: Any) -> None:
    with pytest.raises(JsonUriError, match="expected an op"):
        from_wire(wire)


class TestSharesNothing:
    def test_with_the_op(self) -> None:
        for apply in (folded, built):
            value: dict[str, Any] = {"list": [{}]}
            ops: list[Op] = [Set("", value), Set("list/0/x", 1)]
            document = apply(ops)
            assert value == {"list": [{}]}
            value["list"].append("later")
            assert document == {"list": [{"x": 1}]}

    def test_one_container_in_two_places(self) -> None:
        shared: dict[str, Any] = {}
        assert built([Set("", {"a": shared, "b": shared}), Set("a/x", 1)]) == {"a": {"x": 1}, "b": {}}

    @settings(deadline=None)
    @given(documents)
    def test_a_copy(self, document: Any) -> None:
        copy = copy_json(document)
        assert copy == document
        mine = {id(value) for _, value in walk(document) if isinstance(value, (dict, list))}
        assert not mine & {id(value) for _, value in walk(copy) if isinstance(value, (dict, list))}

    def test_of_a_deep_document(self) -> None:
        document: Any = "bottom"
        for _ in range(20_000):
            document = [document]
        copy = copy_json(document)
        depth = 0
        while isinstance(copy, list):
            (copy,), depth = copy, depth + 1
        assert (copy, depth) == ("bottom", 20_000)
        while isinstance(document, list):
            (document,) = document


class TestLinear:
    def test_a_long_string_is_joined_once(self) -> None:
        builder = Document()
        builder.apply([Set("", {})])
        pieces = [Append("text", "abcd")] * 250_000
        for start in range(0, len(pieces), 10):
            builder.apply(pieces[start : start + 10])
        # Nothing has been joined: what stands in the document is what stood there at the first piece.
        assert builder._root == {"text": ""}
        assert builder.value["text"] == "abcd" * 250_000

    def test_containers_are_not_looked_for_from_the_root(self) -> None:
        depth = 300
        uris = [jsonuri.join(*["a"] * length) for length in range(1, depth)]
        builder = Document()
        builder.apply([Set("", {}), *(Set(uri, {}) for uri in uris)])
        appends = [Append(f"{uris[-1]}/{key}", "x") for key in range(1_000)]
        with counted(jsonuri.split) as looked:
            builder.apply(appends)
            assert not looked
            jsonuri.split("a/b")
        assert len(looked) == 1

    def test_looking_costs_nothing_for_strings_that_have_not_grown(self) -> None:
        builder = Document()
        builder.apply([Set("", {}), *(Append(str(key), "x") for key in range(1_000))])
        assert builder.value["999"] == "x"
        assert not builder._open
