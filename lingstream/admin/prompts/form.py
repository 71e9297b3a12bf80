"""The form of a prompt: its text starts from a stored version, and a changed one becomes the next version."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ...core import templates
from ...models import LIVE, Prompt, PromptVersion
from ...models.phrases import translated
from ..media import LinesField
from ..stale import StaleForm

__all__ = ["PromptForm"]


_OF_VERSIONS = frozenset(("messages", "note", "publish", "origin_number", "text"))


class PromptForm(StaleForm):
    """A prompt, and the text of its next version.

    The text in the box is that of ``origin``: the version asked for, else what is live, else the newest.
    """

    #: The version to start from, where the page asks for one.
    start: PromptVersion | None = None

    text = LinesField(
        label=_("Text"),
        required=False,
        strip=False,
        max_length=templates.MAX_SOURCE,
        help_text=PromptVersion._meta.get_field("text").help_text,
        widget=forms.Textarea(attrs={"rows": 18, "class": "ling-code ling-prompt", "spellcheck": "false"}),
    )
    messages = forms.BooleanField(
        label=_("Several messages"),
        required=False,
        help_text=PromptVersion._meta.get_field("messages").help_text,
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=200,
        help_text=_("What changed, and why. Kept with the new version."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    publish = forms.BooleanField(
        label=_("Put the new version into production"),
        required=False,
        help_text=_("Moves the label “production” to its version; runs that start from now on use it."),
    )
    origin_number = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Prompt
        fields = ("slug", "name", "description", "variables")
        widgets = {"description": forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance if self.instance.pk else None
        self.newest = stored.newest if stored else None
        self.live = stored.live if stored else None
        self.origin = self._posted_origin() or self.start or self.live or self.newest
        if self.origin and self.newest:
            self.initial.setdefault("text", self.origin.text)
            self.initial.setdefault("messages", self.origin.messages)
            self.initial["origin_number"] = self.origin.number
        elif not stored:
            self.initial.setdefault("publish", True)
        if self.is_bound and "text" in self.fields:
            self.fields["text"].widget.attrs["data-ling-unsaved"] = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "text" not in cleaned or not isinstance(cleaned.get("variables"), dict):
            return cleaned  # the fields say why
        if problems := self._draft(cleaned).check_text(cleaned["text"], cleaned["messages"]):
            self.add_error("text", [translated(problem.text) for problem in problems])
            return cleaned
        self._refuse_orphans(cleaned)
        return cleaned

    @property
    def text_changed(self) -> bool:
        """Whether saving makes a new version."""
        saved = (self.origin.text, self.origin.messages) if self.origin else None
        return saved != (self.cleaned_data["text"], self.cleaned_data["messages"])

    def _posted_origin(self) -> PromptVersion | None:
        number = self.data.get(self.add_prefix("origin_number"), "") if self.is_bound else ""
        return self.instance.version(number) if self.instance.pk else None

    def is_marked(self, name: str) -> bool:
        """As of each form; versions never change, and only the newest one says that somebody has written."""
        return name not in _OF_VERSIONS and super().is_marked(name)

    def marks(self) -> dict[str, str]:
        """As of each form, the newest version, and the one that is live."""
        newest, live = (str(each.number) if each else "" for each in (self.newest, self.live))
        return {**super().marks(), "text": newest, "publish": live}

    def tell(self, theirs: list[str], opened: str) -> None:
        """As of each form; of a text one is told where the other one is, and that none is lost."""
        fields = [name for name in theirs if name not in ("text", "publish")]
        if fields:
            super().tell(fields, opened)
        if "publish" in theirs and self.live:
            live = _(
                "Version %(number)d went into production while you were editing. Save again to replace it."
            )
            self.add_error("publish", ValidationError(live % {"number": self.live.number}, code="stale"))
        if "text" in theirs and self.newest:
            told = _(
                "Version %(number)d was saved while you were editing. Your text is still here: look at the "
                "other one first, or save again, and yours is the next version."
            ) % {"number": self.newest.number}
            url = reverse("admin:lingstream_prompt_change", args=[self.instance.pk])
            link = '{} <a href="{}?from={}" target="_blank">{}</a>'
            shown = format_html(link, told, url, self.newest.number, f"v{self.newest.number}")
            self.add_error(None, ValidationError(shown, code="stale"))

    def would_change(self, name: str) -> bool:
        """As of each form; several messages instead of one are another text, too."""
        if name == "publish":
            replaced = self.live and (self.text_changed or self.live != self.origin)
            return bool(replaced and self.cleaned_data.get(name))
        if name == "text":
            return {"text", "messages"} <= self.cleaned_data.keys() and self.text_changed
        return super().would_change(name)

    def _refuse_orphans(self, cleaned: dict[str, Any]) -> None:
        """A variable that a labelled version uses stays declared until the label has moved on."""
        if not self.instance.pk or "variables" not in self.changed_data:
            return
        for label in self.instance.labels.select_related("version", "other"):
            if label.name == LIVE and cleaned.get("publish"):
                continue
            for version in filter(None, (label.version, label.other)):
                version.prompt = self._draft(cleaned)
                for problem in version.problems():
                    message = _("v%(number)d, which is “%(label)s”, needs it. %(problem)s") % {
                        "number": version.number,
                        "label": label.name,
                        "problem": translated(problem.text),
                    }
                    self.add_error("variables", message)

    def _draft(self, cleaned: dict[str, Any]) -> Prompt:
        """The prompt as it will be."""
        return Prompt(slug=cleaned.get("slug") or self.instance.slug, variables=cleaned["variables"])
