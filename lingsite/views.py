"""The demo's pages."""

from __future__ import annotations

from typing import Any

from django.views.generic import TemplateView

from lingstream.models import Provider, Workflow

from .demo_data import WORKFLOWS
from .pages import markdown, page

__all__ = ["Demo", "Docs", "Page"]

_EXAMPLES = (
    "How does a step wait until several other steps have ended?",
    "Why are absolute uris emitted by the parser instead of relative ones?",
    "May visitors attach files to a message, and how large?",
)


class Demo(TemplateView):
    """All workflows of the demo, each with its form, its page and what comes over the wire, and a chat."""

    template_name = "demo/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say whether answers are recorded, as no model is configured, and what of the demo is there."""
        keyless = Provider.objects.filter(name="demo", kind="scripted").exists()
        workflows = set(Workflow.objects.filter(slug__in=WORKFLOWS).values_list("slug", flat=True))
        return super().get_context_data(**kwargs, keyless=keyless, workflows=workflows)


class Docs(TemplateView):
    """Questions about lingstream, answered from its documentation."""

    template_name = "demo/docs.html"
    extra_context = {"examples": _EXAMPLES}


class Page(TemplateView):
    """One page of the documentation."""

    template_name = "demo/page.html"

    def get_context_data(self, name: str, **kwargs: Any) -> dict[str, Any]:
        """Read it anew, so that what somebody writes shows."""
        return super().get_context_data(**kwargs, name=name, body=markdown(page(name)))
