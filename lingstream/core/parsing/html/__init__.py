"""The streaming HTML format: a model's markup becomes appends and sets on a tree of nodes.

See ``docs/html.md``.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingstream.core.parsing import BaseParser
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import SPACE, Reading, Source
from lingstream.core.parsing.vocabulary import REASONING, vocabulary_of

from .reader import Reader
from .tree import Tree

__all__ = ["HtmlParser"]


class HtmlParser(BaseParser):
    """Turns HTML that comes in pieces into ops.

    ``closed`` tells of every element when it ends and of every text when something else begins. The result
    does not depend on how the markup was cut, and only what ``policy`` lists gets into it.

    :param root: uri of the tree; the uris of all ops start with it.
    :param max_depth: elements inside each other. Past this and the following bounds
        :class:`ParseLimitError` is raised. The default keeps within what JSON libraries nest.
    :param max_nodes: elements and texts in all.
    :param max_chars: characters of the markup.
    :param max_tag: characters of one tag, which is withheld until it is whole.
    :param images: the origins whose images keep their address, such as ``same-origin https://cdn.example``.
    :param reasoning: the marks of reasoning that are looked for, some of :data:`REASONING`.
    """

    def __init__(
        self,
        root: str = "",
        *,
        max_depth: int = 100,
        max_nodes: int = 100_000,
        max_chars: int = 16_777_216,
        max_tag: int = 16_384,
        images: str = "",
        reasoning: Iterable[str] = REASONING,
    ) -> None:
        self._tree = Tree(root, max_depth=max_depth, max_nodes=max_nodes, max_chars=max_chars, images=images)
        self._max_tag = max_tag
        source = Source(self._tree)
        self._tree.offset = lambda: source.offset
        super().__init__(self._tree, source, Preamble(self._tree, source, vocabulary_of(tuple(reasoning))))

    def _read(self, source: Source) -> Reading[None]:
        reader = Reader(source, self._tree, self._preamble, self._max_tag)
        while (char := (yield from source.peek())) and char in SPACE:
            source.pos += 1
        if (yield from self._preamble.leading_reasoning()):
            reader.thoughts = frozenset()  # an end that comes now is none of its own
        yield from reader.begin()
        while (yield from reader.document()):
            self._preamble.reasoning.append(self._tree.take_back())
            yield from reader.begin()
        self._tree.finish()
        source.finish()
