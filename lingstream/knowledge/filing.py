"""Files that programs and pages give to a source of the kind ``upload``, by HTTP.

1. Who gives them signs with the source's secret (:mod:`.hooks`), or is a user with the permission to add
   files, who may search the collection, and whose tenant is the source's.
2. Where each person has documents of their own, a file is its giver's, and others' names are taken.
3. All of a request is done or nothing; what is in a file is read later, in a process of its own.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from lingstream.access.identity import Identity
from lingstream.access.throttle import check_throttle
from lingstream.core.exceptions import AccessError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.execution.storage import in_database
from lingstream.models.locks import locked
from lingstream.transports.requests import answer_json, api, identity_of
from lingstream.transports.starting import length_of

from .asker import asker_of, room_of
from .claims import atomically
from .hooks import signed
from .models import Collection, Source, Sync, Upload
from .sources.upload import LARGEST, Uploads, put, take_back

__all__ = ["MOST_BYTES", "files"]

#: Bytes of a request with all its files.
MOST_BYTES = LARGEST + 1_000_000

_MOST_FILES, _MOST_GONE = 100, 1_000
_PERMISSION = "lingstream_knowledge.add_upload"
_CHANGE, _DELETE = "lingstream_knowledge.change_upload", "lingstream_knowledge.delete_upload"


@api("POST")
async def files(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take ``multipart/form-data``: each ``file`` under its name, and names that are ``gone``.

    202 with the names that are ``kept``, and how many are ``gone``: files are found soon after.
    """
    if length_of(request) > MOST_BYTES or len(body := request.read(MOST_BYTES + 1)) > MOST_BYTES:
        message = Phrase("expected a body of up to %(most)s bytes, got more", most=MOST_BYTES)
        raise UsageError(message, code="too-large")
    if request.headers.get("Ling-Signature"):
        done = await in_database(signed, request, slug, body, lambda source: _done(request, source, body))
    else:
        identity = await identity_of(request, acts=True)
        done = await in_database(_given, request, slug, body, identity)
    return answer_json(done, 202)


def _given(request: HttpRequest, slug: str, body: bytes, identity: Identity) -> dict[str, Any]:
    check_throttle("", identity)
    source = Source.objects.select_related("collection").filter(slug=slug).first()
    if source is None or not _may_give(identity, source):
        message = Phrase(
            "expected a user who may give files to this source (%(permission)s, and its collection), or a "
            "signature",
            permission=_PERMISSION,
        )
        raise AccessError(message)
    return _done(request, source, body, identity.user)


def _may_give(identity: Identity, source: Source) -> bool:
    if identity.owner_id is None or not identity.user.has_perm(_PERMISSION):
        return False
    is_near = identity.scope is None or identity.scope == source.scope
    return is_near and bool(room_of([source.collection.slug], asker_of(identity), {}).places)


def _done(request: HttpRequest, source: Source, body: bytes, user: Any = None) -> dict[str, Any]:
    if source.kind != Uploads.kind:
        raise UsageError(Phrase("expected a source of the kind upload, got %(got)s", got=source.kind))
    try:
        # The parser takes a body without a length, as a chunked one is, for an empty one.
        meta = {**request.META, "CONTENT_LENGTH": str(len(body))}
        form, found = MultiPartParser(meta, BytesIO(body), request.upload_handlers).parse()
    except MultiPartParserError as error:
        unreadable = Phrase("expected multipart/form-data: %(why)s", why=f"{error!s:.200}")
        raise UsageError(unreadable, code="bad-request") from None
    given, gone = found.getlist("file"), list(dict.fromkeys(form.getlist("gone")))
    if len(given) > _MOST_FILES or len(gone) > _MOST_GONE:
        message = Phrase(
            "expected up to %(files)s files, and %(gone)s names that are gone",
            files=_MOST_FILES,
            gone=_MOST_GONE,
        )
        raise UsageError(message)
    names = [file.name or "" for file in given]
    if not names and not gone:
        nothing = Phrase("expected the fields file or gone, got neither")
        raise UsageError(nothing, code="bad-request")
    if len(set(names)) < len(names):
        message = Phrase(
            "expected each name once, without its folders, got %(got)s", got=f"{sorted(names)!s:.400}"
        )
        raise UsageError(message)
    owner = user if source.collection.access == Collection.Access.OWN else None
    trigger = Sync.Trigger.MANUAL if user else Sync.Trigger.WEBHOOK
    with atomically():
        locked(Source.objects.filter(pk=source.pk)).get()  # who gives files meanwhile waits
        _check_owner(source, [*names, *gone], owner)
        if user is not None and owner is None:
            _check_rights(source, names, gone, user)
        taken = sum(take_back(source, name) for name in gone if name not in names)
        kept = [
            put(source, name, file.read(), mime=file.content_type or "", owner=owner, trigger=trigger)
            for name, file in zip(names, given, strict=True)
        ]
        return {"kept": [row.name for row in kept], "gone": taken}


def _check_rights(source: Source, names: list[str], gone: list[str], user: Any) -> None:
    """Refuse what replaces or deletes files that are nobody's own to who may only add some."""
    if gone and not user.has_perm(_DELETE):
        raise AccessError(Phrase("expected a user who may delete files (%(permission)s)", permission=_DELETE))
    is_there = Upload.objects.filter(source=source, name__in=names).exists()
    if is_there and not user.has_perm(_CHANGE):
        raise AccessError(
            Phrase("expected a user who may replace files (%(permission)s)", permission=_CHANGE)
        )


def _check_owner(source: Source, names: list[str], owner: Any) -> None:
    """Refuse to replace or delete what is somebody else's."""
    if (
        owner is not None
        and Upload.objects.filter(source=source, name__in=names).exclude(owner=owner).exists()
    ):
        taken = Phrase("expected names that nobody else has in this source")
        raise UsageError(taken, code="key-reused")
