"""What expressions of the kind ``compute`` may use beside what templates have: numbers, times and new names.

All of it gives the same when a run is executed again, or a step would be another one then: ``now`` is the
time at which the run was started, and ``uuid4()`` is made of the run and of the place where it is asked for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from jinja2 import pass_context
from jinja2.runtime import Context

from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

__all__ = ["FILTERS", "SEED", "new_id"]

SEED = " seed"  # the space makes it a name that no template can write

_LONGEST_NUMBER = 400  # characters
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")


@pass_context
def new_id(context: Context) -> str:
    """Return a UUID; another one at each call of one rendering."""
    seed = context.resolve_or_missing(SEED)
    if not isinstance(seed, list):
        raise TemplateError(Phrase("expected to be in a step, which uuid4() makes its names of"))
    seed[1] += 1
    digest = hashlib.sha256(f"{seed[0]}\n{seed[1]}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def _to_int(value: Any) -> int:
    number = _to_float(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.lstrip("+-").isdecimal() else int(number)
    return int(value)


def _to_float(value: Any) -> float:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, (str, int, float)) and len(str(text)) <= _LONGEST_NUMBER:
        try:
            number = float(text)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise TemplateError(Phrase("expected a number, got %(got)s", got=f"{value!r:.80}"))


def _date_add(value: Any, **amounts: Any) -> str:
    if unknown := sorted(set(amounts).difference(_UNITS)):
        units, got = ", ".join(_UNITS), ", ".join(unknown)
        raise TemplateError(Phrase("expected %(units)s, got %(got)s", units=units, got=got))
    try:
        time = datetime.fromisoformat(value)
        moved = time + timedelta(**{unit: float(amount) for unit, amount in amounts.items()})
    except (TypeError, ValueError, OverflowError) as error:
        message = Phrase("expected a time like 2031-05-20T12:00:00+00:00: %(problem)s", problem=str(error))
        raise TemplateError(message) from error
    return moved.date().isoformat() if len(value) == 10 else moved.isoformat()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "date_add": _date_add,
    "to_float": _to_float,
    "to_int": _to_int,
}
