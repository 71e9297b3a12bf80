"""The port ``Dialect``: how one viewer's frames are written into an HTTP response, and who is known by name.

A dialect takes frames and returns bytes; the response, the pace and the resuming are the transport's. It sees
frames as viewers do, in order: merged where the viewer was slow, without what an error says of the site, a
snapshot at each new epoch and wherever the log cannot go on. It need write nothing for a frame, and may write
several messages.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias, TypeVar

from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.core.log.frames import Frame, FrameId

__all__ = [
    "Dialect",
    "DialectKind",
    "EndStream",
    "Factory",
    "dialect",
    "for_media_type",
    "media_types",
    "named",
    "names",
    "register",
]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Dialect(Protocol):
    """Writes one viewer's frames; ``content_type`` and ``encode`` are the least, the rest has defaults."""

    @property
    @abstractmethod
    def content_type(self) -> str:
        """The response's ``Content-Type``."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of the response; its caching and buffering are the transport's matter."""
        return _NO_HEADERS

    def begin(self) -> bytes:
        """Return what stands before the first frame; it is sent at once, also if the run has to wait."""
        return b""

    @abstractmethod
    def encode(self, frame: Frame) -> bytes:
        """Return the messages of one frame, ``b""`` for none.

        :raises EndStream: nothing more is to be written.
        """

    def heartbeat(self) -> bytes:
        """Return what is written in silence: a comment, or what was held back.

        :raises EndStream: as for :meth:`encode`.
        """
        return b""

    def end(self) -> bytes:
        """Return what stands behind the last frame.

        A response may end before its run: at a bound, or as the process goes away. Who has seen no ``done``
        by then is to tell its client that more is to come, or raises :class:`EndStream`.
        """
        return b""


class EndStream(Exception):
    """Raised by a dialect that ends its response now, whatever the run does.

    :param text: what is still written.
    :param aborted: leave the body unfinished, so that the client's reading fails: for clients that take a
        body which merely ends for a success.
    """

    def __init__(self, text: bytes = b"", *, aborted: bool = False) -> None:
        super().__init__("the dialect ends the stream")
        self.text = text
        self.aborted = aborted


Factory: TypeAlias = Callable[[str, FrameId | None], Dialect]
"""``(run, after) -> Dialect``: the run's id, and the frame that the viewer has already, if it resumes."""

F = TypeVar("F", bound=Factory)


@dataclass(frozen=True, slots=True)
class DialectKind:
    """A dialect that clients may ask for.

    :param name: for ``?dialect=``.
    :param factory: makes the encoder of one viewer.
    :param media_type: by which ``Accept`` finds it; ``""`` for one that is found by name only, as several
        share ``text/event-stream``.
    :param resumes: whether a viewer may go on behind a frame's id (``Last-Event-ID``, ``?after=``). A dialect
        that does not write ids at the ends of frames, or that needs the document, cannot: whoever comes back
        gets the whole, from a snapshot.
    """

    name: str
    factory: Factory
    media_type: str = ""
    resumes: bool = False


_kinds: dict[str, DialectKind] = {}


def register(name: str, factory: Factory, *, media_type: str = "", resumes: bool = False) -> None:
    """Make a dialect known: at import, or in ``AppConfig.ready``. The parameters are :class:`DialectKind`'s.

    :raises ConfigurationError: a malformed name or media type, or one that another dialect has.
    """
    kind = DialectKind(name, factory, media_type, resumes)
    if _kinds.get(name) != kind:
        _check(kind)
        _kinds[name] = kind


def dialect(name: str, *, media_type: str = "", resumes: bool = False) -> Callable[[F], F]:
    """Register the class, or the function, that stands below; see :func:`register`."""

    def decorate(factory: F) -> F:
        register(name, factory, media_type=media_type, resumes=resumes)
        return factory

    return decorate


def named(name: str) -> DialectKind:
    """Return the dialect of this name.

    :raises UsageError: ``unknown-dialect``.
    """
    if name not in _kinds:
        message = f"expected a dialect among {', '.join(names())}, got {name!r:.60}"
        raise UsageError(message, code="unknown-dialect")
    return _kinds[name]


def for_media_type(media_type: str) -> DialectKind | None:
    """Return the dialect that ``Accept`` finds by this media type."""
    return next((kind for kind in _kinds.values() if media_type and kind.media_type == media_type), None)


def names() -> tuple[str, ...]:
    """Return the names of all dialects, in the order in which they were registered."""
    return tuple(_kinds)


def media_types() -> tuple[str, ...]:
    """Return the media types by which dialects are found, in the same order: the first is preferred."""
    return tuple(kind.media_type for kind in _kinds.values() if kind.media_type)


def _check(kind: DialectKind) -> None:
    name, media_type = kind.name, kind.media_type
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"expected a dialect's name of up to 40 characters a-z, 0-9 and -, got {name!r:.60}"
        )
    if name in _kinds:
        raise ConfigurationError(
            f"expected a name of its own for {kind.factory!r}, got {name!r}, which is taken"
        )
    if media_type and not _MEDIA_TYPE.fullmatch(media_type):
        raise ConfigurationError(
            f"expected a media type like application/x-lines for the dialect {name!r}, got {media_type!r:.60}"
        )
    if media_type == "application/json":
        raise ConfigurationError(
            f"expected another media type for the dialect {name!r}: application/json asks for no stream"
        )
    if media_type and (other := for_media_type(media_type)):
        raise ConfigurationError(
            f"expected a media type of its own for the dialect {name!r}, got {media_type}, which is that of "
            f"{other.name!r}: without one it is found by its name"
        )
