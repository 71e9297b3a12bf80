"""Runs as rows: how one is made, found and shown to be somebody's, as plain functions.

Nothing here holds a connection while a model streams: a run writes when it starts, when a bot ends, a
checkpoint every few seconds, and when it ends (:mod:`.journal`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import IntegrityError
from django.db.models import Max
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_cancel, check_conversation, check_read, check_start
from lingstream.access.throttle import check_throttle, counted_for
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import LingError, NotFound, UsageError
from lingstream.core.provider import Message
from lingstream.models import Conversation, Provider, Run, Workflow

from .ownership import atomically, interrupt, is_busy
from .plans import load_plan, validate_input

__all__ = [
    "Start",
    "create_run",
    "in_database",
    "known_run",
    "load_history",
    "load_run",
    "plan_of",
    "provider_kinds_in_use",
    "run_to_cancel",
    "run_to_read",
]

P = ParamSpec("P")
T = TypeVar("T")

_ANONYMOUS_KEY = 16  # characters of a key that is the only proof of who asks
_HISTORY = 20  # runs of a conversation that go into a prompt


@dataclass(frozen=True, slots=True)
class Start:
    """What somebody asks for.

    :param workflow: its slug.
    :param input: JSON data for it.
    :param key: idempotency key: the same key of the same owner returns the same run.
    :param conversation: id of one, or ``"new"``.
    """

    workflow: str
    input: Any = None
    key: str = ""
    conversation: str = ""

    @classmethod
    def from_json(cls, data: Any, workflow: str = "") -> Start:
        """Return the start that a client's message asks for.

        :param workflow: the slug, where the URL names it.
        :raises UsageError: a message of another shape.
        """
        if not isinstance(data, dict):
            raise UsageError(f'expected an object like {{"input": …}}, got {type(data).__name__}')
        slug = workflow or data.get("workflow")
        if "input" not in data:
            raise UsageError('expected an "input"')
        return cls(
            workflow=_short_text("workflow", slug),
            input=data["input"],
            key=_short_text("key", data.get("key")),
            conversation=_short_text("conversation", data.get("conversation")),
        )


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the ORM for a request, in the request's thread; runs have :mod:`.lane`."""
    result: T = await database_sync_to_async(function)(*args, **kwargs)
    return result


def create_run(start: Start, identity: Identity, **more: Any) -> tuple[Run, bool]:
    """Check what is asked, resolve the plan and store the run.

    :param more: further columns of the row.
    :returns: the run, and whether it is new.
    :raises UsageError: an unknown workflow or conversation, or input that does not fit.
    :raises AccessError: this identity may not.
    :raises RateLimited: it did so too often, or has too many open runs.
    :raises LingError: ``conversation-busy``, ``key-reused``.
    """
    row = Workflow.objects.filter(slug=start.workflow).first()
    check_start(start.workflow, row, identity)
    if start.key and identity.owner_key == "anyone" and len(start.key) < _ANONYMOUS_KEY:
        raise UsageError(
            f"expected a key of at least {_ANONYMOUS_KEY} characters: without a login or a session it is the "
            f"only proof of who asks; got {len(start.key)}"
        )
    if known := known_run(start, identity):
        return known, False
    check_throttle(start.workflow, identity)  # before what costs: an input that does not fit counts too
    plan = load_plan(start.workflow, row, python=start.workflow in registered())
    validate_input(row.input_schema if row else {}, start.input)
    try:
        with atomically():
            conversation = _conversation(start.conversation, identity)
            if conversation:
                more["created_at"] = _after_the_last(conversation)
                _make_way(conversation, row.when_busy if row else Workflow.WhenBusy.ENQUEUE)
            run = Run.objects.create(
                workflow=start.workflow,
                key=start.key,
                input=start.input,
                plan=plan.to_json(),
                conversation=conversation,
                owner_id=identity.owner_id,
                session_key=identity.session,
                scope=identity.tenant,
                counted_for=counted_for(identity),
                **more,
            )
    except IntegrityError:
        if known := known_run(start, identity):
            return known, False
        raise
    return run, True


