"""``manage.py ling_groups``: groups for a site's staff."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from lingstream.access.groups import make_groups

__all__ = ["Command"]


class Command(BaseCommand):
    """May be called at any time, and again after each update: see :mod:`lingstream.access.groups`."""

    help = (
        "Make groups for editors, publishers, operators and viewers, and give them the permissions they lack."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        for name, count in make_groups().items():
            self.stdout.write(f"{name}: {count} permissions given")
