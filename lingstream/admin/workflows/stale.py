"""A form that tells when somebody else has saved the row since it was opened."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

__all__ = ["StaleForm"]


class StaleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Of a row with ``updated_at``. It is told once: who then saves again does so knowingly."""

    base = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = self.instance.updated_at.isoformat() if self.instance.pk else ""
        self.initial["base"] = self._stored

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        base = cleaned.get("base")
        if base and self._stored and base != self._stored:
            data: Any = self.data
            self.data = data.copy()
            self.data[self.add_prefix("base")] = self._stored  # type: ignore[index]  # a copy may change
            raise ValidationError(self._told(), code="stale")
        return cleaned

    def _told(self) -> str:
        entries = LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(self.instance), object_id=self.instance.pk
        )
        last = entries.select_related("user").order_by("-action_time").first()
        text = _(
            "%(who)s saved this at %(time)s, while you were editing. What you have typed is still here. Look "
            "at theirs in another tab first, or save again: then yours is put in its place."
        )
        at = date_format(localtime(self.instance.updated_at), "DATETIME_FORMAT")
        return text % {"who": last.user if last else _("Somebody"), "time": at}
