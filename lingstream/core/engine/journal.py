"""The journal of a run: which calls have finished, of models and of other code, so that none is made twice.

A call is known by its *replay key*: the step, the root, a digest of what is asked, and how often the same
was asked before. When a run is executed again after a crash, a call whose key has finished plays its stored
output back instead of being made.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lingstream.core.provider import ChatOptions, Message, Usage

from .plan import BotPlan, ProviderPlan

__all__ = ["Call", "CallResult", "Journal", "NullJournal", "Occurrences"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with the key under which it is stored.

    :param kind: ``bot`` for a model, ``once`` for a function of :meth:`Run.once`.
    :param request: what a call of another kind than ``bot`` asks, JSON data.
    """

    instance: str
    plan: BotPlan
    root: str
    messages: Sequence[Message]
    options: ChatOptions
    digest: str
    occurrence: int
    kind: str = "bot"
    request: Any = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """``(step, root, digest, occurrence)``: unique in a run."""
        return self.plan.name, self.root, self.digest, self.occurrence


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended.

    :param status: ``finished``, ``failed`` or ``canceled``.
    :param output: the model's text as it came.
    :param repairs: what the parser mended, as ``{"kind", "uri", "offset"}``.
    :param error: the body of its error frame.
    :param finish: why the model stopped, in its provider's word (``stop``, ``length``), or ``""``.
    :param result: what a call of another kind than ``bot`` gave, JSON data.
    """

    status: str
    output: str = ""
    reasoning: str = ""
    repairs: Sequence[dict[str, Any]] = ()
    usage: Usage = field(default_factory=Usage)
    error: dict[str, Any] | None = None
    finish: str = ""
    result: Any = None


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
        self, instance: str, plan: BotPlan, root: str, messages: Sequence[Message], options: ChatOptions
    ) -> Call:
        """Return the next call with its key."""
        asked = {
            "messages": list(messages),
            "model": options.model,
            "params": dict(options.params),
            "response_format": options.response_format,
        }
        digest = _digest(asked)
        return Call(instance, plan, root, messages, options, digest, self._count(plan.name, root, digest))

    def once(self, name: str, arguments: Sequence[Any]) -> Call:
        """Return the next call of a function, with its key.

        :param name: of the work.
        """
        request = {"arguments": list(arguments)}
        digest = _digest({"once": name, **request})
        number = self._count(name, "", digest)
        plan = BotPlan(name, provider=ProviderPlan(name="", kind=""))
        return Call(f"{name}#{number}", plan, "", (), ChatOptions(), digest, number, "once", request)

    def _count(self, step: str, root: str, digest: str) -> int:
        self._counts[step, root, digest] += 1
        return self._counts[step, root, digest]


def _digest(asked: Any) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
