"""From rows to plans: what a run needs, read once when it starts.

Everything here is synchronous ORM code; call it through ``database_sync_to_async``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Prefetch

from .access.network import AddressRefused, Guard, target
from .access.policy import site_guard
from .conf import app_settings
from .core import jsonuri
from .core.depth import check_depth
from .core.exceptions import ConfigurationError, UsageError
from .core.plan import NO_PROVIDER, BotPlan, Limits, Plan, ProviderPlan, TriggerPlan
from .core.validation import SchemaFault, compile_schema
from .core.workflow import declared
from .models import PromptLabel, Provider, Step, Trigger, Workflow
from .providers import options_schema
from .providers.scripted import add_scripts

__all__ = [
    "DEFAULT_BASE_URLS",
    "admits",
    "check_provider",
    "load_plan",
    "load_provider_plans",
    "look_up_provider",
    "provider_key",
    "to_provider_plan",
    "validate_input",
]

DEFAULT_BASE_URLS = {"openai": "https://api.openai.com/v1"}

# Options that would send a key elsewhere, or be one.
_FORBIDDEN_OPTIONS = frozenset(
    (
        "api_key",
        "admin_api_key",
        "azure_ad_token",
        "azure_ad_token_provider",
        "azure_endpoint",
        "base_url",
        "default_headers",
        "default_query",
        "http_client",
        "webhook_secret",
        "websocket_base_url",
        "workload_identity",
    )
)
_PORTS = {"http": 80, "https": 443}


def load_plan(slug: str, row: Workflow | None = None, *, python: bool = False) -> Plan:
    """Return the plan of a workflow as the database has it now.

    :param row: the workflow's, if it is known already.
    :param python: the workflow is a function; a row with its slug gives limits and steps to take prompts
        from, and may switch it off.
    :raises UsageError: ``unknown-workflow``, ``workflow-disabled``, ``no-steps``, ``nothing-starts``,
        ``no-label``, ``no-provider``, ``no-model``, ``invalid-schema``.
    """
    workflow = row or Workflow.objects.filter(slug=slug).first()
    if workflow is None and not python:
        raise UsageError(f"expected the slug of a workflow, got {slug!r}", code="unknown-workflow")
    if workflow is not None and not workflow.enabled:
        raise UsageError(f"the workflow {slug!r} is switched off", code="workflow-disabled")
    providers = load_provider_plans()
    limits = Limits(**(workflow.limits or {})) if workflow is not None else Limits()
    if workflow is None:
        shown = declared(slug).show_reasoning
        return Plan(workflow=slug, python=True, providers=providers, limits=limits, show_reasoning=shown)
    bots = tuple(_bot(step, providers) for step in _steps(workflow))
    if python:
        return Plan(
            workflow=slug,
            python=True,
            steps=bots,
            providers=providers,
            limits=limits,
            on_disconnect=workflow.on_disconnect,  # type: ignore[arg-type]  # as for format
            show_reasoning=workflow.show_reasoning,
        )
    if not bots:
        raise ConfigurationError(f"the workflow {slug!r} has no steps", code="no-steps")
    triggers = tuple(_trigger(row) for row in workflow.triggers.select_related("source", "target"))
    used = {bot.provider.name for bot in bots}
    plan = Plan(
        workflow=slug,
        steps=bots,
        triggers=triggers,
        providers=tuple(plan for plan in providers if plan.name in used),
        limits=limits,
        on_disconnect=workflow.on_disconnect,  # type: ignore[arg-type]
        show_reasoning=workflow.show_reasoning,
    )
    if not plan.entry_steps:
        raise ConfigurationError(
            f"in the workflow {slug!r} nothing starts: expected a step that no trigger starts, but each of "
            f"{', '.join(bot.name for bot in bots)} waits for one",
            code="nothing-starts",
        )
    return plan


def load_provider_plans() -> tuple[ProviderPlan, ...]:
    """Return all providers, the site's default one first (where it exists)."""
    default = app_settings().default_provider
    return tuple(sorted(map(to_provider_plan, Provider.objects.all()), key=lambda plan: plan.name != default))


def to_provider_plan(row: Provider) -> ProviderPlan:
    """Return a provider's row as the core sees it."""
    return ProviderPlan(
        name=row.name,
        kind=row.kind,
        base_url=row.base_url,
        key_name=row.key_name,
        model=row.default_model,
        max_concurrency=row.max_concurrency,
        options=dict(row.options),
    )


