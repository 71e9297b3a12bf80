"""Try it: what stands in a page's form is executed as a trial, and nothing of it is stored.

1. A draft passes the same clean as a save, by the same form and formsets; what is wrong comes back by the
   names of the fields.
2. Who may change the row may try it. Steps act on the world only for who may change workflows, and asks.
3. Each request is one trial: the page follows it over the site's own transports, and reads the rest of what
   is known of it from :mod:`.reading`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms.formsets import all_valid
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path
from django.utils.translation import gettext as _

from lingstream.access.identity import identify
from lingstream.access.tokens import make_token
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.registry import registered
from lingstream.core.log.frames import FrameId
from lingstream.execution.plans import draft_plan, load_plan
from lingstream.execution.trials import Variant, start_trial, varied

from ...core.exceptions import LingError, OptionError
from ...models import Run, Workflow
from ...models.fields import JSONFormField
from ...models.phrases import translated
from ...models.validators import validate_object
from ..remedies import remedy
from .panel import ACTS, panel

__all__ = [
    "FormErrors",
    "Trying",
    "answered",
    "filled",
    "json_input",
    "published",
    "remedy_json",
    "saved",
    "told_start",
    "variant_of",
]


class FormErrors(Exception):
    """What is wrong with what was sent.

    :param errors: messages by the name of the field in the page; of a row as a whole ``steps-0-__all__``, of
        all rows together ``steps``, of the page ``""``.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    @property
    def messages(self) -> list[str]:
        """All of them, whichever field they are of."""
        return [message for messages in self.errors.values() for message in messages]


def saved(workflow: Workflow) -> Plan:
    """Return the plan of a workflow's draft as it is stored.

    :raises UsageError: as :func:`.plans.load_plan`.
    """
    triggers = [row.to_plan() for row in workflow.triggers.select_related("source", "target")]
    plan = draft_plan(workflow, list(workflow.steps.all()), triggers)
    return replace(plan, input_schema=workflow.input_schema)


def published(workflow: Workflow) -> Plan:
    """Return the plan with which a run would start now; raises as :func:`.plans.load_plan`."""
    plan = load_plan(workflow.slug, workflow, python=workflow.slug in registered())
    return replace(plan, input_schema=workflow.schema_in_force)


def filled(model_admin: Any, request: HttpRequest, row: Any) -> tuple[Any, Sequence[Any]]:
    """Return the form and the formsets of a page as they were posted, clean.

    :raises FormErrors: a save would refuse them.
    """
    change = row is not None
    fields = flatten_fieldsets(model_admin.get_fieldsets(request, row))
    form_class = model_admin.get_form(request, row, change=change, fields=fields)
    data = request.POST.copy()
    form = form_class(data, request.FILES, instance=row)
    data["base"] = ""  # nothing is saved, so whoever has saved meanwhile is in nobody's way
    # Not public, but all that knows which rows a person may only look at.
    formsets, _inlines = model_admin._create_formsets(request, form.instance, change=change)
    sound = form.is_valid()
    if not (all_valid(formsets) and sound):
        raise FormErrors(dict(_errors(form, formsets)))
    return form, formsets


def json_input(request: HttpRequest) -> Any:
    """Return the input that was posted.

    :raises FormErrors: it is no JSON.
    """
    return _json("trial-input", request)


def told_start(run: Run) -> JsonResponse:
    """Answer a start: with the run, what opens it, the place before its first frame, the server's clock."""
    told = {"run": str(run.pk), "token": make_token(run.pk), "after": str(FrameId(1, 0))}
    return JsonResponse({**told, "now": time.time() * 1000}, status=201)


def remedy_json(error: Any, request: HttpRequest) -> dict[str, str] | None:
    """Return what who asks can do about an error, as the panel shows it."""
    found = remedy(error, request.user)
    return found and found._asdict()


