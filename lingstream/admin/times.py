"""How long something takes: the median, and what 95 of 100 stay below."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Times"]


class Times(NamedTuple):
    """Seconds; ``None`` where there are none."""

    median: float | None
    p95: float | None

    @classmethod
    def of(cls, seconds: Iterable[float | None]) -> Times:
        """Return those of some calls."""
        found = sorted(each for each in seconds if each is not None)
        if not found:
            return cls(None, None)
        return cls(statistics.median(found), found[math.ceil(0.95 * len(found)) - 1])
