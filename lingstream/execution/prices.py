"""What runs cost: tokens by the prices that stand at their providers when they end.

A provider says what a million tokens cost, or that the package genai-prices knows (the extra ``prices``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib import import_module
from typing import Any, NamedTuple

from lingstream.models import Provider
from lingstream.models.validators import LISTED

__all__ = ["Tariff", "cost_of", "known_prices"]


class Tariff(NamedTuple):
    """What a provider takes.

    :param models: by the model: what a million tokens cost, or :data:`.validators.LISTED`.
    :param kind: as the provider's, and ``base_url``: by them the package knows whose prices are meant.
    """

    models: Mapping[str, Any]
    kind: str = ""
    base_url: str = ""


Prices = Mapping[str, Tariff]  # by the provider's name

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
        rows = Provider.objects.exclude(prices={}).values_list("name", "prices", "kind", "base_url")
        _known = now, {name: Tariff(*columns) for name, *columns in rows}
    return _known[1]


def cost_of(trace: Iterable[Mapping[str, Any]], prices: Prices) -> Decimal | None:
    """Return what the step runs of a trace cost together; ``None``: none of them has a price.

    :param trace: entries as :func:`~lingstream.core.engine.trace.trace_of` makes them.
    """
    costs = [cost for entry in trace if (cost := _cost(entry, prices)) is not None]
    return min(sum(costs, Decimal()), _MOST).quantize(_EXACT) if costs else None


def _cost(entry: Mapping[str, Any], prices: Prices) -> Decimal | None:
    tariff, model = prices.get(entry.get("provider", ""), Tariff({})), entry.get("model", "")
    price = tariff.models.get(model) or tariff.models.get("*")
    if price is None:
        return None
    asked, said = entry["tokens"]
    if price == LISTED:
        return _listed(tariff, model, asked, said)
    costs: Decimal = asked * _per_million(price, "input") + said * _per_million(price, "output")
    return costs / _MILLION


def _listed(tariff: Tariff, model: str, asked: int, said: int) -> Decimal | None:
    """What the package says, in US dollars; ``None``: it does not know the address or the model."""
    if not (tariff.base_url or tariff.kind == "openai"):
        return None
    whose = {"provider_api_url": tariff.base_url} if tariff.base_url else {"provider_id": "openai"}
    try:
        package: Any = import_module("genai_prices")  # here, as it is large, and may have gone meanwhile
        usage = package.Usage(input_tokens=asked, output_tokens=said)
        found: Decimal = package.calc_price(usage, model, **whose).total_price
    except (ImportError, LookupError):
        return None
    return found


def _per_million(price: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str(price.get(name, 0)))
