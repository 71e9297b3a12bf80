"""What a document says, written into rows; what is wrong with it is collected by its places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import UsageError
from lingstream.models import Chat, Example, Occasion, Prompt, PromptLabel, PromptVersion, Provider, Workflow
from lingstream.models.drafts import Problem, problems_of, refused
from lingstream.models.phrases import translated

from .columns import columns_from

__all__ = ["Writer"]


class Writer:
    """Writes rows, a kind at a time; the next kind needs those before.

    :param data: a document that the schema has nothing against.
    :param by: whose the versions are that are made.
    :param scope: the tenant that gets the examples.
    """

    def __init__(self, data: Mapping[str, Any], by: Any, scope: str) -> None:
        self._data, self._by, self._scope = data, by, scope
        self._pins: dict[str, dict[int, int]] = {}
        #: To be called in their order, up to the first that returns problems.
        self.parts = (self._providers, self._prompts, self._included, self._rows, self._graphs, self._more)

    def _each(self, section: str) -> Iterator[tuple[str, dict[str, Any], str]]:
        for name, entry in self._data.get(section, {}).items():
            yield name, entry, f"{section}/{name}"

    def _providers(self) -> list[Problem]:
        found = []
        for name, entry, uri in self._each("providers"):
            row = Provider.objects.filter(name=name).first() or Provider(name=name)
            columns = columns_from(Provider, entry)
            if not row.pk or any(getattr(row, column) != columns[column] for column in columns):
                found += _saved(row, columns, uri)  # which asks the DNS
        return found

    def _prompts(self) -> list[Problem]:
        found = []
        for slug, entry, uri in self._each("prompts"):
            row = Prompt.objects.filter(slug=slug).first() or Prompt(slug=slug)
            wrong = _saved(row, columns_from(Prompt, entry), uri)
            found += wrong or self._versions(row, entry.get("versions", []), uri)
        return found

    def _versions(self, prompt: Prompt, entries: list[dict[str, Any]], uri: str) -> list[Problem]:
        """Take the versions that there are, and make those that there are not."""
        found, tests = [], []
        pins = self._pins.setdefault(prompt.slug, {})
        for entry in entries:
            if not any(entry.get(name) for name in ("labels", "tests", "pinned")):
                continue  # nothing asks for it
            columns = {"text": entry["text"], "messages": entry.get("messages", False)}
            version = prompt.versions.filter(**columns).order_by("-number").first()
            if version is None:
                more = {"note": entry.get("note", ""), "created_by": self._by}
                version = PromptVersion.objects.create(prompt=prompt, **columns, **more)
            pins[entry.get("pinned", 0)] = version.number
            for name in entry.get("labels", []):
                label = prompt.labels.filter(name=name).first() or PromptLabel(prompt=prompt, name=name)
                alone = {"version": version, "other": None, "weight": 0}
                found += _saved(label, alone, f"{uri}/versions/{name}", clean=False)
            tests += [(name, version, weight) for name, weight in entry.get("tests", {}).items()]
        for name, version, weight in tests:
            label = prompt.labels.filter(name=name).first()
            if label is None:
                found.append(Problem(f"{uri}/versions", _("Expected a label to test, got “%s”.") % name))
            else:
                found += _saved(label, {"other": version, "weight": weight}, uri, clean=False)
        return found

    def _included(self) -> list[Problem]:
        """Look at the texts that labels point at, now that all are there that they include."""
        found = []
        for slug, _entry, uri in self._each("prompts"):
            for label in PromptLabel.objects.filter(prompt__slug=slug).select_related("version__prompt"):
                texts = [label.version, *([label.other] if label.other else [])]
                for version in texts:
                    found += [
                        Problem(f"{uri}/versions/{label.name}", translated(each.text))
                        for each in version.problems()
                    ]
        return found

    def _rows(self) -> list[Problem]:
        found = []
        for slug, entry, uri in self._each("workflows"):
            row = Workflow.objects.filter(slug=slug).first() or Workflow(slug=slug)
            if not row.pk and slug not in registered():
                row.draft_only = True  # until all of it is here
            found += _saved(row, columns_from(Workflow, entry), uri)
        return found

    def _graphs(self) -> list[Problem]:
        found = []
        for slug, entry, uri in self._each("workflows"):
            try:
                data = {**entry, "steps": self._steps(entry["steps"])}
                note = _("The draft that an import took the place of")
                Workflow.objects.get(slug=slug).restore(data, by=self._by, note=note)
            except UsageError as error:
                found.append(Problem(uri, error.message))
        return found

    def _steps(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The steps with the numbers that pinned versions have here."""
        names = [step["name"] for step in steps]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(_("Expected each step once, got “%s” twice.") % twice)
        made = []
        for step in steps:
            if pin := step.get("pinned"):
                number = self._pins.get(step.get("prompt") or "", {}).get(pin)
                if number is None:
                    told = _("The step “%s” pins a version that the document does not have.")
                    raise UsageError(told % step["name"])
                step = {**step, "pinned": number}
            made.append(step)
        return made

    def _more(self) -> list[Problem]:
        found = []
        for slug, entry, uri in self._each("workflows"):
            row = Workflow.objects.get(slug=slug)
            found += [Problem(f"{uri}/{each.uri}", each.message) for each in problems_of(row)]
            found += refused(row.full_clean, uri)
            found += _chat(row, entry.get("chat"), f"{uri}/chat")
            found += _occasions(row, entry.get("occasions", []), f"{uri}/occasions")
            found += _examples(row, self._scope, entry.get("examples", []), f"{uri}/examples")
        return found


