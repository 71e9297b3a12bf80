"""Trials: runs by which staff see what would come of a plan that need not be stored anywhere else.

A trial is executed by the real engine and followed over the real transports. It differs in what
:class:`~lingstream.models.Run` says of trials, in that its viewers see what models think, and in that its
steps act on the world only where that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.engine.inputs import check_input
from lingstream.core.engine.plan import BotPlan, Plan, ProviderPlan, StepPlan
from lingstream.core.exceptions import LingError, OptionError, UsageError
from lingstream.models import OPEN, Run
from lingstream.models.phrases import translated
from lingstream.providers import kind_of

from .needs import needs_of
from .plans import load_provider_plans
from .start import announce, check_runner
from .storage import plan_of

__all__ = ["MOST_OPEN", "Variant", "repeat", "start_trial", "varied"]

#: Trials of one person that wait or run.
MOST_OPEN = 20


@dataclass(frozen=True, slots=True)
class Variant:
    """In what the bots of a trial differ from their plan; what is empty does not.

    :param provider: the name of one; without a model, that is its default one then.
    :param params: put over each bot's own.
    :param step: the one that differs; all unless given.
    """

    provider: str = ""
    model: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    step: str = ""

    @property
    def differs(self) -> bool:
        """Whether it changes anything."""
        return bool(self.provider or self.model or self.params)


def start_trial(plan: Plan, input: Any, identity: Identity, *, acts: bool = False) -> Run:
    """Queue a trial.

    :param plan: whose ``input_schema`` the input has to fit.
    :param identity: of somebody of the staff, who may do this.
    :param acts: let its steps act on the world.
    :raises UsageError: input that does not fit; ``acts``: a function in Python, which cannot be held back.
    :raises LingError: ``no-runner``; ``busy``: too many trials of this person have not ended.
    """
    if plan.python and not acts:
        message = _("This workflow is a function of the site's code, which cannot be held back: let it act.")
        raise UsageError(message, code="acts")
    check_input(plan.input_schema, input)
    return _queue(_telling(replace(plan, acts=acts)), input, identity)


def repeat(run: Run, input: Any, identity: Identity) -> Run:
    """Queue another trial with the plan of ``run``; raises as :func:`start_trial`."""
    plan = plan_of(run)
    check_input(plan.input_schema, input)
    return _queue(plan, input, identity)


def varied(plan: Plan, variant: Variant) -> Plan:
    """Return ``plan`` with bots as ``variant`` has them; those of workflows inside stay as they are.

    :raises OptionError: a provider takes no such parameter.
    :raises UsageError: there is no such provider or step, or a parameter is no JSON number.
    """
    provider = None
    if variant.provider:
        provider = next((each for each in load_provider_plans() if each.name == variant.provider), None)
        if provider is None:
            raise UsageError(_("There is no provider “%(name)s”.") % {"name": variant.provider})
    if variant.step and variant.step not in [step.name for step in plan.steps]:
        raise UsageError(_("There is no step “%(name)s”.") % {"name": variant.step})
    if any(isinstance(each, float) and not math.isfinite(each) for each in variant.params.values()):
        raise UsageError(_("Expected a finite number."))

    def change(step: StepPlan) -> StepPlan:
        if not isinstance(step, BotPlan) or variant.step not in ("", step.name):
            return step
        model = variant.model or (provider.model if provider else step.model)
        asked = provider or step.provider
        _check_params(asked, variant.params)
        return replace(step, provider=asked, model=model, params={**step.params, **variant.params})

    return replace(plan, steps=tuple(change(step) for step in plan.steps))


def _check_params(provider: ProviderPlan, params: Mapping[str, Any]) -> None:
    try:
        kind_of(provider.kind, app_settings().provider_kinds).check_params(params)
    except OptionError as error:
        problem = _("%(provider)s takes no such parameter: %(problem)s")
        said = {"provider": provider.name, "problem": translated(error.message)}
        raise OptionError(problem % said, uri=error.uri) from error


def _queue(plan: Plan, input: Any, identity: Identity) -> Run:
    check_runner()
    mine = Run.objects.filter(trial=True, owner_key=identity.owner_key, status__in=OPEN)
    if mine.count() >= MOST_OPEN:
        message = _("%(most)d of your trials have not ended: stop some of them, or wait.")
        raise LingError(message % {"most": MOST_OPEN}, code="busy", retryable=True)
    run = Run.objects.create(
        workflow=plan.workflow,
        trial=True,
        input=input,
        plan=plan.to_json(),
        plan_version=plan.version,
        kinds=needs_of(plan),
        cause=Run.Cause.CODE,
        language=translation.get_language() or "",
        **identity.owned,
    )
    announce(run)
    return run


def _telling(plan: Plan) -> Plan:
    """The plan with viewers told what models think, those of the workflows inside it, too."""
    return replace(
        plan,
        show_reasoning=True,
        steps=tuple(replace(step, show_reasoning=True) for step in plan.steps),
        workflows={slug: _telling(inner) for slug, inner in plan.workflows.items()},
    )
