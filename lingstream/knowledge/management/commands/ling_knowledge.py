"""``manage.py ling_knowledge``: look at sources, find in collections, and clear up, from a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, F, Q, QuerySet

from lingstream.core.exceptions import LingError
from lingstream.execution.services import SiteServices

from ...asking import forget
from ...deletion import confirm
from ...embedding import forget_unused
from ...evaluation import ask, figures, measured, rank_of
from ...failures import discard, failed, look_again
from ...hits import Hits
from ...models import Collection, Document, Source, Sync, Vector
from ...passes import COUNTS
from ...search import MODES
from ...slices import Outcome
from ...sync import sync

__all__ = ["Command"]

_WAITS = 1.0  # seconds between two tries to take a source that somebody else holds
_BATCH = 100
_NAMED = 20  # sources in an error
_GOOD = ("finished", "waiting")


class Command(BaseCommand):
    """One command with a word for what it shall do, as people type it by hand."""

    help = "Look at sources, search collections, and clear up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        words = parser.add_subparsers(dest="word", required=True)
        one = words.add_parser("sync", help="do a pass over sources, here and now")
        one.add_argument("sources", nargs="*", metavar="SOURCE", help="slugs; all that are not paused")
        one.add_argument("--pending", action="store_true", help="only what is pending; begin no pass")
        one.add_argument("--confirm", action="store_true", help="let deletions go on that were too many")
        words.add_parser("status", help="show the state of all sources")
        find = words.add_parser("search", help="search a collection")
        find.add_argument("collection")
        find.add_argument("text")
        grade = words.add_parser("eval", help="ask a collection its golden questions")
        grade.add_argument("collection")
        for one in (find, grade):
            one.add_argument("-k", type=int, default=8, help="passages (%(default)s)")
            one.add_argument("--mode", default="hybrid", choices=MODES)
            one.add_argument("--scope", default="", help="the tenant whose documents are found")
        for word, told in (("retry", "look again at"), ("discard", "leave out, until they change,")):
            one = words.add_parser(word, help=f"{told} documents of a source that have failed")
            one.add_argument("source", help="its slug")
            one.add_argument("--code", default="", help="those with this error")
            one.add_argument("--key", action="append", help="these alone; may be repeated")
        one = words.add_parser("forget", help="delete documents with all that hangs on them")
        one.add_argument("--scope", help="those of a tenant")
        one.add_argument("--owner", help="those of the user with this key")
        one.add_argument("--source", help="those of a source, by its slug")
        one.add_argument("--key", action="append", help="with --source: these alone; may be repeated")
        one = words.add_parser("vacuum", help="delete vectors that no collection uses any more")
        one.add_argument(
            "--cache", type=int, default=0, metavar="N", help="kept vectors to keep (%(default)s)"
        )
        one = words.add_parser("export", help="print the documents of a collection as JSON lines")
        one.add_argument("collection")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            getattr(self, f"_{options['word']}")(options)
        except LingError as error:
            raise CommandError(error.message) from error

    def _sync(self, options: Mapping[str, Any]) -> None:
        failed = []
        for source in _sources(options["sources"]):
            if options["confirm"]:
                confirm(source)
            outcome = asyncio.run(_pass(source, full=not options["pending"] and not options["confirm"]))
            self.stdout.write(f"{source}: {_told(source, outcome)}")
            failed += [source.slug] * (outcome.status not in _GOOD or bool(outcome.problem))
        if failed:
            raise CommandError(f"not finished: {', '.join(failed)}")

    def _status(self, options: Mapping[str, Any]) -> None:
        status = Document.Status
        counts = {each.value: Count("documents", Q(documents__status=each)) for each in status}
        for row in Source.objects.annotate(**counts):
            told = ", ".join(f"{getattr(row, name)} {name}" for name in counts if getattr(row, name))
            paused = ", paused" if row.paused else ""
            self.stdout.write(f"{row} ({row.kind}): {row.state}{paused}; {told or 'no documents'}")
            if row.problem:
                self.stdout.write(f"  {row.problem}")

    def _search(self, options: Mapping[str, Any]) -> None:
        for number, hit in enumerate(_found(options, options["text"]), 1):
            name = " — ".join(filter(None, (hit.title or hit.key, " › ".join(hit.heading))))
            self.stdout.write(f"{number}. {name} {hit.url}".rstrip())
            self.stdout.write(f"   {' '.join(hit.text.split())[:200]}")

    def _eval(self, options: Mapping[str, Any]) -> None:
        questions = list(_collection(options).questions.all())
        if not questions:
            raise CommandError(
                "expected golden questions in this collection, found none: its page in the admin has them"
            )
        ranks = []
        for question in questions:
            ranks.append(rank_of(question.expected, measured(_found(options, question.text))))
            if not ranks[-1]:
                self.stdout.write(f"not found: {question.text}")
        found = figures(ranks, options["k"])
        self.stdout.write(
            f"{found.questions} questions: recall@3 {found.first:.2f}, "
            f"recall@{options['k']} {found.all:.2f}, MRR {found.mrr:.2f}"
        )

    def _retry(self, options: Mapping[str, Any]) -> None:
        self.stdout.write(f"{look_again(_failed(options))} documents are looked at again")

    def _discard(self, options: Mapping[str, Any]) -> None:
        self.stdout.write(f"{discard(_failed(options))} documents are left out until they change")

    def _forget(self, options: Mapping[str, Any]) -> None:
        chosen = Document.objects.all()
        if options["scope"] is not None:
            chosen = chosen.filter(scope=options["scope"])
        if options["owner"] is not None:
            chosen = chosen.filter(owner=options["owner"])
        if options["source"] is not None:
            chosen = chosen.filter(source__slug=options["source"])
        if options["key"]:
            chosen = chosen.filter(key__in=options["key"])
        if not any(options[name] is not None for name in ("scope", "owner", "source")):
            raise CommandError("expected --scope, --owner or --source")
        self.stdout.write(
            f"{_forget_all(chosen)} documents deleted; a source that still has them finds them again"
        )

    def _vacuum(self, options: Mapping[str, Any]) -> None:
        # What waits for a pass may have its old embedder again.
        rows = Collection.objects.select_related("embedder__provider")
        ready = [row for row in rows if row.is_embedded]
        unused = Vector.objects.filter(collection__in=ready).exclude(embedder=F("collection__embedder"))
        gone, _ = unused.delete()
        self.stdout.write(f"{gone} vectors and {forget_unused(options['cache'])} kept ones deleted")

    def _export(self, options: Mapping[str, Any]) -> None:
        collection = _collection(options)
        rows = Document.objects.filter(source__collection=collection).select_related("source", "text")
        for row in rows.order_by("pk").iterator(chunk_size=_BATCH):
            self.stdout.write(json.dumps(_exported(row), ensure_ascii=False))


async def _pass(source: Source, *, full: bool) -> Outcome:
    """Do slices until the pass is over; wait for whoever holds the source."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    services = SiteServices()
    try:
        while True:
            outcome = await sync(source.pk, holder, services=services, full=full, trigger=Sync.Trigger.MANUAL)
            if outcome.status == "busy":
                await asyncio.sleep(_WAITS)
            elif outcome.status == "unfinished":
                full = False  # the pass that has begun goes on
            else:
                return outcome
    finally:
        await services.aclose()