def _chat(workflow: Workflow, entry: Mapping[str, Any] | None, uri: str) -> list[Problem]:
    row = Chat.objects.filter(workflow=workflow).first()
    if entry is None:
        if row:
            row.delete()
        return []
    columns = columns_from(Chat, entry)
    helper = columns.pop("helper")
    provider = Provider.objects.filter(name=helper).first() if helper else None
    if helper and provider is None:
        return [Problem(f"{uri}/helper", _("Expected the name of a provider, got “%s”.") % helper)]
    return _saved(row or Chat(workflow=workflow), {**columns, "helper": provider}, uri)


def _occasions(workflow: Workflow, entries: list[dict[str, Any]], uri: str) -> list[Problem]:
    stored = {row.name: row for row in workflow.occasions.filter(source=Occasion.Source.ADMIN)}
    for name in stored.keys() - {entry["name"] for entry in entries}:
        stored[name].delete()
    return _named(stored, lambda: Occasion(workflow=workflow), entries, uri)


def _examples(workflow: Workflow, scope: str, entries: list[dict[str, Any]], uri: str) -> list[Problem]:
    """They are no part of what a workflow does: those that the document does not name stay."""
    names = [entry["name"] for entry in entries]
    stored = {row.name: row for row in workflow.examples.filter(scope=scope, name__in=names)}
    return _named(stored, lambda: Example(workflow=workflow, scope=scope), entries, uri)


def _named(
    stored: Mapping[str, Any], new: Callable[[], Any], entries: Iterable[Mapping[str, Any]], uri: str
) -> list[Problem]:
    found = []
    for entry in entries:
        row = stored.get(entry["name"]) or new()
        found += _saved(row, entry, f"{uri}/{entry['name']}", read=True)
    return found


def _saved(
    row: Any, columns: Mapping[str, Any], uri: str, *, read: bool = False, clean: bool = True
) -> list[Problem]:
    """Store a row, if nothing is wrong with it.

    :param read: the columns are an entry of the document.
    :param clean: a save checks it; else what belongs to it is not there yet.
    """
    try:
        values = columns_from(type(row), columns) if read else columns
    except ValidationError as error:
        return [Problem(uri, " ".join(error.messages))]
    for name, value in values.items():
        setattr(row, name, value)
    wrong = refused(row.full_clean, uri) if clean else []
    if not wrong:
        row.save()
    return wrong
