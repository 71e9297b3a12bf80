"""What “Run again” may name in place of what a run would get: a version of the workflow, and which of the two
versions that a prompt's label tests.

It is for who may change the workflow, and may try its versions so: not each of them has been published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from lingstream.access.identity import Identity
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.registry import registered
from lingstream.core.exceptions import UsageError
from lingstream.execution.plans import load_plan, version_plan
from lingstream.execution.versions import version_key

from ...models import PromptLabel, PromptVersion, Run, Workflow

__all__ = ["Nameable", "may_name", "nameable", "named_plan"]

_MOST_VERSIONS = 50  # the newest
_MOST_TESTS = 20
_LABEL = "label-"  # before a label's key, in the name of a field


class Nameable(NamedTuple):
    """What there is to choose from.

    :param live: the number of the version that runs start from; 0: they start from the rows.
    :param versions: the numbers of all, the newest first.
    :param tests: the labels that test two versions, of prompts that the run or its workflow asks for.
    """

    live: int
    versions: list[int]
    tests: list[PromptLabel]


def nameable(run: Run, workflow: Workflow | None, prompts: Iterable[str], user: Any) -> Nameable | None:
    """Return what may be named for a run; ``None``: nothing, or not by this user.

    :param prompts: the slugs of those that its bots were told.
    """
    if run.trial or workflow is None or not may_name(user):
        return None
    live = workflow.published.number if workflow.published else 0
    versions = list(workflow.versions.values_list("number", flat=True)[:_MOST_VERSIONS])
    tests = list(_tests(workflow, {*prompts}))
    return Nameable(live, versions, tests) if tests or versions not in ([], [live]) else None


def may_name(user: Any) -> bool:
    """Whether this user may run a workflow again with what is named."""
    return bool(user.has_perms(("lingstream.start_workflow", "lingstream.change_workflow")))


def named_plan(run: Run, user: Any, asked: Mapping[str, str]) -> Plan:
    """Return the plan for a run with what the form names; all else is as it is today.

    :param user: whose run it will be, who may decide what a test does that has not been named.
    :param asked: the posted form.
    :raises UsageError: there is no such version, or no such test any more; or as
        :func:`~lingstream.execution.plans.load_plan`.
    """
    workflow = Workflow.objects.filter(slug=run.workflow).first()
    key = version_key(Identity.of_site(user, scope=run.scope).owner_key, run.pk)
    named = dict(_named(asked))
    number = asked.get("version", "")
    if not number:
        plan = load_plan(run.workflow, workflow, python=run.workflow in registered(), key=key, named=named)
        return replace(plan, input_schema=workflow.schema_in_force if workflow else {})
    is_number = number.isascii() and number.isdecimal()
    version = workflow.versions.filter(number=int(number[:9])).first() if workflow and is_number else None
    if workflow is None or version is None:
        raise UsageError(_("There is no version %(number)s.") % {"number": number[:20]})
    return version_plan(workflow, version, key=key, named=named)


def _tests(workflow: Workflow, prompts: set[str]) -> Iterable[PromptLabel]:
    """The tests that such runs take part in; a function's plans of others are made while it runs."""
    if workflow.slug in registered():
        return
    for steps in (workflow.steps, workflow.published_steps):
        prompts.update(steps.exclude(prompt=None).values_list("prompt__slug", flat=True))
    rows = PromptLabel.objects.exclude(other=None).select_related("prompt", "version", "other")
    own = rows.filter(prompt__slug__in=prompts)
    others = rows.exclude(prompt__slug__in=prompts)[:_MOST_TESTS]  # each of which is asked for by whom
    included = (
        label
        for label in others
        if any(each.prompt.slug in prompts for each in label.prompt.included_by(label.name))
    )
    yield from islice(chain(own, included), _MOST_TESTS)


def _named(asked: Mapping[str, str]) -> Iterable[tuple[tuple[int, str], PromptVersion]]:
    tests = {f"{_LABEL}{label.pk}": label for label in PromptLabel.objects.exclude(other=None)}
    for name, number in asked.items():
        if not (name.startswith(_LABEL) and number):
            continue
        label = tests.get(name)
        sides = (label.version, label.other) if label else ()
        version = next((side for side in sides if side and str(side.number) == number), None)
        if label is None or version is None:
            raise UsageError(_("The test of these versions has ended: open the page anew."))
        yield (label.prompt_id, label.name), version
