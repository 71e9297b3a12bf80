"""Two texts of a prompt beside each other: of any two versions, or what is in the form and what is live."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from ...core import templates
from ...models import Prompt, PromptVersion
from ..differences import differences, hunks
from .page import PromptPage

__all__ = ["ComparePage"]

_MOST_OFFERED = 200  # versions to choose from, the newest first


class Side(NamedTuple):
    """One of the two texts."""

    name: str
    text: str


class ComparePage(PromptPage):
    """``compare/?a=3&b=5``; a posted form compares its text with what is live, and stores nothing."""

    path = "compare"

    def respond(self, request: HttpRequest, prompt: Prompt) -> HttpResponse:
        before, after = _sides(request, prompt)
        if before is None or after is None:
            return self.back(request, prompt, _("Expected two versions of this prompt."))
        lines = differences(before.text, after.text)
        context = {
            **self.context(request, prompt, _("Compare texts")),
            "before": before,
            "after": after,
            "hunks": hunks(lines),
            "versions": _numbers(prompt),
            "chosen": {"a": request.GET.get("a", ""), "b": request.GET.get("b", "")},
            "is_draft": request.method == "POST",
        }
        return TemplateResponse(request, "lingstream/admin/prompts/compare.html", context)


def _sides(request: HttpRequest, prompt: Prompt) -> tuple[Side | None, Side | None]:
    if request.method == "POST":
        return _live(prompt), _draft(request)
    return _asked(prompt, request.GET.get("a", "")), _asked(prompt, request.GET.get("b", ""))


def _live(prompt: Prompt) -> Side:
    if live := prompt.live:
        return Side(_("v%(number)d, live") % {"number": live.number}, live.text)
    return Side(_("nothing"), "")


def _draft(request: HttpRequest) -> Side:
    text = request.POST.get("text", "")[: templates.MAX_SOURCE]
    return Side(_("your text"), text.replace("\r\n", "\n"))


def _asked(prompt: Prompt, number: str) -> Side | None:
    found = prompt.version(number)
    return Side(f"v{found.number}", found.text) if found else None


def _numbers(prompt: Prompt) -> Any:
    return PromptVersion.objects.filter(prompt=prompt).values_list("number", flat=True)[:_MOST_OFFERED]
