"""System checks: importing this registers them all."""

from . import access, occasions, ports, schedules, settings, site

__all__ = ["access", "occasions", "ports", "schedules", "settings", "site"]
