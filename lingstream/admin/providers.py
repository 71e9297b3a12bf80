"""Providers: addresses and the names of keys, with a permission of their own."""

from __future__ import annotations

import os
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..models import Provider
from ..providers import kind_names
from .media import LingAdmin
from .stale import StaleForm

__all__ = ["ProviderAdmin"]


class ProviderForm(StaleForm):
    """Kinds and key names are choices: a name that the site does not list cannot be typed."""

    kind = forms.ChoiceField(label=_("Kind"), help_text=Provider._meta.get_field("kind").help_text)
    key_name = forms.ChoiceField(
        label=_("Key name"), required=False, help_text=Provider._meta.get_field("key_name").help_text
    )

    class Meta:
        model = Provider
        fields = (
            "name",
            "kind",
            "base_url",
            "key_name",
            "default_model",
            "options",
            "max_concurrency",
            "prices",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = app_settings()
        # A view-only page has no fields to give choices to.
        if "kind" in self.fields:
            self._set_choices("kind", [(kind, kind) for kind in kind_names(given.provider_kinds)])
        if "key_name" in self.fields:
            keys = [(name, f"{name} → {', '.join(urls)}") for name, urls in given.provider_keys.items()]
            self._set_choices("key_name", [("", _("no key")), *keys])

    def _set_choices(self, name: str, choices: list[tuple[str, Any]]) -> None:
        current = getattr(self.instance, name)
        if current and current not in {value for value, _label in choices}:
            choices = [*choices, (current, _("%(name)s (not listed in the settings)") % {"name": current})]
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = choices


@admin.register(Provider)
class ProviderAdmin(LingAdmin):
    """Shows whether a key is there, never the key."""

    form = ProviderForm
    list_display = ("name", "kind", "base_url", "default_model", "key_name", "key_is_set", "max_concurrency")
    list_filter = ("kind",)
    search_fields = ("name", "base_url", "default_model")

    @admin.display(boolean=True, description=_("key is set"))
    def key_is_set(self, provider: Provider) -> bool | None:
        if not provider.key_name or provider.key_name not in app_settings().provider_keys:
            return None
        return bool(os.environ.get(provider.key_name))
