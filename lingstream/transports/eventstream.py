"""Notices by django-eventstream, for pages without our client: an ``EventSource`` is all they need.

The package sends what this process hears to the pages that this process serves, one channel for each owner.
So its own ways between processes and into storage, each with a trap of its own, are not used
(``docs/operations.md``). It is imported with the first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from contextvars import Context
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac

from lingstream.access.sessions import is_over
from lingstream.conversations.notices import topics_of_owner, topics_of_session
from lingstream.core.ending import end_tasks
from lingstream.core.exceptions import AccessError, NotFound
from lingstream.core.notices import GONE, Listener
from lingstream.execution.storage import in_database
from lingstream.hubs import get_hub

from . import attached
from .requests import api, identity_of
from .response import unbuffered

__all__ = ["NoticeChannels", "channel_of", "notices"]

_PREFIX = "ling-"


@api("GET")
async def notices(request: HttpRequest) -> HttpResponseBase:
    """Stream the notices of all conversations that are the asker's, as events of the name ``notice``."""
    if not _is_there():
        raise NotFound("this site serves no notices here: it lacks django-eventstream, lingstream[notices]")
    identity = await identity_of(request)
    topics = await in_database(topics_of_owner, identity)
    if not topics:
        raise AccessError("expected a signed-in user, a visitor or a session, got nobody")
    user = identity.user if identity.owner_id is not None else None
    session = request.session if identity.session else None
    return unbuffered(
        request, _parts(topics, topics_of_session(identity), session, user), "text/event-stream"
    )


class NoticeChannels:
    """What django-eventstream asks about channels, for ``EVENTSTREAM_CHANNELMANAGER_CLASS``.

    It lets nobody read what is not ours; a site with channels of its own inherits it and says who may.
    """

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: dict[str, Any]) -> set[str]:
        """Return the channels that a view of the site's names, but none of ours."""
        named = view_kwargs.get("channels") or [view_kwargs.get("channel")]
        asked = request.GET.getlist("channel") if named == [None] else named
        return {name for name in asked if not name.startswith(_PREFIX)}

    def can_read_channel(self, user: Any, channel: str) -> bool:
        """Whether it is ours: those are read by way of :func:`notices`, which has asked who it is."""
        return channel.startswith(_PREFIX)

    def is_channel_reliable(self, channel: str) -> bool:
        """Nothing is stored, so nothing is read twice; a notice may be lost."""
        return not channel.startswith(_PREFIX)


def channel_of(topic: str) -> str:
    """Return the channel that carries a topic: a name that nobody guesses."""
    return _PREFIX + salted_hmac("lingstream.notices", topic, algorithm="sha256").hexdigest()[:40]


def _is_there() -> bool:
    try:
        import django_eventstream  # noqa: F401
    except ImportError:
        return False
    return True


async def _parts(
    topics: Sequence[str], ends: Sequence[str], session: Any, user: Any
) -> AsyncGenerator[bytes, None]:
    """Yield what the package writes, until the page, its session or this process goes away.

    :param ends: topics on which nothing is said but that the session has ended.
    :param session: Django's, if that is how the page is known.
    """
    from django_eventstream.eventrequest import EventRequest
    from django_eventstream.views import Listener as Page
    from django_eventstream.views import stream

    asked, page = EventRequest(), Page()
    asked.user, asked.channels, asked.is_next = user, set(map(channel_of, topics)), False
    page.user_id, page.channels = user.pk if user else "anonymous", asked.channels
    async with AsyncExitStack() as stack:
        over = [await stack.enter_async_context(_carried(topic)) for topic in topics]
        over.append(await stack.enter_async_context(_heard(ends, session)))
        texts = await stack.enter_async_context(aclosing(stream(asked, page)))
        while True:
            text = asyncio.ensure_future(anext(texts, None))
            try:
                await asyncio.wait({text, *over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not text.done():
                    await end_tasks(text)
            if text.cancelled() or (said := text.result()) is None:
                return
            if said:  # after an overflow there may be nothing to say
                yield said.encode()


class _Carrier:
    """Hands what is heard of one topic to the package, for all pages of this process."""

    def __init__(self) -> None:
        self.pages = 0
        self.task: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    async def begin(self, topic: str) -> asyncio.Task[None]:
        """Return the task that does it, and is listening already."""
        async with self._beginning:
            if self.task is None:
                listener = await get_hub().notices.listen()
                listener.add(topic)
                work = self._carry(listener, channel_of(topic))
                self.task = asyncio.get_running_loop().create_task(work, context=Context())
        return self.task

    async def _carry(self, listener: Listener, channel: str) -> None:
        from django_eventstream import send_event

        try:
            while not listener.ended:
                await listener.wait()
                for notice in listener.take():
                    # In a thread: where the site has set EVENTSTREAM_REDIS it talks to that.
                    await asyncio.to_thread(send_event, channel, "notice", notice._asdict())
        finally:
            listener.close()


@asynccontextmanager
async def _heard(topics: Sequence[str], session: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Return a task that ends with the session that ``topics`` are about."""
    listener = await get_hub().notices.listen()
    listener.add(*topics)
    hearing = asyncio.create_task(_until_gone(listener, session))
    try:
        yield hearing
    finally:
        listener.close()
        await end_tasks(hearing)


async def _until_gone(listener: Listener, session: Any) -> None:
    while not listener.ended and GONE not in listener.take():
        with suppress(TimeoutError):
            async with asyncio.timeout(None if session is None else attached.LOOK_EVERY):
                await listener.wait()
                continue
        if await in_database(is_over, session):
            return


_carriers: dict[str, _Carrier] = {}


@asynccontextmanager
async def _carried(topic: str) -> AsyncIterator[asyncio.Task[None]]:
    carrier = _carriers.setdefault(topic, _Carrier())
    carrier.pages += 1
    try:
        yield await carrier.begin(topic)
    finally:
        carrier.pages -= 1
        if not carrier.pages and _carriers.get(topic) is carrier:
            del _carriers[topic]
            if carrier.task:
                await end_tasks(carrier.task)
