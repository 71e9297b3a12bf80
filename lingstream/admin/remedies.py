"""What to do about errors of runs: for who edits workflows and prompts, beside what has gone wrong."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings

__all__ = ["Remedy", "remedies", "remedy"]

_MISSING = "no-provider"
_REMEDIES: Mapping[str, Any] = MappingProxyType(
    {
        _MISSING: _("Add a provider called “%(name)s”: every step that names no other one asks it."),
        "no-model": _("Give the provider a default model, or the step a model of its own."),
        "no-label": _(
            "Let the label of the prompt stand for a version: publishing one moves “production” to it. Or "
            "choose another label in the step."
        ),
        "not-published": _("Publish the workflow: before that its draft can be tried, and nothing else."),
        "no-json": _(
            "Say in the prompt that the answer is JSON, and in what form; or set the step's output to text."
        ),
        "schema": _(
            "Describe the form in the prompt, with an example; or ask for less in the step's schema."
        ),
        "template": _(
            "What a template names has to be there: in the input, or as a variable that the prompt declares. "
            "What may be missing is asked for with {% if … is defined %}."
        ),
        "conflict": _("Let each step write at a root of its own."),
        "limit": _("Raise the limit in the workflow's “Limits and policies”, or let fewer steps start."),
        "timeout": _("Raise the step's timeout, or ask for less at a time."),
        "provider-auth": _(
            "See whether the provider's key name is right and its variable holds a valid key."
        ),
        "provider-not-found": _(
            "See whether the server has this model, and whether the provider's base URL is right."
        ),
        "provider-unavailable": _(
            "See whether the model's server runs, and whether the provider's base URL is right."
        ),
    }
)


#: Where a workflow in Python asks for a provider by its name.
_OTHER = _("Add a provider called “%(name)s”, which the step asks for.")


class _Door(NamedTuple):
    """A page of the admin, and the permission that opens it."""

    view: str
    permission: str
    title: Any


_PROVIDERS = _Door("provider_changelist", "view_provider", _("Go to the providers"))
_DOORS: Mapping[str, _Door] = MappingProxyType(
    {
        _MISSING: _Door("provider_add", "add_provider", _("Add a provider")),
        "no-model": _PROVIDERS,
        "no-label": _Door("prompt_changelist", "view_prompt", _("Go to the prompts")),
        "not-published": _Door("workflow_changelist", "view_workflow", _("Go to the workflows")),
        "provider-auth": _PROVIDERS,
        "provider-not-found": _PROVIDERS,
        "provider-unavailable": _PROVIDERS,
    }
)


class Remedy(NamedTuple):
    """What to do about an error.

    :param url: of the page on which it is done; ``""`` for who may not open it, or where there is none.
    :param title: of that page.
    """

    text: str
    url: str = ""
    title: str = ""

    @property
    def html(self) -> SafeString:
        """The text, and the link."""
        link = format_html(' <a href="{}">{}</a>', self.url, self.title) if self.url else ""
        return format_html("{}{}", self.text, link)


def remedy(error: Any, reader: Any) -> Remedy | None:
    """Return what to do about an error; nothing where that is not the same each time.

    :param error: as it is stored, or told.
    :param reader: who is told, with links to the pages that they may open.
    """
    code = str(error.get("code")) if isinstance(error, dict) else ""
    if code not in _REMEDIES:
        return None
    text, asked = str(_REMEDIES[code]), ""
    if code == _MISSING:
        default = app_settings().default_provider
        name = error.get("provider") or default
        text = (text if name == default else str(_OTHER)) % {"name": name}
        asked = f"?{urlencode({'name': name})}"
    door = _DOORS.get(code)
    if door is None or not reader.has_perm(f"lingstream.{door.permission}"):
        return Remedy(text)
    return Remedy(text, reverse(f"admin:lingstream_{door.view}") + asked, str(door.title))


def remedies(errors: Any, reader: Any) -> SafeString:
    """Show what to do about errors, as they are stored: each remedy once."""
    told = (remedy(each, reader) for each in errors) if isinstance(errors, list) else ()
    found = dict.fromkeys(filter(None, told))
    return format_html_join("", "<p>{}</p>", ((each.html,) for each in found))
