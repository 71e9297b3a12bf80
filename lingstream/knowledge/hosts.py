"""Which hosts are right about when their documents have changed: what is judged by those that have not.

A host that says of nearly all documents that are as before that they have changed is not believed, until it
is right again. Of a document that has changed nobody knows whether that was its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

__all__ = ["HostDates", "host_of"]

#: Wrong dates from which on a host is not believed, and how many times as many they are as right ones.
_FEW, _MANIFOLD = 5, 9
_REMEMBERED = 100  # documents of a host by which it is judged: what is long ago counts for less and less
_HOSTS = 20  # that are remembered, those judged last


class HostDates:
    """What is known of the dates of hosts, and what a pass learns of them.

    :param known: by host: of documents that were as before, how many it said to have changed, and how many
        not.
    """

    def __init__(self, known: Mapping[str, Sequence[int]] | None = None) -> None:
        self._known = dict(known or {})
        self._said: dict[str, tuple[str, bool]] = {}
        self._judged: Counter[tuple[str, bool]] = Counter()

    @property
    def distrusted(self) -> list[str]:
        """Hosts that say of nearly all documents that they have changed, of which few have."""
        return [
            host
            for host, (wrong, right) in self._known.items()
            if wrong >= _FEW and wrong >= _MANIFOLD * right
        ]

    def hear(self, key: str, url: str, changed: bool) -> None:
        """Hear whether a host says of a document that it has changed since it was looked at last."""
        self._said[key] = (host_of(url), changed)

    def judge(self, key: str, changed: bool) -> None:
        """Hear whether a document has changed; what its host said of it counts once."""
        host, said = self._said.pop(key, ("", False))
        if host and not changed:
            self._judged[host, said] += 1

    def learned(self) -> dict[str, Sequence[int]] | None:
        """Return what is known by now, if that is more than when this was asked last."""
        if not self._judged:
            return None
        for host in {host: None for host, _ in self._judged}:
            wrong, right = self._known.pop(host, (0, 0))
            wrong, right = wrong + self._judged[host, True], right + self._judged[host, False]
            shrink = min(1, _REMEMBERED / (wrong + right))
            self._known[host] = [round(wrong * shrink), round(right * shrink)]
        self._judged.clear()
        self._known = dict(list(self._known.items())[-_HOSTS:])
        return self._known


def host_of(url: str) -> str:
    """Return the host of an address, or ``""``."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
