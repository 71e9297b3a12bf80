"""What the parser tests share: run a parser over chunks, fold, look at what was closed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lingstream.core.document.ops import Append, Closed, Op, Set, fold
from lingstream.core.parsing import Repair, StreamParser

CASES = Path(__file__).parents[2] / "cases"


class Parsed(NamedTuple):
    value: str
    closed: list[tuple[str, str]]
    repairs: list[Repair]
    preamble: str
    reasoning: str
    fixes: int
    ops: list[Op | Closed]
    document: Any

    @property
    def told(self) -> tuple[Any, ...]:
        """All that must not depend on how the text was cut."""
        return self[:5]


def parse(chunks: Iterable[str], make: type[StreamParser] = StreamParser, **options: Any) -> Parsed:
    """Feed ``chunks``, close, and check on the way what must hold for every text."""
    parser = make(**options)
    ops: list[Op | Closed] = []
    for chunk in chunks:
        ops += parser.feed(chunk)
    ops += parser.close()
    document = fold_all(ops)
    assert repr(document) == repr(parser.value)
    closed = [(op.uri, repr(op.value)) for op in ops if isinstance(op, Closed)]
    fixes = sum(isinstance(op, Set) and op.fix for op in ops)
    return Parsed(repr(document), closed, parser.repairs, *parser.take_beside(), fixes, ops, document)


class Folded:
    """A document as ops come: strings only grow and types stay, but for ops marked ``fix``."""

    def __init__(self) -> None:
        self.document: Any = None
        self._kinds: dict[str, str] = {}

    def take(self, ops: Iterable[Op | Closed]) -> Any:
        """Fold ``ops``, and check them; return the document."""
        kinds = self._kinds
        for op in ops:
            if isinstance(op, Append):
                assert op.delta
                assert not "\ud800" <= op.delta[0] <= "\udfff"
                assert not "\ud800" <= op.delta[-1] <= "\udfff"
                assert kinds.setdefault(op.uri, "string") == "string"
            elif isinstance(op, Set):
                assert op.fix or op.uri not in kinds
                below = f"{op.uri}/" if op.uri else ""
                for uri in [uri for uri in kinds if uri.startswith(below)] if op.fix else []:
                    del kinds[uri]
                kinds[op.uri] = "string" if isinstance(op.value, str) else "other"
            self.document = fold(self.document, op)
        return self.document


def fold_all(ops: Iterable[Op | Closed]) -> Any:
    """Fold ``ops`` from the beginning, and check them; see :class:`Folded`."""
    return Folded().take(ops)


def two_pieces(text: str) -> Iterator[list[str]]:
    """Every way to cut ``text`` in two."""
    for index in range(len(text) + 1):
        yield [text[:index], text[index:]]


def every_cut(text: str) -> Iterator[list[str]]:
    """Every way to cut in two, every character alone, and with empty chunks in between."""
    yield from two_pieces(text)
    yield list(text)
    yield [piece for char in text for piece in (char, "")]


def repair_cases(name: str = "repair") -> list[dict[str, Any]]:
    lines = (CASES / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def chunk_streams() -> dict[str, list[str]]:
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted((CASES / "chunks").glob("*.json"))
    }
