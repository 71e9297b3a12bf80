"""System checks of access.

===================  =====================================================================
``lingstream.E011``  a setting of access, or a chat's rate, has a value that it cannot have
``lingstream.W011``  a workflow that anyone may start, one message for each
``lingstream.W017``  a chat that anyone may use as often as he likes, one message for each
===================  =====================================================================

W011 knows the workflows in Python, and with ``check --database default`` and ``migrate`` the rows too. A site
that is public on purpose silences it (``SILENCED_SYSTEM_CHECKS``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning
from django.db import DatabaseError, connections

from lingstream.access.policy import ACCESS, default_access, parse_rate
from lingstream.conf import app_settings
from lingstream.core.engine.registry import declared, registered
from lingstream.core.exceptions import ConfigurationError

from .settings import register

__all__ = ["check_access_settings", "check_public_functions", "check_public_rows"]

_RATES = ("starts_per_identity", "starts_per_address", "uploads_per_identity", "uploads_per_address")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?|[0-9A-Fa-f:.]+")


@register(Tags.security)
def check_access_settings(**kwargs: Any) -> list[CheckMessage]:
    """Words and rates among the settings of access."""
    given = app_settings()
    found: list[CheckMessage] = []
    if given.default_access not in ACCESS:
        expected = ", ".join(map(repr, ACCESS))
        found.append(_fault("DEFAULT_ACCESS", f"expected {expected}, got {given.default_access!r}"))
    for name in _RATES:
        try:
            parse_rate(getattr(given, name))
        except (ConfigurationError, TypeError) as error:
            found.append(_fault(name.upper(), str(error)))
    for slug in registered():
        try:
            parse_rate(chat.rate if (chat := declared(slug).chat) else "")
        except (ConfigurationError, TypeError) as error:
            found.append(Error(f"The chat {slug!r}: {error}.", id="lingstream.E011"))
    if isinstance(given.allow_hosts, Sequence):
        wrong = [entry for entry in given.allow_hosts if not _HOST.fullmatch(str(entry))]
        found += [_fault("ALLOW_HOSTS", f"expected host or host:port, got {entry!r}") for entry in wrong]
    return found


@register(Tags.security)
def check_public_functions(**kwargs: Any) -> list[CheckMessage]:
    """Workflows in Python that say anyone may start them (a row with the slug may say otherwise)."""
    public = [slug for slug in registered() if (declared(slug).access or default_access()) == "anyone"]
    chats = ((slug, declared(slug).chat) for slug in public)
    endless = [_endless(slug) for slug, chat in chats if chat and _has_no_bound(chat.rate)]
    return [*map(_public, public), *endless]


@register(Tags.database, Tags.security)
def check_public_rows(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Workflows in the database that anyone may start."""
    return [message for alias in databases or () for message in _public_rows(alias)]


def _public_rows(alias: str) -> Iterator[CheckMessage]:
    from lingstream.models import Chat, Workflow

    try:
        if Workflow._meta.db_table not in connections[alias].introspection.table_names():
            return
        public = Workflow.objects.using(alias).filter(access=Workflow.Access.ANYONE, enabled=True)
        yield from [_public(row.slug, row) for row in public.only("slug")]
        chats = Chat.objects.using(alias).filter(workflow__in=public, anonymous=True)
        rates = chats.values_list("workflow__slug", "rate")
        yield from [_endless(slug) for slug, rate in rates if _has_no_bound(rate)]
    except DatabaseError:
        return  # not migrated yet, which is another check's matter


def _public(slug: str, row: Any = None) -> CheckMessage:
    bound = "The throttle bounds it" if app_settings().throttle else "Nothing bounds it: THROTTLE is empty"
    hint = f"Each run costs money. {bound}; if it shall be public, silence this check."
    return Warning(f"Anyone may start the workflow {slug!r}.", hint=hint, obj=row, id="lingstream.W011")


def _has_no_bound(rate: str) -> bool:
    given = app_settings()
    return not given.throttle or not (rate or (given.starts_per_identity and given.starts_per_address))


def _endless(slug: str) -> CheckMessage:
    hint = "Set THROTTLE, and give the chat a rate like 20/m."
    message = f"Visitors may talk to the chat {slug!r} as often as they like."
    return Warning(message, hint=hint, id="lingstream.W017")


def _fault(name: str, message: str) -> CheckMessage:
    return Error(f"LINGSTREAM[{name!r}]: {message}.", id="lingstream.E011")
