"""Starting runs: the public :func:`start`, what is asked for, and the row that it becomes.

All of it is synchronous ORM code, so that a run's row belongs to its caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, router, transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.utils import translation

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_conversation, check_start
from lingstream.access.throttle import check_stored, check_throttle, counted_for
from lingstream.access.visitors import digest_of, new_visitor
from lingstream.conf import app_settings
from lingstream.conversations import turns
from lingstream.conversations.chats import chat_of, check_enabled
from lingstream.conversations.turns import Turn
from lingstream.core.document import jsonuri
from lingstream.core.engine.chat import Chat
from lingstream.core.engine.inputs import check_input
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import AccessError, LingError, NotFound, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.wire.json import dumps, loads
from lingstream.models import FIRST, PERSON, Conversation, Run, RunText, Workflow

from .needs import needs_of
from .ownership import anybody_executes, atomically, hush, interrupt, is_busy
from .plans import load_plan
from .storage import in_database
from .versions import version_key

__all__ = [
    "Start",
    "announce",
    "astart",
    "begin",
    "check_chat",
    "check_runner",
    "create_run",
    "introduce",
    "json_data",
    "known_run",
    "queue_run",
    "start",
    "whose",
]

_PROCESSES = {
    "inline": "the site by ASGI, with lingstream.asgi.application",
    "worker": "manage.py ling_worker",
}
_NEW = "new"  # for a conversation that begins with the run
# The condition of the index of keys, in its own words: from a parameter SQLite cannot tell that it holds, and
# reads all runs of the tenant.
_HAS_KEY = RawSQL("NOT (lingstream_run.key = '')", (), output_field=BooleanField())
_ANONYMOUS_KEY = 16  # characters of a key that is the only proof of who asks


def start(
    workflow: str,
    input: Any,
    *,
    owner: Any = None,
    session: str | None = "",
    scope: str = "",
    conversation: Conversation | UUID | str | None = None,
    key: str = "",
) -> Run:
    """Start a run from the site's own code: a view, a command, a signal's receiver, a task of a queue.

    The run is queued, and a living process takes it: this one, where it executes runs. Inside
    ``transaction.atomic()`` nobody hears of it before the commit, and nobody ever does after a rollback. The
    caller has decided who may do what: neither access nor throttle is asked; all else is.

    :param workflow: its slug.
    :param input: JSON data.
    :param owner: the user whose run it is.
    :param session: the session key of the visitor whose run it is, or its digest, as rows hold it.
    :param scope: the tenant.
    :param conversation: one that exists, or its id, or ``"new"``. Without ``owner`` and ``session`` the run
        belongs to whom the conversation belongs to.
    :param key: the same key of the same owner in the same scope returns the same run.
    :raises UsageError: an unknown workflow or conversation, input that is no JSON or does not fit, …
    :raises AccessError: the conversation is not the owner's.
    :raises LingError: ``no-runner``: no process that executes runs lives, and nothing is stored;
        ``conversation-busy``; ``key-reused``.
    """
    message = {"input": json_data(input), "key": key, "conversation": _name_of(conversation)}
    asked = Start.from_json(message, workflow)
    return begin(asked, whose(asked, owner, session, scope))


def begin(start: Start, identity: Identity) -> Run:
    """Queue what the site's own code asks for, and say so once that is committed; see :func:`start`."""
    run, new = queue_run(start, identity, language=translation.get_language() or "")
    if new:
        announce(run)
    return run


def announce(run: Run) -> None:
    """Say, once that is committed, that a run waits."""
    # The runner makes runs by way of this module.
    from .runner import tell

    transaction.on_commit(partial(tell, run), using=router.db_for_write(Run), robust=True)


async def astart(
    workflow: str,
    input: Any,
    *,
    owner: Any = None,
    session: str | None = "",
    scope: str = "",
    conversation: Conversation | UUID | str | None = None,
    key: str = "",
) -> Run:
    """As :func:`start`, for code in an event loop."""
    return await in_database(
        start, workflow, input, owner=owner, session=session, scope=scope, conversation=conversation, key=key
    )


