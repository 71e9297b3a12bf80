"""What a step can do: the port of step kinds, what a kind says while it works, and the kinds by name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from lingstream.core import validation
from lingstream.core.exceptions import UsageError
from lingstream.core.names import check_free
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Chunk, Message, Provider, Usage

from .journal import Call
from .plan import EVENTS, JOINED, ProviderPlan, StepPlan

__all__ = [
    "NOBODY",
    "Identity",
    "Note",
    "Put",
    "Said",
    "Services",
    "Spent",
    "StepCall",
    "StepKind",
    "Text",
    "check_event",
    "check_options",
    "events_of",
    "kind_of",
    "register_kind",
    "step_kinds",
    "withheld",
]

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")  # of a kind, and of an event
_OUR_EVENTS = frozenset((*EVENTS, JOINED, "reasoning", "preamble", "started", "done"))
_OUR_OPTIONS = frozenset(each.name for each in fields(StepPlan))


class Text(NamedTuple):
    """Text as it comes; it goes through the step's format as a model's does."""

    text: str
    reasoning: str = ""


class Put(NamedTuple):
    """A value below the root of the step (``""`` is the root), which is complete."""

    uri: str
    value: Any


class Note(NamedTuple):
    """An event of the kind's own, with JSON data; triggers may wait for one that the kind declares."""

    event: str
    data: Any = None


class Spent(NamedTuple):
    """The accounts: tokens, and why the work is over (``length``: it was cut off)."""

    usage: Usage | None = None
    finish: str | None = None


#: What a kind may say. A model's :class:`Chunk` is text and accounts in one, so that tokens need no hop more.
Said: TypeAlias = Text | Put | Note | Spent | Chunk


class Identity(NamedTuple):
    """Who has started the run, as its row says; never by what the run was started with.

    :param user: the primary key of the user, as text, or ``""``.
    :param groups: the names of the groups that the user is in.
    :param scope: the tenant.
    :param visitor: the digest that a visitor is known by, or ``""``.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    scope: str = ""
    visitor: str = ""


NOBODY = Identity()


class Services:
    """What a kind may ask of the site; this one, of no site, knows models only.

    :param providers: returns the provider with these settings, and with its key.
    """

    def __init__(self, providers: Callable[[ProviderPlan], Provider]) -> None:
        self._providers = providers

    def provider(self, plan: ProviderPlan) -> Provider:
        """Return the provider with these settings, and with its key."""
        return self._providers(plan)

    def http(self) -> Any:
        """Return an ``httpx2.AsyncClient`` that connects to where the site lets its rows connect.

        It belongs to the process, and is not closed by who uses it.

        :raises UsageError: there is no site.
        """
        raise UsageError(Phrase("expected a site with guarded addresses, and there is none"))

    async def workflow(self, slug: str) -> dict[str, Any]:
        """Return the plan of a workflow that a function wants to execute inside its own, as JSON data."""
        raise UsageError(Phrase("expected a site with the workflow %(slug)r, and there is none", slug=slug))

    async def search(self, collection: str | Sequence[str], text: str, **how: Any) -> list[dict[str, Any]]:
        """Return passages as ``retrieve`` does (``how`` are its options), for who has started the run."""
        raise UsageError(Phrase("expected a run of a site with lingstream.knowledge, and there is none"))

    async def database(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function gives that blocks, and that may use the ORM; it has a thread for it.

        A thread cannot be stopped: where nobody waits any more, its result is dropped, and it holds its place
        until then.
        """
        return await asyncio.to_thread(function, *arguments)


@dataclass(frozen=True, slots=True)
class StepCall:
    """One try of a step.

    :param input: rendered; to a bot the messages, to other kinds JSON data.
    :param options: the step's own, rendered.
    :param root: the absolute uri below which it writes.
    :param history: earlier messages of the conversation.
    :param idempotency_key: the same for each try of this call, after a crash too; no other call has it.
    :param attempt: from 1.
    :param run: the id of the run's row, for what is stored beside it; ``""`` for a run without one.
    """

    input: Any
    options: Mapping[str, Any]
    plan: StepPlan
    root: str
    identity: Identity
    history: Sequence[Message]
    services: Services
    idempotency_key: str
    attempt: int
    run: str = ""