def _steps(workflow: Workflow) -> Iterable[Step]:
    labels = Prefetch("prompt__labels", queryset=PromptLabel.objects.select_related("version"))
    return workflow.steps.select_related("prompt", "provider").prefetch_related(labels)


def _bot(step: Step, providers: Sequence[ProviderPlan]) -> BotPlan:
    name = step.provider.name if step.provider else app_settings().default_provider
    provider = next((plan for plan in providers if plan.name == name), None)
    if not providers:
        raise ConfigurationError(
            f"the step {step.name!r} needs a model, but {NO_PROVIDER}", code="no-provider"
        )
    if provider is None:
        raise ConfigurationError(
            f"the step {step.name!r} names no provider, and there is no provider {name!r} "
            "(the setting LINGSTREAM['DEFAULT_PROVIDER'])",
            code="no-provider",
        )
    model = step.model or provider.model
    if not model and provider.kind != "scripted":
        raise ConfigurationError(
            f"the step {step.name!r} names no model, and the provider {name!r} has no default model",
            code="no-model",
        )
    text, variables, version = _prompt(step)
    if step.schema:
        _check_schema(step)
    return BotPlan(
        name=step.name,
        prompt=text,
        variables=variables,
        prompt_version=version,
        input=step.input,
        root=step.root,
        provider=provider,
        model=model,
        params=dict(step.params),
        format=step.format,  # type: ignore[arg-type]  # the column's choices are the literal's
        only=tuple(step.only),
        exclude=tuple(step.exclude),
        quiet=step.quiet,
        optional=step.optional,
        history=step.history,
        schema=step.schema,
        show_reasoning=step.workflow.show_reasoning,
    )


def _check_schema(step: Step) -> None:
    """Before a model is asked and paid: a row may be older than what its schema is checked by."""
    try:
        compile_schema(step.schema)
    except SchemaFault as fault:
        raise UsageError(
            f"the output schema of the step {step.name!r} cannot be used: at {fault.uri!r}: {fault.message}",
            code=fault.code,
        ) from fault


def _prompt(step: Step) -> tuple[str, dict[str, Any], str]:
    if step.prompt is None:
        return "", dict(step.variables), ""
    for label in step.prompt.labels.all():
        if label.name == step.label:
            version = label.version
            name = f"{step.prompt.slug} v{version.number}"
            return version.text, {**(step.prompt.variables or {}), **(step.variables or {})}, name
    raise ConfigurationError(
        f"the step {step.name!r} wants the label {step.label!r} of the prompt {step.prompt.slug!r}, which "
        "has no such label",
        code="no-label",
    )


def _trigger(row: Trigger) -> TriggerPlan:
    return TriggerPlan(
        source=row.source.name,
        target=row.target.name,
        event=row.event,  # type: ignore[arg-type]  # the column's choices are the literal's
        pattern=row.pattern,
        condition=row.condition,
        input=row.input,
        root=row.root,
        partial=row.partial,
    )


def validate_input(schema: dict[str, Any], value: Any) -> None:
    """Check what a run is started with against its workflow's schema; an empty one accepts any JSON.

    :raises UsageError: ``invalid-input``, naming the place, what was expected and what came; ``too-deep``,
        ``too-costly``; ``invalid-schema`` for a stored schema that cannot be used.
    """
    check_depth(value)
    if not schema:
        return
    try:
        failures = compile_schema(schema).failures(value)
    except SchemaFault as fault:
        raise UsageError(
            f"the workflow's input schema cannot be used: at {fault.uri!r}: {fault.message}", code=fault.code
        ) from fault
    if failures:
        where, message = jsonuri.join(*failures[0].path), failures[0].message
        message = message if len(message) <= 300 else message[:300] + "…"
        raise UsageError(
            f"the input does not fit at {where!r}: {message}"
            if where
            else f"the input does not fit: {message}",
            code="invalid-input",
        )


def provider_key(plan: ProviderPlan) -> str:
    """Return the key of a provider, or ``""`` where it needs none.

    :raises UsageError: as :func:`check_provider`, or ``key-missing`` where the environment lacks it.
    """
    check_provider(plan)
    if plan.kind == "scripted" or not plan.key_name:
        return ""
    key = os.environ.get(plan.key_name, "")
    if not key:
        raise ConfigurationError(
            f"the provider {plan.name!r} needs the environment variable {plan.key_name}, which is not set",
            code="key-missing",
        )
    return key