@dataclass(frozen=True, slots=True)
class Start:
    """What somebody asks for.

    :param workflow: its slug.
    :param input: JSON data for it.
    :param key: idempotency key: the same key of the same owner returns the same run.
    :param conversation: id of one, or ``"new"``.
    :param turn: how the run stands in it.
    :param plan: what is executed in place of what the workflow says now, with the schema that the input must
        fit; only the site's own code gives it.
    """

    workflow: str
    input: Any = None
    key: str = ""
    conversation: str = ""
    turn: Turn = field(default_factory=Turn)
    plan: Plan | None = None

    @classmethod
    def from_json(cls, data: Any, workflow: str = "") -> Start:
        """Return the start that a client's message asks for.

        :param workflow: the slug, where the URL names it.
        :raises UsageError: a message of another shape.
        """
        if not isinstance(data, dict):
            message = Phrase('expected an object like {"input": …}, got %(got)s', got=type(data).__name__)
            raise UsageError(message)
        slug = workflow or data.get("workflow")
        if "input" not in data:
            raise UsageError(Phrase('expected an "input"'))
        return cls(
            workflow=_short_text("workflow", slug),
            input=data["input"],
            key=_short_text("key", data.get("key")),
            conversation=_short_text("conversation", data.get("conversation")),
        )


def queue_run(start: Start, identity: Identity, **more: Any) -> tuple[Run, bool]:
    """As :func:`create_run`, for a run that waits for a process to take it.

    :raises LingError: ``no-runner``: there is none that would.
    """
    try:
        check_runner()
    except LingError:
        if known := known_run(start, identity):
            return known, False
        raise
    return create_run(start, identity, **more)


def check_runner() -> None:
    """Check that what waits will be taken.

    :raises LingError: ``no-runner``: there is no process that would.
    """
    if not _somebody_executes():
        given = app_settings()
        message = Phrase(
            "expected a process that executes runs, and none has said within %(seconds)s s that "
            "it lives: start %(what)s",
            seconds=f"{given.dead_after:g}",
            what=_PROCESSES.get(given.execution, Phrase("one")),
        )
        raise LingError(message, code="no-runner", retryable=True)


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
    _check_key(start, identity)
    if known := known_run(start, identity):
        return known, False
    chat = chat_of(start.workflow) if start.conversation and not start.turn.quiet else None
    if chat:
        check_chat(chat, identity)
        _check_length(chat, start, identity)
    # Before what costs: an input that does not fit counts too.
    check_throttle(start.workflow, identity, rate=chat.rate if chat else "")
    run_id, talk_id = uuid4(), _conversation_id(start.conversation)
    key = version_key(identity.owner_key, talk_id or run_id)
    python = start.workflow in registered()
    plan = start.plan or load_plan(start.workflow, row, python=python, key=key)
    in_force = row.schema_in_force if row else {}
    check_input(start.plan.input_schema if start.plan else in_force, start.input)
    try:
        with atomically():
            conversation = _conversation(talk_id, identity, new=start.conversation == _NEW)
            if conversation:
                more |= turns.place(conversation, start.turn)
                policy = row.when_busy if row else Workflow.WhenBusy.ENQUEUE
                _make_way(conversation, start.turn, policy)
            run = Run.objects.create(
                pk=run_id,
                workflow=start.workflow,
                key=start.key,
                input=start.input,
                plan=plan.to_json(),
                plan_version=plan.version,
                kinds=needs_of(plan),
                conversation=conversation,
                **identity.owned,
                counted_for=counted_for(identity),
                **more,
            )
            RunText.of(run)
            if conversation:
                turns.add(conversation, run)
            check_stored(start.workflow, identity)
    except IntegrityError:
        if known := known_run(start, identity):
            return known, False
        raise
    return run, True


def check_chat(chat: Chat, identity: Identity) -> None:
    """Check that a workflow which is talked to like this may be, and by this person.

    :raises UsageError: ``chat-disabled``.
    :raises AccessError: it talks to people with a login only.
    """
    check_enabled(chat)
    if identity.owner_id is None and not identity.trusted and not chat.anonymous:
        raise AccessError(Phrase("expected a signed-in user to talk to this workflow, got an anonymous one"))


def _check_length(chat: Chat, start: Start, identity: Identity) -> None:
    text = jsonuri.get(start.input, chat.input_uri)
    if not identity.trusted and isinstance(text, str) and len(text) > chat.longest:
        message = Phrase(
            "expected a message of up to %(most)s characters, got %(length)s",
            most=chat.longest,
            length=len(text),
        )
        raise UsageError(message, code="too-large")


def introduce(start: Start, identity: Identity) -> tuple[Identity, str]:
    """Make who begins a conversation somebody who can come back to it: a visitor, where nobody has signed in.

    :returns: who asks, and the id of a visitor who has not been one before, or ``""``.
    :raises UsageError: a key that is too short.
    """
    known = identity.trusted or identity.owner_id is not None or identity.visitor
    if known or start.conversation != _NEW:
        return identity, ""
    _check_key(start, identity)
    # Two starts at once in one session make the same visitor: of two ids the session would keep one.
    session = identity.session
    visitor = new_visitor(session, of="session") if session else new_visitor(start.key)
    return identity._replace(visitor=digest_of(visitor)), visitor


