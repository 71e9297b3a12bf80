"""How often who may start runs, and how many at a time.

The port is one method; ``LINGSTREAM["THROTTLE"]`` names another implementation, or none. The default counts
starts in Django's cache (so they are counted per process, unless the cache is shared) and open runs in the
database. A cache that is away bounds nothing, and says so in the log.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.core.cache import cache
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from ..conf import app_settings
from ..core.exceptions import RateLimited
from ..models import OPEN, Run
from .identity import Identity
from .policy import Rate, parse_rate

__all__ = ["Asked", "CacheThrottle", "Throttle", "check_throttle", "counted_for"]

logger = logging.getLogger("lingstream")

_SALT = "lingstream.throttle"
_BY_ADDRESS = "address:"
_BUSY = 5  # seconds after which who has too many open runs may try again


class Asked(NamedTuple):
    """One start from outside.

    :param counted_for: whom it is counted for: ``user:5``, ``session:…`` or, for a visitor without either, a
        digest of the address.
    :param by_user: somebody has signed in.
    """

    workflow: str
    counted_for: str
    identity: Identity
    by_user: bool


class Throttle(Protocol):
    """The port: asked in a thread, before a run from outside is created; runs of a known key are not new."""

    def check(self, asked: Asked) -> None:
        """Count the start.

        :raises RateLimited: it is one too many.
        """
        ...


class CacheThrottle:
    """``STARTS_PER_IDENTITY``, ``STARTS_PER_ADDRESS`` (for who has not signed in) and ``OPEN_RUNS``."""

    def check(self, asked: Asked) -> None:
        """See :meth:`Throttle.check`."""
        given = app_settings()
        known = asked.identity.owner_key
        address = "" if asked.by_user else asked.identity.address
        if given.open_runs and _open_runs(asked.counted_for) >= given.open_runs:
            if asked.counted_for.startswith(_BY_ADDRESS):
                _hint(address)
            raise RateLimited(
                f"expected up to {given.open_runs} runs at the same time; wait for one to end",
                retry_after=_BUSY,
            )
        if known != "anyone":
            _count("identity", known, parse_rate(given.starts_per_identity))
        if address:
            try:
                _count("address", _digest(address), parse_rate(given.starts_per_address))
            except RateLimited:
                _hint(address)
                raise


def counted_for(identity: Identity) -> str:
    """Return whom open runs of ``identity`` are counted for; ``""`` for what the site's own code starts."""
    if identity.trusted:
        return ""
    # A visitor without a session has made himself known: for as many times as he likes.
    is_held = identity.owner_id is not None or identity.session
    return identity.owner_key if is_held else _BY_ADDRESS + _digest(identity.address)


def check_throttle(workflow: str, identity: Identity) -> None:
    """Ask the site's throttle about a start, if it comes from outside.

    :raises RateLimited: it is one too many.
    """
    path = app_settings().throttle
    if path and not identity.trusted:
        by_user = identity.owner_id is not None
        _made(path).check(Asked(workflow, counted_for(identity), identity, by_user))


@lru_cache(maxsize=8)
def _made(path: str) -> Any:
    return import_string(path)()


def _count(kind: str, who: str, rate: Rate | None) -> None:
    if rate is None:
        return
    now = time.time()
    window = int(now // rate.seconds)
    left = int((window + 1) * rate.seconds - now) + 1
    name = hashlib.sha256(who.encode()).hexdigest()
    if _increment(f"lingstream.{kind}.{rate.seconds}.{window}.{name}", rate.seconds + 1) > rate.most:
        raise RateLimited(
            f"expected up to {rate.most} starts in {rate.seconds} s; try again in {left} s", retry_after=left
        )


def _hint(address: str) -> None:
    """Say once a minute what usually is the cause: a proxy whose address all visitors seem to have."""
    with contextlib.suppress(Exception):  # the cache may be away
        if cache.add(f"lingstream.hint.{_digest(address)}", 1, 60):
            logger.warning(
                "too many starts or open runs from %s; behind proxies set TRUSTED_PROXIES", address
            )


def _open_runs(who: str) -> int:
    return Run.objects.filter(counted_for=who, status__in=OPEN).count()


def _increment(key: str, seconds: int) -> int:
    try:
        cache.add(key, 0, seconds)
        return int(cache.incr(key))
    except ValueError:
        return 1  # it ran out in between, or the cache keeps nothing
    except Exception:
        logger.warning("starts are not counted: the cache is away", exc_info=True)
        return 0


def _digest(address: str) -> str:
    """An address is personal data: what is stored can be compared, and not read."""
    return salted_hmac(_SALT, address, algorithm="sha256").hexdigest()[:40]
