"""What a step was told and said, for its own page and for the page of its run; and what errors said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.template.defaultfilters import floatformat
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import BotRun, Run
from ...models.phrases import shown_error
from ...models.run_texts import excerpt_of
from ..display import named, pretty, printable, tokens
from ..remedies import remedies
from .rereading import Mended, Reading

__all__ = ["errors_line", "step_html"]

_ERRORS = 10  # which are more than a line holds
_ASKED = {"input": _("input"), "arguments": _("arguments")}
_SAID = {"put": _("value at %(name)s"), "note": _("event %(name)s")}  # beside text


def errors_line(run: Run) -> str:
    """Return what the errors of a run say, in the language of who reads it, as the beginning of a line."""
    shown = map(shown_error, run.errors[:_ERRORS])
    return excerpt_of([each.get("message", "") for each in shown if isinstance(each, dict)])


def step_html(
    row: BotRun, reading: Reading | None, reader: Any, *, withheld: bool, linked: bool = False
) -> SafeString:
    """Return a step as HTML.

    :param reading: what its parser makes of its text; ``None`` where the page is too long for it.
    :param reader: who looks.
    :param withheld: whether what it was told is kept from who looks.
    :param linked: with a link to the step's own page.
    """
    found = reading or Reading([])
    context = {
        "row": row,
        "linked": linked,
        "left_out": reading is None,
        "withheld": withheld,
        "messages": _messages(row) if row.messages else "",
        "request": _request(row) if row.request is not None else "",
        "result": _result(row) if row.result is not None else "",
        "pieces": [(number, printable(text)) for number, text in found.pieces if text or number],
        "parsed": pretty(found.value) if found.value is not None else "",
        "repairs": [_printable(each) for each in found.repairs],
        "settled": [(event, printable(uri)) for event, uri in found.settled],
        "reasoning": pretty(row.reasoning) if row.reasoning else "",
        "error": pretty(shown_error(row.error)) + remedies([row.error], reader) if row.error else "",
        "params": pretty(row.params) if row.params else "",
        "facts": " · ".join(_facts(row)),
    }
    return SafeString(render_to_string("lingstream/admin/runs/step.html", context))


def _facts(row: BotRun) -> Iterator[str]:
    """What there is to say of its call."""
    if row.finish:
        yield f"{gettext('finish reason')}: {row.finish}"
    if row.first_token is not None:
        yield gettext("first token after %(seconds)s s") % {"seconds": floatformat(row.first_token, 2)}
    if (used := tokens(row.usage)) != "-":
        yield f"{used} {gettext('tokens')}"
    if row.prompt_version:
        yield row.prompt_version


def _printable(repair: Mended) -> Mended:
    texts = (printable(each) if isinstance(each, str) else each for each in repair)
    return Mended._make(texts)


def _messages(row: BotRun) -> SafeString:
    parts = [
        format_html("<strong>{}</strong>{}", message.get("role", ""), pretty(message.get("content", "")))
        for message in row.messages
    ]
    return format_html("{}" * len(parts), *parts)


def _request(row: BotRun) -> SafeString:
    asked = row.request if isinstance(row.request, dict) else {}
    options = asked.get("options")
    given = [(title, asked[name]) for name, title in _ASKED.items() if name in asked]
    return named([*given, *(options.items() if isinstance(options, dict) else ())])


def _result(row: BotRun) -> SafeString:
    return pretty(row.result) if row.kind == "once" else named(map(_said, row.result))


def _said(entry: Any) -> tuple[Any, Any]:
    """A value or an event, as the journal keeps them, with its title."""
    what, name, value = entry
    return _SAID[what] % {"name": name or _("the root")}, value
