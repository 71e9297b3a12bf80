"""How values are shown: model text is text, never HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any

from django.core.exceptions import ValidationError
from django.template.defaultfilters import floatformat
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

__all__ = [
    "MAX_SHOWN",
    "duration",
    "foretold",
    "kind_title",
    "named",
    "pretty",
    "printable",
    "said",
    "status_badge",
    "times",
    "tokens",
]

MAX_SHOWN = 200_000
_SCROLLS = 500, 15  # characters and line breaks, from which on the box of a text may have more than it shows


def printable(text: str) -> str:
    """Return ``text`` so that it can be sent as UTF-8; a lone surrogate shows as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def said(text: Any) -> str:
    """Return what a kind of steps or sources says to people, which knows no Django, in their language."""
    return _(str(text)) if text else ""


def kind_title(name: str, kind: Any) -> str:
    """Return what a kind of steps or sources is called."""
    return said(kind.title) or name


def pretty(value: Any) -> SafeString:
    """Show a string as it is and anything else as indented JSON, escaped, up to ``MAX_SHOWN`` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN] + _("\n… and %(more)d more characters.") % {"more": len(text) - MAX_SHOWN}
    if not text:
        return SafeString("-")
    # What scrolls is reached by the keyboard, too.
    scrolls = len(text) > _SCROLLS[0] or text.count("\n") > _SCROLLS[1]
    focus = SafeString(' tabindex="0"' if scrolls else "")
    return format_html('<pre class="ling-pre"{}>{}</pre>', focus, printable(text))


def named(values: Iterable[tuple[Any, Any]]) -> SafeString:
    """Show values below their names, as :func:`pretty` does each, up to ``MAX_SHOWN`` characters of HTML."""
    parts, length, more = list[SafeString](), 0, 0
    for name, value in values:
        if length < MAX_SHOWN:
            part = format_html('<p class="ling-name">{}</p>{}', printable(str(name)), pretty(value))
            parts.append(part)
            length += len(part)
        else:
            more += 1
    if more:
        parts.append(format_html("<p>{}</p>", _("… and %(more)d more.") % {"more": more}))
    if not parts:
        return SafeString("-")
    return format_html('<div class="ling-named">{}</div>', format_html("{}" * len(parts), *parts))


def status_badge(status: str, label: Any) -> SafeString:
    """Show a status as a coloured word."""
    return format_html('<span class="ling-status ling-status-{}">{}</span>', status, label)


def duration(start: datetime | None, end: datetime | None) -> str:
    """Return the time between, ``12.3 s``, or ``-``."""
    return in_seconds((end - start).total_seconds() if start and end else None, 1)


def in_seconds(number: float | None, digits: int = 2) -> str:
    """Return a time with its unit, ``-`` where there is none."""
    return "-" if number is None else _("%(seconds)s s") % {"seconds": floatformat(number, digits)}


def times(found: Iterable[datetime]) -> SafeString:
    """Show times as a list, each with its zone."""
    shown = format_html_join("", "<li>{}</li>", ((date_format(each, "D j N Y, H:i T"),) for each in found))
    return format_html("<ol>{}</ol>", shown)


def foretold(shown: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """Have a column foretell nothing of a row as it is typed, where it cannot be: the form says why."""

    @wraps(shown)
    def wrapped(pages: Any, row: Any) -> str:
        try:
            return shown(pages, row)
        except (ValidationError, OverflowError):
            return "-"

    return wrapped


def tokens(usage: Any) -> str:
    """Return ``prompt + completion`` tokens, with ``~`` where they are estimated; ``-`` of no model."""
    found = usage if isinstance(usage, dict) else {}
    asked, said = found.get("prompt_tokens", 0), found.get("completion_tokens", 0)
    if not (asked or said):
        return "-"
    return f"{'~' if found.get('estimated') else ''}{asked} + {said}"
