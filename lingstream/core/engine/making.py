"""Plans of the steps that a workflow in Python makes as it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lingstream.core.exceptions import NoProvider, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.validation import compile_schema

from .data import json_data
from .kinds import check_options
from .plan import BotPlan, Plan, ProviderPlan, StepPlan

__all__ = ["bot_plan", "no_provider", "step_plan"]

#: What may be said of a step beside its kind's options.
_SETTINGS = ("quiet", "optional", "timeout", "retries", "format", "schema", "only", "exclude")


def bot_plan(workflow: Plan, step: str, name: str, provider: str, settings: dict[str, Any]) -> BotPlan:
    """Return the plan of a bot.

    :param workflow: whose providers and steps there are.
    :param step: of these the one to begin with, or ``""``.
    :param name: ``""`` for the step's, or ``bot``.
    :param provider: ``""`` for the step's, or the site's default one.
    :param settings: further fields of :class:`BotPlan`.
    :raises UsageError: there is no such step, provider or setting, or a schema cannot be used.
    """
    base = _bot_of(workflow, step) if step else _new_bot(workflow)
    if provider:
        settings["provider"] = _provider(workflow, provider)
    try:
        plan = replace(base, name=name or base.name, **settings)
    except TypeError as error:
        message = Phrase(
            "expected settings of a bot, got %(got)s: %(why)s",
            got=", ".join(sorted(settings)),
            why=str(error),
        )
        raise UsageError(message) from error
    if plan.schema:
        compile_schema(plan.schema)  # before the model is asked
    model = plan.model or plan.provider.model
    return replace(plan, only=tuple(plan.only), exclude=tuple(plan.exclude), model=model)


def step_plan(kind: str, name: str, given: dict[str, Any]) -> StepPlan:
    """Return the plan of a step of another kind.

    :param name: ``""`` for the kind's.
    :param given: further fields of :class:`StepPlan`, and the kind's options.
    :raises UsageError: there is no such kind, or its options do not fit.
    """
    if kind == "bot":
        raise UsageError(Phrase("expected a kind without a prompt, got 'bot': call run.bot(…)"))
    settings = {key: given.pop(key) for key in _SETTINGS if key in given}
    plan = StepPlan(name or kind, kind, options=json_data(given), **settings)
    check_options(plan)
    return replace(plan, only=tuple(plan.only), exclude=tuple(plan.exclude))


def no_provider(name: str) -> Phrase:
    """Return what staff are told where nobody has set up a model yet.

    :param name: what the provider has to be called that was looked for; ``""`` where any would do.
    """
    if not name:
        return Phrase(
            "there is no provider: add one in the admin under Providers, with its kind, base URL, key name "
            "and default model"
        )
    return Phrase(
        "there is no provider yet: add one called “%(name)s” in the admin under Providers, with its kind, "
        "base URL, key name and default model",
        name=name,
    )


def _new_bot(workflow: Plan) -> BotPlan:
    return BotPlan("bot", provider=_provider(workflow, ""), show_reasoning=workflow.show_reasoning)


def _bot_of(workflow: Plan, name: str) -> BotPlan:
    step = workflow.step(name)
    if not isinstance(step, BotPlan):
        message = Phrase(
            "expected the step %(step)r to be a bot, and it is of the kind %(kind)s",
            step=name,
            kind=step.kind,
        )
        raise UsageError(message)
    return step


def _provider(workflow: Plan, name: str) -> ProviderPlan:
    """The provider called ``name``, or the first one, which is the site's default."""
    for plan in workflow.providers:
        if plan.name == name or not name:
            return plan
    if not workflow.providers:
        raise NoProvider(no_provider(name), provider=name)
    known = ", ".join(plan.name for plan in workflow.providers)
    raise UsageError(Phrase("expected one of the providers %(known)s, got %(got)r", known=known, got=name))
