"""System checks: importing this registers them all."""

from . import access, ports, settings, site

__all__ = ["access", "ports", "settings", "site"]
