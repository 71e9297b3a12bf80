"""What a pass would do, without doing it: for who has changed a source and wants to see what comes of it.

Nothing is written. A listing is followed for ``SECONDS`` and up to ``MOST`` documents; what a web page leads
to is known only once it was fetched, which a preview does for one document at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import islice

from asgiref.sync import sync_to_async

from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.execution.services import SiteServices

from .listing import BATCH, believed, is_changed, is_key, known_documents
from .looking import told
from .models import Document, Source
from .passes import rules_of
from .pipeline import Prepared, prepare
from .sources.port import Content, Failed, Gone, Known, Listing, Ref, source_kind
from .text.extract.pool import Extractor

__all__ = ["MOST", "SECONDS", "Preview", "Sort", "Tried", "preview", "try_one"]

SECONDS = 20.0
MOST = 2_000

_SHOWN = 50  # keys of each sort


@dataclass(slots=True)
class Sort:
    """Documents to which the same would happen: how many, and the first of them."""

    count: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, keys: Iterable[str]) -> None:
        """Count some more."""
        found = list(keys)
        self.count += len(found)
        self.keys += found[: _SHOWN - len(self.keys)]


@dataclass(slots=True)
class Preview:
    """What a pass would find.

    :param gone: of a complete listing: documents that it lacks, and that no known one leads to.
    :param problem: why it is not complete.
    """

    new: Sort = field(default_factory=Sort)
    changed: Sort = field(default_factory=Sort)
    same: Sort = field(default_factory=Sort)
    gone: Sort = field(default_factory=Sort)
    complete: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """One document, as it would be indexed.

    :param content: as it was fetched; ``None`` if it was not.
    :param prepared: its text and passages, or why there are none.
    """

    content: Content | None
    prepared: Prepared | Failed

    @property
    def problem(self) -> str:
        """Why it has no passages, or ``""``."""
        found = self.prepared
        why = found.problem if isinstance(found, Prepared) else found.message
        return Phrase("%(code)s: %(why)s", code=found.code, why=why) if found.code else ""


async def preview(source: Source) -> Preview:
    """List a source and compare it with what there is of it."""
    found, listed, fingerprint = Preview(), dict[str, Ref](), ""
    deadline = asyncio.timeout(SECONDS)
    try:
        _, fingerprint = await sync_to_async(rules_of)(source)
        async with deadline, source_kind(source.kind).open(source) as listing:
            found.complete = await _listed(listing, listed)
            found.problem = listing.problem
    except Exception as error:
        late = Phrase("stopped after %(most)s seconds", most=f"{SECONDS:g}")
        found.problem = late if deadline.expired() else told(error, _listing_of(source))
    await sync_to_async(_compare)(source, fingerprint, list(listed.values()), found)
    return found


async def try_one(source: Source, key: str) -> Tried:
    """Fetch one document of a source and cut it.

    :param key: its name within the source; of a web page its address.
    """
    services, reader = SiteServices(), Extractor()
    deadline = asyncio.timeout(SECONDS)
    try:
        rules, _ = await sync_to_async(rules_of)(source)
        async with deadline, source_kind(source.kind).open(source) as listing:
            fetched = await listing.fetch(Known(key, key))
            if isinstance(fetched, Failed):
                return Tried(None, fetched)
            if not isinstance(fetched, Content):
                gone = isinstance(fetched, Gone)
                return Tried(
                    None, Failed("gone" if gone else "unchanged", Phrase("there is nothing under this name"))
                )
            prepared = await prepare(key, fetched, rules, reader, services)
            return Tried(replace(fetched, body=""), prepared)
    except Exception as error:
        if deadline.expired():
            return Tried(None, Failed("timed-out", _late()))
        code = error.code if isinstance(error, LingError) else "crashed"
        where = Phrase("the source %(source)s, at %(key)s", source=str(source), key=f"{key!r:.200}")
        return Tried(None, Failed(code, told(error, where)))
    finally:
        await reader.aclose()
        await services.aclose()


def _late() -> str:
    return Phrase("expected an answer within %(most)s seconds", most=f"{SECONDS:g}")


def _listing_of(source: Source) -> Phrase:
    return Phrase("the listing of the source %(source)s", source=str(source))


async def _listed(listing: Listing, listed: dict[str, Ref]) -> bool:
    """Add what is listed; return whether that is all there is."""
    async with aclosing(listing.refs()) as refs:  # type: ignore[type-var]
        async for ref in refs:
            listed.setdefault(ref.key, ref)
            if len(listed) >= MOST:
                return False
    return listing.complete


def _compare(source: Source, fingerprint: str, refs: list[Ref], found: Preview) -> None:
    places = (ref for ref in believed(refs, source.distrusted) if is_key(ref.key))
    while batch := {ref.key: ref for ref in islice(places, BATCH)}:
        rows = {row.key: row for row in known_documents(source.pk, list(batch))}
        changed = {key for key, row in rows.items() if is_changed(batch[key], row, -1, fingerprint)}
        found.new.add(key for key in batch if key not in rows)
        found.changed.add(key for key in rows if key in changed)
        found.same.add(key for key in rows if key not in changed)
    if found.complete:
        found.gone.add(_left_out(source, [ref.key for ref in refs]))


def _left_out(source: Source, keys: list[str]) -> list[str]:
    """Documents that neither a listing has nor, as far as is known, any leads to."""
    known = Document.objects.filter(source=source).order_by("pk").values_list("key", "links")
    leads_to = {key: [link[0] for link in links] for key, links in known.iterator()}
    waiting, reached = keys, set(keys)
    while waiting:
        new = {link for link in leads_to.get(waiting.pop(), ()) if link in leads_to} - reached
        reached |= new
        waiting.extend(new)
    return [key for key in leads_to if key not in reached]
