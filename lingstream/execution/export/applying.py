"""A document as rows: what would change, and, where nothing is wrong with it, the change: all or nothing.

Rows that the document names become what it says; others stay. A workflow is its draft: it is published by
itself at the end, if the document does not say otherwise. What is checked is what a save checks, once all is
there, as rows need one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.apps import apps
from django.db import DataError, IntegrityError, transaction
from django.utils.translation import gettext as _

from lingstream.core.exceptions import UsageError
from lingstream.models import Prompt, Provider, Workflow
from lingstream.models.drafts import Problem

from .reading import schema_problems
from .rows import Writer
from .texts import as_text
from .writing import prompt_data, provider_data, workflow_data

__all__ = ["Change", "Imported", "import_document"]

_MOST_PROBLEMS = 50


class Change(NamedTuple):
    """One object of the document.

    :param section: ``providers``, ``prompts`` or ``workflows``.
    :param before: it as text; empty where it is new.
    :param published: the number of the version that is made of a workflow; 0: of none.
    """

    section: str
    name: str
    before: str
    after: str
    published: int = 0

    @property
    def action(self) -> str:
        """``created``, ``changed`` or ``unchanged``."""
        if not self.before:
            return "created"
        return "unchanged" if self.before == self.after and not self.published else "changed"


@dataclass
class Imported:
    """What became of a document, or would become.

    :param problems: why nothing has changed.
    :param missing: collections that it names and that are not here.
    """

    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def import_document(
    data: Any, *, by: Any = None, publish: bool = True, dry_run: bool = False, scope: str = ""
) -> Imported:
    """Make the rows of a site what a document says, in one transaction.

    :param by: the user who does so.
    :param publish: workflows are published, too; else they stay drafts.
    :param dry_run: look at all that would happen, and leave it.
    :param scope: the tenant that gets the examples.
    :raises UsageError: ``conflict``: somebody else has changed the same meanwhile.
    """
    if problems := schema_problems(data):
        return Imported(problems=problems)
    before = _texts(data, scope)
    problems = []
    try:
        with transaction.atomic():
            numbers = {}
            for part in Writer(data, by, scope).parts:
                problems += part()
                if problems:
                    break
            else:
                numbers = _published(data, by, problems) if publish else {}
            after = {} if problems else _texts(data, scope)
            if problems or dry_run:
                transaction.set_rollback(True)
    except (IntegrityError, DataError) as error:
        told = (
            _("The database refuses it; somebody may have changed the same meanwhile: %s") % str(error)[:200]
        )
        raise UsageError(told, code="conflict") from error
    changes = [
        Change(section, name, before.get((section, name), ""), text, numbers.get((section, name), 0))
        for (section, name), text in after.items()
    ]
    return Imported(changes, problems[:_MOST_PROBLEMS], _missing(data))


def _texts(data: Mapping[str, Any], scope: str) -> dict[tuple[str, str], str]:
    """What the document names, as it is stored; examples only of workflows of which it has some."""
    workflows = data.get("workflows", {})

    def workflow(row: Workflow) -> dict[str, Any]:
        return workflow_data(row, drafts=True, scope=scope if workflows[row.slug].get("examples") else None)

    asked: list[tuple[str, Any, str, Callable[[Any], Any]]] = [
        ("providers", Provider, "name", provider_data),
        ("prompts", Prompt, "slug", prompt_data),
        ("workflows", Workflow, "slug", workflow),
    ]
    found = {}
    for section, model, column, written in asked:
        for row in model.objects.filter(**{f"{column}__in": list(data.get(section, {}))}).order_by(column):
            found[section, getattr(row, column)] = as_text(written(row))
    return found


def _published(data: Mapping[str, Any], by: Any, problems: list[Problem]) -> dict[tuple[str, str], int]:
    """Publish what the document does not call a draft, and is not published so already."""
    numbers: dict[tuple[str, str], int] = {}
    for slug, entry in data.get("workflows", {}).items():
        row = Workflow.objects.get(slug=slug)
        if entry.get("draft") or not (row.draft_only or row.differs):
            continue
        try:
            numbers["workflows", slug] = row.publish(by=by, note=_("Imported")).number
        except UsageError as error:
            problems.append(Problem(f"workflows/{slug}", error.message))
    return numbers


def _missing(data: Mapping[str, Any]) -> list[str]:
    """The collections that are not here; the app that has them may not be, either."""
    names = set(data.get("collections", []))
    if names and apps.is_installed("lingstream.knowledge"):
        model = apps.get_model("lingstream_knowledge", "Collection")
        names -= set(model._default_manager.filter(slug__in=names).values_list("slug", flat=True))
    return sorted(names)
