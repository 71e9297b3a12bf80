"""``manage.py ling_export``: workflows, and what they need, as a document that can be kept in git."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.core.exceptions import LingError
from lingstream.execution.export.schema import document_schema
from lingstream.execution.export.texts import FORMATS, written
from lingstream.execution.export.writing import export_document

__all__ = ["Command"]


class Command(BaseCommand):
    """Write workflows, prompts and providers; never a key."""

    help = "Export workflows with their prompts and providers as JSON or YAML; ling_import reads it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("slugs", nargs="*", help="workflows; unless given all of the site")
        parser.add_argument(
            "--prompt",
            action="append",
            default=[],
            metavar="SLUG",
            help="a prompt, with or without workflows",
        )
        parser.add_argument("--format", choices=FORMATS, help="by the name of the file, else json")
        parser.add_argument("-o", "--output", metavar="FILE", help="instead of printing it")
        parser.add_argument("--drafts", action="store_true", help="as they are edited, not as published")
        parser.add_argument("--scope", default="", help="the tenant whose examples come along")
        parser.add_argument("--no-examples", action="store_true", help="of nobody")
        parser.add_argument("--schema", action="store_true", help="the JSON schema of documents instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        output, named = options["output"] or "", options["format"]
        if options["schema"]:
            text = json.dumps(document_schema(), indent=2) + "\n"
        else:
            try:
                scope = None if options["no_examples"] else options["scope"]
                prompts = options["prompt"]
                slugs = options["slugs"] or (() if prompts else None)
                data = export_document(slugs, prompts=prompts, drafts=options["drafts"], scope=scope)
                is_yaml = Path(output).suffix in (".yaml", ".yml")
                text = written(data, named or ("yaml" if is_yaml else "json"))
            except LingError as error:
                raise CommandError(error.message) from error
        if not output:
            self.stdout.write(text, ending="")
            return
        try:
            Path(output).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise CommandError(str(error)) from error
