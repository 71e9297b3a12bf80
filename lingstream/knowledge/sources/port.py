"""The port of sources: a kind lists what there is and fetches it; the indexer does everything else.

1. A kind writes no row and deletes none, neither here nor where the documents come from.
2. What it lists may come in any order and twice; one key is one document.
3. Only a listing that says it was complete lets the indexer take documents for gone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

if TYPE_CHECKING:
    from ..models import Source

__all__ = [
    "DISOWNED",
    "Content",
    "Failed",
    "Fetched",
    "Gone",
    "Known",
    "Listing",
    "Ref",
    "SourceKind",
    "Unchanged",
    "more_in",
    "register_source",
    "source_kind",
    "source_kinds",
]


#: Codes of :class:`Failed` by which a site says of a page that it is another one, or not for us. All of its
#: pages may do so for a while: behind a login, by a template or a robots.txt that is wrong.
DISOWNED = ("canonical", "moved", "outside", "robots")


@dataclass(frozen=True, slots=True)
class Content:
    """What a document is.

    :param body: bytes as they came, or text that needs no extraction.
    :param mime: what its sender calls it; what it is, is seen in the bytes.
    :param url: where a person opens it.
    :param etag: a validator for the next conditional request, and so is ``modified``; only compared.
    :param metadata: JSON data of the source's own that searches may narrow by.
    :param owner_id: whose it is, if not the source's owner's.
    :param scope: the tenant; ``None``: the source's.
    :param links: what it leads to, to be fetched too (a web page's); :func:`more_in` among them: to more.
    """

    body: bytes | str
    mime: str = ""
    url: str = ""
    title: str = ""
    language: str = ""
    etag: str = ""
    modified: str = ""
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    owner_id: Any = None
    scope: str | None = None
    links: Sequence[Ref] = ()

    def digest(self) -> str:
        """Return a hash of all that makes the document: with the same one, it has not changed."""
        said = [
            self.mime,
            self.url,
            self.title,
            self.language,
            dict(self.metadata),
            self.owner_id,
            self.scope,
        ]
        body = self.body.encode("utf-8", "surrogatepass") if isinstance(self.body, str) else self.body
        return sha256(json.dumps(said, sort_keys=True, default=str).encode() + b"\0" + body).hexdigest()


class Ref(NamedTuple):
    """One document as a listing names it.

    :param key: its name within the source, at most 500 characters.
    :param etag: a hint: if neither it nor ``modified`` and ``size`` have changed, the document has not.
    :param size: in bytes.
    :param depth: links between the source's seeds and this one.
    :param content: the document itself, where the listing has it anyway.
    :param dated: when it has changed last, as somebody says: it is looked at first, and sooner than it would
        be, if it was not looked at since. No hint: it may have changed all the same.
    """

    key: str
    url: str = ""
    etag: str = ""
    modified: str = ""
    size: int | None = None
    depth: int = 0
    content: Content | None = None
    dated: datetime | None = None

    @property
    def is_gap(self) -> bool:
        """Whether it is :func:`more_in` a document."""
        return bool(self.url) and not self.key

    @property
    def tag(self) -> str:
        """The etag, or, of a document that is here and has no hint at all, what makes it the same."""
        if self.etag or self.modified or self.content is None:
            return self.etag
        return self.content.etag or self.content.digest()

    @property
    def document(self) -> Content:
        """The document, where there is ``content``, with the hints of the listing, and its address."""
        assert self.content is not None  # noqa: S101  # what else is asked for
        modified = self.content.modified or self.modified
        url = self.content.url or self.url
        return replace(self.content, url=url, etag=self.content.etag or self.tag, modified=modified)


def more_in(url: str) -> Ref:
    """Return the link that says of a document that it leads to more than it names: a listing has a gap then.

    It is kept with the document's links, and what these were before stays among them.

    :param url: the document's.
    """
    return Ref("", url)


@dataclass(frozen=True, slots=True)
class Known:
    """What the indexer knows of a document that it asks for again.

    :param together: keys that are asked for together, one object for all of them: what is read for the first
        of them is not too old for the others.
    """

    key: str
    url: str = ""
    etag: str = ""
    modified: str = ""
    depth: int = 0
    together: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It is as it was. A web page's links are as they were, too."""


@dataclass(frozen=True, slots=True)
class Gone:
    """There is nothing under this key, and its source says so (404: perhaps; 410: for good).

    :param for_good: no second look is needed.
    """

    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be fetched.

    :param code: a word to group by: ``http-503``, ``timed-out``, ``address``, ``too-large``, ``robots``.
    :param message: for staff: what was expected and what came.
    :param retryable: the same may succeed later.
    :param retry_after: seconds that its source asks us to wait.
    :param untried: nobody was asked, as its source wants to be left alone: no attempt, and no failure.
    :param skip: it shall not be here (``noindex``, refused by robots.txt): no failure, and no document.
    :param links: what it leads to all the same, where it is to be skipped: to where it has moved.
    """

    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    untried: bool = False
    skip: bool = False
    links: Sequence[Ref] = ()


Fetched: TypeAlias = Content | Unchanged | Gone | Failed


class Listing(Protocol):
    """One pass over a source, from :meth:`SourceKind.open`."""

    complete: bool
    """Whether all there is was listed: not before :meth:`refs` has ended, nor after an error or a limit."""

    problem: str
    """Why not, for staff."""

    def refs(self) -> AsyncIterator[Ref]:
        """Yield what there is. A web site yields where to begin; its pages' links lead to the rest."""
        ...

    async def fetch(self, known: Known) -> Fetched:
        """Return one document; several are asked for at the same time."""
        ...


class SourceKind(Protocol):
    """The port: one stateless object for each kind.

    :cvar kind: its name, which rows have.
    :cvar title: for people.
    :cvar config_schema: JSON schema of ``Source.config``, of the type ``object``: the admin makes a form
        of it, and says its ``description`` where the kind is chosen.
    :cvar delete_after: complete listings without a document until it counts as gone.
    :cvar concurrency: documents that are fetched at the same time.
    :cvar watches: what it lists may be watched between passes; see :meth:`state`.
    :cvar lists_by: names in a configuration that say no more than which documents there are, and when they
        are asked for. Where anything else of it changes, all of them are read again.
    """

    kind: str
    title: str = ""
    config_schema: Mapping[str, Any] = MappingProxyType({})
    delete_after: int = 1
    concurrency: int = 4
    watches: bool = False
    lists_by: Sequence[str] = ()

    def open(self, source: Source) -> AbstractAsyncContextManager[Listing]:
        """Begin a pass; leaving the context closes connections and files.

        :raises LingError: its configuration leads nowhere.
        """
        ...

    def check(self, config: Mapping[str, Any]) -> None:
        """Look at a configuration that fits the schema and is about to be saved.

        :raises UsageError: it makes no sense all the same.
        """
        return

    def state(self, config: Mapping[str, Any]) -> str:
        """Return what differs as soon as anything does, ``""`` where that is not wanted or costs much.

        It is asked every few seconds, in a thread.
        """
        return ""


_kinds: dict[str, SourceKind] = {}


def register_source(kind: SourceKind) -> SourceKind:
    """Make a kind known, under its name; return it."""
    _kinds[kind.kind] = kind
    return kind


def source_kinds() -> Mapping[str, SourceKind]:
    """Return the kinds that this process knows, by name."""
    return MappingProxyType(_kinds)


def source_kind(name: str) -> SourceKind:
    """Return a kind.

    :raises UsageError: ``unknown-kind``.
    """
    if name not in _kinds:
        message = Phrase(
            "expected a kind of source among %(known)s, got %(got)s",
            known=", ".join(sorted(_kinds)),
            got=f"{name!r:.80}",
        )
        raise UsageError(message, code="unknown-kind")
    return _kinds[name]
