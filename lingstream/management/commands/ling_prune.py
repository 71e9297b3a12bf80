"""``manage.py ling_prune``: delete runs that have been kept for long enough."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.execution.retention import delete_batch, expired, sweep

__all__ = ["Command"]

_MOST_DAYS = 36_500  # as for a workflow


class Command(BaseCommand):
    """Delete all that a runner's looks would (see :mod:`lingstream.execution.retention`), and more."""

    help = (
        "Delete runs that ended longer ago than their workflow keeps them (“keep runs for”), with their bot "
        "runs, and conversations without runs. Processes that execute runs do the first by themselves."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("--days", type=int, help="since their end, whatever the workflows say")
        parser.add_argument(
            "--workflow", action="append", metavar="SLUG", help="only its runs; may be repeated"
        )
        parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        days, workflows = options["days"], options["workflow"]
        if days is not None and not 0 <= days <= _MOST_DAYS:
            raise CommandError(f"expected a number of days from 0 to {_MOST_DAYS}, got {days}")
        queries = list(expired(days, workflows))
        if options["dry_run"]:
            count = sum(query.count() for query in queries)
            self.stdout.write(f"{count} runs would be deleted")
            return
        runs = conversations = 0
        for query in queries:
            while deleted := delete_batch(query):
                runs += deleted
        while deleted := sweep():
            conversations += deleted
        self.stdout.write(f"{runs} runs and {conversations} empty conversations deleted")