def _sources(slugs: list[str]) -> list[Source]:
    rows = Source.objects.filter(slug__in=slugs) if slugs else Source.objects.filter(paused=False)
    found = {row.slug: row for row in rows}
    if missing := [slug for slug in slugs if slug not in found]:
        known = ", ".join(Source.objects.values_list("slug", flat=True)[:_NAMED]) or "none"
        raise CommandError(f"expected sources among {known}; there is no {', '.join(missing)}")
    return list(found.values())


def _failed(options: Mapping[str, Any]) -> QuerySet[Document]:
    [source] = _sources([options["source"]])
    rows = failed(source, options["code"])
    return rows.filter(key__in=options["key"]) if options["key"] else rows


def _told(source: Source, outcome: Outcome) -> str:
    problem = f" ({outcome.problem})" if outcome.problem else ""
    told = f"{outcome.status}{problem}"
    row = Sync.objects.filter(source=source).order_by("-pk").first()
    if row is None:
        return told
    counts = ", ".join(f"{getattr(row, name)} {name}" for name in COUNTS)
    return f"{told}; {f'pass {row.number}' if row.number else 'what was pending'}: {counts}"


def _collection(options: Mapping[str, Any]) -> Collection:
    found = Collection.objects.filter(slug=options["collection"]).first()
    if found is None:
        raise CommandError(f"expected a collection, and there is no {options['collection']!r}")
    return found


def _found(options: Mapping[str, Any], text: str) -> Hits:
    how = {name: options[name] for name in ("k", "mode", "scope")}
    return asyncio.run(ask(options["collection"], text, **how))


def _forget_all(documents: QuerySet[Document]) -> int:
    count = 0
    for source in Source.objects.filter(pk__in=documents.values("source")):
        keys = documents.filter(source=source).order_by("pk").values_list("key", flat=True)
        while batch := list(keys[:_BATCH]):
            count += forget(source, batch)
    return count


def _exported(row: Document) -> dict[str, Any]:
    chunks = row.chunks.order_by("position").values("uid", "heading", "start", "end", "text")
    return {
        "source": row.source.slug,
        "key": row.key,
        "url": row.url,
        "title": row.title,
        "language": row.language,
        "metadata": row.metadata,
        "scope": row.scope,
        "status": row.status,
        "version": row.version,
        "chunks": [{**chunk, "uid": str(chunk["uid"])} for chunk in chunks],
    }
