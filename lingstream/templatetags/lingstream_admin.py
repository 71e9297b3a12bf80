"""``{% load lingstream_admin %}``: what the admin's own pages need."""

from __future__ import annotations

from typing import Any

from django import template

__all__ = ["lingstream_dashboard", "register", "seconds", "translated"]

register = template.Library()


@register.filter
def translated(text: str) -> str:
    """Return what went wrong in the language of who reads it; see :mod:`lingstream.models.phrases`."""
    from lingstream.models import phrases

    return phrases.translated(text)


@register.filter
def seconds(number: float | None) -> str:
    """Return a time as the admin shows it; see :func:`lingstream.admin.display.in_seconds`."""
    from lingstream.admin.display import in_seconds

    return in_seconds(number)


@register.simple_tag(takes_context=True)
def lingstream_dashboard(context: template.Context) -> dict[str, Any]:
    """Return what the app's index page shows; see :mod:`lingstream.admin.runs.dashboard`."""
    # Django imports this module on every site; not every site has the admin.
    from lingstream.admin.runs.dashboard import dashboard

    return dashboard(context["request"])
