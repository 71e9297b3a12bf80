"""From rows to plans: what a run needs, read once when it starts.

Everything here is synchronous ORM code; call it through :func:`.storage.in_database`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from lingstream.conf import app_settings
from lingstream.core.engine.graph import Graph, faults
from lingstream.core.engine.inline import inner_workflows
from lingstream.core.engine.kinds import check_options
from lingstream.core.engine.making import no_provider
from lingstream.core.engine.plan import (
    BotPlan,
    Limits,
    Plan,
    ProviderPlan,
    StepPlan,
    TriggerPlan,
)
from lingstream.core.engine.registry import declared, registered
from lingstream.core.exceptions import ConfigurationError, NoProvider, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.validation import SchemaFault, compile_schema
from lingstream.models import Prompt, PromptVersion, Provider, Run, Step, Workflow, WorkflowVersion
from lingstream.providers import kind_of

from .published import rows_of, rows_of_version
from .versions import Named, Versions, planned_prompt, version_key

__all__ = [
    "draft_plan",
    "inner_plan_of",
    "load_inner_plan",
    "load_plan",
    "load_provider_plans",
    "version_plan",
]

# What would make every run empty. All else that is wrong with a workflow is refused when it is saved; a row
# from before goes on as it did.
_FATAL = ("nothing-starts",)


def load_plan(
    slug: str,
    row: Workflow | None = None,
    *,
    python: bool = False,
    key: str = "",
    named: Named | None = None,
) -> Plan:
    """Return the plan of a workflow as it is published now; of one without a version, of its rows.

    :param row: the workflow's, if it is known already.
    :param python: the workflow is a function; a row with its slug gives limits and steps to take prompts
        from, and may switch it off.
    :param key: whose run it will be, for the choice of versions; see :class:`.versions.ChooseVersion`.
    :param named: versions that are not left to a choice; see :class:`.versions.Versions`.
    :raises UsageError: ``unknown-workflow``, ``workflow-disabled``, ``not-published``, ``no-steps``,
        ``nothing-starts``, ``no-label``, ``no-provider``, ``no-model``, ``invalid-schema``, ``unknown-kind``,
        ``option``, ``workflow-cycle``, ``configuration``.
    """
    versions = Versions(key, named)
    row = row or Workflow.objects.filter(slug=slug).first()
    return _with_workflows(_plan(slug, row, versions, python=python), versions)


def draft_plan(workflow: Workflow, steps: Iterable[Step], triggers: Iterable[TriggerPlan]) -> Plan:
    """Return the plan of a workflow whose rows need not be stored, as a form has them.

    :raises UsageError: as :func:`load_plan`, but for a workflow that is switched off.
    """
    versions = Versions("")
    python = workflow.slug in registered()
    return _with_workflows(_of_rows(workflow, steps, triggers, versions, python=python), versions)


def version_plan(
    workflow: Workflow, version: WorkflowVersion, *, key: str = "", named: Named | None = None
) -> Plan:
    """Return the plan of a version of a workflow, whether it is published or was, with its schema.

    :param key: and ``named``: as in :func:`load_plan`; without a key it takes no part in tests.
    :raises UsageError: as :func:`load_plan`, but for a workflow that is switched off or not published;
        ``unknown-prompt``, ``unknown-provider``: what it names has gone.
    """
    versions, python = Versions(key, named), workflow.slug in registered()
    then, steps, triggers, number = rows_of_version(workflow, version)
    plan = _of_rows(then, steps, triggers, versions, python=python, published=number)
    return replace(_with_workflows(plan, versions), input_schema=then.input_schema)


def load_inner_plan(slug: str, *, key: str = "") -> Plan:
    """Return the plan of a workflow that is executed inside another one; arguments as :func:`load_plan`.

    What bounds runs is not in force inside one, except for the schema of the input.
    """
    versions = Versions(key)
    return _with_workflows(_inner(slug, versions), versions)


def inner_plan_of(run: Run, slug: str) -> dict[str, Any]:
    """Return the plan of a workflow that a function executes inside ``run``, as JSON data.

    :raises UsageError: as :func:`load_plan`.
    """
    key = version_key(run.owner_key, run.conversation_id or run.pk)
    return load_inner_plan(slug, key=key).to_json()


def _with_workflows(plan: Plan, versions: Versions) -> Plan:
    """The plan together with those of the workflows that its steps execute, and of those that these execute.

    :raises ConfigurationError: one executes itself, directly or through others.
    """
    found: dict[str, Plan] = {}
    _collect(plan, versions, found, (plan.workflow,))
    return replace(plan, workflows=found)


def _collect(plan: Plan, versions: Versions, found: dict[str, Plan], path: tuple[str, ...]) -> None:
    for slug in inner_workflows(plan.steps):
        if slug in path:
            ring = " → ".join([*path[path.index(slug) :], slug])
            raise ConfigurationError(
                Phrase("a workflow executes itself: %(ring)s", ring=ring), code="workflow-cycle"
            )
        if slug not in found:
            found[slug] = _inner(slug, versions)
            _collect(found[slug], versions, found, (*path, slug))


def _inner(slug: str, versions: Versions) -> Plan:
    row = Workflow.objects.filter(slug=slug).first()
    plan = _plan(slug, row, versions, python=slug in registered())
    return replace(plan, input_schema=row.schema_in_force if row else {})


def _plan(slug: str, workflow: Workflow | None, versions: Versions, *, python: bool) -> Plan:
    if workflow is None and not python:
        message = Phrase("expected the slug of a workflow, got %(slug)r", slug=slug)
        raise UsageError(message, code="unknown-workflow")
    if workflow is not None and not workflow.enabled:
        message = Phrase("the workflow %(slug)r is switched off", slug=slug)
        raise UsageError(message, code="workflow-disabled")
    if workflow is not None and workflow.draft_only:
        message = Phrase("the workflow %(slug)r has not been published yet", slug=slug)
        raise UsageError(message, code="not-published")
    if workflow is None:
        shown = declared(slug).show_reasoning
        return Plan(workflow=slug, python=True, providers=load_provider_plans(), show_reasoning=shown)
    rows = rows_of(workflow)
    return _of_rows(
        rows.workflow, rows.steps, rows.triggers, versions, python=python, published=rows.published
    )


def _of_rows(
    workflow: Workflow,
    rows: Iterable[Step],
    triggers: Iterable[TriggerPlan],
    versions: Versions,
    *,
    python: bool,
    published: int = 0,
) -> Plan:
    slug, providers = workflow.slug, load_provider_plans()
    limits = Limits(**(workflow.limits or {}))
    steps = tuple(_step(row, workflow, providers, versions) for row in rows)
    if python:
        return Plan(
            workflow=slug,
            python=True,
            published=published,
            steps=steps,
            providers=providers,
            limits=limits,
            on_disconnect=workflow.on_disconnect,  # type: ignore[arg-type]  # as for format
            show_reasoning=workflow.show_reasoning,
        )
    if not steps:
        raise ConfigurationError(Phrase("the workflow %(slug)r has no steps", slug=slug), code="no-steps")
    used = {step.provider.name for step in steps if isinstance(step, BotPlan)}
    plan = Plan(
        workflow=slug,
        published=published,
        steps=steps,
        triggers=tuple(triggers),
        providers=tuple(plan for plan in providers if plan.name in used),
        limits=limits,
        on_disconnect=workflow.on_disconnect,  # type: ignore[arg-type]
        show_reasoning=workflow.show_reasoning,
    )
    for fault in faults(Graph.of(plan), codes=_FATAL):
        message = Phrase("in the workflow %(slug)r %(problem)s", slug=slug, problem=fault.message)
        raise ConfigurationError(message, code=fault.code)
    return plan


def load_provider_plans() -> tuple[ProviderPlan, ...]:
    """Return all providers, the site's default one first (where it exists)."""
    default = app_settings().default_provider
    return tuple(
        sorted((row.to_plan() for row in Provider.objects.all()), key=lambda plan: plan.name != default)
    )


