"""The response that a run is streamed in: its frames, as a dialect writes them, and not held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType

from django.http import HttpRequest, StreamingHttpResponse

from lingstream.conf import app_settings
from lingstream.core.exceptions import InternalError
from lingstream.core.log.frames import Frame, parse_id
from lingstream.core.wire.dialect import Dialect, EndStream, Factory
from lingstream.execution.disconnect import or_cancel
from lingstream.models import Run

from .flow import Budget, send_waits
from .stream import streamed
from .viewer import Viewer

__all__ = ["stream", "unbuffered"]


def stream(
    request: HttpRequest, run: Run, dialect: Factory, after: str | None = None, *, binding: bool = False
) -> StreamingHttpResponse:
    """Return the run's frames as a response that is written while they come.

    :param dialect: makes what writes them.
    :param after: id of the last frame that the viewer has.
    :param binding: who closes the response cancels the run.
    """
    writer = dialect(str(run.pk), parse_id(after or ""))
    parts = _parts(run, writer, after)
    if binding:
        parts = or_cancel(str(run.pk), parts)
    return unbuffered(request, parts, writer.content_type, writer.headers)


def unbuffered(
    request: HttpRequest,
    parts: AsyncGenerator[bytes, None],
    content_type: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> StreamingHttpResponse:
    """Return a response that nobody who can be asked holds back.

    :param headers: further ones; what is said of caching and buffering is said here.
    """
    response = streamed(request, parts, content_type)
    for name, value in headers.items():
        response[name] = value
    response["Cache-Control"] = "no-cache"
    response["Content-Encoding"] = "identity"  # GZipMiddleware would hold the stream back
    response["X-Accel-Buffering"] = "no"
    return response


async def _parts(run: Run, dialect: Dialect, after: str | None) -> AsyncGenerator[bytes, None]:
    """Yield the body, part by part.

    :raises EndStream: the dialect leaves it unfinished.
    :raises InternalError: it, or the run's log, could not reach something.
    """
    settings = app_settings()
    budget = Budget(None if send_waits() else settings.viewer_budget)
    writing = _Writing(dialect, settings.heartbeat)
    viewer = Viewer(run, after, settings.heartbeat)
    del run
    try:
        async with aclosing(viewer):
            if text := dialect.begin():
                yield text
            async for batch in viewer:
                if text := writing.batch(batch):
                    yield text
                if writing.early or not budget.spend(len(text)):
                    break  # it resumes behind the last id that it got
        if text := writing.end():
            yield text
    except OSError as error:  # where it is sent, that would be a client that is gone
        raise InternalError("the stream") from error
    if writing.early and writing.early.aborted:
        raise writing.early


class _Writing:
    """What a dialect writes until the run or the dialect itself ends.

    :param heartbeat: seconds of silence after which something has to be written, if there is anything.
    """

    def __init__(self, dialect: Dialect, heartbeat: float) -> None:
        self.early: EndStream | None = None
        self._dialect = dialect
        self._heartbeat = heartbeat
        self._now = asyncio.get_running_loop().time
        self._silent_since: float | None = None

    def batch(self, frames: list[Frame]) -> bytes:
        """Return the text of some frames; of none, what fills the silence."""
        parts: list[bytes] = []
        encode = self._dialect.encode
        try:
            for frame in frames:
                parts.append(encode(frame))  # not a comprehension: what comes before an end is written
        except EndStream as early:
            return b"".join(parts) + self._ended(early)
        if text := b"".join(parts):
            self._silent_since = None
        elif not frames or self._silent_too_long():
            text = self._said(self._dialect.heartbeat)
        return text

    def end(self) -> bytes:
        """Return what stands behind the last frame."""
        return b"" if self.early else self._said(self._dialect.end)

    def _said(self, say: Callable[[], bytes]) -> bytes:
        self._silent_since = None
        try:
            return say()
        except EndStream as early:
            return self._ended(early)

    def _ended(self, early: EndStream) -> bytes:
        self.early = early
        return early.text

    def _silent_too_long(self) -> bool:
        """A run may say much of which a dialect writes nothing, while a proxy counts the seconds."""
        now = self._now()
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since >= self._heartbeat