def check_provider(plan: ProviderPlan) -> None:
    """Check a provider's options, and that its key may be sent where the provider points.

    :raises UsageError: ``key-not-listed`` for a key name that the setting does not list, ``base-url`` for an
        address that is none, that is inside the network or that the key may not be sent to, ``option`` for
        one that the kind does not take, or that would redirect it.
    """
    _check_options(plan)
    if plan.kind == "scripted":
        return
    url = plan.base_url or DEFAULT_BASE_URLS.get(plan.kind, "")
    if url and _parts(url) is None:
        raise UsageError(
            f"the provider {plan.name!r}: expected an address like https://api.example.com/v1, without user, "
            f"query and dots in the path, got {url!r}",
            code="base-url",
        )
    if not plan.base_url and any(plan.options.get(name) for name in ("azure", "api_version", "deployment")):
        raise UsageError(
            f"the provider {plan.name!r}: Azure wants the address of the resource, got none", code="base-url"
        )
    _check_address(plan, url)
    if not plan.key_name:
        return
    allowed = app_settings().provider_keys.get(plan.key_name)
    if allowed is None:
        raise UsageError(
            f"the provider {plan.name!r} names the key {plan.key_name!r}, which LINGSTREAM['PROVIDER_KEYS'] "
            "does not list",
            code="key-not-listed",
        )
    if not any(admits(prefix, url) for prefix in allowed):
        raise UsageError(
            f"the provider {plan.name!r} would send {plan.key_name} to {url!r}; "
            "LINGSTREAM['PROVIDER_KEYS'] allows " + (", ".join(allowed) or "no address"),
            code="base-url",
        )


def look_up_provider(plan: ProviderPlan) -> None:
    """Ask the DNS whether a provider's host is public: for who saves it, as it blocks.

    :raises UsageError: ``base-url``.
    """
    if plan.kind != "scripted":
        _check_address(plan, plan.base_url, Guard.look_up)


def _check_address(
    plan: ProviderPlan, url: str, check: Callable[[Guard, str, int], None] = Guard.check
) -> None:
    """A row may not lead into the network; what a name resolves to is judged again at each connection."""
    try:
        if found := target(url):
            check(site_guard(), *found)
    except AddressRefused as error:
        raise ConfigurationError(f"the provider {plan.name!r}: {error.message}", code="base-url") from error


def _check_options(plan: ProviderPlan) -> None:
    forbidden = sorted(_FORBIDDEN_OPTIONS & set(plan.options))
    if forbidden:
        raise UsageError(
            f"the provider {plan.name!r} may not have the option {forbidden[0]!r}: addresses and keys have "
            "fields of their own",
            code="option",
        )
    given = app_settings()
    add_scripts(given.scripts)
    schema = options_schema(plan.kind, given.provider_kinds)
    failures = compile_schema(schema).failures(plan.options) if schema else []
    if failures:
        where, message = jsonuri.join(*failures[0].path), failures[0].message
        raise UsageError(
            f"the provider {plan.name!r}: the option {where!r}: {message}"
            if where
            else f"the provider {plan.name!r}: {message}",
            code="option",
        )
    low, high = plan.options.get("chunk", (1, 1)) if plan.kind == "scripted" else (1, 1)
    if low > high:
        raise UsageError(
            f"the provider {plan.name!r}: the option 'chunk': expected the smaller size first", code="option"
        )


def admits(prefix: str, url: str) -> bool:
    """Whether ``url`` is ``prefix`` or lies below it: same scheme, host, port, path at a boundary."""
    wanted, given = _parts(prefix), _parts(url)
    if wanted is None or given is None or wanted[:3] != given[:3]:
        return False
    head = wanted[3].rstrip("/")
    return given[3].rstrip("/") == head or given[3].startswith(head + "/")


def _parts(url: str) -> tuple[str, str, int, str] | None:
    """Scheme, host, port, path of a plain http address; ``None`` for what parsers may read in two ways."""
    if not url.isascii() or not url.isprintable() or set(url) & set(" \\@?#%"):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or {".", ".."} & set(parts.path.split("/")):
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path
