"""``manage.py ling_sync``: have rows for what workflows in Python declare."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.conversations.declared import sync
from lingstream.models import Occasion

__all__ = ["Command"]


class Command(BaseCommand):
    """What ``migrate`` does at its end, too; see :mod:`lingstream.conversations.declared`."""

    help = "Store the occasions on which workflows in Python speak first; delete those no longer declared."

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        faults = sync()
        count = Occasion.objects.filter(source=Occasion.Source.CODE).count()
        self.stdout.write(f"{count} occasions are declared in code")
        if faults:
            raise CommandError("\n".join(f"{slug}: {name}: {message}" for slug, name, message in faults))
