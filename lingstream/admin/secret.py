"""Secrets that are derived and not stored: each tenant's is shown to who may change the row, and renewed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as now_in_words
from django.utils.translation import gettext_lazy as _

from ..access.identity import scope_of
from ..core.exceptions import LingError

__all__ = ["SecretForm", "shown_secret", "tenant_of"]


class SecretForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row with a ``secret_version``, which counts up to renew what is derived from it."""

    renew = forms.BooleanField(
        label=_("Renew the secret"), required=False, help_text=_("The one before is no longer good.")
    )

    written: tuple[str, ...] = ()

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data.get("renew"):
            self.instance.secret_version += 1
            self.written = ("secret_version",)
        return super().save(commit)


def shown_secret(secret: str) -> SafeString:
    """Return the paragraph that shows it."""
    return format_html('<p>{} <code class="ling-secret">{}</code></p>', now_in_words("Secret:"), secret)


def tenant_of(request: HttpRequest) -> str:
    """Return the tenant whose secrets the page shows."""
    try:
        return scope_of(request, request.user) or ""
    except LingError:
        return ""
