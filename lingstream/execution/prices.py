"""What runs cost: tokens by the prices that stand at their providers when they end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from lingstream.models import Provider

__all__ = ["cost_of", "known_prices"]

Prices = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by provider and model

_KEPT = 60.0  # seconds
_MILLION = Decimal(1_000_000)
_EXACT = Decimal("0.000001")
_MOST = Decimal(99_999_999)  # as the column

_known: tuple[float, Prices] = (0.0, {})


def known_prices() -> Prices:
    """Return the prices of all providers that have some; they are asked for once a minute."""
    global _known
    now = time.monotonic()
    if now - _known[0] > _KEPT or not _known[0]:
        _known = now, dict(Provider.objects.exclude(prices={}).values_list("name", "prices"))
    return _known[1]


def cost_of(trace: Iterable[Mapping[str, Any]], prices: Prices) -> Decimal | None:
    """Return what the step runs of a trace cost together; ``None``: none of them has a price.

    :param trace: entries as :func:`~lingstream.core.engine.trace.trace_of` makes them.
    """
    costs = [cost for entry in trace if (cost := _cost(entry, prices)) is not None]
    return min(sum(costs, Decimal()), _MOST).quantize(_EXACT) if costs else None


def _cost(entry: Mapping[str, Any], prices: Prices) -> Decimal | None:
    of_provider = prices.get(entry.get("provider", ""), {})
    price = of_provider.get(entry.get("model", "")) or of_provider.get("*")
    if price is None:
        return None
    asked, said = entry["tokens"]
    costs: Decimal = asked * _per_million(price, "input") + said * _per_million(price, "output")
    return costs / _MILLION


def _per_million(price: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str(price.get(name, 0)))
