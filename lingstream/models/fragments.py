"""What a version of a prompt comes to: its messages, with the texts of the prompts that it includes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.translation import gettext as _

from lingstream.core.engine.plan import MessagePlan

from ..core import templates
from ..core.exceptions import TemplateError
from ..core.templates import Problem
from ..core.templates.fragments import Fragments, fragments, without_fragments
from ..core.templates.messages import Section, sections

if TYPE_CHECKING:
    from .prompts import Prompt, PromptVersion

__all__ = ["Choose", "Resolved", "includes", "problems", "resolve"]

#: Returns the version of a prompt to take for a label.
Choose = Callable[["Prompt", str], "PromptVersion | None"]


class Resolved(NamedTuple):
    """A version as a run's plan has it.

    :param system: template of the system message.
    :param messages: templates of those that follow it.
    :param variables: declared by the prompt, and by those that it includes.
    """

    system: str
    messages: tuple[MessagePlan, ...]
    variables: dict[str, Any]


def resolve(version: PromptVersion, choose: Choose) -> Resolved:
    """Return what a version comes to.

    :param choose: decides which versions are included.
    :raises TemplateError: something included is not there, includes itself, or is too deep or too long.
    """
    found = _Finder(choose)
    expand = Fragments(found.text).expand
    parts = [part._replace(text=_expanded(expand, part, version.prompt.slug)) for part in _sections(version)]
    return Resolved(
        next((part.text for part in parts if part.role == "system"), ""),
        tuple(MessagePlan(part.role, part.text) for part in parts if part.role != "system"),
        {**found.variables, **version.prompt.variables},
    )


def problems(version: PromptVersion, choose: Choose) -> list[Problem]:
    """Return what is wrong with a version's text, each with its line there."""
    try:
        names = resolve(version, choose).variables
        parts = _sections(version)
    except TemplateError as error:
        return [Problem(error.line or 1, error.message)]
    return [
        problem._replace(line=problem.line + part.line - 1)
        for part in parts
        for problem in templates.check(without_fragments(part.text), names)
    ]


def includes(version: PromptVersion) -> set[tuple[str, str]]:
    """Return the slugs and labels of what a version includes itself; nothing of a text that is none."""
    try:
        return {(found.slug, found.label) for found in fragments(version.text)}
    except TemplateError:
        return set()


class _Finder:
    """Finds what is included, and collects the variables that it declares."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self.variables: dict[str, Any] = {}

    def text(self, slug: str, label: str) -> str:
        from .prompts import Prompt

        prompt = Prompt.objects.filter(slug=slug).prefetch_related("labels__version", "labels__other").first()
        version = self._choose(prompt, label) if prompt else None
        if prompt is None or version is None:
            problem = _("expected a prompt to include, with its label, got %(slug)s@%(label)s: there is none")
            raise TemplateError(problem % {"slug": slug, "label": label})
        if version.messages:
            problem = _("expected a text to include, got %(slug)s@%(label)s, which is several messages")
            raise TemplateError(problem % {"slug": slug, "label": label})
        self.variables = {**prompt.variables, **self.variables}
        return version.text


def _sections(version: PromptVersion) -> list[Section]:
    return sections(version.text) if version.messages else [Section("system", version.text, 1)]


def _expanded(expand: Callable[..., str], part: Section, slug: str) -> str:
    try:
        return expand(part.text, (slug,))
    except TemplateError as error:
        raise TemplateError(error.message, line=(error.line or 1) + part.line - 1) from error
