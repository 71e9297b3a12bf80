"""Several bots, one document: who may write where."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.ops import Append, Document, Op, Set
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import ConflictError, UsageError
from lingstream.core.parsing import StreamParser
from tests.core.support import random_value


class Board:
    """A document, and bots that write into it."""

    def __init__(self, document: Any = None) -> None:
        self.document = Document(document)
        self.shared = SharedDocument(self.document)
        self.ops: list[Op] = []
        self.roots: dict[str, str] = {}

    def apply(self, ops: Sequence[Op]) -> list[Op]:
        self.document.apply(ops)
        self.ops.extend(ops)
        return list(ops)

    def begin(self, writer: str, root: str = "") -> list[Op]:
        self.roots[writer] = root
        return self.apply(self.shared.begin(writer, root))

    def write(self, writer: str, *ops: Op) -> list[Op]:
        try:
            return self.apply(self.shared.admit(writer, self.roots[writer], ops))
        except ConflictError as error:
            self.apply(error.admitted)
            raise

    def set(self, uri: str, value: Any) -> list[Op]:
        return self.apply(self.shared.set(uri, value))

    def finish(self, writer: str) -> None:
        self.shared.finish(writer)

    @property
    def value(self) -> Any:
        return self.document.value


class TestSharingARoot:
    def test_the_second_opening_of_the_container_is_dropped(self) -> None:
        board = Board()
        board.begin("a#1")
        board.begin("b#1")
        board.write("a#1", Set("", {}), Append("answer", "No"))
        assert board.write("b#1", Set("", {}), Append("details", "A cloud")) == [Append("details", "A cloud")]
        board.write("a#1", Append("answer", "."))
        board.write("b#1", Append("details", " is"))
        assert board.value == {"answer": "No.", "details": "A cloud is"}

    def test_also_when_the_first_bot_has_finished(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Append("answer", "No"))
        board.finish("a#1")
        board.begin("b#1")
        assert board.write("b#1", Set("", {}), Append("b", "x")) == [Append("b", "x")]

    def test_also_below(self) -> None:
        board = Board()
        for name in ("a#1", "b#1"):
            board.begin(name, "state")
            board.write(name, Set("state", {}), Append(f"state/{name}", "x"))
        assert board.value == {"state": {"a#1": "x", "b#1": "x"}}

    @pytest.mark.parametrize(
        ("there", "opened", "kind"), [([], {}, "object"), ({}, [], "array"), ("text", {}, "object")]
    )
    def test_another_type_is_an_error(self, there: Any, opened: Any, kind: str) -> None:
        board = Board({"state": there})
        board.begin("b#1", "state")
        with pytest.raises(ConflictError, match=f"b#1 opens an {kind} at 'state'") as caught:
            board.write("b#1", Set("state", opened))
        assert caught.value.uri == "state"
        assert board.value == {"state": there}

    def test_null_at_the_root_is_nothing(self) -> None:
        board = Board(None)
        board.begin("a#1")
        assert board.write("a#1", Set("", [])) == [Set("", [])]


class TestReplacing:
    def test_a_finished_string_is_replaced(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Append("answer", "old"))
        board.finish("a#1")
        board.begin("a#2")
        assert board.write("a#2", Append("answer", "ne"), Append("answer", "w")) == [
            Set("answer", ""),
            Append("answer", "ne"),
            Append("answer", "w"),
        ]
        assert board.value == {"answer": "new"}

    def test_a_finished_value_of_any_type_is_replaced(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Set("x", {}), Append("x/y", "old"), Set("n", 1), Append("s", "old"))
        board.finish("a#1")
        board.begin("a#2")
        board.write("a#2", Append("n", "text"), Set("s", []), Set("x", {}), Append("x/y", "new"))
        assert board.value == {"x": {"y": "new"}, "n": "text", "s": []}

    def test_a_container_is_emptied_in_its_writers_next_batch_too(self) -> None:
        board = Board({"x": {"y": "old", "z": 1}})
        board.begin("a#1")
        for op in (Set("", {}), Set("x", {}), Append("x/y", "new")):
            board.write("a#1", op)
        assert board.value == {"x": {"y": "new"}}

    def test_a_stored_value_without_writer_is_replaced(self) -> None:
        board = Board({"answer": "from before"})
        board.begin("a#1")
        board.write("a#1", Set("", {}), Append("answer", "new"))
        assert board.value == {"answer": "new"}

    def test_a_bot_may_correct_itself(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Set("x", {}), Append("x/y", "1"), Set("x", [], True), Set("x/0", 1))
        board.write("a#1", Set("x", {}, True), Append("x/y", "2"))
        assert board.value == {"x": {"y": "2"}}


class TestAtTheSameTime:
    def test_one_field_is_an_error_of_the_later(self) -> None:
        board = Board()
        board.begin("a#1")
        board.begin("b#1")
        board.write("a#1", Set("", {}), Append("answer", "mine"))
        with pytest.raises(ConflictError, match="b#1 and a#1 write 'answer' at the same time") as caught:
            board.write(
                "b#1", Set("", {}), Append("other", "fine"), Append("answer", "no"), Append("more", "x")
            )
        assert caught.value.admitted == [Append("other", "fine")]
        board.write("a#1", Append("answer", "!"))
        assert board.value == {"answer": "mine!", "other": "fine"}

    def test_a_container_in_which_another_writes_cannot_be_replaced(self) -> None:
        board = Board({"x": {}})
        board.begin("a#1", "x/y")
        board.write("a#1", Append("x/y", "still"))
        board.begin("b#1")
        with pytest.raises(ConflictError, match="cannot replace 'x': a#1 is writing 'x/y'"):
            board.write("b#1", Set("", {}), Set("x", {}))
        board.write("a#1", Append("x/y", " here"))
        assert board.value == {"x": {"y": "still here"}}

    def test_a_bot_may_write_into_what_another_is_writing(self) -> None:
        """Details below a topic, while the outline goes on."""
        board = Board()
        board.begin("outline#1")
        board.write("outline#1", Set("", {}), Set("outline", []), Set("outline/0", {}))
        board.write("outline#1", Append("outline/0/topic", "one"))
        assert board.begin("details#1", "outline/0/details") == []
        board.write("outline#1", Set("outline/1", {}))
        board.write("details#1", Append("outline/0/details", "text"))
        board.write("outline#1", Append("outline/1/topic", "two"))
        assert board.value == {"outline": [{"topic": "one", "details": "text"}, {"topic": "two"}]}

    def test_who_replaced_what_was_above_leaves_no_place(self) -> None:
        board = Board()
        board.begin("outline#1")
        board.write("outline#1", Set("", {}), Set("x", {}))
        board.begin("details#1", "x/details")
        board.write("outline#1", Set("x", "a duplicate key", True))
        with pytest.raises(ConflictError, match="its container was replaced"):
            board.write("details#1", Append("x/details", "text"))

    @pytest.mark.parametrize(
        ("there", "root"), [({"x": {}}, "x/y"), ({"x": [1]}, "x/1"), ({"x": [1]}, "x/2/y")]
    )
    def test_nor_who_put_another_type_or_a_shorter_array_there(self, there: Any, root: str) -> None:
        board = Board({"x": [1, 2, {}]} if root == "x/2/y" else there)
        board.begin("details#1", root)
        board.begin("outline#1")
        board.write("outline#1", Set("", {}), Set("x", []))
        with pytest.raises(ConflictError, match="its container was replaced"):
            board.write("details#1", Append(root, "text"))

    def test_items_of_a_shared_array_come_in_one_batch_too(self) -> None:
        board = Board([])
        board.begin("a#1")
        board.write("a#1", Set("", []), Append("0", "x"), Set("1", {}), Append("1/t", "y"), Set("2", 3))
        assert board.value == ["x", {"t": "y"}, 3]

    def test_the_owner_of_a_container_that_corrects_it_goes_first(self) -> None:
        board = Board()
        board.begin("outline#1")
        board.write("outline#1", Set("", {}), Set("x", {}))
        board.begin("details#1", "x/details")
        board.write("details#1", Append("x/details", "text"))
        board.write("outline#1", Set("x", {}, True))
        board.write("details#1", Append("x/details", "more"))
        assert board.value == {"x": {"details": "more"}}


class TestParents:
    @pytest.mark.parametrize(
        ("there", "root", "created"),
        [
            (None, "", []),
            (None, "a", [Set("", {})]),
            (None, "a/b", [Set("", {}), Set("a", {})]),
            (None, "a/0/b", [Set("", {}), Set("a", []), Set("a/0", {})]),
            (None, "0", [Set("", [])]),
            (None, "a/1/b", [Set("", {}), Set("a", {}), Set("a/1", {})]),
            (None, "x\\/y/\\0", [Set("", {}), Set("x\\/y", {})]),
            ({}, "a/b", [Set("a", {})]),
            ({"a": []}, "a/0/b", [Set("a/0", {})]),
            ({"a": [1]}, "a/1", []),
            ({"a": {"b": {}}}, "a/b/c", []),
            ({"a": [1]}, "a/3", [Set("a/1", None), Set("a/2", None)]),
            ({"a": []}, "a/1/b", [Set("a/0", None), Set("a/1", {})]),
            ([], "1", [Set("0", None)]),
        ],
    )
    def test_are_created(self, there: Any, root: str, created: list[Op]) -> None:
        assert Board(there).begin("a#1", root) == created

    @pytest.mark.parametrize(
        ("there", "root", "message"),
        [
            ({"a": "text"}, "a/b", "expected a container at 'a', above 'a/b'"),
            ({"a": None}, "a/b", "expected a container at 'a'"),
            ("text", "a", "expected a container at ''"),
            ({"a": []}, "a/1001", "expected an index up to 0 at 'a', got '1001'"),
            ({"a": []}, "a/x", "expected an index up to 0 at 'a', got 'x'"),
            ({"a": [1, 2]}, "a/01", "expected an index up to 2 at 'a', got '01'"),
        ],
    )
    def test_that_cannot_be(self, there: Any, root: str, message: str) -> None:
        board = Board(there)
        with pytest.raises(ConflictError, match=message):
            board.begin("a#1", root)
        with pytest.raises(ConflictError, match=message):
            board.set(root, 1)


class TestItemsOfOneArray:
    """Details of each topic, in a list of their own: the one that is asked first need not answer first."""

    @pytest.mark.parametrize(
        "order", ["abc", "cba", "bca"], ids=lambda order: f"{order[0]} answers first, {order[-1]} last"
    )
    def test_come_in_any_order_and_of_any_type(self, order: str) -> None:
        board = Board()
        for place, name in enumerate("abc"):
            board.begin(name, f"x/{place}")
        ops = {
            "a": [Append("x/0", "text"), Append("x/0", "!")],
            "b": [Set("x/1", {}), Set("x/1/n", 1)],
            "c": [Set("x/2", [])],
        }
        for name in order:
            board.write(name, *ops[name])
        assert board.value == {"x": ["text!", {"n": 1}, []]}

    def test_are_null_where_nobody_writes(self) -> None:
        board = Board()
        board.begin("a", "x/0")
        board.begin("c", "x/2")
        board.write("c", Append("x/2", "text"))
        assert board.value == {"x": [None, None, "text"]}

    def test_hold_containers_that_begin_late(self) -> None:
        board = Board()
        board.begin("a", "x/0")
        board.begin("c", "x/2")
        assert board.begin("b", "x/1/y") == [Set("x/1", {})]
        assert board.begin("d", "x/1") == []
        board.write("b", Append("x/1/y", "text"))
        assert board.write("d", Set("x/1", {}), Append("x/1/z", "more")) == [Append("x/1/z", "more")]
        with pytest.raises(ConflictError, match="another type"):
            board.begin("e", "x/1")
            board.write("e", Set("x/1", []))

    def test_a_null_that_somebody_wrote_is_a_value(self) -> None:
        board = Board({"x": [None]})
        board.begin("a", "x/0")
        with pytest.raises(ConflictError, match="another type"):
            board.write("a", Set("x/0", {}))


class TestSet:
    def test_creates_what_is_above(self) -> None:
        board = Board()
        board.set("state/outline", True)
        board.set("state/steps/0", "first")
        assert board.value == {"state": {"outline": True, "steps": ["first"]}}

    def test_replaces(self) -> None:
        board = Board({"x": {"y": 1}})
        board.set("x", 2)
        assert board.value == {"x": 2}

    def test_names_the_same_place_however_it_is_written(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Append("answer", "x"))
        with pytest.raises(ConflictError):
            board.set("\\answer", 1)

    def test_not_where_a_bot_is_writing(self) -> None:
        board = Board()
        board.begin("a#1")
        board.write("a#1", Set("", {}), Set("x", {}), Append("x/y", "1"))
        for uri in ("x/y", "x", ""):
            with pytest.raises(ConflictError, match="a#1 is writing"):
                board.set(uri, 1)
        board.finish("a#1")
        board.set("x/y", 1)
        assert board.value == {"x": {"y": 1}}

    def test_not_past_the_end_of_an_array(self) -> None:
        with pytest.raises(ConflictError, match="expected an index up to 1 at 'x', got '3'"):
            Board({"x": [0]}).set("x/3", 1)

    def test_not_at_what_is_no_uri(self) -> None:
        with pytest.raises(UsageError):
            Board().set("a//b", 1)

    def test_a_bot_may_replace_what_was_set(self) -> None:
        board = Board()
        board.set("answer", "please wait")
        board.begin("a#1")
        board.write("a#1", Set("", {}), Append("answer", "x"))
        assert board.value == {"answer": "x"}


ROOTS = ["", "a", "a/b", "c/0", "c/1/x", "c/3"]


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_admitted_fits(seed: int) -> None:
    """Bots that write anything, anywhere, interleaved anyhow: a conflict stops one, the document goes on."""
    dice = random.Random(seed)
    board = Board()
    batches: dict[str, list[list[Op]]] = {}
    for number in range(4):
        root = dice.choice(ROOTS)
        with contextlib.suppress(ConflictError):
            board.begin(f"bot#{number}", root)
            batches[f"bot#{number}"] = parsed(random_value(dice, 3), root, dice)
    while batches:
        name = dice.choice(sorted(batches))
        try:
            board.write(name, *batches[name].pop(0))
        except ConflictError:
            batches[name] = []
        if not batches[name]:
            del batches[name]
            board.finish(name)
    replayed = Document()
    replayed.apply(board.ops)
    assert replayed.value == board.value


def parsed(document: Any, root: str, dice: random.Random) -> list[list[Op]]:
    """What a bot that writes ``document`` wants to put in, batch by batch."""
    parser, text = StreamParser(root), json.dumps(document)
    batches = []
    while text:
        cut = dice.randint(1, 9)
        batches.append(parser.feed(text[:cut]))
        text = text[cut:]
    batches.append(parser.close())
    return [[op for op in batch if isinstance(op, (Append, Set))] for batch in batches]
