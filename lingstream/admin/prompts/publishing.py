"""Going live by one click, forwards and back: a label moves, and the prompt's history says so."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ...models import Prompt, PromptVersion
from .labels import may_publish, moves, point, states
from .page import PromptPage

__all__ = ["PublishPage", "log_moves", "publish_button"]


class PublishPage(PromptPage):
    """A posted ``version`` goes live."""

    path = "publish"

    def respond(self, request: HttpRequest, prompt: Prompt) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not may_publish(request):
            raise PermissionDenied
        version = prompt.version(request.POST.get("version", ""))
        if version is None:
            return self.back(request, prompt, _("Expected a version of this prompt."))
        before = states(prompt)
        try:
            point(version)
        except ValidationError as error:
            return self.back(request, prompt, " ".join(error.messages))
        log_moves(self.admin, request, prompt, before)
        told = _("Version %(number)d is live: runs that start from now on use it.")
        messages.success(request, told % {"number": version.number})
        return redirect(reverse("admin:lingstream_prompt_change", args=[prompt.pk]))


def publish_button(version: PromptVersion) -> SafeString:
    """Return the button that makes a version live; its form is on the pages of prompts."""
    return format_html(
        '<button class="ling-publish" form="ling-publish" formaction="{}" name="version" value="{}">'
        "{}</button>",
        reverse("admin:lingstream_prompt_publish", args=[version.prompt_id]),
        version.number,
        _("Make v%(number)d live") % {"number": version.number},
    )


def log_moves(admin: Any, request: HttpRequest, prompt: Prompt, before: dict[str, str]) -> None:
    """Write each label that stands for something else than before into the prompt's history."""
    for move in moves(before, states(prompt)):
        admin.log_change(request, prompt, move)


def told_of(version: PromptVersion, live: PromptVersion | None, *, may: bool) -> SafeString:
    """Say of a new version that it is not live, and offer to make it so."""
    told = _("Saved as version %(number)d. It is not live: ") % {"number": version.number}
    now = _("runs use v%(number)d.") % {"number": live.number} if live else _("nothing is.")
    return format_html("{}{} {}", told, now, publish_button(version) if may else "")