def known_run(start: Start, identity: Identity) -> Run | None:
    """Return the run that was started with the same key before, if there is one.

    :raises LingError: ``key-reused``.
    """
    return _by_key(start, identity) if start.key else None


def provider_kinds_in_use() -> list[str]:
    """Return the kinds of the providers there are."""
    return list(Provider.objects.values_list("kind", flat=True).distinct())


def load_run(run_id: str | UUID) -> Run:
    """Return the run.

    :raises NotFound: there is none with this id.
    """
    try:
        return Run.objects.select_related("owner").get(pk=UUID(str(run_id)))
    except (Run.DoesNotExist, ValueError):
        raise NotFound(f"there is no run {str(run_id)[:60]!r}") from None


def run_to_read(run_id: str | UUID, identity: Identity, token: str | None = None) -> Run:
    """Return the run for somebody who wants to read it.

    :raises NotFound: there is none with this id.
    :raises AccessError: this identity may not read it.
    """
    run = load_run(run_id)
    check_read(run, identity, token)
    return run


def run_to_cancel(run_id: str | UUID, identity: Identity, token: str | None = None) -> Run:
    """Return the run for somebody who wants to cancel it; raises as :func:`run_to_read`."""
    run = load_run(run_id)
    check_cancel(run, identity, token)
    return run


def load_history(run: Run) -> list[Message]:
    """Return the earlier runs of the run's conversation as chat messages, oldest first."""
    if run.conversation_id is None:
        return []
    earlier = Run.objects.filter(
        conversation_id=run.conversation_id, created_at__lt=run.created_at, status=Run.Status.FINISHED
    ).order_by("-created_at")[:_HISTORY]
    messages: list[Message] = []
    for row in reversed(earlier):
        messages.append({"role": "user", "content": _as_text(row.input)})
        messages.append({"role": "assistant", "content": _as_text(row.document)})
    return messages


def _short_text(name: str, text: Any) -> str:
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > 200 or not text.isprintable():
        raise UsageError(f"expected {name} to be up to 200 printable characters, got {text!r:.80}")
    return text


def _by_key(start: Start, identity: Identity) -> Run | None:
    known = Run.objects.filter(scope=identity.tenant, owner_key=identity.owner_key, key=start.key).first()
    if known and (known.workflow, known.input) != (start.workflow, start.input):
        raise LingError(
            f"the key {start.key!r} belongs to a run of another workflow or input", code="key-reused"
        )
    return known


def _conversation(name: str, identity: Identity) -> Conversation | None:
    if not name:
        return None
    if name == "new":
        return Conversation.objects.create(
            owner_id=identity.owner_id, session_key=identity.session, scope=identity.tenant
        )
    try:
        # Locked: of two that start at once, the second sees the first one's run.
        conversation = Conversation.objects.select_for_update().get(pk=UUID(name))
    except (Conversation.DoesNotExist, ValueError):
        raise NotFound(f"there is no conversation {name[:60]!r}") from None
    check_conversation(conversation, identity)
    return conversation


def _after_the_last(conversation: Conversation) -> datetime:
    """Return a time of creation that puts a run behind the others, whatever this clock says."""
    now = timezone.now()
    last = Run.objects.filter(conversation=conversation).aggregate(last=Max("created_at"))["last"]
    return now if last is None else max(now, last + timedelta(microseconds=1))


def _make_way(conversation: Conversation, policy: str) -> None:
    """A conversation goes one run after the other; its workflow says what a further one does meanwhile."""
    if policy == Workflow.WhenBusy.REJECT and is_busy(conversation):
        raise LingError("the conversation's last run has not ended", code="conversation-busy", retryable=True)
    if policy == Workflow.WhenBusy.INTERRUPT:
        interrupt(conversation)


def _as_text(value: Any) -> str:
    """What a person would have typed or read: the text itself where the value holds one string only."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plan_of(run: Run) -> Plan:
    """Return the plan that the run was started with."""
    return Plan.from_json(run.plan)
