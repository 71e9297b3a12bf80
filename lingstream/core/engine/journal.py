"""The journal of a run: which calls have finished, of models and of other code, so that none is made twice.

A call is known by its *replay key*: the step, the root, a digest of what is asked, and how often the same
was asked before. When a run is executed again after a crash, a call whose key has finished plays its stored
output back instead of being made.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lingstream.core.provider import Usage

from .plan import StepPlan

__all__ = ["Call", "CallResult", "Journal", "NullJournal", "Occurrences"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with the key under which it is stored.

    :param input: what is asked: a bot's messages, JSON data of other kinds, and the arguments of a function
        of :meth:`Run.once`, whose plan has the kind ``once``.
    :param options: how, as rendered; a bot's are ``model``, ``params`` and ``response_format``.
    """

    instance: str
    plan: StepPlan
    root: str
    input: Any
    options: Mapping[str, Any]
    digest: str
    occurrence: int

    @property
    def kind(self) -> str:
        """What makes it: a kind of steps, or ``once``."""
        return self.plan.kind

    @property
    def key(self) -> tuple[str, str, str, int]:
        """``(step, root, digest, occurrence)``: unique in a run."""
        return self.plan.name, self.root, self.digest, self.occurrence


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended.

    :param status: ``finished``, ``failed`` or ``canceled``.
    :param output: the text as it came.
    :param repairs: what the parser mended, as ``{"kind", "uri", "offset"}``.
    :param error: the body of its error frame.
    :param finish: why it ended, in a provider's word (``stop``, ``length``), or ``""``.
    :param result: what a function gave, or of a step the values and events beside its text, in their order,
        as ``["put", uri, value]`` and ``["note", event, data]``.
    :param first: seconds from its beginning until it said something; ``None``: it never did, or not here.
    """

    status: str
    output: str = ""
    reasoning: str = ""
    repairs: Sequence[dict[str, Any]] = ()
    usage: Usage = field(default_factory=Usage)
    error: dict[str, Any] | None = None
    finish: str = ""
    result: Any = None
    first: float | None = None


class Journal(Protocol):
    """The port: where calls are kept."""

    def recorded(self, call: Call) -> CallResult | None:
        """Return the result of a finished call with the same key, or ``None``."""
        ...

    async def finish(self, call: Call, result: CallResult) -> None:
        """Store how ``call`` ended; when this returns, a crash does not make it happen again."""
        ...


class NullJournal:
    """Keeps nothing: for the terminal and for tests."""

    def recorded(self, call: Call) -> CallResult | None:
        """See :meth:`Journal.recorded`: nothing is ever there."""
        return None

    async def finish(self, call: Call, result: CallResult) -> None:
        """See :meth:`Journal.finish`."""


class Occurrences:
    """Counts equal calls of a run, so that each has a key of its own."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def call(
        self,
        instance: str,
        plan: StepPlan,
        root: str,
        input: Any,
        options: Mapping[str, Any],
        asked: Any,
    ) -> Call:
        """Return the next call, with its key.

        :param asked: what makes two calls of a step at a root the same, JSON data.
        """
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
        self._counts[plan.name, root, digest] += 1
        number = self._counts[plan.name, root, digest]
        return Call(instance or f"{plan.name}#{number}", plan, root, input, options, digest, number)

    def once(self, name: str, arguments: Sequence[Any], root: str = "") -> Call:
        """Return the next call of a function, with its key.

        :param name: of the work.
        :param root: of the workflow that calls it, in the whole run.
        """
        asked = {"once": name, "arguments": list(arguments)}
        return self.call("", StepPlan(name, kind="once"), root, list(arguments), {}, asked)
