"""System checks: importing this registers them all."""

from . import access, settings, site

__all__ = ["access", "settings", "site"]
