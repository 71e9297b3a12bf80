"""Files of a folder on this machine, inside ``LINGSTREAM["KNOWLEDGE_ROOTS"]``.

1. No name leads out of the source's folder, neither by ``..`` nor by a symbolic link; that is asked of the
   resolved path of each link that is listed, and of each file that is opened.
2. Folders that are symbolic links are not entered, and what is no regular file is not opened.
3. What cannot be looked at is not gone: that the system says so of it is one thing, that it fails another.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from lingstream.conf import app_settings
from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.core.phrases import Phrase

from ..models import Source
from ..together import Together
from .files import LARGEST, OPTIONS, PATTERNS, address_of, is_wanted, mime_of, read_up_to
from .port import Content, Failed, Fetched, Gone, Known, Ref, SourceKind

__all__ = ["Folder", "FolderListing"]

_AT_ONCE = 200  # files that a thread looks at before the event loop hears of them
# Links that lead in a circle; and a name that no folder can have, which a key may be.
_NO_NAME = frozenset((errno.ELOOP, errno.ENAMETOOLONG))
_MOST_WATCHED = 500  # files, as its schema says; to look at so many takes 50 ms


class Folder(SourceKind):
    """See :class:`SourceKind`."""

    kind = "folder"
    title = "Folder"
    concurrency = 16  # a file is read in less time than it takes to go to a thread
    watches = True
    lists_by = ("patterns", "watch")
    config_schema = {
        "type": "object",
        "description": "Files of a folder on the server, among those that the settings allow.",
        "properties": {
            "path": {"type": "string", "minLength": 1, "title": "folder"},
            **OPTIONS,
            "watch": {
                "type": "boolean",
                "title": "watch",
                "description": "Look every few seconds whether one of the files has changed, of up to 500.",
                "default": False,
            },
        },
        "required": ["path"],
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[FolderListing]:
        """See :class:`SourceKind`.

        :raises UsageError: the folder is not there, or is none that may be read.
        """
        yield FolderListing(_folder(source.config), source.config)

    def check(self, config: Mapping[str, Any]) -> None:
        """See :class:`SourceKind`."""
        _folder(config)

    def state(self, config: Mapping[str, Any]) -> str:
        """See :class:`SourceKind`: names, times and sizes of files, if they are to be watched."""
        if not config.get("watch"):
            return ""
        files = [*islice(FolderListing(_folder(config), config).files(), _MOST_WATCHED + 1)]
        if len(files) > _MOST_WATCHED:
            return ""
        told = "".join(f"{file.key}\0{file.etag}\n" for file in files)
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


class FolderListing:
    """The files of one folder; see :class:`Listing`."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.complete = False
        self.problem = ""
        self._folder, self._within = folder, os.path.join(folder, "")  # noqa: PTH118 (Path drops the end)
        self._together = Together()
        self._patterns = tuple(config.get("patterns") or PATTERNS)
        self._url = config.get("url", "")

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        found = self.files()
        while batch := await asyncio.to_thread(lambda: list(islice(found, _AT_ONCE))):
            for ref in batch:
                yield ref
        self.complete = not self.problem

    def files(self) -> Iterator[Ref]:
        """Yield the files; in a thread."""
        for folder, folders, names in os.walk(self._folder, onerror=self._failed):
            folders.sort()
            above = Path(folder).relative_to(self._folder).as_posix()
            for name in sorted(names):
                key = name if above == "." else f"{above}/{name}"
                here = self._within + key.replace("/", os.sep)
                if not is_wanted(key, self._patterns):
                    continue
                try:
                    found = self._found(key, here)
                except OSError as error:
                    self._failed(error)
                    continue
                if found:
                    known = found[1]
                    yield Ref(key=key, url=address_of(key, self._url), etag=_etag(known), size=known.st_size)

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        if not is_wanted(known.key, self._patterns):
            return Gone(for_good=True)
        return await self._together.call(self._read, known.key)

    def _failed(self, error: OSError) -> None:
        """A folder that cannot be read is not an empty one, and a file that cannot be looked at not gone."""
        self.problem = f"{error.filename}: {error.strerror}"  # in the words of the system

    def _found(self, key: str, path: str = "") -> tuple[str, os.stat_result] | None:
        """Return where a regular file is, and what it is.

        :param path: of one in a folder that no link leads to.
        :raises OSError: nobody can say.
        """
        try:
            known = os.lstat(path) if path else None
            if known is None or stat.S_ISLNK(known.st_mode):
                path = os.path.realpath(self._folder / key, strict=True)
                known = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            where = os.path.realpath(self._folder / key)  # as far as it can be followed
            if error.errno in _NO_NAME or not where.startswith(self._within):
                return None
            raise
        is_inside = path.startswith(self._within)
        return (path, known) if is_inside and stat.S_ISREG(known.st_mode) else None

    def _read(self, key: str) -> Fetched:
        try:
            if (found := self._found(key)) is None:
                return Gone(for_good=True)
            # What has become a pipe meanwhile would wait for ever for somebody who writes.
            with os.fdopen(os.open(found[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                known = os.fstat(file.fileno())
                body = read_up_to(file, LARGEST + 1, known.st_size)
        except FileNotFoundError:
            return Gone(for_good=True)
        except OSError as error:
            return Failed("unreadable", f"{key}: {error.strerror}", retryable=True)
        if len(body) > LARGEST:
            message = Phrase(
                "expected a file of up to %(most)s bytes, got %(got)s",
                most=f"{LARGEST:,}",
                got=f"{known.st_size:,}",
            )
            return Failed("too-large", message)
        mime = mime_of(found[0].rpartition(os.sep)[2])
        return Content(body=body, mime=mime, url=address_of(key, self._url), etag=_etag(known))


def _etag(known: os.stat_result) -> str:
    """What differs after each change; the time alone has gaps of milliseconds."""
    return f"{known.st_mtime_ns:x}-{known.st_ctime_ns:x}-{known.st_size:x}-{known.st_ino:x}"


def _folder(config: Mapping[str, Any]) -> Path:
    roots = [Path(root).resolve() for root in app_settings().knowledge_roots]
    if not roots:
        raise ConfigurationError(
            Phrase("expected a folder in LINGSTREAM['KNOWLEDGE_ROOTS'], and there is none")
        )
    path = Path(str(config.get("path", "")))
    told = f"{str(path)!r:.200}"
    nowhere = UsageError(
        Phrase("expected a folder, and there is none at %(path)s", path=told), code="no-folder"
    )
    try:
        found = (path if path.is_absolute() else roots[0] / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a name that is none, or links that lead in a circle
        raise nowhere from None
    if not any(found.is_relative_to(root) for root in roots):
        raise UsageError(
            Phrase("expected a folder inside LINGSTREAM['KNOWLEDGE_ROOTS'], got %(got)s", got=told)
        )
    if not os.path.isdir(found):  # noqa: PTH112 (Path.is_dir() fails for a name that is too long)
        raise nowhere
    return found
