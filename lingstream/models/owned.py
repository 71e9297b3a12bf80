"""Whose a row is: a user's, a visitor's or nobody's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Owned", "owner_key"]


def owner_key(owner_id: Any, session_key: str, visitor: str = "") -> str:
    """Return who owns a row, as one string that an index and a unique constraint can use."""
    if owner_id is not None:
        return f"user:{owner_id}"
    if visitor:
        return f"visitor:{visitor}"
    return f"session:{session_key}" if session_key else "anyone"


class Owned(models.Model):
    """Rows that belong to a user, to a visitor, to a session or to nobody."""

    # CASCADE, not SET_NULL: what a person asked and was told goes when the account goes, and a run that
    # lost its owner would look like one that never had any.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    session_key = models.CharField(_("session"), max_length=100, blank=True)
    visitor = models.CharField(
        _("visitor"),
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("A digest of the id in the visitor's session or token."),
    )
    scope = models.CharField(
        _("scope"),
        max_length=200,
        blank=True,
        help_text=_("Free for a site with tenants: the tenant's name."),
    )
    owner_key = models.CharField(_("owner key"), max_length=255, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.owner_key = owner_key(self.owner_id, self.session_key, self.visitor)
        fields = kwargs.get("update_fields")
        if fields is not None and {"owner", "session_key", "visitor"} & set(fields):
            kwargs["update_fields"] = {*fields, "owner_key"}
        super().save(*args, **kwargs)
