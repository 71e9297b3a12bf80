"""Addresses of pages: the one form in which they are compared, and which of them a site lets us go to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import idna

from lingstream.access.network import climbs
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["MOST_CHARACTERS", "Area", "normalise", "origin_of"]

#: An address that is longer is none.
MOST_CHARACTERS = 2_000

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_NO_PLACE = re.compile(r"[a-z][a-z0-9+.-]*:(?!//[^/])|///", re.IGNORECASE)
_ENDS = "".join(map(chr, range(33)))  # what browsers take off both ends
_ODD = frozenset("#@\\ ")
_BREAKS = dict.fromkeys(map(ord, "\t\r\n"))
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SAFE_IN_PATH = "%/:@!$&'()*+,;=~"
_SAFE_IN_QUERY = _SAFE_IN_PATH + "?"
_SESSION = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
#: Parameters that say where a reader came from, or who it is, and not which page it is.
_TRACKING = frozenset(
    (
        *("fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "ttclid"),
        *("igshid", "mc_cid", "mc_eid", "mkt_tok", "_ga", "_gl", "_hsenc", "_hsmi", "oly_anon_id"),
        *("oly_enc_id", "vero_id", "wickedid", "s_cid", "srsltid", "phpsessid", "jsessionid"),
    )
)


def normalise(link: str, base: str = "") -> str:
    """Return the address that ``link`` means, in the one form in which addresses are compared and asked for.

    Scheme and host are in lower case and ASCII, without a default port; a path has no dots, and escapes only
    where it needs them; the fragment and what tracks a reader are dropped. Parameters are sorted by name, as
    pages that filter give them in every order; those of one name stay in order.

    :param base: the address of the page that it stands in.
    :returns: ``""`` where it is no http address that everybody reads in the same way.
    """
    head, mark, query = link.strip(_ENDS).translate(_BREAKS).partition("#")[0].partition("?")
    head = head.replace("\\", "/")
    if len(link) > MOST_CHARACTERS or _NO_PLACE.match(head):
        return ""
    try:
        parts = urlsplit(urljoin(base, head + mark + query))
        place = _place(parts.scheme, parts.netloc, parts.hostname or "", parts.port)
        path = _path(parts.path)
        query = _query(parts.query)
    except ValueError:
        return ""
    if not place or climbs(path):
        return ""
    found = f"{parts.scheme}://{place}{path}" + (f"?{query}" if query else "")
    return found if len(found) <= MOST_CHARACTERS else ""


def origin_of(address: str) -> str:
    """Return scheme, host and port of a normalised address: what one robots.txt speaks for."""
    return "/".join(address.split("/", 3)[:3])


def _place(scheme: str, given: str, host: str, port: int | None) -> str:
    """Host and port, ``""`` where there is no good one.

    :raises ValueError: it is no name, for those who ask the DNS.
    """
    if scheme not in _PORTS or set("@%") & set(given) or len(host) > 253:
        return ""
    if ":" in host:
        host = f"[{IPv6Address(host)}]"
    else:
        host = host.rstrip(".")
        host = host if host.isascii() else idna.encode(host, uts46=True).decode()
        if not _HOST.fullmatch(host):
            return ""
    return host if port in (None, _PORTS[scheme]) else f"{host}:{port}"


def _path(path: str) -> str:
    segments: list[str] = []
    given = _escaped(_SESSION.sub("", path), _SAFE_IN_PATH).split("/")[1:]
    for segment in given:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    if given[-1:] in (["."], [".."]):
        segments.append("")
    return "/" + "/".join(segments)


def _query(query: str) -> str:
    parts = [each for each in query.split("&") if each and not _tracks(each)]
    if all("=" in each for each in parts):  # of others, a server may take the first for a path
        parts.sort(key=lambda each: each.partition("=")[0])
    return _escaped("&".join(parts), _SAFE_IN_QUERY)


def _tracks(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in _TRACKING or name.startswith("utm_")


def _escaped(text: str, safe: str) -> str:
    text = quote(text, safe=safe, errors="replace")
    return _ESCAPE.sub(_escape, text) if "%" in text else text


def _escape(found: re.Match[str]) -> str:
    digits = found[1]
    if digits is None:
        return "%25"
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits.upper()}"


# -- where we may go --------------------------------------------------------------------------------------


class _Glob(NamedTuple):
    """A text with stars, each of which stands for anything, as in robots.txt.

    No regular expression: several stars would take it a time that grows with a power of the text.
    """

    parts: tuple[str, ...]

    def matches(self, text: str) -> bool:
        first, *middle = self.parts
        if not middle:
            return text == first
        *middle, last = middle
        at, end = len(first), len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last) or end < at:
            return False
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class _Pattern(NamedTuple):
    scheme: str  # "": both
    place: _Glob
    path: _Glob
    whole: bool  # the query counts

    def covers(self, scheme: str, place: str, path: str) -> bool:
        return (
            self.scheme in ("", scheme)
            and self.place.matches(place)
            and self.path.matches(path if self.whole else path.partition("?")[0])
        )


class Area:
    """The addresses that a source may have documents from.

    A pattern is ``https://docs.example.com/guide/``, without a scheme for both, or from the first slash on
    for every host. A star is anything; without a path, or with a slash at its end, a pattern covers all that
    is below. The query counts where the pattern has a question mark.

    :param allow: patterns, of which one must cover an address.
    :param deny: patterns, of which none may.
    :raises UsageError: one that is no pattern.
    """

    def __init__(self, allow: Iterable[str], deny: Iterable[str] = ()) -> None:
        self._allow = [_pattern(each) for each in allow]
        self._deny = [_pattern(each) for each in deny]

    def holds(self, address: str) -> bool:
        """Whether a normalised address is in it."""
        scheme, _, rest = address.partition("://")
        place, slash, path = rest.partition("/")
        return self._covered(self._allow, scheme, place, slash + path) and not self._covered(
            self._deny, scheme, place, slash + path
        )

    @staticmethod
    def _covered(patterns: Iterable[_Pattern], scheme: str, place: str, path: str) -> bool:
        return any(each.covers(scheme, place, path) for each in patterns)


def _pattern(text: str) -> _Pattern:
    scheme, mark, rest = text.strip().rpartition("://")
    scheme = scheme.lower()
    place, slash, path = rest.partition("/")
    named = place or (slash and not mark)
    if (mark and scheme not in _PORTS) or not named or len(text) > MOST_CHARACTERS or set(rest) & _ODD:
        message = Phrase(
            "expected an address with stars, like https://example.com/docs/*, got %(got)s",
            got=f"{text!r:.120}",
        )
        raise UsageError(message, code="option")
    head, whole, query = path.partition("?")
    path = _path("/" + head) + (f"?{_query(query)}" if whole else "")
    if path.endswith("/"):
        path += "*"
    return _Pattern(scheme, _glob(_place_of_pattern(place, scheme) or "*"), _glob(path), bool(whole))


def _place_of_pattern(place: str, scheme: str) -> str:
    labels = place.lower().removesuffix(f":{_PORTS.get(scheme)}").split(".")
    try:
        return ".".join(each if each.isascii() else idna.encode(each, uts46=True).decode() for each in labels)
    except idna.IDNAError as error:
        message = Phrase(
            "expected the name of a host, got %(got)s: %(why)s", got=f"{place!r:.120}", why=str(error)
        )
        raise UsageError(message, code="option") from None


def _glob(text: str) -> _Glob:
    return _Glob(tuple(re.sub(r"\*+", "*", text).split("*")))
