"""``manage.py ling_import FILE``: what ``ling_export`` has written becomes rows, all of it or nothing."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from difflib import unified_diff
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.core.exceptions import LingError
from lingstream.execution.export.applying import Change, Imported, import_document
from lingstream.execution.export.reading import MAX_SIZE, read_document

__all__ = ["Command"]


class Command(BaseCommand):
    """Show what changes, object by object, and change it."""

    help = "Import a document of ling_export (JSON or YAML): in one transaction, with what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("file", help="the document; - reads it from the standard input")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, no more")
        parser.add_argument("--draft", action="store_true", help="leave workflows as drafts")

        parser.add_argument("--scope", default="", help="the tenant that gets the examples")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            data = read_document(_text(options["file"]))
            publish, scope = not options["draft"], options["scope"]
            found = import_document(data, publish=publish, dry_run=options["dry_run"], scope=scope)
        except (LingError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        if found.problems:
            raise CommandError("nothing was imported:\n" + "\n".join(map(str, found.problems)))
        self._show(found, "would be " if options["dry_run"] else "")

    def _show(self, found: Imported, would: str) -> None:
        for change in found.changes:
            if change.action != "unchanged":
                told = f" and {would}published as v{change.published}" if change.published else ""
                self.stdout.write(f"{change.section} {change.name}: {would}{change.action}{told}")
                self._show_lines(change)
        unchanged = sum(change.action == "unchanged" for change in found.changes)
        self.stdout.write(f"{unchanged} unchanged")
        for slug in found.missing:
            self.stderr.write(f"there is no collection {slug}, which steps ask for")

    def _show_lines(self, change: Change) -> None:
        if change.action == "created":
            return
        before, after = change.before.splitlines(), change.after.splitlines()
        for line in list(unified_diff(before, after, n=0, lineterm=""))[2:]:
            if not line.startswith("@@"):
                self.stdout.write(f"  {line[0]} {line[1:]}")


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read(MAX_SIZE + 1)
    with Path(name).open(encoding="utf-8") as file:
        return file.read(MAX_SIZE + 1)
