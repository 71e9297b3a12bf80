"""A bot's output on its way: text in, ops and events out. No ``await``, no I/O.

The parser for each format has the same shape (:class:`Parser`); this module chooses it and turns what it
settles into Ling's events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from lingstream.core.document.ops import Closed, Op, Set, make
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from . import REASONING, StreamParser, TextParser
from .html import HtmlParser
from .schema import SchemaParser, takes_moments, validate

__all__ = ["BotOutput", "Output", "Parser"]


class Parser(Protocol):
    """Text to ops, piece by piece."""

    @property
    def feed(self) -> Callable[[str], list[Op | Closed]]:
        """Read more text; to be looked up for each piece, because it may change."""
        ...

    @property
    def value(self) -> Any:
        """What has been read so far."""
        ...

    @property
    def repairs(self) -> Sequence[Any]:
        """What was mended: ``(kind, uri, offset)`` each."""
        ...

    @property
    def behind(self) -> int | None:
        """How many characters came behind the end of the document; ``None`` where it has no end."""
        ...

    @property
    def may_be_draft(self) -> bool:
        """Whether the document may still be taken back."""
        ...

    def stop(self) -> None:
        """List what comes behind the document as a repair: it is read no further."""
        ...

    def close(self, *, cut: bool = False) -> list[Op | Closed]:
        """The text has ended, or was ``cut`` off: settle what is open."""
        ...

    def take_beside(self) -> tuple[str, str]:
        """Return the text before the document, and the reasoning inside the text, since the last call."""
        ...


class Output(NamedTuple):
    """What one piece of a model's text came to.

    :param ops: changes of the document, at absolute uris.
    :param settled: the values that settled, and the ops that replaced what had settled before, in order.
    :param preamble: text before the document.
    :param reasoning: the model's thoughts, inside the text or beside it.
    """

    ops: list[Op]
    settled: list[Closed | Set]
    preamble: str = ""
    reasoning: str = ""


class BotOutput:
    """Reads the stream of one bot.

    :param format: ``json``, ``text`` or ``html``.
    :param schema: what JSON should fit.
    :param root: uri below which the output goes.
    :param images: of HTML, the origins whose images keep their address.
    :param reasoning: the marks of reasoning that are looked for in the text.
    :raises UsageError: an unknown format or mark.
    """

    def __init__(
        self,
        format: str,
        schema: dict[str, Any] | None,
        root: str,
        images: str = "",
        reasoning: Iterable[str] = REASONING,
    ) -> None:
        self.parser: Parser = _parser(format, schema, root, images, reasoning)
        self._root = root
        self._schema = schema if format == "json" else None
        self._wrote = format != "json"

    def feed(self, text: str) -> Output:
        """Read a piece of the model's text.

        :raises ParseLimitError: past a bound of the parser.
        """
        return self._sort(self.parser.feed(text))

    def close(self, *, cut: bool = False) -> Output:
        """The model has stopped, or was ``cut`` off: return what was withheld."""
        return self._sort(self.parser.close(cut=cut))

    @property
    def is_empty(self) -> bool:
        """Whether JSON was asked for and none came."""
        return not self._wrote

    def is_quick(self, characters: int) -> bool:
        """Whether :meth:`check` takes less than about 5 ms for so much text, whatever it says."""
        return not self._schema or takes_moments(self._schema, characters)

    def check(self) -> None:
        """Judge the whole output, after :meth:`close`.

        :raises SchemaFailure: it does not fit the schema.
        """
        if self._schema:
            validate(self.parser.value, self._schema, self._root)

    @property
    def repairs(self) -> list[dict[str, Any]]:
        """What was mended, as JSON data."""
        return [{"kind": kind, "uri": uri, "offset": offset} for kind, uri, offset in self.parser.repairs]

    def _sort(self, items: Iterable[Op | Closed]) -> Output:
        ops: list[Op] = []
        settled: list[Closed | Set] = []
        for item in items:
            if type(item) is Closed:
                settled.append(item)
                continue
            ops.append(item)  # type: ignore[arg-type]
            if type(item) is Set and item.fix:
                settled.append(item)
        self._wrote = self._wrote or bool(ops)
        return make(Output, (ops, settled, *self.parser.take_beside()))


def _parser(
    format: str, schema: dict[str, Any] | None, root: str, images: str, reasoning: Iterable[str]
) -> Parser:
    if format == "text":
        return TextParser(root, reasoning=reasoning)
    if format == "html":
        return HtmlParser(root, images=images, reasoning=reasoning)
    if format == "json":
        parser = StreamParser(root, reasoning=reasoning)
        return SchemaParser(parser, schema, root) if schema else parser
    raise UsageError(Phrase("expected the format json, text or html, got %(got)r", got=format))
