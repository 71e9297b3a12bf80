"""What a model will be told by the text in the form: its messages, and about how many tokens they have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from lingstream.core.provider import estimated_tokens

from ...core import templates
from ...core.exceptions import TemplateError
from ...models import Prompt, PromptVersion, labelled
from ...models.fragments import Resolved, resolve
from ...models.phrases import translated
from ...models.validators import validate_variables
from ..display import printable
from ..media import tenant
from ..private import withheld_from
from .figures import latest
from .page import PromptPage

__all__ = ["PreviewPage"]

_MOST_SECONDS = 4.0  # of all messages together; one of them may take half of it
_MOST_INPUT = 200_000

#: What a template may ask for beside the input, where no step has begun.
_NOTHING: Mapping[str, Any] = {"value": "", "uri": "", "match": [], "document": {}, "history": []}


class Shown(NamedTuple):
    """A message, or why there is none."""

    role: str
    text: str
    tokens: int
    problem: str = ""


class PreviewPage(PromptPage):
    """A posted form is rendered and stored nowhere; the input is the last run's unless it is posted."""

    path = "preview"

    def respond(self, request: HttpRequest, prompt: Prompt) -> HttpResponse:
        data = request.POST
        text = data.get("text", "")[: templates.MAX_SOURCE].replace("\r\n", "\n")
        given = data["input"][:_MOST_INPUT] if "input" in data else _last_input(request, prompt)
        problems: list[str] = []
        variables = _json(data.get("variables", ""), _("declared variables"), problems)
        problems += _faults(variables)
        input = _json(given, _("input"), problems)
        draft = Prompt(slug=prompt.slug, variables=variables)
        version = PromptVersion(prompt=draft, text=text, messages="messages" in data)
        shown = [] if problems else list(_shown(version, input))
        context = {
            **self.context(request, prompt, _("What the model is told")),
            "shown": shown,
            "tokens": sum(each.tokens for each in shown),
            "problems": problems,
            "input": given,
            "kept": {name: data.get(name, "") for name in ("text", "messages", "variables") if name in data},
        }
        return TemplateResponse(request, "lingstream/admin/prompts/preview.html", context)


def _shown(version: PromptVersion, input: Any) -> Iterator[Shown]:
    try:
        found = resolve(version, labelled)
    except TemplateError as error:
        yield Shown("", "", 0, translated(error.message))
        return
    deadline = time.monotonic() + _MOST_SECONDS
    names = {**found.variables, **_NOTHING, "input": input}
    for role, template in _parts(found):
        if time.monotonic() > deadline:
            yield Shown(role, "", 0, _("The messages above took too long."))
        else:
            yield _rendered(role, template, names)


def _parts(found: Resolved) -> list[tuple[str, str]]:
    system = [("system", found.system)] if found.system else []
    return [*system, *((each.role, each.text) for each in found.messages)]


def _rendered(role: str, template: str, names: Mapping[str, Any]) -> Shown:
    try:
        text = templates.render(template, names)
    except TemplateError as error:
        return Shown(role, "", 0, translated(error.message))
    return Shown(role, printable(text), estimated_tokens(text))


def _faults(variables: Any) -> list[str]:
    try:
        validate_variables(variables)
    except ValidationError as error:
        return error.messages
    return []


def _json(text: str, name: str, problems: list[str]) -> Any:
    """JSON as somebody has typed it; what is none is told among the problems."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        problems.append(_("Expected %(name)s to be JSON: %(error)s") % {"name": name, "error": error})
        return {}


def _last_input(request: HttpRequest, prompt: Prompt) -> str:
    """The input of the last run that used what is live, for who may see it."""
    live = prompt.live
    if live is None or not request.user.has_perm("lingstream.view_run"):
        return "{}"
    calls = latest(live).exclude(run__workflow__in=withheld_from(request.user))
    call = calls.select_related("run").only("run__input", "run__scope").first()
    if call is None or tenant(request) not in (None, call.run.scope):
        return "{}"
    return json.dumps(call.run.input, ensure_ascii=False, indent=2)[:_MOST_INPUT]
