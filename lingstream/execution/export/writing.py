"""Rows as a document: in a stable order, without ids, without what is as usual, without whose they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from lingstream.conf import app_settings
from lingstream.core.document.depth import check_depth
from lingstream.core.engine.inline import inner_workflows
from lingstream.core.engine.kinds import step_kinds
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import UsageError
from lingstream.models import Occasion, Prompt, PromptVersion, Provider, PublishedStep, Step, Workflow
from lingstream.models.fragments import includes

from .columns import columns_data
from .compact import compact
from .values import check_values

__all__ = ["FORMAT", "SECTIONS", "export_document", "prompt_data", "provider_data", "workflow_data"]

#: The version of documents.
FORMAT = 1
SECTIONS = ("providers", "prompts", "workflows", "collections")


def export_document(
    slugs: Collection[str] | None = None,
    *,
    prompts: Collection[str] = (),
    drafts: bool = False,
    sections: Collection[str] = SECTIONS,
    scope: str | None = "",
    withheld: Collection[str] = (),
) -> dict[str, Any]:
    """Return workflows, and what they need, as JSON data.

    :param slugs: of the workflows; what they execute inside comes along. ``None``: all workflows, prompts and
        providers that there are.
    :param prompts: that come along whether a workflow needs them or not, with what they include.
    :param drafts: as they are being edited, instead of as they are published.
    :param sections: what may be in it.
    :param scope: the tenant whose examples come along; ``None``: no examples.
    :param withheld: workflows whose examples do not.
    :raises UsageError: ``unknown-workflow``, ``unknown-prompt``.
    """
    if gone := set(prompts) - set(Prompt.objects.filter(slug__in=prompts).values_list("slug", flat=True)):
        raise UsageError(_("There is no prompt “%s”.") % min(gone), code="unknown-prompt")
    workflows = {
        row.slug: workflow_data(row, drafts=drafts, scope=None if row.slug in withheld else scope)
        for row in _workflows(slugs)
    }
    providers, wanted = _used(workflows, prompts) if slugs is not None else (None, None)
    rows: dict[str, Any] = {
        "providers": {row.name: provider_data(row) for row in _of(Provider, "name", providers)},
        "prompts": {row.slug: prompt_data(row) for row in _of(Prompt, "slug", wanted)},
        "workflows": workflows,
        "collections": sorted(_collections(workflows.values())),
    }
    return {
        "lingstream": FORMAT,
        **{name: rows[name] for name in SECTIONS if name in sections and rows[name]},
    }


def provider_data(row: Provider) -> dict[str, Any]:
    """Return a provider; it has never held more of a key than its name."""
    return columns_data(row)


def prompt_data(row: Prompt) -> dict[str, Any]:
    """Return a prompt with the versions that something asks for.

    A pinned version has a number in the document, by which steps name it: those of rows differ from site to
    site.
    """
    labels = list(row.labels.select_related("version", "other").order_by("name"))
    pins = _pins({row.slug}).get(row.slug, {})
    versions = []
    for version in row.versions.order_by("number"):
        found = {
            "labels": [label.name for label in labels if label.version_id == version.pk],
            "tests": {label.name: label.weight for label in labels if label.other_id == version.pk},
            "pinned": pins.get(version.number),
        }
        if any(found.values()):
            texts = {"messages": version.messages, "note": version.note}
            kept = {name: value for name, value in {**found, **texts}.items() if value}
            versions.append({**kept, "text": version.text})
    return {**columns_data(row), "versions": versions}


def workflow_data(row: Workflow, *, drafts: bool = False, scope: str | None = "") -> dict[str, Any]:
    """Return a workflow, as it is published or, with ``drafts``, as it is being edited.

    :param scope: the tenant whose examples come along; ``None``: no examples.
    """
    is_draft = row.draft_only or (drafts and row.differs)
    data = compact((None if drafts else row.live()) or row.draft())
    pinning = [step for step in data["steps"] if step.get("pinned")]
    pins = _pins({step["prompt"] for step in pinning}) if pinning else {}
    for step in pinning:
        step["pinned"] = pins.get(step["prompt"], {}).get(step["pinned"], 0)
    chat = getattr(row, "chat", None)
    occasions = row.occasions.filter(source=Occasion.Source.ADMIN).order_by("name")
    more = {
        "draft": is_draft,
        "chat": chat and columns_data(chat),
        "occasions": list(map(columns_data, occasions)),
        "examples": [] if scope is None else list(_examples(row, scope)),
    }
    kept = {name: value for name, value in more.items() if value or (name == "chat" and value is not None)}
    return {**columns_data(row), **data, **kept}


def _pins(slugs: Collection[str]) -> dict[str, dict[int, int]]:
    """By the prompt: the numbers of its versions that steps pin, each with its place among them."""
    of: list[Any] = [Step.objects, PublishedStep.objects]
    numbers: dict[str, set[int]] = {}
    for steps in of:
        rows = steps.filter(prompt__slug__in=slugs, pinned__isnull=False)
        for slug, number in rows.values_list("prompt__slug", "pinned"):
            numbers.setdefault(slug, set()).add(number)
    return {
        slug: {number: place for place, number in enumerate(sorted(found), 1)}
        for slug, found in numbers.items()
    }


def _examples(row: Workflow, scope: str) -> Iterator[dict[str, Any]]:
    """Those that a document can hold: inputs of people may have half a character, a NUL, or many levels."""
    for example in row.examples.filter(scope=scope).order_by("name"):
        data = columns_data(example)
        try:
            check_values(data)
            check_depth([[[[data]]]])  # where it stands in the document
        except UsageError:
            continue
        yield data


def _workflows(slugs: Collection[str] | None) -> list[Workflow]:
    rows = {row.slug: row for row in Workflow.objects.select_related("published", "chat__helper")}
    if slugs is None:
        return list(rows.values())
    found: dict[str, Workflow] = {}
    pending = list(slugs)
    while pending:
        slug = pending.pop()
        if slug not in rows:
            if slug in slugs:
                raise UsageError(_("There is no workflow “%s”.") % slug, code="unknown-workflow")
            continue  # a function's, which needs no row
        if slug not in found:
            found[slug] = rows[slug]
            pending += inner_workflows(_plans(rows[slug].live() or rows[slug].draft()))
    return [found[slug] for slug in sorted(found)]


def _plans(data: Mapping[str, Any]) -> list[StepPlan]:
    return [StepPlan(step["name"], step["kind"], options=step["options"]) for step in data["steps"]]


def _used(workflows: Mapping[str, Mapping[str, Any]], more: Collection[str]) -> tuple[set[str], set[str]]:
    """The providers that workflows name, and the prompts, and more of these, with what they include."""
    steps = [step for data in workflows.values() for step in data["steps"]]
    bots = [step for step in steps if step.get("kind", "bot") == "bot"]
    helpers = {(data.get("chat") or {}).get("helper") for data in workflows.values()}
    usual = app_settings().default_provider  # of bots that name none
    names = {step.get("provider", usual) for step in bots} | helpers
    prompts = {step["prompt"] for step in steps if "prompt" in step} | set(more)
    return {name for name in names if name}, set(_included(prompts))


def _included(slugs: set[str]) -> Iterator[str]:
    seen: set[str] = set()
    while slugs := slugs - seen:
        seen |= slugs
        yield from slugs
        versions = PromptVersion.objects.filter(prompt__slug__in=slugs, text__contains="prompt:")
        slugs = {slug for version in versions for slug, _label in includes(version)}


def _of(model: Any, column: str, names: Collection[str] | None) -> Iterable[Any]:
    chosen = {} if names is None else {f"{column}__in": names}
    found: Iterable[Any] = model.objects.filter(**chosen).order_by(column)
    return found


def _collections(workflows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The collections that options name: those of kinds with an option of that name."""
    found: set[str] = set()
    for step in (step for data in workflows for step in data["steps"]):
        kind = step_kinds().get(step.get("kind", "bot"))
        if kind and "collection" in kind.options_schema.get("properties", {}):
            named = step.get("options", {}).get("collection", [])
            found |= {named} if isinstance(named, str) else set(named)
    return found
