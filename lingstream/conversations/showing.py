"""What the chat page shows, looked up: the conversation, its turns, the others, and who may talk at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.crypto import get_random_string
from django.utils.translation import get_language, gettext

from lingstream.access.identity import Identity, identify
from lingstream.access.origins import foreign_origin
from lingstream.access.permissions import check_start
from lingstream.access.visitors import SESSION_KEY, digest_of, new_visitor
from lingstream.core.engine.chat import Chat
from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import AccessError, NotFound, UsageError
from lingstream.execution.start import check_chat
from lingstream.models import Conversation, Occasion, Workflow

from .changing import opened
from .chats import chat_of
from .drawing import ShownTurn, turns_from
from .listing import Wanted, listed
from .reading import with_turns

__all__ = [
    "ShownChat",
    "address_of_chat",
    "chat_for",
    "conversation_for",
    "list_for",
    "newest_for",
    "person_behind",
]

_TURNS = 50
_FIRST = ("greeting", "connected")  # occasions before anything was said
_ANY = 10**9  # above the number of every turn


@dataclass(frozen=True, slots=True)
class ShownChat:
    """A workflow that is talked to, and perhaps one conversation with it.

    :param title: of the workflow.
    :param conversation: as the API tells it, or ``None`` before the first message.
    :param known: that and its turns, for the client, where these are the last ones.
    :param turns: the last ones of its path, oldest first.
    :param before: the number that leads to those before them, or ``None``.
    :param listed: the person's other conversations with the workflow, as the API tells them; ``None`` where
        the page shows none.
    :param greeting: stands above the first turn.
    :param begins: its bot may speak before anything was said.
    :param closed: why nothing can be said: ``sign-in``, ``permission`` or ``off``; else ``""``.
    :param login: where one signs in, or ``""``.
    :param key: makes a form that is sent twice one turn.
    :param back: the page of the site that the chat stands on; ``""`` on its own.
    :param error: why what was sent is refused.
    :param text: what was sent then.
    """

    slug: str
    title: str
    description: str
    greeting: str
    begins: bool
    chat: Chat
    url: str
    new_url: str
    conversation: Mapping[str, Any] | None = None
    known: Mapping[str, Any] | None = None
    turns: Sequence[ShownTurn] = ()
    before: int | None = None
    listed: Mapping[str, Any] | None = None
    closed: str = ""
    login: str = ""
    key: str = ""
    back: str = ""
    error: str = ""
    text: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a turn has not ended."""
        return any(turn.is_open for turn in self.turns)

    @property
    def blank(self) -> ShownTurn:
        """The turn that the client fills."""
        return ShownTurn()

    @property
    def answer_templates(self) -> list[str]:
        """The template that draws an answer: the site's for this workflow, or else that of all."""
        return [f"lingstream/chat/{self.slug}/answer.html", "lingstream/chat/answer.html"]


def person_behind(request: HttpRequest) -> Identity:
    """Return who looks at a chat: where nobody has signed in a visitor, who is known again by the session."""
    identity = identify(request)
    session = getattr(request, "session", None)
    if identity.owner_id is not None or identity.visitor or session is None or foreign_origin(request):
        return identity
    visitor = session[SESSION_KEY] = new_visitor(identity.session, of="session")
    return identity._replace(visitor=digest_of(visitor))


def conversation_for(identity: Identity, slug: str, name: str) -> Conversation:
    """Return this person's conversation with a workflow.

    :raises Http404: there is none; what others have is not told apart from it.
    """
    try:
        found = opened(name, identity)
    except (NotFound, AccessError):
        raise Http404(f"no conversation {name:.60}") from None
    if found.workflow != slug:
        raise Http404(f"no conversation {name:.60} with {slug:.60}")
    return found


def newest_for(identity: Identity, slug: str) -> Conversation | None:
    """Return the person's conversation with the workflow in which something was said last."""
    first = listed(identity, Wanted(slug, limit=1))["conversations"]
    return Conversation.objects.filter(pk=first[0]["id"]).first() if first else None


def chat_for(
    request: HttpRequest, identity: Identity, slug: str, talk: Conversation | None, before: int = _ANY
) -> ShownChat:
    """Return what there is to show.

    :param talk: the conversation; ``None`` for a new one.
    :param before: only turns with lower numbers.
    :raises Http404: there is no such workflow.
    """
    row = Workflow.objects.filter(slug=slug).first()
    if row is None and slug not in registered():
        raise Http404(f"no workflow {slug:.60}")
    chat = chat_of(slug)
    closed = _closed(slug, row, chat, identity)
    given = ShownChat(
        slug=slug,
        title=gettext(row.name if row else "") or slug.replace("-", " ").capitalize(),
        description=gettext(row.description if row else ""),
        greeting=chat.greeting_in(get_language() or ""),
        begins=not closed and Occasion.objects.of(slug).filter(enabled=True, kind__in=_FIRST).exists(),
        chat=chat,
        url=address_of_chat(request, slug, talk),
        new_url=address_of_chat(request, slug),
        closed=closed,
        login=_login() if closed == "sign-in" else "",
        key=get_random_string(22),
    )
    if talk is None:
        return given
    about = with_turns(talk, identity, before, _TURNS)
    turns = list(turns_from(about["turns"], chat, about["read"]))
    earlier = turns[0].number if turns and about["more"] else None
    known = about if before == _ANY else None
    return replace(given, conversation=about, known=known, turns=turns, before=earlier)


def list_for(identity: Identity, slug: str, query: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of the person's conversations with a workflow, as the query of a URL asks for it."""
    page = listed(identity, Wanted.from_query(query)._replace(workflow=slug))
    rows = [{**each, "updated": datetime.fromisoformat(each["updated"])} for each in page["conversations"]]
    return {**page, "conversations": rows}


def address_of_chat(request: HttpRequest | None, slug: str, talk: Conversation | None = None) -> str:
    """Return the path of a chat's page, in the same ``include`` that the request came by."""
    match = getattr(request, "resolver_match", None)
    where = getattr(request, "current_app", None) or getattr(match, "namespace", None)
    return reverse("lingstream:chat", args=[slug, talk.pk] if talk else [slug], current_app=where)


def _closed(slug: str, row: Workflow | None, chat: Chat, identity: Identity) -> str:
    if row is not None and not row.enabled:
        return "off"
    try:
        check_start(slug, row, identity)
        check_chat(chat, identity)
    except UsageError:
        return "off"
    except AccessError:
        return "permission" if identity.user.is_authenticated else "sign-in"
    nobody = identity.owner_key == "anyone"  # without sessions nobody comes back to a conversation
    return "sign-in" if nobody else ""


def _login() -> str:
    try:
        path = resolve_url(settings.LOGIN_URL)
        resolve(path.partition("?")[0])
    except (NoReverseMatch, Resolver404):
        return ""
    return path
