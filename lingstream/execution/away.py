"""A database that does not answer, and what whoever asked is told meanwhile."""

from __future__ import annotations

import logging

from django.db import InterfaceError, InternalError, OperationalError
from django.utils.translation import gettext as _

from lingstream.core.exceptions import LingError

__all__ = ["AWAY", "told_away"]

logger = logging.getLogger("lingstream")

AWAY = (OperationalError, InterfaceError, InternalError)
"""What Django raises when a database cannot be reached, is locked or has gone away.

The last is what PostgreSQL says to whom it has taken a transaction: he was silent in it for too long.
"""


def told_away(error: Exception) -> LingError:
    """Log what happened and return what may be told of it: nothing but that it is worth trying again."""
    logger.warning("the database is away: %s", error)
    message = _("the database does not answer at the moment; try again")
    return LingError(message, code="database", retryable=True)