def known_run(start: Start, identity: Identity) -> Run | None:
    """Return the run that was started with the same key before, if there is one.

    :raises LingError: ``key-reused``.
    """
    return _by_key(start, identity) if start.key else None


def json_data(data: Any) -> Any:
    """Return ``data`` as it will be read: a tuple is a list then, and a date is text."""
    try:
        text = dumps(data)
    except RecursionError:
        raise UsageError(Phrase("expected fewer levels of nesting in the input"), code="too-deep") from None
    except (TypeError, ValueError) as error:
        message = Phrase("expected the input to be JSON data: %(why)s", why=str(error))
        raise UsageError(message, code="invalid-input") from error
    return loads(text)


def _check_key(start: Start, identity: Identity) -> None:
    if start.key and identity.owner_key == "anyone" and len(start.key) < _ANONYMOUS_KEY:
        message = Phrase(
            "expected a key of at least %(most)s characters: without a login or a session it is the "
            "only proof of who asks; got %(got)s",
            most=_ANONYMOUS_KEY,
            got=len(start.key),
        )
        raise UsageError(message)


def _somebody_executes() -> bool:
    from .runner import living_runner

    runner = living_runner()
    given = app_settings()
    return bool(runner and runner.executes) or anybody_executes(given.execution, given.dead_after)


def _name_of(conversation: Conversation | UUID | str | None) -> str:
    if isinstance(conversation, Conversation):
        conversation = conversation.pk
    return "" if conversation is None else str(conversation)


def whose(asked: Start, owner: Any, session: str | None, scope: str) -> Identity:
    """Return as whom the site's own code starts a run; arguments as :func:`start`."""
    if owner is not None and not (hasattr(owner, "is_authenticated") and (owner.is_anonymous or owner.pk)):
        raise UsageError(Phrase("expected owner to be a stored user, got %(got)s", got=f"{owner!r:.80}"))
    visitor = ""
    if asked.conversation not in ("", _NEW):
        found = turns.find(asked.conversation)
        scope = scope or found.scope
        # Not for an anonymous user: then a visitor asks, who may have no more than the id.
        if owner is None and not session:
            owner, session, visitor = found.owner, found.session_key, found.visitor
    return Identity.of_site(owner, session, _short_text("scope", scope), visitor)


def _short_text(name: str, text: Any) -> str:
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > 200 or not text.isprintable():
        message = Phrase(
            "expected %(name)s to be up to 200 printable characters, got %(got)s",
            name=name,
            got=f"{text!r:.80}",
        )
        raise UsageError(message)
    return text


def _by_key(start: Start, identity: Identity) -> Run | None:
    known = Run.objects.filter(  # never a trial, which has no key
        _HAS_KEY, scope=identity.tenant, owner_key__in=identity.owner_keys, key=start.key
    ).first()
    if known and not _is_same(known, start):
        message = Phrase("the key %(key)r belongs to a run of another workflow or input", key=start.key)
        raise LingError(message, code="key-reused")
    return known


def _is_same(run: Run, start: Start) -> bool:
    """Whether the run is what is asked for; the one that a conversation began with has named none."""
    there = start.conversation in ("", _NEW) or run.conversation_id == _uuid(start.conversation)
    return there and (run.workflow, run.input, run.cause, run.message) == (
        start.workflow,
        start.input,
        start.turn.cause,
        start.turn.message,
    )


def _conversation_id(name: str) -> UUID | None:
    """Return the id of the conversation that a start names; a new one has it before it is stored."""
    if not name:
        return None
    return uuid4() if name == _NEW else _uuid(name)


def _uuid(name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        raise NotFound(Phrase("there is no conversation %(got)r", got=name[:60])) from None


def _conversation(talk_id: UUID | None, identity: Identity, *, new: bool) -> Conversation | None:
    if talk_id is None:
        return None
    if new:
        return Conversation.objects.create(pk=talk_id, **identity.owned)
    conversation = turns.lock(talk_id)  # of two that start at once, the second sees the first one's run
    check_conversation(conversation, identity)
    return conversation


def _make_way(conversation: Conversation, turn: Turn, policy: str) -> None:
    """A conversation goes one run after the other; its workflow says what a further one does meanwhile.

    A person's word ends the bot's own, and that waits for its turn always.
    """
    if turn.quiet or turn.cause in FIRST:
        return
    if turn.cause in PERSON:
        hush(conversation)
    if policy == Workflow.WhenBusy.REJECT and is_busy(conversation):
        message = Phrase("the conversation's last run has not ended")
        raise LingError(message, code="conversation-busy", retryable=True)
    if policy == Workflow.WhenBusy.INTERRUPT:
        interrupt(conversation)
