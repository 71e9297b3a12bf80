"""The demo's page."""

from __future__ import annotations

from typing import Any

from django.views.generic import TemplateView

from lingstream.models import Provider

__all__ = ["Demo"]


class Demo(TemplateView):
    """All workflows of the demo, each with its form, its page and what comes over the wire."""

    template_name = "demo/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say whether answers are recorded, as long as no model is configured."""
        keyless = Provider.objects.filter(name="demo", kind="scripted").exists()
        return super().get_context_data(**kwargs, keyless=keyless)
