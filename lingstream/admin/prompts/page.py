"""Pages below a prompt's own: who may see the prompt reaches them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from ...models import Prompt

__all__ = ["PromptPage"]


class PromptPage:
    """A page at ``<prompt>/<path>/``.

    :param of: the prompts' admin.
    """

    path: ClassVar[str]

    def __init__(self, of: admin.ModelAdmin) -> None:  # type: ignore[type-arg]
        self.admin = of

    def url(self) -> URLPattern:
        """Return what to add to the admin's URLs."""
        view = self.admin.admin_site.admin_view(self._view)
        return path(f"<path:object_id>/{self.path}/", view, name=f"lingstream_prompt_{self.path}")

    def respond(self, request: HttpRequest, prompt: Prompt) -> HttpResponse:
        """Answer somebody who may see the prompt."""
        raise NotImplementedError

    def context(self, request: HttpRequest, prompt: Prompt, title: str) -> dict[str, Any]:
        """Return what the admin's own templates ask for."""
        more = {"title": title, "opts": Prompt._meta, "original": prompt, "media": self.admin.media}
        return {**self.admin.admin_site.each_context(request), **more}

    def back(self, request: HttpRequest, prompt: Prompt, problem: str) -> HttpResponse:
        """Go to the prompt's page, with what is wrong."""
        messages.error(request, problem)
        return redirect(reverse("admin:lingstream_prompt_change", args=[prompt.pk]))

    def _view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        prompt = self.admin.get_object(request, object_id)
        if prompt is None:
            raise Http404
        if not self.admin.has_view_or_change_permission(request, prompt):
            raise PermissionDenied
        return self.respond(request, prompt)
