"""The repairing parser: complete, character by character, written to be followed and not to be fast."""

from __future__ import annotations

from .structure import Repairer, State

__all__ = ["Repairer", "State"]
