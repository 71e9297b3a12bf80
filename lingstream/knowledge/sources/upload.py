"""Files that people give us: kept in the database, as they are nowhere else."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from hashlib import sha256
from typing import Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.execution.lane import Lane

from ..claims import atomically
from ..models import Source, Sync, Upload
from .port import Content, Fetched, Gone, Known, Ref, SourceKind

__all__ = ["LARGEST", "UploadListing", "Uploads", "put", "take_back", "too_many"]

_AT_ONCE = 200
#: Bytes of a file.
LARGEST = 20_000_000


class Uploads(SourceKind):
    """See :class:`SourceKind`."""

    kind = "upload"
    title = "Files that people upload"
    config_schema = {
        "type": "object",
        "description": "PDF, Word, Markdown and other files that somebody adds here by hand.",
        "properties": {},
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[UploadListing]:
        """See :class:`SourceKind`."""
        async with aclosing(Lane(1)) as lane:
            yield UploadListing(source, lane)


class UploadListing:
    """The files of one source; see :class:`Listing`."""

    def __init__(self, source: Source, lane: Lane) -> None:
        self.complete = False
        self.problem = ""
        self._source = source
        self._lane = lane

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        last = ""
        while rows := await self._lane.persist(self._behind, last):
            for name, digest in rows:
                yield Ref(key=name, etag=digest)
            last = rows[-1][0]
        self.complete = True

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        return await self._lane.persist(self._fetch, known.key)

    def _behind(self, last: str) -> list[tuple[str, str]]:
        rows = Upload.objects.filter(source=self._source, name__gt=last).order_by("name")
        return list(rows.values_list("name", "digest")[:_AT_ONCE])

    def _fetch(self, key: str) -> Fetched:
        row = Upload.objects.filter(source=self._source, name=key).first()
        if row is None:
            return Gone(for_good=True)
        return self.content(row)

    def content(self, row: Upload) -> Content:
        """Return the document that a file is."""
        body = bytes(row.body)
        return Content(body, row.mime, title=row.title, etag=row.digest, owner_id=row.owner_id)


def put(
    source: Source,
    name: str,
    body: bytes,
    *,
    mime: str = "",
    title: str = "",
    owner: Any = None,
    trigger: str = Sync.Trigger.MANUAL,
) -> Upload:
    """Keep a file, in place of the one with the same name, and have it looked at after the commit.

    :param owner: whose it is; the source's unless given.
    :param trigger: who gives it.
    :raises UsageError: the source takes no files, or the file is too large or has no name; ``too-many``: the
        source has as many as it may.
    """
    from ..asking import ask  # which starts runs, and so stands above the sources

    if source.kind != Uploads.kind:
        raise UsageError(Phrase("expected a source of the kind upload, got %(got)s", got=source.kind))
    if not 0 < len(name) <= 500 or not name.isprintable():
        raise UsageError(
            Phrase("expected a name of 1 to 500 printable characters, got %(got)s", got=f"{name!r:.80}")
        )
    if len(body) > LARGEST:
        too_large = Phrase(
            "expected up to %(most)s bytes, got %(got)s", most=f"{LARGEST:,}", got=f"{len(body):,}"
        )
        raise UsageError(too_large, code="too-large")
    mime = mime or mimetypes.guess_type(name)[0] or ""
    said = f"{mime}\0{title}\0{getattr(owner, 'pk', None)}\0".encode()
    columns = {"mime": mime[:100], "title": title[:500], "owner": owner, "body": body}
    with atomically():
        row, is_new = Upload.objects.update_or_create(
            source=source, name=name, defaults={**columns, "digest": sha256(said + body).hexdigest()}
        )
        if is_new and Upload.objects.filter(source=source).count() > source.max_documents:
            raise too_many(source)
        ask(source, [name], trigger)
    return row


def too_many(source: Source) -> UsageError:
    """Return the refusal of a document that a source has no room for."""
    message = Phrase(
        "expected up to %(most)s documents in %(source)s", most=source.max_documents, source=str(source)
    )
    return UsageError(message, code="too-many")


def take_back(source: Source, name: str) -> bool:
    """Delete a file and its document, in one transaction; return whether there was one."""
    from ..asking import forget

    with atomically():
        gone, _ = Upload.objects.filter(source=source, name=name).delete()
        forget(source, [name])
    return bool(gone)
