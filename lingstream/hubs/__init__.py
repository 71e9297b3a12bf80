"""Hubs beside the one in memory, and the one that this site uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from lingstream.core.log.ports import Hub

from ..conf import app_settings

__all__ = ["get_hub", "hub_options", "shared_by_class"]


def get_hub() -> Hub:
    """Return this process's hub, made from ``LINGSTREAM["HUB"]`` at the first call."""
    return _made()


def hub_options() -> dict[str, Any]:
    """Return what the hub is made with: ``HUB_OPTIONS``, and the settings of all logs."""
    settings = app_settings()
    return {"ttl": settings.log_ttl, "max_frames": settings.log_frames, **settings.hub_options}


def shared_by_class() -> bool | None:
    """Return what the class in ``LINGSTREAM["HUB"]`` says of :attr:`Hub.shared`, and make no hub for it.

    :return: ``None`` where only a hub that is made could say: a function makes it, or it decides by its
        options; also where there is nothing to import.
    """
    try:
        said = getattr(import_string(app_settings().hub), "shared", None)
    except (ImportError, AttributeError):
        return None  # E001 or E002 says so
    return said if isinstance(said, bool) else None


@lru_cache(maxsize=1)
def _made() -> Hub:
    hub: Hub = import_string(app_settings().hub)(**hub_options())
    return hub


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _made.cache_clear()


setting_changed.connect(_forget)
