"""The one guard of outgoing addresses: what a row of the database names may lead to the public internet only.

A name is resolved once, every address that it has is judged, and the connection goes to an address that was
judged: a name that answers differently the next time (DNS rebinding) gains nothing. Redirects are connections
like others. ``LINGSTREAM["ALLOW_HOSTS"]``, which no row can change, opens single hosts.

Outside Django (the core's tests, ``lingstream.testing``) there is no site to protect and no guard: it is
installed when the app is ready.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote, urlsplit

from ..core.exceptions import ConfigurationError
from ..core.phrases import Phrase

__all__ = ["AddressRefused", "Guard", "climbs", "guard", "install", "is_on_the_web", "is_public", "target"]

PORTS = frozenset((80, 443))
_DEFAULT_PORTS = {"http": 80, "https": 443}

# What browsers pass over before an address, as Python does from 3.11.4 on.
_PASSED_OVER = "".join(map(chr, range(0x21)))

# Beside these only 2000::/3 is given to anybody: what is not listed as good is refused.
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
# 6to4, Teredo (which lead to the IPv4 address in them) and other protocols' own, and documentation.
_NOT_PUBLIC_V6 = (IPv6Network("2002::/16"), IPv6Network("2001::/23"), IPv6Network("3fff::/20"))
# Python's is_global calls them global in some of the versions that we run on.
_NOT_PUBLIC = (
    IPv4Network("100.64.0.0/10"),  # carriers' own
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("224.0.0.0/3"),  # multicast and reserved
)


class AddressRefused(ConfigurationError):
    """A host that is not public and that ``LINGSTREAM["ALLOW_HOSTS"]`` does not list."""

    code = "address"


def is_public(address: str) -> bool:
    """Whether ``address`` belongs to the public internet, and so does what is embedded in it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False  # with a zone (fe80::1%eth0) it is of one link
    if isinstance(parsed, IPv6Address):
        return _is_public_v6(parsed)
    return parsed.is_global and not any(parsed in network for network in _NOT_PUBLIC)


def target(url: str) -> tuple[str, int] | None:
    """Return host and port of an http address, or ``None``."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.hostname, port) if parts.hostname else None


def is_on_the_web(url: str) -> bool:
    """Whether a link in a page leads to the web, be it relative: and to no script, file or program."""
    try:
        return urlsplit(url.lstrip(_PASSED_OVER)).scheme in ("", "http", "https")
    except ValueError:
        return False


def climbs(path: str) -> bool:
    """Whether a server that decodes the path of an address, once or twice, may find ``..`` in it."""
    segments = re.split(r"[/\\]", unquote(unquote(path)))
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


class Guard:
    """Decides where this process may connect to.

    :param allowed: hosts that are open although they are not public: ``host`` with every port, or
        ``host:port``.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {_normal(entry) for entry in allowed}

    def check(self, host: str, port: int) -> None:
        """Check what can be said without asking the DNS: the port, and a host that is an address.

        :raises AddressRefused: it is not public.
        """
        if self.allows(host, port):
            return
        if port not in PORTS:
            message = Phrase(
                "expected port 80 or 443, got %(host)s:%(port)s; LINGSTREAM['ALLOW_HOSTS'] opens others",
                host=host,
                port=port,
            )
            raise AddressRefused(message)
        if (literal := _literal(host)) and not is_public(literal):
            raise self._refusal(host, port)

    def judge(self, host: str, port: int, addresses: Collection[str]) -> None:
        """Check all the addresses that a host has; one that is not public spoils the others.

        :raises AddressRefused: it is not public.
        """
        self.check(host, port)
        if not self.allows(host, port) and not all(map(is_public, addresses)):
            raise self._refusal(host, port)

    def look_up(self, host: str, port: int) -> None:
        """Check a host with the DNS; it blocks. One that has no address yet is judged when it is used.

        :raises AddressRefused: it is not public.
        """
        self.check(host, port)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        self.judge(host, port, _addresses(found))

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses to connect to, the families in turn.

        :raises AddressRefused: the host is not public.
        :raises OSError: it has no address.
        :raises UnicodeError: nor can it have one.
        """
        self.check(host, port)
        loop = asyncio.get_running_loop()
        addresses = _addresses(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        self.judge(host, port, addresses)
        return addresses

    def allows(self, host: str, port: int) -> bool:
        """Whether the site lists the host, or this port of it."""
        name = _name(host)
        return name in self._allowed or f"{name}:{port}" in self._allowed

    @staticmethod
    def _refusal(host: str, port: int) -> AddressRefused:
        message = Phrase(
            "expected a public address, but %(host)s:%(port)s is inside the network; if it shall be reached, "
            "list it in LINGSTREAM['ALLOW_HOSTS']",
            host=host,
            port=port,
        )
        return AddressRefused(message)


_installed: Callable[[], Guard] | None = None


def install(make: Callable[[], Guard] | None) -> None:
    """Set what makes this process's guard; it is asked at each connection, so that settings may change."""
    global _installed
    _installed = make


def guard() -> Guard | None:
    """Return this process's guard, or ``None`` outside a site."""
    return _installed() if _installed else None


def _is_public_v6(address: IPv6Address) -> bool:
    # An address behind NAT64 (or written as mapped) is the IPv4 address in it.
    if address in _NAT64 or address in _MAPPED:
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    special = any(address in network for network in _NOT_PUBLIC_V6)
    return address.is_global and address in _UNICAST and not special and not address.scope_id


def _addresses(found: Iterable[tuple[object, ...]]) -> list[str]:
    """The addresses of ``getaddrinfo``, each once, IPv6 and IPv4 in turn."""
    by_family: dict[object, list[str]] = {}
    for family, _, _, _, place in found:
        address = str(place[0])  # type: ignore[index]
        known = by_family.setdefault(family, [])
        if address not in known:
            known.append(address)
    longest = max(map(len, by_family.values()), default=0)
    return [known[index] for index in range(longest) for known in by_family.values() if index < len(known)]


def _literal(host: str) -> str | None:
    try:
        return str(ip_address(_name(host)))
    except ValueError:
        return None


def _name(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _normal(entry: str) -> str:
    """``Host:Port`` as it is compared: an IPv6 address may stand in brackets, and must with a port."""
    host, separator, port = entry.rpartition(":")
    if separator and (":" not in host or host.endswith("]")):
        return f"{_name(host)}:{port}"
    return _name(entry)
