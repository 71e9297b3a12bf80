"""A look at some documents together: fetch them, cut them, embed what is new, and store each.

What they lead to is listed before one of them counts as done. Bodies live no longer than it takes to get
their text out; requests to the embedder are shared by the documents of one look. Whatever is wrong with one
of them, it fails alone: what ends a look is a database that does not come back.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from lingstream.core.ending import end_tasks
from lingstream.core.engine.kinds import Services
from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.execution.away import AWAY

from . import outcomes
from .claims import Held
from .embed import Embedding
from .embedding import Call, Vectors, vectors_of
from .indexer import Draft, Reading, described, drafts, read_columns, store, whose
from .listing import is_only_cut, links_of, stored_links
from .models import Document, DocumentText, Source
from .pipeline import Prepared, Reader, Rules, cut_anew, is_same_text, prepare
from .sources.port import DISOWNED, Content, Failed, Fetched, Gone, Known, Listing, Ref, Unchanged
from .together import Together

__all__ = ["Looking", "mends", "told"]

logger = logging.getLogger("lingstream")

_TOGETHER = 400  # passages that are stored in one transaction, of several documents
_INDEXED = Document.Status.INDEXED


class _Looked(NamedTuple):
    """What a look at a document came to.

    :param content: without its body, which may be large; there, too, where it could not be read.
    :param read: columns that say what was read.
    :param asked: whether its source was.
    """

    result: Prepared | Unchanged | Gone | Failed
    content: Content | None = None
    read: Mapping[str, Any] = MappingProxyType({})
    asked: bool = True


@dataclass(slots=True)
class Looking:
    """What a look at documents needs.

    :param listing: fetches them.
    :param reader: gets text out of bytes.
    :param embedding: makes vectors, if the collection has an embedder.
    :param call: calls functions that use the ORM.
    :param note: writes down what documents lead to.
    :param hear: called with the key of each document that is fetched.
    :param number: of the pass.
    :param delete_after: passes without a document until it is gone.
    :param concurrency: documents that are fetched at the same time.
    :param took: called with the bytes of each document that has come.
    :param judge: called with the key of each document that its source was asked for, and whether it has
        changed.
    :param is_over: whether no further document is to be fetched; what was not stays pending.
    """

    held: Held
    listing: Listing
    reader: Reader
    embedding: Embedding | None
    services: Services
    rules: Rules
    fingerprint: str
    call: Call
    note: Callable[[Iterable[Ref]], Awaitable[None]]
    hear: Callable[[str], None]
    took: Callable[[int], None]
    judge: Callable[[str, bool], None]
    number: int
    delete_after: int
    concurrency: int
    is_over: Callable[[], bool]
    _together: Together = field(default_factory=Together)

    async def look(self, documents: Sequence[Document], contents: Mapping[str, Content]) -> Counter[str]:
        """Look at documents; return how many were ``done``, and how many of them ``changed`` or ``failed``.

        :param contents: of those that the listing had with it, by key.
        :raises Overtaken: somebody else has the source.
        :raises LingError: a document has failed, and the source is to stop then.
        """
        room = asyncio.Semaphore(self.concurrency)
        kept = await self._kept(documents)
        keys = tuple(each.key for each in documents)
        looks = [
            asyncio.create_task(self._look(each, keys, contents.get(each.key), kept.get(each.pk), room))
            for each in documents
        ]
        try:
            found = await asyncio.gather(*looks)
        finally:
            await end_tasks(*looks)
        looked = {each: one for each, one in zip(documents, found, strict=True) if one}
        await self.note(link for each, one in looked.items() for link in _links(each, one))
        counts: Counter[str] = Counter()
        readings = []
        for document, one in looked.items():
            if one.content and isinstance(one.result, Prepared) and one.result.status == _INDEXED:
                made = Reading(document, one.content, one.read, one.result, self.fingerprint, one.asked)
                readings.append(made)
            else:
                counts += await self._settle(document, one)
        if readings:
            counts += await self._store(readings)
        return counts

    async def _kept(self, documents: Sequence[Document]) -> Mapping[int, str]:
        """The texts of those whose rules cut the same text in another way than before, by their keys."""
        pks = [
            each.pk
            for each in documents
            if each.raw_hash
            and each.pipeline != self.fingerprint
            and is_same_text(each.pipeline, self.fingerprint)
        ]
        return await self.call(_texts, pks) if pks else {}

    async def _look(
        self,
        document: Document,
        keys: Sequence[str],
        content: Content | None,
        kept: str | None,
        room: asyncio.Semaphore,
    ) -> _Looked | None:
        """Fetch a document, where that is needed, and cut it; ``None``: it is too late for that.

        :param keys: of all documents of the look.
        :param kept: its text, if that is what these rules would make of what was read last.
        """
        async with room:
            if self.is_over():
                return None
            self.hear(document.key)
            is_here = kept is not None and content is None and is_only_cut(document)
            known = Known(document.key, document.url, depth=document.depth, together=keys)
            if kept is not None or self._is_known(document):
                known = replace(known, etag=document.etag, modified=document.modified)
            fetched = content or (Unchanged() if is_here else await self._fetch(document, known))
            try:
                if isinstance(fetched, Unchanged) and kept is not None:
                    return await self._cut_anew(document, kept, asked=not is_here)
                if not isinstance(fetched, Content):
                    return _Looked(fetched)
                self.took(_size(fetched.body))
                return await self._prepare(document, fetched, kept)
            except Exception as error:
                why = _crashed(error, Phrase("the pipeline, at %(key)s", key=f"{document.key!r:.200}"))
                return _Looked(why, replace(fetched, body="") if isinstance(fetched, Content) else None)

    async def _prepare(self, document: Document, content: Content, kept: str | None) -> _Looked:
        read = read_columns(content, self.fingerprint)
        is_same = read["raw_hash"] == document.raw_hash
        found: Prepared | Unchanged | Failed = Unchanged()
        if is_same and kept is not None:
            found = await cut_anew(_as_it_was(document, kept), self.rules)
        elif not (is_same and self._is_known(document)):
            found = await prepare(
                document.key, content, self.rules, self.reader, self.services, self._together.call
            )
        return _Looked(found, replace(content, body=""), read)

    async def _cut_anew(self, document: Document, kept: str, *, asked: bool) -> _Looked:
        """Cut a document that is as it was.

        :param asked: its source says so; else it is looked at again when it would have been.
        """
        content = Content(
            body="",
            url=document.url,
            owner_id=document.owner_id,
            scope=document.scope,
            links=stored_links(document.links, document.depth),
        )
        read = {"pipeline": self.fingerprint, "etag": document.etag, "modified": document.modified}
        if not asked:
            read |= {name: getattr(document, name) for name in ("misses", "check_every", "check_at")}
        return _Looked(await cut_anew(_as_it_was(document, kept), self.rules), content, read, asked)

    async def _fetch(self, document: Document, known: Known) -> Fetched:
        try:
            return _with_known_links(document, await self.listing.fetch(known))
        except Exception as error:  # of a database, too: it need not be ours, and ours is asked soon enough
            why = _crashed(error, Phrase("the source, at %(key)s", key=f"{document.key!r:.200}"))
            return why if isinstance(error, LingError) else replace(why, retryable=True)

    def _is_known(self, document: Document) -> bool:
        """Whether what is stored is what these rules make of what was read last."""
        return bool(document.raw_hash) and document.pipeline == self.fingerprint

    async def _settle(self, document: Document, one: _Looked) -> Counter[str]:
        """End the look at a document that gave no passages."""
        result, held = one.result, self.held
        if isinstance(result, Unchanged):
            return await self._keep(document, one.content, one.read)
        if isinstance(result, Gone) or _is_disowned(document, one):
            done = await self.call(outcomes.miss, held, document, result, self.number, self.delete_after)
            return Counter(done=done)
        if isinstance(result, Failed) and not result.skip:
            return await self._fail(document, result, one.read, one.content)
        write = partial(self._leave_out, document, one)
        return await self._write(document, one.content, write, changed=bool(document.text_hash))

    async def _keep(
        self, document: Document, content: Content | None, read: Mapping[str, Any], *, asked: bool = True
    ) -> Counter[str]:
        if asked:
            self.judge(document.key, False)
        write = partial(outcomes.keep, self.held, document, self.number, read, asked=asked)
        return await self._write(document, content, write, changed=False)

    def _leave_out(self, document: Document, one: _Looked) -> bool:
        result = one.result
        status: str = Document.Status.SKIPPED
        columns: dict[str, Any]
        if isinstance(result, Failed):
            why, columns = result, {"links": links_of(result.links)}
        else:
            assert one.content and isinstance(result, Prepared)  # noqa: S101  # what else was prepared
            status, why = result.status, Failed(result.code, result.problem)
            columns = {**one.read, **described(self.held, one.content, result)}
        return outcomes.leave_out(self.held, document, self.number, status, why, columns)

    async def _write(
        self, document: Document, content: Content | None, write: Callable[[], int], *, changed: bool
    ) -> Counter[str]:
        """Write down what a document is, and count it; one that no columns can have fails alone.

        :param changed: whether it is another one then.
        """
        try:
            done = await self.call(write)
        except (LingError, *AWAY):
            raise
        except Exception as error:
            why = _crashed(error, Phrase("the document %(key)s", key=f"{document.key!r:.200}"))
            return await self._fail(document, why, {}, content)
        return Counter(done=done, changed=done and changed)

    async def _fail(
        self, document: Document, why: Failed, read: Mapping[str, Any], content: Content | None = None
    ) -> Counter[str]:
        """Write down a failure.

        :param content: what says who may find the document by now.
        """
        by_now = whose(self.held, content) if content else {}
        if all(getattr(document, name) == value for name, value in by_now.items()):
            by_now = {}
        try:
            stays = await self.call(outcomes.fail, self.held, document, why, read, by_now)
        except (LingError, *AWAY):
            raise
        except Exception as error:
            logger.warning("what is known of %r does not fit into its row: %s", document.key, error)
            if by_now:  # nobody knows who may find it, so nobody does
                failed = Document.Status.FAILED
                stays = await self.call(outcomes.leave_out, self.held, document, self.number, failed, why, {})
            else:
                stays = await self.call(outcomes.fail, self.held, document, why, {})
        if stays and self.held.source.on_failure == Source.OnFailure.FAIL:
            await self.call(self.held.change, paused=True)
            message = Phrase("%(key)s: %(why)s", key=f"{document.key!r:.200}", why=why.message)
            raise LingError(message, code=why.code)
        return Counter(done=1, failed=int(stays))

    async def _store(self, readings: Sequence[Reading]) -> Counter[str]:
        """Compare, embed what is new, and store what differs."""
        counts: Counter[str] = Counter()
        made = await self.call(drafts, self.held, readings)
        vectors = await self._vectors([each for each in made if isinstance(each, Draft) and not each.is_same])
        ready: list[Draft] = []
        for reading, draft in zip(readings, made, strict=True):
            document, content = reading.document, reading.content
            if isinstance(draft, Exception):
                why = _crashed(draft, Phrase("the document %(key)s", key=f"{document.key!r:.200}"))
                counts += await self._fail(document, why, {}, content)
            elif draft.is_same:
                counts += await self._keep(document, content, reading.read, asked=reading.asked)
            elif failed := [vectors.failed[each] for each in draft.texts if each in vectors.failed]:
                counts += await self._fail(document, _failed(failed[0]), {}, content)
            else:
                ready.append(draft)
        for some in _together(ready):
            counts += await self._stored(some, vectors.data)
        return counts

    async def _stored(self, made: Sequence[Draft], vectors: Mapping[str, bytes]) -> Counter[str]:
        """Store documents in one transaction, or where that fails each in its own: one may be at fault."""
        for draft in made:
            self.judge(draft.reading.document.key, True)
        if len(made) > 1:
            try:
                done = await self.call(store, self.held, made, vectors, self.number)
            except (LingError, *AWAY):
                raise
            except Exception:
                logger.debug("one of %d documents cannot be stored: each is by itself", len(made))
            else:
                return Counter(done=done, changed=done)
        counts: Counter[str] = Counter()
        for draft in made:
            write = partial(store, self.held, [draft], vectors, self.number)
            document, content = draft.reading.document, draft.reading.content
            counts += await self._write(document, content, write, changed=True)
        return counts

    async def _vectors(self, made: Sequence[Draft]) -> Vectors:
        texts = {key: text for draft in made for key, text in draft.texts.items()}
        embedder = self.held.source.collection.embedder
        if not texts or embedder is None or self.embedding is None:
            return Vectors({}, {})
        return await vectors_of(texts, embedder, self.embedding, self.call)


def _size(body: bytes | str) -> int:
    return len(body) if isinstance(body, bytes) or body.isascii() else len(body.encode("utf-8", "replace"))


def _texts(pks: Sequence[int]) -> dict[int, str]:
    rows = DocumentText.objects.filter(document__in=pks).values_list("document", "packed")
    found = dict[int, str]()
    for pk, packed in rows:
        with suppress(ValueError, zlib.error):  # else it is read from its source again
            found[pk] = DocumentText.unpack(packed)
    return found


def _as_it_was(document: Document, text: str) -> Prepared:
    return Prepared(text, document.title, document.language, document.metadata)


def _together(made: Iterable[Draft]) -> Iterator[list[Draft]]:
    """Yield drafts in groups that are stored together, so that no lock is held for long."""
    some: list[Draft] = []
    passages = 0
    for draft in made:
        passages += len(draft.passages)
        if some and passages > _TOGETHER:
            yield some
            some, passages = [], len(draft.passages)
        some.append(draft)
    if some:
        yield some


def _links(document: Document, one: _Looked) -> list[Ref]:
    """What a document leads to; of one that could not be read, what it led to before."""
    if isinstance(one.result, Gone):
        return []
    skipped = one.result if isinstance(one.result, Failed) and one.result.skip else None
    read = (one.content if one.read else None) or skipped
    links = [link._replace(depth=document.depth + 1) for link in read.links] if read else []
    if read is None or _is_disowned(document, one):
        links += stored_links(document.links, document.depth)
    return links


def _with_known_links(document: Document, fetched: Fetched) -> Fetched:
    """What has come of a document; if it leads to more than it names, to what it led to before, too."""
    if isinstance(fetched, (Content, Failed)) and any(link.is_gap for link in fetched.links):
        known = stored_links(document.links, document.depth)
        return replace(fetched, links=[*fetched.links, *known])
    return fetched


def _is_disowned(document: Document, one: _Looked) -> bool:
    """Whether a site disowns what was found of it: that goes by and by, and within the guard."""
    failed = one.result if isinstance(one.result, Failed) else None
    return bool(failed and failed.skip and failed.code in DISOWNED and document.text_hash)


def mends(error: Exception) -> bool:
    """Whether the same may succeed later, as it may if the network, a disk or the database failed."""
    return error.retryable if isinstance(error, LingError) else isinstance(error, (OSError, *AWAY))


def told(error: Exception, where: Phrase) -> str:
    """Return what staff are told of an error; one that nobody has foreseen is logged as well."""
    if isinstance(error, LingError):
        return error.message
    logger.error("%s has failed", where, exc_info=error)
    name, why = type(error).__name__, str(error)
    return Phrase("%(where)s: %(error)s: %(why)s", where=where, error=name, why=why)


def _crashed(error: Exception, where: Phrase) -> Failed:
    if isinstance(error, LingError):
        return _failed(error)
    return Failed("crashed", told(error, where), retryable=mends(error))


def _failed(error: LingError) -> Failed:
    return Failed(error.code, error.message, error.retryable, getattr(error, "retry_after", None))
