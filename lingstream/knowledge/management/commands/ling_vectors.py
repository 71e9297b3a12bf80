"""``manage.py ling_vectors``: the table and the indexes of the store ``pgvector``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from lingstream.knowledge.stores.pgvector import create_indexes, create_table, lacking

__all__ = ["Command"]


class Command(BaseCommand):
    """Make what there is not yet; to be run again when collections have grown."""

    help = (
        "Create the table that the store “pgvector” keeps vectors in, and an index for each collection of "
        "20,000 passages and more. Searches and writers go on meanwhile."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="where passages are")

    def handle(self, *args: Any, database: str, **options: Any) -> None:
        """See Django."""
        lacks = lacking(database)
        if lacks and not lacks.startswith("manage.py"):
            raise CommandError(f"expected a database with pgvector, and this one lacks: {lacks}")
        create_table(database)
        for name in create_indexes(database):
            self.stdout.write(f"{name} created")
