"""Try it, on a prompt's page: the text in the box in place of what its label points at.

It is tried in a workflow that uses the prompt, in one step of that alone, or in a bot of its own. A plan
names the version of each text, so whose text it is can be told whatever has chosen it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from lingstream.core.engine.plan import BotPlan, Plan, StepPlan
from lingstream.execution.plans import draft_plan
from lingstream.execution.versions import Versions, planned_prompt

from ...core.exceptions import UsageError
from ...models import Prompt, PromptVersion, Step, Workflow
from ..trials.reading import examples_of
from ..trials.trying import Trying, filled, saved
from .labels import may_publish

__all__ = ["TryingPrompts"]

_MOST_VERSIONS = 50
# A text of the input: neither part of more, nor what may be missing. As READ in trial.js.
_READ = re.compile(r"\binput\.([A-Za-z_]\w*)\b(?!\s*[.(\[]|\s+is\b)")
_ALONE = {"": "json", "text": "text"}  # by the target: the format of a bot without a workflow


class TryingPrompts(Trying):
    """The panel of a prompt's page."""

    def draft(self, request: HttpRequest, row: Prompt | None) -> Plan:
        """See :meth:`Trying.draft`: the text in the box, or a version that is stored."""
        before = row.variables if row else {}  # the form puts its own in their place
        if number := request.POST.get("trial-version"):
            version = _version(row, number)
        else:
            form, _formsets = filled(self, request, row)
            said = {name: form.cleaned_data[name] for name in ("text", "messages")}
            version = PromptVersion(prompt=form.instance, **said)
        target = request.POST.get("trial-target", "")
        if not any(each["value"] == target for each in _targets(row)):
            raise UsageError(_("Expected a workflow that uses the prompt, got “%s”.") % target[:100])
        return _with_text(target, version, before)

    def trial_context(self, request: HttpRequest, row: Prompt | None) -> dict[str, Any]:
        """See :meth:`Trying.trial_context`."""
        targets = _targets(row)
        live = row.live if row else None
        rows = PromptVersion.objects.filter(prompt=row).order_by("-number").values_list("number", "note")
        return {
            "start": reverse("admin:lingstream_prompt_trial", args=[row.pk if row else "add"]),
            "publish": reverse("admin:lingstream_prompt_publish", args=[row.pk]) if row else "",
            "workflow": "",
            "targets": targets,
            "versions": [
                ("", _("what is in the box")),
                *((str(number), f"v{number} {note}".strip()) for number, note in rows[:_MOST_VERSIONS]),
            ],
            "beside": str(live.number) if live else "",
            "examples": examples_of(request, [each["workflow"] for each in targets if each["workflow"]]),
            "may": {"publish": bool(row) and may_publish(request)},
        }


def _targets(row: Prompt | None) -> list[dict[str, Any]]:
    """What the text can be tried in: the workflows that use the prompt, their steps, and a bot alone."""
    found = list[dict[str, Any]]()
    steps = row.steps.order_by("workflow__slug", "position", "pk") if row else Step.objects.none()
    for step in steps.prefetch_related("workflow__steps"):
        slug, schema = step.workflow.slug, step.workflow.input_schema or _read(step.workflow)
        whole = {"value": slug, "title": _("the workflow %(name)s") % {"name": slug}}
        alone = {
            "value": f"{slug}/{step.name}",
            "title": _("only the step %(step)s of %(name)s") % {"step": step.name, "name": slug},
        }
        if not any(each["value"] == slug for each in found):
            found.append({**whole, "workflow": slug, "schema": schema})
        found.append({**alone, "workflow": slug, "schema": schema})
    bots = {"": _("a bot alone that answers in JSON"), "text": _("a bot alone that answers in text")}
    return [
        *found,
        *({"value": f":{name}", "title": bots[name], "workflow": "", "schema": {}} for name in bots),
    ]


def _read(workflow: Workflow) -> dict[str, Any]:
    """What the steps of a workflow read of its input, where no schema says it: a text each."""
    names = {name: {"type": "string"} for step in workflow.steps.all() for name in _READ.findall(step.input)}
    return {"properties": names, "required": list(names)} if names else {}


def _version(row: Prompt | None, number: str) -> PromptVersion:
    found: PromptVersion | None = None
    if row and number.isdecimal():
        found = row.versions.filter(number=int(number[:9])).first()
    if found is None:
        raise UsageError(_("There is no version %(number)s.") % {"number": number[:20]})
    return found


def _with_text(target: str, version: PromptVersion, before: dict[str, Any]) -> Plan:
    """The plan of a target, as it is saved, with the text of ``version``.

    :param before: the variables that the prompt declares as it is stored.
    """
    if target.startswith(":"):
        step = Step(name="bot", input="{{ value }}", format=_ALONE.get(target[1:], "json"))
        plan = draft_plan(Workflow(slug=version.prompt.slug), [step], [])
        return replace(plan, steps=tuple(_worded(each, version, {}) for each in plan.steps))
    slug, _slash, name = target.partition("/")
    plan = saved(Workflow.objects.get(slug=slug))
    theirs = re.compile(rf"{re.escape(version.prompt.slug)} v[0-9]+")
    steps = tuple(
        _worded(step, version, before)
        if isinstance(step, BotPlan) and theirs.fullmatch(step.prompt_version)
        else step
        for step in plan.steps
    )
    plan = replace(plan, steps=steps)
    return _alone(plan, name) if name else plan


def _worded(step: StepPlan, version: PromptVersion, before: dict[str, Any]) -> StepPlan:
    """A bot with the text, and with the defaults of the prompt where it had those before."""
    if not isinstance(step, BotPlan):
        return step
    found = planned_prompt(version, Versions("").of)
    own = {
        name: value for name, value in step.variables.items() if name not in before or before[name] != value
    }
    found["variables"] = {**found["variables"], **own}
    if not version.number:
        found["prompt_version"] = f"{version.prompt.slug} {_('(draft)')}"
    return replace(step, **found)


def _alone(plan: Plan, name: str) -> Plan:
    """One step of a plan, which begins with the run: there is nothing that its root could be made of."""
    step = replace(plan.step(name), root="", quiet=False, only=(), exclude=())
    return replace(plan, python=False, steps=(step,), triggers=())
