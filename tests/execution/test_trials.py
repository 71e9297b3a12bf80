"""Trials: outside of everything that counts runs or offers them, for staff only, and gone after a day."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.utils import timezone

from lingstream.access import throttle
from lingstream.access.identity import Identity
from lingstream.access.permissions import check_cancel, check_feedback, check_read
from lingstream.access.tokens import make_token
from lingstream.core.engine.observers import Observer
from lingstream.core.engine.plan import BotPlan, Plan, ProviderPlan, StepPlan
from lingstream.core.exceptions import AccessError, InvalidInput, LingError, UsageError
from lingstream.execution import retention
from lingstream.execution.failures import report
from lingstream.execution.plans import load_plan
from lingstream.execution.runner import get_runner
from lingstream.execution.storage import in_database
from lingstream.execution.trials import MOST_OPEN, Variant, repeat, start_trial, varied
from lingstream.models import Conversation, Run, Runner
from tests import site as sites
from tests.execution.test_recovery import until
from tests.site import QUESTION, Site, store_provider, store_workflow

heard: list[tuple[str, bool]] = []


class Listener(Observer):
    """Hears of runs."""

    def run_started(self, run: Any) -> None:
        heard.append((run.workflow, run.trial))


@pytest.fixture
def staff(db: None) -> Identity:
    return Identity.of(User.objects.create_user("ed", is_staff=True), None)


@pytest.fixture
def alive(db: None) -> Runner:
    """Another process, which executes runs, lives."""
    return Runner.objects.create()


@pytest.fixture
def plan(db: None) -> Plan:
    store_workflow("test", {"answer": "A"})
    return load_plan("test")


class TestStart:
    def test_it_belongs_to_who_tries_and_shows_what_models_think(
        self, alive: Runner, plan: Plan, staff: Identity
    ) -> None:
        run = start_trial(plan, QUESTION, staff)
        run.refresh_from_db()
        assert (run.trial, run.owner_id, run.key, run.conversation_id) == (True, staff.owner_id, "", None)
        stored = Plan.from_json(run.plan)
        assert (stored.acts, stored.show_reasoning, stored.steps[0].show_reasoning) == (False, True, True)
        assert Plan.from_json(start_trial(plan, QUESTION, staff, acts=True).plan).acts

    def test_again_with_another_input(self, alive: Runner, plan: Plan, staff: Identity) -> None:
        first = start_trial(plan, QUESTION, staff)
        second = repeat(first, {"question": "ho"}, staff)
        assert (second.plan, second.input, second.trial) == (first.plan, {"question": "ho"}, True)

    @pytest.mark.parametrize(
        ("changes", "input", "error"),
        [
            ({"input_schema": {"type": "object"}}, "hi", InvalidInput),
            ({"python": True}, None, UsageError),
        ],
    )
    def test_is_refused(
        self, alive: Runner, staff: Identity, changes: dict[str, Any], input: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            start_trial(Plan("test", steps=(StepPlan("s", "compute"),), **changes), input, staff)
        assert not Run.objects.exists()

    def test_where_nobody_executes(self, plan: Plan, staff: Identity) -> None:
        with pytest.raises(LingError, match="expected a process that executes runs"):
            start_trial(plan, QUESTION, staff)

    def test_no_more_of_one_person_than_that(self, alive: Runner, plan: Plan, staff: Identity) -> None:
        for _ in range(MOST_OPEN):
            run = start_trial(plan, QUESTION, staff)
        with pytest.raises(LingError, match="have not ended"):
            start_trial(plan, QUESTION, staff)
        Run.objects.filter(pk=run.pk).update(status="canceled")
        start_trial(plan, QUESTION, staff)


@pytest.mark.django_db
class TestOutside:
    """Nothing that counts, limits or offers runs meets one."""

    @pytest.mark.parametrize("columns", [{"key": "k"}, {"conversation": True}])
    def test_it_has_neither_key_nor_conversation(self, columns: dict[str, Any]) -> None:
        if "conversation" in columns:
            columns = {"conversation": Conversation.objects.create()}
        Run.objects.create(workflow="w", **columns)
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.create(workflow="w", trial=True, **columns)

    def test_real_ones_are_the_others(self) -> None:
        real = Run.objects.create(workflow="w")
        Run.objects.create(workflow="w", trial=True)
        assert list(Run.objects.real()) == [real]

    def test_it_is_none_of_somebodys_open_runs(self) -> None:
        for trial in (True, False):
            Run.objects.create(workflow="w", trial=trial, counted_for="user:1")
        assert throttle._open_runs("user:1") == 1

    def test_it_fails_without_a_record(self, caplog: pytest.LogCaptureFixture) -> None:
        for trial in (True, False):
            report(Run(workflow="w", trial=trial), "failed", [])
        assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == [
            "lingstream.runs"
        ]


@pytest.mark.django_db
class TestAccess:
    """A token opens a trial to staff only."""

    @pytest.mark.parametrize(
        ("who", "opens"),
        [
            ({"is_staff": True}, True),
            ({"is_superuser": True, "is_staff": True}, True),
            ({}, False),
            (None, False),
        ],
    )
    def test_by_token(self, who: dict[str, Any] | None, opens: bool) -> None:
        user = AnonymousUser() if who is None else User.objects.create_user("ann", **who)
        run = Run.objects.create(workflow="w", trial=True)
        identity = Identity.of(user, None)
        for check in (check_read, check_cancel):
            if opens:
                check(run, identity, make_token(run.pk))
            else:
                with pytest.raises(AccessError):
                    check(run, identity, make_token(run.pk))
        with pytest.raises(AccessError):
            check_feedback(run, identity, make_token(run.pk))

    def test_not_even_to_its_owner_once_he_has_left_the_staff(self) -> None:
        owner = User.objects.create_user("ann")
        with pytest.raises(AccessError):
            check_read(Run(workflow="w", trial=True, owner=owner), Identity.of(owner, None))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "goes"),
    [
        ({"trial": True}, True),
        ({"trial": True, "status": "failed"}, True),
        ({"trial": True, "status": "running"}, False),
        ({"trial": False}, False),
    ],
)
def test_a_trial_goes_after_a_day(columns: dict[str, Any], goes: bool) -> None:
    for hours in (25, 23):
        made = timezone.now() - timedelta(hours=hours)
        Run.objects.create(workflow="w", created_at=made, **{"status": "finished", **columns})
    assert retention.prune() == (1 if goes else 0)
    assert Run.objects.count() == (1 if goes else 2)


class TestVariants:
    @pytest.fixture
    def bots(self, db: None) -> Plan:
        store_provider()
        steps = (BotPlan("a", model="m", params={"temperature": 1, "seed": 3}), BotPlan("b", model="n"))
        return Plan("w", steps=(*steps, StepPlan("c", "compute")))

    @pytest.mark.parametrize(
        ("variant", "models"),
        [
            (Variant(), ["m", "n"]),
            (Variant(model="x"), ["x", "x"]),
            (Variant(model="x", step="b"), ["m", "x"]),
            (Variant(provider="demo"), ["test-model", "test-model"]),
            (Variant(provider="demo", model="x"), ["x", "x"]),
        ],
    )
    def test_models(self, bots: Plan, variant: Variant, models: list[str]) -> None:
        found = varied(bots, variant).steps
        assert [each.model for each in found if isinstance(each, BotPlan)] == models
        assert found[2] == bots.steps[2]

    def test_parameters_lie_over_those_of_the_bot(self, bots: Plan) -> None:
        first = varied(bots, Variant(params={"temperature": 0.5})).steps[0]
        assert isinstance(first, BotPlan)
        assert (first.params, first.provider) == ({"temperature": 0.5, "seed": 3}, ProviderPlan())

    @pytest.mark.parametrize("variant", [Variant(provider="none"), Variant(step="none")])
    def test_of_what_there_is_not(self, bots: Plan, variant: Variant) -> None:
        with pytest.raises(UsageError, match="There is no"):
            varied(bots, variant)


async def test_it_is_executed_as_others_are_and_observers_know(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "OBSERVERS": [f"{__name__}.Listener"]}
    heard.clear()
    sites.answers = '{"answer": "No."}'
    await site.workflow(answer="A")
    await get_runner().ensure_registered()
    user = await User.objects.acreate(username="ed", is_staff=True)
    plan = await in_database(load_plan, "test")
    run = await in_database(start_trial, plan, QUESTION, Identity.of(user, None))
    await until(lambda: Run.objects.filter(pk=run.pk, finished_at__isnull=False).aexists())
    ended = await Run.objects.aget(pk=run.pk)
    assert (ended.status, ended.document) == ("finished", {"answer": "No."})
    assert heard == [("test", True)]
