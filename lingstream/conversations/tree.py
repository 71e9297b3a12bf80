"""The tree that a conversation's turns are: which path is shown, and what else there is beside a turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

__all__ = ["Node", "Tree"]


class Node(NamedTuple):
    """One turn.

    :param number: of the turn; a child's is greater than its parent's.
    :param parent: of the turn before; ``None``, or one that is no more, makes a root.
    :param hidden: it is on the way of others, and not shown.
    """

    id: UUID
    number: int
    parent: UUID | None = None
    hidden: bool = False


class Tree:
    """The turns of one conversation.

    :param nodes: all of them, in any order.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in sorted(nodes, key=lambda node: node.number)}
        self._children: dict[UUID | None, list[UUID]] = defaultdict(list)
        for node in self._nodes.values():
            self._children[self._parent(node)].append(node.id)

    def __contains__(self, turn: UUID | None) -> bool:
        return turn in self._nodes

    @property
    def all_shown(self) -> list[UUID]:
        """The turns of all paths that are not hidden, in the order of their beginning."""
        return [node.id for node in self._nodes.values() if not node.hidden]

    @property
    def newest(self) -> UUID | None:
        """The turn that began last and is shown, if there is any."""
        shown = self.all_shown
        return shown[-1] if shown else None

    def number(self, turn: UUID) -> int:
        """Return the number of a turn."""
        return self._nodes[turn].number

    def path(self, leaf: UUID | None) -> list[UUID]:
        """Return the turns from the first one to ``leaf``, hidden ones too."""
        found: list[UUID] = []
        while leaf in self._nodes:
            found.append(leaf)
            leaf = self._nodes[leaf].parent
        return found[::-1]

    def shown(self, leaf: UUID | None) -> list[UUID]:
        """Return the path without what is hidden."""
        return [turn for turn in self.path(leaf) if not self._nodes[turn].hidden]

    def siblings(self, turn: UUID) -> list[UUID]:
        """Return the turns with the same one before them, itself too, oldest first."""
        beside = self._children[self._parent(self._nodes[turn])]
        return [each for each in beside if not self._nodes[each].hidden]

    def newest_below(self, turn: UUID) -> UUID:
        """Return the descendant of ``turn`` that began last, or itself: where a switch to it leads."""
        last, pending = turn, [turn]
        while pending:
            each = pending.pop()
            pending += self._children[each]
            if self._nodes[each].number > self._nodes[last].number and not self._nodes[each].hidden:
                last = each
        return last

    def _parent(self, node: Node) -> UUID | None:
        return node.parent if node.parent in self._nodes else None
