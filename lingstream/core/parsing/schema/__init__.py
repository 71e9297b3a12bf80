"""Schema-guided repair: a stage between the parser and the log, and the judgement at the end.

What has the type that the schema wants goes straight through; what has not is withheld until it is whole and
then told of as what was meant. See ``docs/schema.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Closed, Op
from lingstream.core.exceptions import SchemaFailure, UsageError
from lingstream.core.parsing import StreamParser
from lingstream.core.parsing.emitter import Repair
from lingstream.core.phrases import Phrase
from lingstream.core.validation import SchemaFault, compile_schema

from .guide import Guide

__all__ = ["Guide", "SchemaParser", "takes_moments", "validate"]

_LONGEST_MESSAGE = 300


class SchemaParser:
    """A parser for JSON whose ops a :class:`Guide` has looked at.

    :param parser: reads the text.
    :param schema: a JSON schema (draft 2020-12).
    :param root: uri of the document.
    """

    def __init__(self, parser: StreamParser, schema: Any, root: str = "") -> None:
        self._parser = parser
        self._guide = Guide(schema, root, parser)
        parser.guide(self._guide)
        self.stop = parser.stop
        self.close = parser.close
        self.take_beside = parser.take_beside

    @property
    def feed(self) -> Callable[[str], list[Op | Closed]]:
        """Read more text; see :attr:`BaseParser.feed`.

        :raises ParseLimitError: past a bound of the parser.
        """
        return self._parser.feed

    @property
    def value(self) -> Any:
        """The value as it is now, repaired: to be read and not changed."""
        return self._guide.value

    @property
    def behind(self) -> int | None:
        """How many characters came behind the end of the document so far; ``None`` where it has no end."""
        return self._parser.behind

    @property
    def may_be_draft(self) -> bool:
        """Whether the document may still be taken back."""
        return self._parser.may_be_draft

    @property
    def repairs(self) -> list[Repair]:
        """What the parser mended, then what the schema asked for."""
        return [*self._parser.repairs, *self._guide.repairs]


def validate(value: Any, schema: Any, root: str = "") -> None:
    """Check ``value`` against a JSON schema (draft 2020-12 unless it says otherwise).

    :param root: in front of the uri that the error names.
    :raises SchemaFailure: the value does not fit, the one nearest to the root of up to 16 failures; or (not
        retryable) the schema cannot be used.
    """
    try:
        failures = compile_schema(schema).failures(value)
    except SchemaFault as error:
        fault = Phrase(
            "the schema cannot be used at %(uri)r: %(problem)s", uri=error.uri, problem=_short(error.message)
        )
        raise SchemaFailure(fault, uri=root, retryable=False) from error
    except UsageError as error:
        fault = Phrase("the output cannot be judged: %(problem)s", problem=error.message)
        raise SchemaFailure(fault, uri=root) from error
    if failures:
        worst = failures[0]
        uri = jsonuri.concat(root, jsonuri.join(*worst.path))
        message = Phrase(
            "the output does not fit its schema at %(uri)r: %(problem)s",
            uri=uri,
            problem=_short(worst.phrase),
        )
        if len(failures) > 1:
            message = Phrase("%(problem)s (and %(number)s more)", problem=message, number=len(failures) - 1)
        raise SchemaFailure(message, uri=uri)


def takes_moments(schema: Any, characters: int) -> bool:
    """Whether judging so many characters of JSON takes less than about 5 ms, whatever they say."""
    try:
        return compile_schema(schema).takes_moments(characters)
    except SchemaFault:
        return True


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"
