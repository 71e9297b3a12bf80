"""The kind ``webhook``: documents that another system sends (:mod:`lingstream.knowledge.hooks`).

They are kept in the database, as uploads are: they cannot be asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from lingstream.core.wire.json import dumps, loads
from lingstream.execution.lane import Lane

from ..claims import atomically
from ..models import Source, Sync, Upload
from .port import Content, SourceKind
from .upload import UploadListing, too_many

__all__ = ["DOCUMENT", "Kept", "Webhook", "keep"]

_LINE = r"^[^\x00-\x1f]+$"

#: A document as it is sent: its text as Markdown, or as HTML.
DOCUMENT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "maxLength": 500, "pattern": _LINE},
        "text": {"type": "string"},
        "html": {"type": "string"},
        "title": {"type": "string", "maxLength": 500, "pattern": _LINE},
        "url": {"type": "string", "maxLength": 2_000, "pattern": r"^https?://[^\x00-\x20]+$"},
        "language": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,20}$"},
        "metadata": {"type": "object", "maxProperties": 100},
    },
    "required": ["key"],
    "oneOf": [{"required": ["text"]}, {"required": ["html"]}],
    "additionalProperties": False,
}
_JSON = "application/json"


class Kept(NamedTuple):
    """How many of the documents that were sent were ``changed`` or new, and how many were ``unchanged``."""

    changed: int
    unchanged: int


class Webhook(SourceKind):
    """See :class:`SourceKind`."""

    kind = "webhook"
    title = "Documents that another system sends"
    config_schema = {
        "type": "object",
        "description": "Another program posts them, signed with a secret that this page shows.",
        "properties": {},
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[UploadListing]:
        """See :class:`SourceKind`."""
        async with aclosing(Lane(1)) as lane:
            yield _Sent(source, lane)


class _Sent(UploadListing):
    """The documents that were sent to one source; see :class:`Listing`."""

    def content(self, row: Upload) -> Content:
        """See :class:`UploadListing`."""
        sent = loads(bytes(row.body), depth=None)
        is_html = "html" in sent
        return Content(
            sent["html"].encode("utf-8", "replace") if is_html else sent["text"],
            "text/html; charset=utf-8" if is_html else "text/markdown",
            sent.get("url", ""),
            row.title,
            sent.get("language", ""),
            etag=row.digest,
            metadata=sent.get("metadata", {}),
        )


def keep(source: Source, documents: Sequence[Mapping[str, Any]]) -> Kept:
    """Keep documents, in place of those with the same keys, and have them looked at after the commit.

    What is as it was is not written again. Of several with one key the last one counts.

    :param documents: as :data:`DOCUMENT` has them.
    :raises UsageError: ``too-many``: the source has as many as it may.
    """
    from ..asking import ask  # which starts runs, and so stands above the sources

    rows = {each["key"]: _row(source, each) for each in documents}
    with atomically():
        kept = Upload.objects.filter(source=source)
        known = dict(kept.filter(name__in=rows).values_list("name", "digest"))
        changed = [row for key, row in rows.items() if known.get(key) != row.digest]
        if kept.count() + len(rows) - len(known) > source.max_documents:
            raise too_many(source)
        Upload.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["source", "name"],
            update_fields=["title", "mime", "body", "digest"],
        )
        if changed:
            ask(source, [row.name for row in changed], Sync.Trigger.WEBHOOK)
    return Kept(len(changed), len(rows) - len(changed))


def _row(source: Source, document: Mapping[str, Any]) -> Upload:
    body = dumps({name: value for name, value in document.items() if name not in ("key", "title")})
    title = document.get("title", "")
    digest = sha256(dumps([title]) + body).hexdigest()
    return Upload(source=source, name=document["key"], title=title, mime=_JSON, body=body, digest=digest)
