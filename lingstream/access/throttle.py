"""How often who may start runs and send files, and how many runs at a time.

The port is one method; ``LINGSTREAM["THROTTLE"]`` names another implementation, or none. The default counts
starts and files in Django's cache (so they are counted per process, unless the cache is shared) and open runs
in the database. A cache that is away bounds nothing, and says so in the log.
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
from ..core.phrases import Phrase
from ..models import Run
from ..models.locks import alone
from .identity import Identity
from .policy import Rate, parse_rate

__all__ = [
    "START",
    "UPLOAD",
    "Asked",
    "CacheThrottle",
    "Throttle",
    "check_stored",
    "check_throttle",
    "counted_for",
]

logger = logging.getLogger("lingstream")

START, UPLOAD = "start", "upload"

_SALT = "lingstream.throttle"
_BY_ADDRESS = "address:"
_TOO_OFTEN = {
    START: Phrase("expected up to %(most)s starts in %(seconds)s s; try again in %(left)s s"),
    UPLOAD: Phrase("expected up to %(most)s uploads in %(seconds)s s; try again in %(left)s s"),
}
_BUSY = 5  # seconds after which who has too many open runs may try again


class Asked(NamedTuple):
    """One start from outside, or one file.

    :param counted_for: whom it is counted for: ``user:5``, ``session:…`` or, for a visitor without either, a
        digest of the address.
    :param by_user: somebody has signed in.
    :param what: :data:`START`, of a run or a conversation, or :data:`UPLOAD`, of a file.
    :param rate: what the chat allows that it is a turn of, ``""`` where nothing is said.
    """

    workflow: str
    counted_for: str
    identity: Identity
    by_user: bool
    what: str = START
    rate: str = ""


class Throttle(Protocol):
    """The port: asked in a thread, before a run from outside is created (runs of a known key are not new),
    and before a file is kept."""

    def check(self, asked: Asked) -> None:
        """Count what is asked.

        :raises RateLimited: it is one too many.
        """
        ...


class CacheThrottle:
    """``STARTS_PER_IDENTITY``, ``STARTS_PER_ADDRESS`` (for who has not signed in) and ``OPEN_RUNS``; of files
    ``UPLOADS_PER_IDENTITY`` and ``UPLOADS_PER_ADDRESS``.
    """

    def check(self, asked: Asked) -> None:
        """See :meth:`Throttle.check`."""
        given = app_settings()
        known = asked.identity.owner_key
        address = "" if asked.by_user else asked.identity.address
        if asked.what == UPLOAD:
            rates = given.uploads_per_identity, given.uploads_per_address
        else:
            self._check_open(asked)
            rates = given.starts_per_identity, given.starts_per_address
        chat = f"chat.{asked.workflow}", parse_rate(asked.rate)
        if known != "anyone":
            _count(asked.what, "identity", known, parse_rate(rates[0]))
            _count(asked.what, chat[0], known, chat[1])
        if address:
            try:
                _count(asked.what, "address", _digest(address), parse_rate(rates[1]))
                _count(asked.what, chat[0], _digest(address), chat[1])
            except RateLimited:
                _hint(address)
                raise

    def check_stored(self, asked: Asked) -> None:
        """Count open runs once more, when the run is stored and before that is committed.

        Of starts that come at once, each has seen room for itself alone.
        """
        if app_settings().open_runs:
            alone(Run, asked.counted_for)
            self._check_open(asked, stored=1)

    def _check_open(self, asked: Asked, stored: int = 0) -> None:
        most = app_settings().open_runs
        if most and _open_runs(asked.counted_for) - stored >= most:
            if asked.counted_for.startswith(_BY_ADDRESS):
                _hint(asked.identity.address)
            raise RateLimited(
                Phrase("expected up to %(most)s runs at the same time; wait for one to end", most=most),
                retry_after=_BUSY,
            )


def counted_for(identity: Identity) -> str:
    """Return whom open runs of ``identity`` are counted for; ``""`` for what the site's own code starts."""
    if identity.trusted:
        return ""
    # A visitor without a session has made himself known: for as many times as he likes.
    is_held = identity.owner_id is not None or identity.session
    return identity.owner_key if is_held else _BY_ADDRESS + _digest(identity.address)


def check_throttle(workflow: str, identity: Identity, what: str = START, rate: str = "") -> None:
    """Ask the site's throttle about a start or a file, if it comes from outside.

    :param what: as in :class:`Asked`.
    :param rate: as in :class:`Asked`.
    :raises RateLimited: it is one too many.
    """
    if throttle := _throttle_for(identity):
        throttle.check(_asked(workflow, identity, what, rate))


def check_stored(workflow: str, identity: Identity) -> None:
    """Decide about a start in the transaction that has stored its run; a throttle of a site's own did before.

    :raises RateLimited: it is one too many.
    """
    throttle = _throttle_for(identity)
    if isinstance(throttle, CacheThrottle):
        throttle.check_stored(_asked(workflow, identity))


def _throttle_for(identity: Identity) -> Throttle | None:
    path = app_settings().throttle
    return _made(path) if path and not identity.trusted else None


def _asked(workflow: str, identity: Identity, what: str = START, rate: str = "") -> Asked:
    return Asked(workflow, counted_for(identity), identity, identity.owner_id is not None, what, rate)


@lru_cache(maxsize=8)
def _made(path: str) -> Any:
    return import_string(path)()


def _count(what: str, kind: str, who: str, rate: Rate | None) -> None:
    if rate is None:
        return
    now = time.time()
    window = int(now // rate.seconds)
    left = int((window + 1) * rate.seconds - now) + 1
    name = hashlib.sha256(who.encode()).hexdigest()
    if _increment(f"lingstream.{what}.{kind}.{rate.seconds}.{window}.{name}", rate.seconds + 1) > rate.most:
        message = Phrase(_TOO_OFTEN[what].template, most=rate.most, seconds=rate.seconds, left=left)
        raise RateLimited(message, retry_after=left)


def _hint(address: str) -> None:
    """Say once a minute what usually is the cause: a proxy whose address all visitors seem to have."""
    with contextlib.suppress(Exception):  # the cache may be away
        if cache.add(f"lingstream.hint.{_digest(address)}", 1, 60):
            logger.warning(
                "too many starts or open runs from %s; behind proxies set TRUSTED_PROXIES", address
            )


def _open_runs(who: str) -> int:
    return Run.objects.real().open().filter(counted_for=who).count()


def _increment(key: str, seconds: int) -> int:
    try:
        cache.add(key, 0, seconds)
        return int(cache.incr(key))
    except ValueError:
        return 1  # it ran out in between, or the cache keeps nothing
    except Exception:
        logger.warning("starts and files are not counted: the cache is away", exc_info=True)
        return 0


def _digest(address: str) -> str:
    """An address is personal data: what is stored can be compared, and not read."""
    return salted_hmac(_SALT, address, algorithm="sha256").hexdigest()[:40]
