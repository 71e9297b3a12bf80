"""Hubs beside the one in memory, and the one that this site uses."""

from __future__ import annotations

from functools import lru_cache

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from lingstream.core.log.ports import Hub

from ..conf import app_settings

__all__ = ["get_hub"]


def get_hub() -> Hub:
    """Return this process's hub, made from ``LINGSTREAM["HUB"]`` at the first call."""
    return _made()


@lru_cache(maxsize=1)
def _made() -> Hub:
    settings = app_settings()
    options = {"ttl": settings.log_ttl, "max_frames": settings.log_frames, **settings.hub_options}
    hub: Hub = import_string(settings.hub)(**options)
    return hub


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _made.cache_clear()


setting_changed.connect(_forget)
