"""Where this site serves us: below its prefix, wherever it includes our urls."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import get_script_prefix, reverse

from lingstream.conf import app_settings
from lingstream.models import Run

__all__ = ["http_base", "run_url", "socket_url"]


def run_url(request: HttpRequest, name: str, run: Run) -> str:
    """Return the path of a run's view, in the same ``include`` that the request came by."""
    return reverse(f"lingstream:{name}", args=[run.pk], current_app=_current_app(request))


def http_base(request: HttpRequest | None = None) -> str:
    """Return the path under which ``lingstream.urls`` is included.

    :raises NoReverseMatch: it is included nowhere.
    """
    path = reverse("lingstream:runs", args=["-"], current_app=_current_app(request))
    return path.removesuffix("workflows/-/runs/")


def socket_url() -> str:
    """Return the path of the WebSocket, as a browser has to ask for it."""
    return get_script_prefix() + app_settings().socket_path.lstrip("/")


def _current_app(request: Any) -> str | None:
    """As Django's ``{% url %}`` finds it."""
    match = getattr(request, "resolver_match", None)
    found: str | None = getattr(request, "current_app", None) or getattr(match, "namespace", None)
    return found
