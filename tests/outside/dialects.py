"""Dialects of the app's own: one with all that one may have, one that is mute, four that end early."""

from __future__ import annotations

from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.wire.dialect import Dialect, EndStream, dialect, register
from lingstream.core.wire.json import dumps


@dialect("announced", media_type="application/x-announced")
class Announced(Dialect):
    """Lines; what stands in a line is announced by the one before it."""

    content_type = "application/x-announced; charset=utf-8"
    headers = {"X-Announced": "1", "Cache-Control": "max-age=9"}

    def __init__(self, run: str, after: FrameId | None) -> None:
        self._run = run
        self._status = "more"

    def begin(self) -> bytes:
        return f"run {self._run}\n".encode()

    def encode(self, frame: Frame) -> bytes:
        if frame.kind == "event":
            return b""
        if frame.kind == "done":
            self._status = frame.body["status"]
        messages = [op.to_wire() for op in frame.body] if frame.kind == "ops" else [frame.body]
        return b"".join(b"%b\n%b\n" % (frame.kind.encode(), dumps(message)) for message in messages)

    def heartbeat(self) -> bytes:
        return b"patience\n"

    def end(self) -> bytes:
        return f"end {self._status}\n".encode()


@dialect("mute")
class Mute(Announced):
    """Says nothing but that it is there."""

    def encode(self, frame: Frame) -> bytes:
        return b""


class Ending(Dialect):
    """Writes a line for each frame until there is more than the beginning, and then ends in some way."""

    content_type = "text/plain"

    def __init__(self, run: str, after: FrameId | None, error: Exception) -> None:
        self._error = error

    def encode(self, frame: Frame) -> bytes:
        if frame.kind in ("ops", "done"):
            raise self._error
        return f"{frame.kind}\n".encode()

    def end(self) -> bytes:
        return b"never\n"


register("leaving", lambda run, after: Ending(run, after, EndStream(b"bye\n")))
register("aborting", lambda run, after: Ending(run, after, EndStream(b"bye\n", aborted=True)))
register("faulty", lambda run, after: Ending(run, after, ValueError("a fault of this app")))
register("fileless", lambda run, after: Ending(run, after, FileNotFoundError("a file of this app")))
