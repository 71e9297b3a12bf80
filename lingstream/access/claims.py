"""What a visitor asked before the login is the user's from then on."""

from __future__ import annotations

import logging
from typing import Any

from django.db import IntegrityError, models, router, transaction
from django.db.models import Exists, OuterRef

from ..models import Attachment, Conversation, Feedback, Run, owner_key
from ..models.locks import locked
from .visitors import digest_of, visitor_of

__all__ = ["claim", "claim_at_login"]

logger = logging.getLogger("lingstream")

_TRIES = 3
# In the order of lingstream.models.locks; the column is what an owner has each once of.
_CLAIMED: tuple[tuple[type[models.Model], str], ...] = ((Conversation, "external_id"), (Run, "key"))


def claim(user: Any, visitor: str) -> None:
    """Give all that a visitor has to ``user``, in one transaction, in all tenants.

    A start key or an external id that the user has already is taken from what was the visitor's.

    :param visitor: the id, as :func:`~lingstream.access.visitors.shown_visitor` returns it.
    :raises IntegrityError: the user began something under such a key in the same moment, again and again.
    """
    for left in reversed(range(_TRIES)):
        try:
            with transaction.atomic(using=router.db_for_write(Run)):
                for model, unique in _CLAIMED:
                    _claim(model, unique, user, digest_of(visitor))
                _claim_feedback(user, digest_of(visitor))
                _give(Attachment.objects.filter(owner_key=owner_key(None, "", digest_of(visitor))), user)
            return
        except IntegrityError:
            if not left:
                raise


def claim_at_login(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """Receive ``user_logged_in``; whatever fails is logged, and keeps nobody from logging in."""
    try:
        session = getattr(request, "session", None)
        if session is not None and (visitor := visitor_of(session)):
            claim(user, visitor)
    except Exception:
        logger.exception("what user %s asked as a visitor could not be claimed", getattr(user, "pk", None))


def _claim(model: type[models.Model], unique: str, user: Any, visitor: str) -> None:
    rows = model._default_manager.filter(owner_key=owner_key(None, "", visitor))
    list(locked(rows.order_by("pk")).values_list("pk"))  # in which order an UPDATE does it nobody knows
    theirs = {"owner_key": owner_key(user.pk, ""), "scope": OuterRef("scope"), unique: OuterRef(unique)}
    taken = Exists(model._default_manager.filter(**theirs))
    rows.exclude(**{unique: ""}).filter(taken).update(**{unique: ""})
    _give(rows, user)


def _give(rows: models.QuerySet[Any], user: Any) -> None:
    rows.update(owner=user, visitor="", owner_key=owner_key(user.pk, ""))


def _claim_feedback(user: Any, visitor: str) -> None:
    """Where the user has said what he thinks already, that counts."""
    rows = Feedback.objects.filter(owner_key=owner_key(None, "", visitor))
    said = Feedback.objects.filter(
        owner_key=owner_key(user.pk, ""), run=OuterRef("run"), uri_digest=OuterRef("uri_digest")
    )
    rows.filter(Exists(said)).delete()
    _give(rows, user)
