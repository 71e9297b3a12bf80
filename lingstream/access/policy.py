"""What the site's settings say about access, in the form in which it is asked."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ..conf import app_settings
from ..core.exceptions import ConfigurationError
from ..core.phrases import Phrase
from .network import Guard, target

__all__ = ["ACCESS", "Rate", "default_access", "parse_rate", "site_guard"]

ACCESS = ("anyone", "authenticated", "permission")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/([smhd])")


class Rate(NamedTuple):
    """At most ``most`` in ``seconds``."""

    most: int
    seconds: int


def parse_rate(text: str) -> Rate | None:
    """Return the rate that ``60/m`` writes, ``None`` for ``""``, which is no bound.

    :raises ConfigurationError: anything else.
    """
    if not text:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise ConfigurationError(Phrase("expected a rate like 60/m (s, m, h or d), got %(got)r", got=text))
    return Rate(int(found[1]), _SECONDS[found[2]])


def default_access() -> str:
    """Return who may start a workflow that does not say so itself; for a word that is none, the fewest."""
    given = app_settings().default_access
    return given if given in ACCESS else "permission"


def site_guard() -> Guard:
    """Return the guard of outgoing addresses: what the settings and the environment name is open.

    An address that ``PROVIDER_KEYS`` lists was written by the operator, as ``ALLOW_HOSTS`` was.
    """
    given = app_settings()
    allowed = list(given.allow_hosts)
    for prefixes in given.provider_keys.values():
        allowed += [_written(*found) for prefix in prefixes if (found := target(prefix))]
    if endpoint := target(os.environ.get("LINGSTREAM_ENDPOINT", "")):
        allowed.append(endpoint[0])
    return Guard(allowed)


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
