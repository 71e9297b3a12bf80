"""Which keys may go where: asked when a provider's row is saved, and again before each provider is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from lingstream.access.network import AddressRefused, Guard, climbs, target
from lingstream.access.policy import site_guard
from lingstream.conf import app_settings
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ConfigurationError, LingError, UsageError
from lingstream.core.phrases import Phrase

from .kinds import ProviderKind, kind_of
from .scripts import add_scripts

__all__ = [
    "admits",
    "carries",
    "check_key",
    "check_provider",
    "look_up_provider",
    "provider_key",
    "request_key",
]

# Options that would send a key elsewhere, or be one.
_FORBIDDEN_OPTIONS = frozenset(
    (
        "api_key",
        "admin_api_key",
        "azure_ad_token",
        "azure_ad_token_provider",
        "azure_endpoint",
        "base_url",
        "default_headers",
        "default_query",
        "http_client",
        "webhook_secret",
        "websocket_base_url",
        "workload_identity",
    )
)
_PORTS = {"http": 80, "https": 443}


def provider_key(plan: ProviderPlan) -> str:
    """Return the key of a provider, or ``""`` where it needs none.

    :raises UsageError: as :func:`check_provider`, or ``key-missing`` where the environment lacks it.
    """
    check_provider(plan)
    if not (plan.key_name and _kind(plan).remote):
        return ""
    return _key(plan.key_name, Phrase("the provider %(name)r", name=plan.name))


def request_key(name: str, url: str) -> str:
    """Return the key called ``name`` for a request of a step to ``url``.

    :raises UsageError: ``key-not-listed``, or ``base-url``: it may not be sent there; ``key-missing``.
    """
    allowed = check_key(name)
    if not carries(name, url):
        message = Phrase(
            "a step would send %(key)s to %(host)s, to an address to which LINGSTREAM['PROVIDER_KEYS'] does "
            "not allow it: %(known)s",
            key=name,
            host=urlsplit(url).hostname,
            known=", ".join(allowed) or Phrase("none"),
        )
        raise UsageError(message, code="base-url")
    return _key(name, Phrase("a step"))


def carries(name: str, url: str) -> bool:
    """Whether a request to ``url``, which may have a query and escapes, may carry the key called ``name``."""
    whole = head = url.partition("#")[0].partition("?")[0]
    if "%" in head:  # a prefix has no escapes: it ends before the first of them
        head = head.partition("%")[0].rpartition("/")[0]
    admitted = any(admits(prefix, head) for prefix in app_settings().provider_keys.get(name, ()))
    return admitted and not climbs(urlsplit(whole).path)


def check_key(name: str) -> Sequence[str]:
    """Return the addresses to which the key called ``name`` may be sent.

    :raises UsageError: ``key-not-listed``.
    """
    allowed = app_settings().provider_keys.get(name)
    if allowed is None:
        message = Phrase(
            "a step names the key %(key)r, which LINGSTREAM['PROVIDER_KEYS'] does not list", key=name
        )
        raise UsageError(message, code="key-not-listed")
    return allowed


def check_provider(plan: ProviderPlan) -> None:
    """Check a provider's options, and that its key may be sent where the provider points.

    :raises UsageError: ``key-not-listed`` for a key name that the setting does not list, ``base-url`` for an
        address that is none, that is inside the network or that the key may not be sent to, ``option`` for
        one that the kind does not take, or that would redirect it.
    """
    kind = _kind(plan)
    _check_options(plan, kind)
    if not kind.remote:
        return
    url = plan.base_url or kind.base_url
    if url and _parts(url) is None:
        message = Phrase(
            "the provider %(name)r: expected an address like https://api.example.com/v1, without user, query "
            "and dots in the path, got %(url)r",
            name=plan.name,
            url=url,
        )
        raise UsageError(message, code="base-url")
    _check_address(plan, url)
    if not plan.key_name:
        return
    allowed = app_settings().provider_keys.get(plan.key_name)
    if allowed is None:
        message = Phrase(
            "the provider %(name)r names the key %(key)r, which LINGSTREAM['PROVIDER_KEYS'] does not list",
            name=plan.name,
            key=plan.key_name,
        )
        raise UsageError(message, code="key-not-listed")
    if not any(admits(prefix, url) for prefix in allowed):
        message = Phrase(
            "the provider %(name)r would send %(key)s to %(url)r; LINGSTREAM['PROVIDER_KEYS'] allows "
            "%(allowed)s",
            name=plan.name,
            key=plan.key_name,
            url=url,
            allowed=", ".join(allowed) or Phrase("no address"),
        )
        raise UsageError(message, code="base-url")


def look_up_provider(plan: ProviderPlan) -> None:
    """Ask the DNS whether a provider's host is public: for who saves it, as it blocks.

    :raises UsageError: ``base-url``.
    """
    if _kind(plan).remote:
        _check_address(plan, plan.base_url, Guard.look_up)


def _key(name: str, whose: str) -> str:
    key = os.environ.get(name, "")
    if not key:
        message = Phrase(
            "%(whose)s needs the environment variable %(name)s, which is not set", whose=whose, name=name
        )
        raise ConfigurationError(message, code="key-missing")
    return key


def _check_address(
    plan: ProviderPlan, url: str, check: Callable[[Guard, str, int], None] = Guard.check
) -> None:
    """A row may not lead into the network; what a name resolves to is judged again at each connection."""
    try:
        if found := target(url):
            check(site_guard(), *found)
    except AddressRefused as error:
        raise ConfigurationError(_of(plan, error), code="base-url") from error


def _kind(plan: ProviderPlan) -> ProviderKind:
    given = app_settings()
    add_scripts(given.scripts)
    return kind_of(plan.kind, given.provider_kinds)


def _check_options(plan: ProviderPlan, kind: ProviderKind) -> None:
    if forbidden := sorted(_FORBIDDEN_OPTIONS & set(plan.options)):
        message = Phrase(
            "the provider %(name)r may not have the option %(option)r: addresses and keys have fields of "
            "their own",
            name=plan.name,
            option=forbidden[0],
        )
        raise UsageError(message, code="option")
    try:
        kind.check_options(plan)
    except UsageError as error:
        raise UsageError(_of(plan, error), code=error.code) from error


def _of(plan: ProviderPlan, error: LingError) -> Phrase:
    return Phrase("the provider %(name)r: %(problem)s", name=plan.name, problem=error.message)


def admits(prefix: str, url: str) -> bool:
    """Whether ``url`` is ``prefix`` or lies below it: same scheme, host, port, path at a boundary."""
    wanted, given = _parts(prefix), _parts(url)
    if wanted is None or given is None or wanted[:3] != given[:3]:
        return False
    head = wanted[3].rstrip("/")
    return given[3].rstrip("/") == head or given[3].startswith(head + "/")


def _parts(url: str) -> tuple[str, str, int, str] | None:
    """Scheme, host, port, path of a plain http address; ``None`` for what parsers may read in two ways."""
    if not url.isascii() or not url.isprintable() or set(url) & set(" \\@?#%"):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or {".", ".."} & set(parts.path.split("/")):
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path