def answered(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Answer what goes wrong in a view as JSON: ``{"errors": {field: [message]}, "uri"?, "remedy"?}``."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(*args, **kwargs)
        except FormErrors as error:
            return JsonResponse({"errors": error.errors}, status=400)
        except LingError as error:
            uri = getattr(error, "uri", None)
            field = "trial-input" if error.code in ("invalid-input", "too-deep") else ""
            told: dict[str, Any] = {"errors": {field: [translated(error.message)]}, "code": error.code}
            request = next(each for each in args if isinstance(each, HttpRequest))  # methods have self before
            told["remedy"] = remedy_json(error.to_wire(), request)
            return JsonResponse(told if uri is None else {**told, "uri": uri}, status=400)

    return wrapped


class Trying:
    """Adds the panel to the pages of a model's rows, and the address that starts what stands in their forms.

    Of each admin that has it: :meth:`draft` and :meth:`trial_context`.
    """

    model: type[Any]
    admin_site: admin.AdminSite
    opts: Any

    def draft(self, request: HttpRequest, row: Any) -> Plan:
        """Return the plan to try, by what the form holds and by the fields ``trial-version``, …

        :raises FormErrors: a save would refuse it.
        :raises UsageError: there is no such plan.
        """
        raise NotImplementedError

    def trial_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the panel has to know of the row."""
        raise NotImplementedError

    def may_try(self, request: HttpRequest, row: Any) -> bool:
        """Whether somebody may execute what stands in the form."""
        if row is None and not self.has_add_permission(request):  # type: ignore[attr-defined]
            return False
        return bool(self.has_change_permission(request, row))  # type: ignore[attr-defined]

    def get_urls(self) -> list[Any]:
        """Add the address of a start."""
        start = self.admin_site.admin_view(self.start_trial)
        name = f"lingstream_{self.opts.model_name}_trial"
        return [
            path("<path:object_id>/trial/", start, name=name),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        """Add the panel for who may use it."""
        if self.may_try(request, obj):
            context["trial"] = panel(request, self.trial_context(request, obj))
        return super().render_change_form(  # type: ignore[misc]
            request, context, add=add, change=change, form_url=form_url, obj=obj
        )

    def start_trial(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Start what stands in the form of a row's page, or of that of a new one (``add``)."""
        if request.method != "POST":
            raise Http404
        row = None if object_id == "add" else self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if row is None and object_id != "add":
            raise Http404
        acts = bool(request.POST.get("trial-acts"))
        if not self.may_try(request, row) or (acts and not request.user.has_perm(ACTS)):
            raise PermissionDenied
        return self._started(request, row, acts=acts)

    @answered
    def _started(self, request: HttpRequest, row: Any, *, acts: bool) -> HttpResponseBase:
        input = json_input(request)
        plan, variant = self.draft(request, row), variant_of(request)
        try:
            plan = varied(plan, variant)
        except OptionError as error:
            typed = error.uri == "temperature" and request.POST.get("trial-temperature")
            raise FormErrors(
                {"trial-temperature" if typed else "trial-params": [translated(error.message)]}
            ) from error
        return told_start(start_trial(plan, input, identify(request), acts=acts))


def variant_of(request: HttpRequest) -> Variant:
    """Return in what the bots of a trial differ, as a column of the panel sends it.

    :raises FormErrors: a parameter is none.
    """
    given = {
        name: request.POST.get(f"trial-{name}", "").strip()[:200] for name in ("provider", "model", "step")
    }
    params = _json("trial-params", request, empty=dict, validators=[validate_object])
    if text := request.POST.get("trial-temperature", "").strip():
        params["temperature"] = _number(text)
    return Variant(**given, params=params)


def _json(name: str, request: HttpRequest, **options: Any) -> Any:
    try:
        return JSONFormField(required=False, **options).clean(request.POST.get(name, ""))
    except ValidationError as error:
        raise FormErrors({name: error.messages}) from error


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise FormErrors(
            {"trial-temperature": [_("Expected a number, got “%(text)s”.") % {"text": text[:50]}]}
        )
    return found


def _errors(form: Any, formsets: Sequence[Any]) -> Iterator[tuple[str, list[str]]]:
    for name, messages in form.errors.items():
        yield ("" if name == "__all__" else form.add_prefix(name)), list(map(str, messages))
    for formset in formsets:
        if loose := list(map(str, formset.non_form_errors())):
            yield formset.prefix, loose
        for each in formset.forms:
            for name, messages in each.errors.items():
                yield f"{each.prefix}-{name}", list(map(str, messages))
