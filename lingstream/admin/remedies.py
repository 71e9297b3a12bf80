"""What to do about errors of runs: for who edits workflows and prompts, beside what has gone wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

__all__ = ["remedies", "remedy"]

_REMEDIES: Mapping[str, Any] = MappingProxyType(
    {
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


def remedy(code: Any) -> str:
    """Return what to do about an error with this code; nothing where that is not the same each time."""
    return str(_REMEDIES.get(str(code), ""))


def remedies(errors: Any) -> SafeString:
    """Show what to do about errors, as they are stored: each remedy once."""
    codes = (
        (each.get("code") for each in errors if isinstance(each, dict)) if isinstance(errors, list) else ()
    )
    found: Iterable[str] = dict.fromkeys(filter(None, map(remedy, codes)))
    return format_html_join("", "<p>{}</p>", ((each,) for each in found))
