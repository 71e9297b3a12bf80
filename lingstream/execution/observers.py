"""The observers that this site uses."""

from __future__ import annotations

from functools import lru_cache

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from lingstream.conf import app_settings
from lingstream.core.engine.observers import Observers

__all__ = ["get_observers"]


def get_observers() -> Observers:
    """Return this process's observers, made from ``LINGSTREAM["OBSERVERS"]`` at the first call."""
    return _made()


@lru_cache(maxsize=1)
def _made() -> Observers:
    return Observers([import_string(path)() for path in app_settings().observers])


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _made.cache_clear()


setting_changed.connect(_forget)
