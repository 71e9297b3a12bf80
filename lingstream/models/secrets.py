"""Secrets of rows: derived from the row and the site's key, so that no dump of the database has any."""

from __future__ import annotations

from typing import Any, Protocol

from django.utils.crypto import salted_hmac

__all__ = ["derived_secret"]


class _Row(Protocol):
    """A row whose secret is renewed by one more ``secret_version``."""

    pk: Any
    secret_version: Any


def derived_secret(purpose: str, row: _Row, *of: str) -> str:
    """Return the secret of a row: 64 hexadecimal digits, the same until it is renewed.

    :param purpose: what it is for; secrets for two purposes have nothing in common.
    :param of: whose it is of those that share the row: a tenant.
    """
    name = ":".join((str(row.pk), str(row.secret_version), *of))
    return salted_hmac(purpose, name, algorithm="sha256").hexdigest()
