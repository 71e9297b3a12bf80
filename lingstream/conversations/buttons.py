"""What the forms of the chat page ask where no script sends it: each button's name is what it does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from asgiref.sync import async_to_sync
from django.http import HttpRequest

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.exceptions import LingError, UsageError
from lingstream.execution.ownership import request_cancel
from lingstream.execution.retention import aforget
from lingstream.execution.start import begin
from lingstream.models import Conversation, Run

from .asking import again, edited, said
from .changing import create, delete, patch
from .messages import message_from
from .opinions import give_feedback
from .turns import open_turns, turn_of
from .uploads import form_in_thread

__all__ = ["press"]

_LONGEST_KEY = 64


def press(
    request: HttpRequest, identity: Identity, slug: str, talk: Conversation | None
) -> tuple[Conversation | None, str]:
    """Do what a form of the chat page asks.

    :param talk: the conversation that the page shows; ``None`` before the first message.
    :returns: the conversation to be shown then, ``None`` after it was deleted; and the turn to be looked at.
    :raises LingError: what is asked cannot be done, as by the API.
    """
    name = next((name for name in _BUTTONS if name in request.POST), "text")
    if name == "text":
        talk, run = _say(request, identity, slug, talk)
        return talk, str(run.pk)
    if talk is None:
        raise UsageError("expected a conversation in which something was said")
    found = _BUTTONS[name](request, identity, talk, request.POST[name])
    return (None if name == "delete" else talk), str(found.pk if found else "")


def _say(
    request: HttpRequest, identity: Identity, slug: str, talk: Conversation | None
) -> tuple[Conversation, Run]:
    if not request.FILES:
        message_from(request.POST)  # what says nothing begins no conversation
    if talk is None:
        return _begun(identity, _key(request)) or _say_first(request, identity, slug)
    with form_in_thread(request, str(talk.pk), identity) as form:
        run = begin(said(talk, message_from(form), key=_key(request)), identity)
    patch(str(talk.pk), identity, {"read": run.number})
    return talk, run


def _say_first(request: HttpRequest, identity: Identity, slug: str) -> tuple[Conversation, Run]:
    """Begin a conversation with a message; without one nothing is left of it."""
    talk = create({"workflow": slug}, identity)[0]
    try:
        return _say(request, identity, slug, talk)
    except LingError:
        Conversation.objects.filter(pk=talk.pk, count=0).delete()
        if begun := _begun(identity, _key(request)):
            return begun  # the same form was faster
        raise


def _begun(identity: Identity, key: str) -> tuple[Conversation, Run] | None:
    """Return the conversation that the same form has begun already."""
    mine = Run.objects.filter(scope=identity.tenant, owner_key__in=identity.owner_keys, key=key)
    run = mine.select_related("conversation").exclude(conversation=None).first() if key else None
    return (run.conversation, run) if run and run.conversation else None


def _regenerate(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> Run:
    return begin(again(talk, turn_of(talk, name), key=_key(request)), identity)


def _edit(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> Run:
    turn = turn_of(talk, name)
    parts = turn.message["parts"] if turn.message else []
    files = [part for part in parts if part["type"] == "file"]
    message = message_from({"parts": [{"type": "text", "text": request.POST.get("text", "")}, *files]})
    return begin(edited(talk, turn, message, key=_key(request)), identity)


def _switch(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> Run:
    patch(str(talk.pk), identity, {"leaf": name})
    return turn_of(talk, name)


def _stop(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> Run | None:
    runs = open_turns(talk)
    for run in runs:
        request_cancel(run)
    return runs[-1] if runs else None


def _judge(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> Run:
    value, _, run = name.partition(" ")
    turn = turn_of(talk, run)
    number = int(value) if value in ("1", "-1") else 0
    give_feedback(str(turn.pk), identity, None, {"value": number})
    return turn


def _rename(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> None:
    patch(str(talk.pk), identity, {"title": request.POST.get("title", "").strip()})


def _archive(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> None:
    patch(str(talk.pk), identity, {"archived": name == "1"})


def _delete(request: HttpRequest, identity: Identity, talk: Conversation, name: str) -> None:
    for run in delete(str(talk.pk), identity):
        request_cancel(run)
    if app_settings().hard_delete:
        async_to_sync(aforget)(talk.pk)


def _key(request: HttpRequest) -> str:
    """What a form that is sent twice has in common with itself, and with no other from its page."""
    nonce = request.POST.get("key", "")
    if request.FILES or not nonce.isalnum() or len(nonce) > _LONGEST_KEY:
        return ""
    asked = "\0".join(request.POST.get(name, "") for name in ("text", "edit", "regenerate"))
    return f"{nonce}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"


_BUTTONS: Mapping[str, Callable[[HttpRequest, Identity, Conversation, str], Run | None]] = MappingProxyType(
    {
        "regenerate": _regenerate,
        "edit": _edit,
        "switch": _switch,
        "stop": _stop,
        "judge": _judge,
        "rename": _rename,
        "archive": _archive,
        "delete": _delete,
    }
)
