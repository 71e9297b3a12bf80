"""The WebSocket: many runs on one socket, commands answered while runs stream.

Channels awaits a consumer's handlers one by one, so none of them may loop: each run that is followed has a
task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import translation

from lingstream.access.faults import told as told_of
from lingstream.access.identity import Identity, identify_socket, language_of
from lingstream.access.sessions import SessionEnded
from lingstream.access.tokens import is_share
from lingstream.access.visitors import keep_visitor, make_visitor_token
from lingstream.conf import app_settings
from lingstream.core.exceptions import AccessError, InternalError, LingError, UsageError
from lingstream.core.wire.json import dumps, loads
from lingstream.core.wire.socket import SocketMessages, ref_of
from lingstream.execution.away import AWAY, told_away
from lingstream.execution.disconnect import abort, is_bound
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, introduce
from lingstream.execution.storage import in_database, run_to_cancel, run_to_read
from lingstream.models import Run

from .asgi import Send
from .attached import Attach, Attachments, attach_failed
from .flow import Budget, Credits, Turn, send_waits
from .messages import MOST_RUNS, lost
from .viewer import Viewer, beginning, started

__all__ = ["DIRECT_SEND", "SUBPROTOCOL", "LingConsumer"]

logger = logging.getLogger("lingstream")

SUBPROTOCOL = "lingstream.v1"
# Key in the scope: the server's own send. Channels' session middleware looks into the session at every
# message, though it saves none then: 0.02 ms of CPU for each frame (docs/benchmarks.md).
DIRECT_SEND = "lingstream.send"
_TRY_AGAIN = 1013  # the close code "try again later"
_RESTARTS = 1012  # the one of a server that goes away
_TOO_BIG = 1009  # the close code "message too big"
_MAX_TOKENS = 1_000  # runs that one socket is remembered to have opened


class LingConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One socket. A message it cannot read is answered with an error, and the socket stays open.

    It is closed only over a message that is too long to be read and does not begin with its ``ref``: nobody
    would know then what the answer is about.
    """

    async def connect(self) -> None:
        """Accept; who may do what is asked message by message."""
        translation.activate(language_of(self.scope))  # of this task, and of those that it makes
        self._viewers: dict[str, asyncio.Task[None]] = {}
        self._within: asyncio.Task[None] | None = None  # the viewer that has sent some of a frame, on credit
        self._leaving: asyncio.Task[None] | None = None  # the one that ends behind that frame
        self._attached = Attachments(self.scope.get("session"))
        self._telling: asyncio.Task[None] | None = None
        self._bound: set[str] = set()  # runs that end with this socket
        self._credits = Credits()
        self._sending = asyncio.Lock()
        self._ended = False
        self._budget = Budget(None if send_waits() else app_settings().viewer_budget)
        # Shown on this socket, the token and the share of each run; checked anew at each use.
        self._tokens: dict[tuple[str, bool], str] = {}
        self._visitor = ""  # the token that was shown or made here
        self._send_frame: Send = self.scope.get(DIRECT_SEND, self.base_send)
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in self.scope.get("subprotocols", ()) else None)

    async def disconnect(self, code: int) -> None:
        """Stop following; the runs go on, but for those that are bound to who has begun them.

        Unsubscribing ends none: a client that has missed something does that to begin again.
        """
        if not self._ended and code != _RESTARTS:  # by us
            for name in self._bound:
                abort(name)
        for task in (*self._viewers.values(), self._leaving, self._telling):
            if task:
                task.cancel()
        self._attached.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer one message."""
        if self._ended:
            return
        content = (text_data if text_data is not None else bytes_data) or ""
        ref = ref_of(content)
        try:
            if len(content) > (limit := app_settings().max_body):
                fault = UsageError(f"expected a message of up to {limit} bytes", code="too-large")
                await self._refuse_long(fault, ref)
                return
            message = self._read(content)
            ref = message.get("ref")
            kind = message.get("type")
            handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
            if handler is None:
                raise UsageError(
                    f"expected a type among {sorted(_HANDLERS)}, got {kind!r:.80}", code="bad-message"
                )
            await handler(self, message)
        except SessionEnded as fault:
            await self._end(why=fault.message)  # with nothing done: the client asks again as who it is now
        except LingError as error:
            await self._answer({"error": told_of(error)}, ref)
        except AWAY as error:
            await self._answer({"error": told_away(error).to_wire()}, ref)
        except Exception:
            logger.exception("a socket message failed")
            await self._answer({"error": told_of(InternalError("this message"))}, ref)

    # -- messages ----------------------------------------------------------------------------------

    async def _start(self, message: dict[str, Any]) -> None:
        self._check_room()
        start = Start.from_json(message)
        identity, visitor = introduce(start, await self._identity())
        bound = await is_bound(start)
        run, new = await get_runner().start(start, identity)
        told = started(run) | await self._know(visitor)
        self._remember(told["run"], told["token"])
        if bound:
            self._bound.add(told["run"])
        await self._answer({"started": told}, message.get("ref"))
        self._follow(run, beginning() if new else None, message)

    async def _subscribe(self, message: dict[str, Any]) -> None:
        run = await self._open(run_to_read, message)
        if str(run.pk) not in self._viewers:
            self._check_room()
        self._follow(run, _text(message, "after"), message)

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        self._leave(_text(message, "run") or "")

    async def _cancel(self, message: dict[str, Any]) -> None:
        run = await self._open(run_to_cancel, message)
        await get_runner().cancel(run)

    async def _attach(self, message: dict[str, Any]) -> None:
        identity = await self._identity()
        if message.get("all") is True:
            answer = await self._attached.attach_all(identity)
        else:
            [found] = await self._attached.attach([Attach.from_json(message)], identity)
            if isinstance(found, LingError):
                raise found
            answer = found
        await self._answer(answer.to_wire(), message.get("ref"))
        if (self._telling is None or self._telling.done()) and not self._ended:
            self._telling = asyncio.create_task(self._send_notices())
        await self._attached.settle()

    async def _detach(self, message: dict[str, Any]) -> None:
        if message.get("all") is True:
            self._attached.detach_all()
        else:
            self._attached.detach(Attach.from_json(message).conversation)

    async def _typing(self, message: dict[str, Any]) -> None:
        await self._attached.typing(Attach.from_json(message).conversation)

    async def _ack(self, message: dict[str, Any]) -> None:
        """The socket has been read on; of frames that no credits were spent on, it changes nothing."""
        self._credits.ack(_text(message, "run") or "", _text(message, "id") or "")

    async def _hello(self, message: dict[str, Any]) -> None:
        """Who asks from here on is the visitor whose token is shown, and nobody else; attached to nothing."""
        before, self._visitor = self._visitor, _text(message, "visitor") or ""
        try:
            await self._identity()
        except AccessError:
            self._visitor = before
            raise
        self._attached.clear()

    async def _ping(self, message: dict[str, Any]) -> None:
        await self._answer({"type": "pong"}, message.get("ref"))

    # -- helpers -----------------------------------------------------------------------------------

    async def _refuse_long(self, fault: UsageError, ref: Any) -> None:
        if ref is None:
            await self._end(_TOO_BIG, fault.message)
        else:
            await self._answer({"error": told_of(fault)}, ref)

    def _read(self, content: str | bytes) -> dict[str, Any]:
        message = loads(content)
        if not isinstance(message, dict):
            raise UsageError(
                f"expected an object with a type, got {type(message).__name__}", code="bad-message"
            )
        return message

    async def _identity(self) -> Identity:
        return await in_database(identify_socket, self.scope, self._visitor)

    async def _know(self, visitor: str) -> dict[str, str]:
        """Let a new visitor be known again: by the session, or without one by a token that he is told."""
        session = self.scope.get("session")
        kept = visitor and session is not None and await in_database(keep_visitor, session, visitor)
        if visitor and not kept:
            self._visitor = make_visitor_token(visitor)
            return {"visitor": self._visitor}
        return {}

    async def _open(self, find: Callable[[str, Identity, str | None], Run], message: dict[str, Any]) -> Run:
        """Return the run that a message names, if who sent it may have it.

        Its token is the one in the message, or the one that opened the run on this socket before; a share
        that did so proves nothing to who cancels.
        """
        name = _text(message, "run") or ""
        token = _text(message, "token")
        known = self._tokens.get((name, False))
        if find is run_to_read:
            known = known or self._tokens.get((name, True))
        run = await in_database(find, name, await self._identity(), token or known)
        if token:
            self._remember(name, token)
        return run

    def _remember(self, name: str, token: str) -> None:
        if len(self._tokens) < _MAX_TOKENS:
            self._tokens[name, is_share(token)] = token

    def _check_room(self) -> None:
        if len(self._viewers) >= MOST_RUNS:
            raise UsageError(f"this socket follows {MOST_RUNS} runs already", code="too-many")

    def _follow(self, run: Run, after: str | None, message: dict[str, Any]) -> None:
        name = str(run.pk)
        self._leave(name)
        credits = self._credits if message.get("ack") is True else None
        viewer = self._viewers[name] = asyncio.create_task(self._send_frames(run, after, credits))
        viewer.add_done_callback(lambda task: self._forget(name, task))

    def _leave(self, name: str) -> None:
        """Follow a run no more. A frame of which some has gone goes to its end, to be acknowledged."""
        viewer = self._viewers.pop(name, None)
        if viewer and viewer is self._within:
            self._leaving = viewer
        elif viewer:
            viewer.cancel()

    def _forget(self, name: str, viewer: asyncio.Task[None]) -> None:
        if self._viewers.get(name) is viewer:
            del self._viewers[name]

    async def _send_frames(self, run: Run, after: str | None, credits: Credits | None) -> None:
        name = str(run.pk)
        encode = SocketMessages(name, after).encode
        viewer = Viewer(run, after, turn=Turn(self._sending, credits))
        me = asyncio.current_task()
        del run
        try:
            async with aclosing(viewer):
                async for batch in viewer:
                    for frame in batch:
                        self._within = me if credits else None
                        for text in encode(frame):
                            await self._send_frame({"type": "websocket.send", "text": text})
                            if credits:
                                credits.sent(name, frame.id, len(text))
                            elif not self._budget.spend(len(text)):
                                await self._end()
                        self._within = None
                        if self._leaving is me:
                            return
        except Exception as error:
            text = lost(name, error)
            with contextlib.suppress(Exception):  # the socket may be what failed
                await self._send(text)
        else:
            self._bound.discard(name)  # it has come to its end

    async def _send_notices(self) -> None:
        pause = app_settings().frame_interval
        try:
            while (notices := await self._attached.news()) is not None:
                for notice in notices:
                    await self._send(dumps(notice.to_wire()).decode())
                await asyncio.sleep(pause)
        except SessionEnded as fault:
            await self._end(why=fault.message)  # the client comes back as who it is now
        except Exception as error:
            text = attach_failed(error)
            with contextlib.suppress(Exception):  # the socket may be what failed
                await self._send(text)

    async def _answer(self, data: dict[str, Any], ref: Any) -> None:
        await self._send(dumps(data if ref is None else {**data, "ref": ref}).decode())

    async def _send(self, text: str) -> None:
        await self.send(text_data=text)
        if not self._budget.spend(len(text)):
            await self._end()

    async def _end(
        self, code: int = _TRY_AGAIN, why: str = "the byte budget is spent; resume by id, or ask for ack"
    ) -> None:
        if self._ended:
            return
        self._ended = True
        await self.close(code, why)
        await self.disconnect(code)


def _text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"expected {name} to be a string, got {type(value).__name__}", code="bad-message")


_HANDLERS = {
    "start": LingConsumer._start,
    "subscribe": LingConsumer._subscribe,
    "unsubscribe": LingConsumer._unsubscribe,
    "cancel": LingConsumer._cancel,
    "attach": LingConsumer._attach,
    "detach": LingConsumer._detach,
    "typing": LingConsumer._typing,
    "ack": LingConsumer._ack,
    "hello": LingConsumer._hello,
    "ping": LingConsumer._ping,
}
