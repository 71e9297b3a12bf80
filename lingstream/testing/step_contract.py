"""The contract of a step kind, as a test suite that every implementation runs.

Subclass it in a test module of yours, with pytest-asyncio in its ``auto`` mode; the kind is executed by the
engine itself, in a run of one step::

    class TestWeather(StepContract):
        kind = Weather()
        options = {"city": "Paris"}
        document = {"sky": "clear"}
"""
# ruff: noqa: S101  # asserts are what a test suite is made of

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from lingstream.core.document.ops import copy_json
from lingstream.core.engine.journal import Call, CallResult, Journal
from lingstream.core.engine.kinds import (
    NOBODY,
    Services,
    StepCall,
    StepKind,
    check_event,
    check_options,
    register_kind,
    step_kinds,
)
from lingstream.core.engine.plan import Plan, StepPlan
from lingstream.core.engine.rendering import Candidate, Stamp, rendered
from lingstream.core.engine.run import Run, RunResult
from lingstream.core.log.memory import MemoryLog
from lingstream.core.templates import READ_AS
from lingstream.core.validation import compile_schema
from lingstream.providers.scripted import ScriptedProvider

from .log_contract import PATIENCE

__all__ = ["StepContract"]


class StepContract:
    """What every kind promises, see :class:`~lingstream.core.engine.kinds.StepKind`."""

    kind: StepKind
    input: Any = None
    """JSON data that the kind works on."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Options that fit, as a step's row has them."""
    format: Literal["json", "text", "html"] = "json"
    """How what it says as text is read."""
    document: Any = None
    """What a step at the root ``said`` writes there."""

    def services(self) -> Services:
        """Return what the kind may ask of its site; without one: models, and threads that may block."""
        return Services(lambda plan: ScriptedProvider("ok", rate=None))

    # -- what it says of itself --------------------------------------------------------------------

    def test_its_name_its_options_and_its_events_can_be_registered(self) -> None:
        known = step_kinds().get(self.kind.kind)
        assert register_kind(self.kind) is self.kind
        if known:
            register_kind(known)
        for event in self.kind.events:
            check_event(event)

    def test_its_options_have_a_schema_that_can_be_used_and_is_json(self) -> None:
        schema = json.loads(json.dumps(dict(self.kind.options_schema)))
        if not schema:
            return
        assert schema.get("type") == "object"
        compile_schema(schema)
        for name, each in schema.get("properties", {}).items():
            assert each.get("x-template", "text") in READ_AS, f"{name}: expected one of {', '.join(READ_AS)}"

    def test_options_that_fit_are_taken(self) -> None:
        register_kind(self.kind)
        check_options(self._plan().steps[0])

    # -- what it does ------------------------------------------------------------------------------

    async def test_it_writes_its_document_and_finishes(self) -> None:
        result = await self._executed()
        assert (result.status, list(result.errors)) == ("finished", [])
        assert ((result.document or {}).get("said")) == self.document

    async def test_two_at_once_do_not_disturb_each_other(self) -> None:
        results = await asyncio.gather(self._executed(), self._executed(), self._executed())
        assert len({json.dumps(result.document, sort_keys=True) for result in results}) == 1

    async def test_what_it_is_given_stays_as_it_was(self) -> None:
        call = self._call()
        before = copy_json([call.input, dict(call.options)])
        async for _ in self.kind.run(call):
            pass
        assert [call.input, dict(call.options)] == before

    async def test_it_is_played_back_and_not_done_again(self) -> None:
        journal = _Journal()
        first = await self._executed(journal=journal)
        again = await self._executed(journal=journal, epoch=2)
        assert again.document == first.document
        # What is pure is done again and not stored; all else is stored once.
        assert journal.stored == (0 if self.kind.is_pure(self._plan().steps[0]) else 1)

    async def test_closing_it_ends_it(self) -> None:
        stream = self.kind.run(self._call())
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(StopAsyncIteration):
                await anext(aiter(stream))
            if close := getattr(stream, "aclose", None):
                await close()

    # -- how --------------------------------------------------------------------------------------

    def _plan(self) -> Plan:
        step = StepPlan(
            "step",
            self.kind.kind,
            "{{ input }}",
            root="said",
            options=dict(self.options),
            format=self.format,
        )
        return Plan("contract", steps=(step,))

    def _call(self) -> StepCall:
        register_kind(self.kind)
        (step,) = self._plan().steps
        context = {"input": self.input, "value": None, "uri": "", "document": None, "history": []}
        (texts,) = rendered([Candidate(step)], context, Stamp(), brief=False)
        assert texts and not texts.fault
        return StepCall(
            input=texts.input,
            options=texts.options,
            plan=step,
            root="said",
            identity=NOBODY,
            history=(),
            services=self.services(),
            idempotency_key="contract",
            attempt=1,
        )

    async def _executed(self, journal: Journal | None = None, epoch: int = 1) -> RunResult:
        register_kind(self.kind)
        log, services = MemoryLog(), self.services()
        run = Run(self._plan(), self.input, log=log, services=services, journal=journal, epoch=epoch)
        async with asyncio.timeout(PATIENCE):
            return await run.execute()


class _Journal:
    """Keeps what is finished, and counts it."""

    def __init__(self) -> None:
        self._results: dict[tuple[Any, ...], CallResult] = {}
        self.stored = 0

    def recorded(self, call: Call) -> CallResult | None:
        """See :meth:`Journal.recorded`."""
        return self._results.get(call.key)

    async def finish(self, call: Call, result: CallResult) -> None:
        """See :meth:`Journal.finish`."""
        self.stored += 1
        self._results[call.key] = result
