"""Files of a Django storage that ``LINGSTREAM["KNOWLEDGE_STORAGES"]`` lists; of S3, by its bucket's objects.

1. Nothing is written, moved or deleted there.
2. No name leads out of the prefix: one with ``..`` in it is none, and what lies behind a symbolic link is not
   read.
3. What cannot be listed ends the listing: it is not empty.
"""

from __future__ import annotations

import posixpath
import stat
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from django.core.files.storage import FileSystemStorage, Storage, storages

from lingstream.conf import app_settings
from lingstream.core.exceptions import ConfigurationError, LingError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.execution.lane import Lane

from ..models import Source
from .files import LARGEST, OPTIONS, PATTERNS, address_of, is_wanted, mime_of, read_up_to
from .port import Content, Failed, Fetched, Gone, Known, Ref, SourceKind

__all__ = ["StorageFiles", "StorageListing"]

_AT_ONCE = 200  # files that a thread looks at before the event loop hears of them
_DEEPEST = 50  # folders inside each other
_GZIP = 31  # zlib's word for it
_USUAL = 65_536  # bytes that few files have more of


class StorageFiles(SourceKind):
    """See :class:`SourceKind`."""

    kind = "storage"
    title = "Storage (S3 and others)"
    lists_by = ("patterns",)
    config_schema = {
        "type": "object",
        "description": "Files of a storage that the settings list, such as a bucket.",
        "properties": {
            "storage": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "title": "storage",
                "description": "Its name in STORAGES; LINGSTREAM['KNOWLEDGE_STORAGES'] has to list it.",
            },
            "prefix": {"type": "string", "maxLength": 400, "title": "folder", "default": ""},
            **OPTIONS,
        },
        "required": ["storage"],
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[StorageListing]:
        """See :class:`SourceKind`.

        :raises UsageError: the storage is not listed, or there is none with this name.
        """
        files = _files(source.config)
        async with aclosing(Lane(self.concurrency)) as lane:
            yield StorageListing(source.config, files, lane, source.max_documents)

    def check(self, config: Mapping[str, Any]) -> None:
        """See :class:`SourceKind`."""
        _files(config)


class _File(NamedTuple):
    """A file as it is listed; ``etag`` differs after each change, and is empty where nobody knows."""

    name: str
    size: int | None
    etag: str


class _Files(Protocol):
    """The files below the prefix of a storage."""

    def walk(self) -> Iterator[_File]:
        """Yield all files; blocks."""
        ...

    def read(self, name: str) -> tuple[bytes, str, str]:
        """Return up to one byte more than :data:`LARGEST` of a file, its ``etag`` and type; blocks.

        :raises FileNotFoundError: there is none.
        """
        ...