def _step(step: Step, workflow: Workflow, providers: Sequence[ProviderPlan], versions: Versions) -> StepPlan:
    plan = replace(step.to_plan(), show_reasoning=workflow.show_reasoning)
    if plan.kind == "bot":
        plan = _bot(step, plan, providers, versions)
    else:
        try:
            check_options(plan)
        except UsageError as error:  # a row may be older than what knew its kind
            message = Phrase("the step %(step)r: %(problem)s", step=step.name, problem=error.message)
            raise ConfigurationError(message, code=error.code) from error
    if step.schema:
        _check_schema(step)
    return plan


def _bot(step: Step, plan: StepPlan, providers: Sequence[ProviderPlan], versions: Versions) -> BotPlan:
    """Return what a bot has beside what every step has, which is in ``plan``."""
    name = step.provider.name if step.provider else app_settings().default_provider
    provider = next((each for each in providers if each.name == name), None)
    if not providers:
        message = Phrase(
            "the step %(step)r needs a model, but %(problem)s", step=step.name, problem=no_provider(name)
        )
        raise NoProvider(message, provider=name)
    if provider is None:
        message = Phrase(
            "the step %(step)r names no provider, and there is no provider %(name)r "
            "(the setting LINGSTREAM['DEFAULT_PROVIDER'])",
            step=step.name,
            name=name,
        )
        raise NoProvider(message, provider=name)
    model = step.model or provider.model
    if not model and kind_of(provider.kind, app_settings().provider_kinds).needs_model:
        message = Phrase(
            "the step %(step)r names no model, and the provider %(name)r has no default model",
            step=step.name,
            name=name,
        )
        raise ConfigurationError(message, code="no-model")
    return BotPlan(
        **{each.name: getattr(plan, each.name) for each in fields(plan)},
        **_prompt(step, versions),
        provider=provider,
        model=model,
        params=dict(step.params),
        history=step.history,
    )


def _check_schema(step: Step) -> None:
    """Before a model is asked and paid: a row may be older than what its schema is checked by."""
    try:
        compile_schema(step.schema)
    except SchemaFault as fault:
        message = Phrase(
            "the output schema of the step %(step)r cannot be used: at %(uri)r: %(problem)s",
            step=step.name,
            uri=fault.uri,
            problem=fault.message,
        )
        raise UsageError(message, code=fault.code) from fault


def _prompt(step: Step, versions: Versions) -> dict[str, Any]:
    """What a bot is told, and of which version that is."""
    if step.prompt is None:
        return {"variables": dict(step.variables)}
    version = _version(step, step.prompt, versions)
    version.prompt = step.prompt
    found = planned_prompt(version, versions.of)
    return {**found, "variables": {**found["variables"], **(step.variables or {})}}


def _version(step: Step, prompt: Prompt, versions: Versions) -> PromptVersion:
    said: dict[str, Any] = {"step": step.name, "prompt": prompt.slug}
    if step.pinned is not None:
        version = prompt.version(step.pinned)
        missing = Phrase(
            "the step %(step)r wants version %(number)s of the prompt %(prompt)r, which has no such version",
            number=step.pinned,
            **said,
        )
    else:
        version = versions.of(prompt, step.label)
        missing = Phrase(
            "the step %(step)r wants the label %(label)r of the prompt %(prompt)r, which has no such label",
            label=step.label,
            **said,
        )
    if version is None:
        raise ConfigurationError(missing, code="no-label")
    return version
