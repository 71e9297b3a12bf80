"""What its owner changes of a conversation itself: title, archive, what was read, the path, all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_conversation, check_start
from lingstream.access.throttle import check_throttle
from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import UsageError
from lingstream.execution.ownership import atomically
from lingstream.execution.start import check_chat
from lingstream.models import OPEN, Conversation, Run, Workflow

from .chats import chat_of
from .hours import is_zone
from .listing import of_person
from .notices import tell
from .turns import change, find, lock, switch, turn_of

__all__ = ["create", "delete", "opened", "patch"]

_CHANGED = ("title", "archived", "read", "leaf", "timezone")
_LONGEST = 200  # characters of a title, and of an external id
_MOST_DATA = 65_536  # characters of a conversation's data


def opened(name: str, identity: Identity) -> Conversation:
    """Return the conversation for its owner or its visitor; a token of one of its runs opens it to nobody.

    :raises NotFound: there is none.
    :raises AccessError: it is somebody else's.
    """
    conversation = find(name)
    check_conversation(conversation, identity)
    return conversation


def create(data: Mapping[str, Any], identity: Identity) -> tuple[Conversation, bool]:
    """Return the conversation that is asked for, and whether it is new; an external id leads to its own.

    :raises UsageError: an unknown workflow, or ``data`` of another shape; ``chat-disabled``.
    :raises AccessError: this person may not start the workflow.
    :raises RateLimited: it did so too often.
    """
    slug, external = _text(data, "workflow"), _text(data, "external_id")
    row = Workflow.objects.filter(slug=slug).first()
    if row is None and slug not in registered():
        raise UsageError(f"expected the slug of a workflow, got {slug!r}", code="unknown-workflow")
    check_start(slug, row, identity)
    check_chat(chat_of(slug), identity)
    if known := _known(external, identity):
        return known, False
    check_throttle(slug, identity)
    columns = {"workflow": slug, "external_id": external, "timezone": _zone(data), "data": _data(data)}
    try:
        with atomically():
            made = Conversation.objects.create(**columns, **identity.owned)
            tell(made, "change")
            return made, True
    except IntegrityError:  # somebody was faster
        if known := _known(external, identity):
            return known, False
        raise


def patch(name: str, identity: Identity, data: Mapping[str, Any]) -> Conversation:
    """Change a conversation.

    :param data: some of ``title``, ``archived``, ``read`` (the number of the last turn seen) and ``leaf`` (a
        turn on the path that shall be shown, which goes on to the newest one behind it), and ``timezone``.
    :raises UsageError: something else, or of another shape.
    :raises NotFound: no such conversation, or no such turn in it.
    :raises AccessError: it is somebody else's.
    """
    if not data or not data.keys() <= set(_CHANGED):
        raise UsageError(f"expected some of {', '.join(_CHANGED)}, got {sorted(data)!r:.200}")
    with atomically():
        conversation = lock(opened(name, identity).pk)
        if columns := _columns(conversation, data):
            change(conversation, **columns)
        if "leaf" in data:
            switch(conversation, turn_of(conversation, str(data["leaf"])).pk)
    return conversation


def delete(name: str, identity: Identity) -> list[Run]:
    """Hide a conversation for good; return what is still running in it, for the caller to cancel.

    :raises NotFound: there is none.
    :raises AccessError: it is somebody else's.
    """
    with atomically():
        conversation = lock(opened(name, identity).pk)
        change(conversation, "remove", deleted_at=timezone.now(), external_id="", nudge_at=None)
    return list(Run.objects.filter(conversation=conversation, status__in=OPEN))


def _known(external: str, identity: Identity) -> Conversation | None:
    return of_person(identity).filter(external_id=external).first() if external else None


def _columns(conversation: Conversation, data: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if "title" in data:
        title = columns["title"] = _text(data, "title")
        columns["title_by"] = Conversation.TitleBy.USER if title else Conversation.TitleBy.NOBODY
    if "archived" in data:
        if not isinstance(data["archived"], bool):
            raise UsageError(f"expected archived to be true or false, got {data['archived']!r:.40}")
        columns["archived_at"] = (conversation.archived_at or timezone.now()) if data["archived"] else None
        columns["nudge_at"] = None
    if "read" in data:
        read = data["read"]
        if not isinstance(read, int) or isinstance(read, bool) or read < 0:
            raise UsageError(f"expected read to be the number of a turn, got {read!r:.40}")
        columns["read_number"] = max(conversation.read_number, min(read, conversation.count))
    if "timezone" in data:
        columns["timezone"] = _zone(data)
    return columns


def _text(data: Mapping[str, Any], name: str) -> str:
    text = data.get(name, "")
    if not isinstance(text, str) or len(text) > _LONGEST or not (text == "" or text.isprintable()):
        raise UsageError(f"expected {name} to be up to {_LONGEST} printable characters, got {text!r:.80}")
    return text.strip()


def _zone(data: Mapping[str, Any]) -> str:
    name = data.get("timezone", "")
    if not isinstance(name, str) or not (name == "" or is_zone(name)):
        raise UsageError(f"expected timezone to be a name like 'Europe/Berlin', got {name!r:.80}")
    return name


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    found = data.get("data", {})
    if not isinstance(found, dict):
        raise UsageError(f"expected data to be an object, got {type(found).__name__}")
    if len(repr(found)) > _MOST_DATA:
        raise UsageError(f"expected data of up to {_MOST_DATA} characters, got more", code="too-large")
    return found