class StorageListing:
    """The files of one storage; see :class:`Listing`.

    :param most: files that are listed.
    """

    def __init__(self, config: Mapping[str, Any], files: _Files, lane: Lane, most: int) -> None:
        self.complete = False
        self.problem = ""
        self._files, self._lane, self._most = files, lane, most
        self._name = config["storage"]
        self._prefix = _prefix(config)
        self._patterns = tuple(config.get("patterns") or PATTERNS)
        self._url = config.get("url", "")

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        found, left = self._files.walk(), self._most
        while batch := await self._call(lambda: list(islice(found, _AT_ONCE))):
            for each in batch:
                if self._is_wanted(each.name):
                    if not left:
                        self.problem = Phrase("there are more than %(most)s files", most=self._most)
                        return
                    left -= 1
                    yield Ref(each.name, address_of(each.name, self._url), etag=each.etag, size=each.size)
        self.complete = True

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        name = known.key
        if not self._is_wanted(name):
            return Gone(for_good=True)
        if (found := await self._call(self._read, name)) is None:
            return Gone(for_good=True)
        body, etag, mime = found
        if len(body) > LARGEST:
            message = Phrase("expected a file of up to %(most)s bytes, got more", most=f"{LARGEST:,}")
            return Failed("too-large", message)
        return Content(body, mime_of(name) or mime, address_of(name, self._url), etag=etag)

    def _read(self, name: str) -> tuple[bytes, str, str] | None:
        try:
            return self._files.read(name)
        except FileNotFoundError:
            return None

    def _is_wanted(self, name: str) -> bool:
        inside = name.startswith(self._prefix) and len(name) <= 500
        return inside and _is_plain(name) and is_wanted(name, self._patterns)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call what asks the storage; each has errors of its own."""
        try:
            return await self._lane.call(function, *arguments)
        except Exception as error:
            message = Phrase(
                "the storage %(name)r: %(error)s: %(why)s",
                name=self._name,
                error=type(error).__name__,
                why=f"{error!s:.400}",
            )
            raise LingError(message, code="storage", retryable=True) from error


class _Objects:
    """Objects of S3, by the ``bucket`` of django-storages: a listing has their ETags, which its own lacks."""

    def __init__(self, storage: Any, prefix: str) -> None:
        self._bucket = storage.bucket
        self._root = f"{storage.location.strip('/')}/" if storage.location.strip("/") else ""
        self._prefix = prefix

    def walk(self) -> Iterator[_File]:
        for each in self._bucket.objects.filter(Prefix=self._root + self._prefix):
            yield _File(each.key[len(self._root) :], each.size, each.e_tag.strip('"'))

    def read(self, name: str) -> tuple[bytes, str, str]:
        try:
            found = self._bucket.Object(self._root + name).get()
        except Exception as error:
            response = getattr(error, "response", None) or {}
            if response.get("Error", {}).get("Code") == "NoSuchKey":
                raise FileNotFoundError(name) from None
            raise
        with found["Body"] as body:
            data = body.read(LARGEST + 1)
        if found.get("ContentEncoding") == "gzip":
            data = zlib.decompressobj(_GZIP).decompress(data, LARGEST + 1)
        return data, found["ETag"].strip('"'), found.get("ContentType", "")


class _StorageFiles:
    """The files of any other storage, by what all of them have."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage, self._prefix = storage, prefix

    def walk(self) -> Iterator[_File]:
        folders = [(self._prefix.rstrip("/"), 0)]
        while folders:
            folder, depth = folders.pop()
            inner, names = self._storage.listdir(folder)
            for name in sorted(names):
                path = posixpath.join(folder, name)
                if _is_plain(path) and self._is_real(path):
                    yield _File(path, self._storage.size(path), self._etag(path))
            for name in sorted(inner, reverse=True):
                path = posixpath.join(folder, name)
                if depth < _DEEPEST and _is_plain(path) and self._is_real(path):
                    folders.append((path, depth + 1))

    def read(self, name: str) -> tuple[bytes, str, str]:
        if not self._is_real(name) or not self._storage.exists(name):
            raise FileNotFoundError(name)
        etag = self._etag(name)
        with self._storage.open(name, "rb") as file:
            return read_up_to(file, LARGEST + 1, _USUAL), etag, ""

    def _etag(self, name: str) -> str:
        try:
            modified = self._storage.get_modified_time(name)
        except NotImplementedError:
            return ""
        return f"{modified.isoformat()} {self._storage.size(name)}"

    def _is_real(self, name: str) -> bool:
        """Whether it is a file or a folder, without a symbolic link on the way."""
        if not isinstance(self._storage, FileSystemStorage):
            return True  # there are no others
        root, path = Path(self._storage.path("")), Path(self._storage.path(name))
        if path.resolve() != root.resolve() / name:
            return False
        try:
            mode = path.stat().st_mode  # Path.is_file says of what cannot be looked at that it is none
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _files(config: Mapping[str, Any]) -> _Files:
    name, listed = config.get("storage", ""), app_settings().knowledge_storages
    if name not in listed:
        raise ConfigurationError(
            Phrase(
                "expected a storage that LINGSTREAM['KNOWLEDGE_STORAGES'] lists (%(known)s), got %(got)s",
                known=", ".join(listed) or Phrase("none"),
                got=f"{name!r:.100}",
            )
        )
    storage: Any = storages[name]
    prefix = _prefix(config)
    is_s3 = any(each.__module__.startswith("storages.backends.s3") for each in type(storage).__mro__)
    return _Objects(storage, prefix) if is_s3 else _StorageFiles(storage, prefix)


def _prefix(config: Mapping[str, Any]) -> str:
    """The prefix as names have it: with a slash at its end, or nothing.

    :raises UsageError: it climbs.
    """
    prefix = str(config.get("prefix", "")).strip("/")
    if prefix and not _is_plain(prefix):
        message = Phrase("expected a folder like docs/public, got %(got)s", got=f"{prefix!r:.200}")
        raise UsageError(message, code="option")
    return f"{prefix}/" if prefix else ""


def _is_plain(name: str) -> bool:
    """Whether a name has one reading, and none that leads upwards or is a folder."""
    odd = {"", ".", ".."} & set(name.split("/"))
    return not odd and "\\" not in name and name.isprintable()
