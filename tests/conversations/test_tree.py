"""The tree of turns: its paths, what is beside a turn, and where a switch leads."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from lingstream.conversations.tree import Node, Tree


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Turns whose parents began before them, are none, or were deleted."""
    nodes: list[Node] = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        before = [None, *(node.id for node in nodes), uuid4()]
        nodes.append(Node(uuid4(), number, draw(st.sampled_from(before)), draw(st.booleans())))
    return draw(st.permutations(nodes))


def above(nodes: dict[UUID, Node], turn: UUID | None) -> list[UUID]:
    """The way to the root, by the definition."""
    if turn not in nodes:
        return []
    return [turn, *above(nodes, nodes[turn].parent)]


@given(trees())
def test_what_it_says_follows_from_the_parents(given: list[Node]) -> None:
    tree, nodes = Tree(given), {node.id: node for node in given}
    shown = [node for node in given if not node.hidden]
    newest = max(shown, key=lambda node: node.number, default=None)
    assert tree.newest == (newest and newest.id)
    for node in given:
        assert node.id in tree
        assert tree.path(node.id) == above(nodes, node.id)[::-1]
        assert tree.shown(node.id) == [turn for turn in tree.path(node.id) if not nodes[turn].hidden]
        beside = [other for other in shown if above(nodes, other.id)[1:2] == above(nodes, node.id)[1:2]]
        assert tree.siblings(node.id) == [other.id for other in sorted(beside, key=lambda each: each.number)]
        below = [other for other in shown if node.id in above(nodes, other.id)]
        assert (
            tree.newest_below(node.id)
            == max([node, *below], key=lambda each: (each.number, each is not node)).id
        )


def test_of_nothing_there_is_nothing() -> None:
    tree = Tree([])
    assert (tree.newest, tree.path(None), tree.shown(uuid4()), None in tree) == (None, [], [], False)


def test_a_long_conversation_costs_no_recursion() -> None:
    nodes: list[Node] = []
    for number in range(1, 20_001):
        nodes.append(Node(uuid4(), number, nodes[-1].id if nodes else None))
    tree = Tree(nodes)
    assert tree.path(nodes[-1].id) == [node.id for node in nodes]
    assert tree.newest_below(nodes[0].id) == nodes[-1].id