class StepKind(Protocol):
    """The port: one stateless object for each kind, mostly of a subclass that overrides what it needs.

    :cvar kind: its name, which rows and plans have.
    :cvar title: for people; the name unless given.
    :cvar options_schema: JSON schema of a step's options, of the type ``object``: the admin makes a form of
        it. ``"x-template"`` in a property says how its texts are read: ``"text"`` (a template; a single
        ``{{ expression }}`` gives the value itself), ``"url"`` (each interpolation is escaped),
        ``"expression"`` (without braces) or ``"none"``.
    :cvar version: of what it does; one more than before makes a run that goes on after a crash do it again.
    :cvar events: the events of :class:`Note` that triggers may wait for.
    :cvar pure: it gives the same for the same, at once: done again where a run is executed again.
    :cvar record: it may stand in a pipeline of records.
    :cvar effects: it acts on the world: in a run that may not, :meth:`rehearse` takes the place of ``run``.
    :cvar asks_who: it wants to know who has started the run, which may cost a query.
    """

    kind: str
    title: str = ""
    options_schema: Mapping[str, Any] = MappingProxyType({})
    version: int = 1
    events: Sequence[str] = ()
    pure: bool = False
    record: bool = False
    effects: bool = False
    asks_who: bool = True

    def run(self, call: StepCall) -> AsyncIterator[Said]:
        """Do the work; closing the iterator stops it.

        :raises LingError: it failed; ``retryable`` says whether the same may succeed.
        """
        ...

    async def rehearse(self, call: StepCall) -> AsyncIterator[Said]:
        """Say what would be done, and do nothing: asked for in place of ``run`` where nothing may be done."""
        yield withheld(call)

    def check(self, plan: StepPlan) -> None:
        """Look at a step that is about to be saved, whose options fit the schema.

        :raises UsageError: it makes no sense all the same; :class:`OptionError` says where.
        """
        return

    def is_pure(self, plan: StepPlan) -> bool:
        """Whether this step is: see ``pure``."""
        return self.pure

    def has_effects(self, plan: StepPlan) -> bool:
        """Whether this step has: see ``effects``."""
        return self.effects

    def asked(self, input: Any, options: Mapping[str, Any]) -> Any:
        """Return what makes two calls of this kind the same, JSON data."""
        return {"kind": self.kind, "version": self.version, "options": dict(options), "input": input}


def withheld(call: StepCall | Call) -> Note:
    """Return the event by which a step tells what it was asked to do and has not done."""
    return Note("withheld", {"kind": call.plan.kind, "input": call.input, "options": dict(call.options)})


_kinds: dict[str, StepKind] = {}


def register_kind(kind: StepKind) -> StepKind:
    """Make a kind known, under its name; return it.

    :raises UsageError: its name, its options or its events are none, or are taken.
    """
    _check_kind(kind)
    known = _kinds.get(kind.kind)
    check_free(f"the step kind {kind.kind!r}", _code(known) if known else None, _code(kind))
    _kinds[kind.kind] = kind
    return kind


def step_kinds() -> Mapping[str, StepKind]:
    """Return the kinds that this process knows, by name."""
    return MappingProxyType(_kinds)


def kind_of(name: str) -> StepKind:
    """Return a kind.

    :raises UsageError: ``unknown-kind``.
    """
    if name not in _kinds:
        known, got = ", ".join(sorted(_kinds)), f"{name!r:.80}"
        message = Phrase("expected a step kind among %(known)s, got %(got)s", known=known, got=got)
        raise UsageError(message, code="unknown-kind")
    return _kinds[name]


def check_options(plan: StepPlan) -> None:
    """Check what a step says of its kind: that there is one, that its options fit, and that it makes sense.

    :raises UsageError: ``unknown-kind``, ``option``, or the kind's own.
    """
    kind = kind_of(plan.kind)
    if kind.options_schema:
        validation.check_options(kind.options_schema, plan.options)
    elif plan.options:
        got = ", ".join(plan.options)
        message = Phrase("expected no options of %(kind)s, got %(got)s", kind=plan.kind, got=got)
        raise UsageError(message, code="option")
    kind.check(plan)


def events_of(name: str) -> tuple[str, ...]:
    """Return the events that steps of a kind emit; of one that is not known, what all emit."""
    kind = _kinds.get(name)
    return (*EVENTS, *(kind.events if kind else ()))


def check_event(event: str) -> None:
    """Check the name of a :class:`Note`.

    :raises UsageError: it is no name, or one of ours.
    """
    if not isinstance(event, str) or not _NAME.fullmatch(event) or event in _OUR_EVENTS:
        raise UsageError(Phrase("expected an event of its own like mail-sent, got %(got).80r", got=event))


def _check_kind(kind: StepKind) -> None:
    if not isinstance(kind.kind, str) or not _NAME.fullmatch(kind.kind):
        raise UsageError(f"expected a name like send-mail for a step kind, got {kind.kind!r:.80}")
    properties = kind.options_schema.get("properties", {})
    if taken := sorted(_OUR_OPTIONS.intersection(properties)):
        raise UsageError(f"expected options of {kind.kind!r} that no step has anyway, got {', '.join(taken)}")
    for event in kind.events:
        check_event(event)


def _code(kind: StepKind) -> Callable[..., Any]:
    """What it is made of."""
    code: Callable[..., Any] = getattr(kind, "function", type(kind))
    return code
