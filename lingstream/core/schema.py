"""Schema-guided repair: a stage between the parser and the log, and the judgement at the end.

What has the type that the schema wants goes straight through; what has not is withheld until it is whole and
then told of as what was meant. See ``docs/schema.md``.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import jsonschema
from jsonschema.validators import Draft202012Validator
from referencing import Registry

from . import jsonuri
from ._schema_guide import Guide
from .emitter import Repair
from .exceptions import SchemaFailure
from .ops import Closed, Op
from .parser import StreamParser

__all__ = ["Guide", "SchemaParser", "validate"]

#: How many failures are looked at to choose the one that is reported.
_FAILURES = 16
_LONGEST_MESSAGE = 300


class SchemaParser:
    """A parser for JSON whose ops a :class:`Guide` has looked at.

    :param parser: reads the text.
    :param schema: a JSON schema (draft 2020-12).
    :param root: uri of the document.
    """

    def __init__(self, parser: StreamParser, schema: Any, root: str = "") -> None:
        self._parser = parser
        self._guide = Guide(schema, root)
        self._offset = 0
        self.take_preamble = parser.take_preamble
        self.take_reasoning = parser.take_reasoning

    def feed(self, text: str) -> list[Op | Closed]:
        """Read more text.

        :raises ParseLimitError: past a bound of the parser.
        """
        self._offset += len(text)
        return self._guide.push(self._parser.feed(text), self._offset)

    def close(self, *, cut: bool = False) -> list[Op | Closed]:
        """The text has ended, or was ``cut`` off: settle what is open."""
        return self._guide.push(self._parser.close(cut=cut), self._offset)

    @property
    def value(self) -> Any:
        """The value as it is now, repaired: to be read and not changed."""
        return self._guide.value

    @property
    def repairs(self) -> list[Repair]:
        """What the parser mended, then what the schema asked for."""
        return [*self._parser.repairs, *self._guide.repairs]


def validate(value: Any, schema: Any, root: str = "") -> None:
    """Check ``value`` against a JSON schema (draft 2020-12), without ever fetching a ``$ref``.

    At most 16 failures are looked at; the most telling one is raised.

    :param root: in front of the uri that the error names.
    :raises SchemaFailure: the value does not fit, or (not retryable) the schema cannot be used.
    """
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        failures = list(islice(validator.iter_errors(value), _FAILURES))
    except RecursionError as error:
        message = "expected output that can be validated, got too deep a nesting"
        raise SchemaFailure(message, uri=root) from error
    except Exception as error:  # whatever a schema that is none makes of the validator
        fault = f"the schema cannot be used: {_short(str(error))}"
        raise SchemaFailure(fault, uri=root, retryable=False) from error
    if failures:
        worst = jsonschema.exceptions.best_match(failures)
        uri = jsonuri.concat(root, jsonuri.join(*worst.absolute_path))
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        message = f"the output does not fit its schema at {uri!r}: {_short(worst.message)}{more}"
        raise SchemaFailure(message, uri=uri)


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"
