"""What docs/workflows.md shows of starting runs from Python does what it says."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.db.models.signals import post_save
from django.template import engines
from django.test import RequestFactory

from lingstream import astart, start
from lingstream.access.identity import Identity
from lingstream.core.exceptions import LingError
from lingstream.execution.schedules import Slots
from lingstream.models import Run, Runner, Schedule
from lingstream.models.clock import Now
from tests.site import store_workflow

PAGE = (Path(__file__).parents[1] / "docs" / "workflows.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(?:python|html)\n(?:# |<!-- )([\w./]+?)(?: -->)?\n(.*?)```", PAGE, re.DOTALL))

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workflows() -> None:
    for slug in ("advice", "welcome", "summary"):
        store_workflow(slug, {"answer": "A"})


@pytest.fixture
def alive() -> Runner:
    """As the page says for tests."""
    return Runner.objects.create()


def module(path: str) -> SimpleNamespace:
    names: dict[str, Any] = {}
    exec(BLOCKS[path], names)
    return SimpleNamespace(**names)


@pytest.mark.parametrize("visitor", ["ann", "session", "nobody"])
def test_the_view(monkeypatch: pytest.MonkeyPatch, alive: Runner, visitor: str) -> None:
    request = RequestFactory().get("/advice/", {"q": "Which one?"})
    request.user = User.objects.create(username="ann") if visitor == "ann" else AnonymousUser()
    key = "s3ssion" if visitor == "session" else None
    request.session = SimpleNamespace(session_key=key, accessed=True, get=lambda name, default: default)
    views = module("shop/views.py")
    template = engines["django"].from_string(BLOCKS["shop/templates/advice.html"])
    monkeypatch.setitem(
        views.advice.__globals__, "render", lambda request, name, context: template.render(context, request)
    )
    page = views.advice(request)
    run = Run.objects.get()
    assert f'<ling-stream run="{run.pk}">' in page
    assert (run.workflow, run.input, run.status) == ("advice", {"question": "Which one?"}, "queued")
    assert run.owner_key == Identity.of(request.user, request.session.session_key).owner_key


def test_the_command(alive: Runner) -> None:
    out = StringIO()
    call_command(module("shop/management/commands/advise.py").Command(stdout=out), "Which one?")
    assert out.getvalue() == f"queued: {Run.objects.get().pk}\n"


def test_the_receiver(alive: Runner) -> None:
    receivers = module("shop/receivers.py")
    try:
        ann = User.objects.create(username="ann")
        ann.save()
    finally:
        assert post_save.disconnect(receivers.welcome, sender=User)
    run = Run.objects.get()
    assert (run.owner, run.input, run.key) == (ann, {"name": "ann"}, "welcome")


class Again(Exception):
    """Celery executes the task once more."""


def shared_task(*, bind: bool, max_retries: int) -> Callable[[Any], Any]:
    """As Celery's, as far as the page uses it: this environment has no Celery."""

    def retry(*, exc: Exception, countdown: float) -> Exception:
        return Again()

    return lambda function: lambda *args: function(SimpleNamespace(retry=retry), *args)


def test_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    celery = ModuleType("celery")
    celery.shared_task = shared_task  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery", celery)
    summarize = module("shop/tasks.py").summarize
    ann = User.objects.create(username="ann")
    with pytest.raises(Again):
        summarize(ann.pk, "May")
    Runner.objects.create()
    for _ in range(2):
        summarize(ann.pk, "May")
    assert Run.objects.get().owner == ann
    Run.objects.update(input={"month": "June"})
    with pytest.raises(LingError, match="belongs to a run of another"):
        summarize(ann.pk, "May")


def test_the_schedule(alive: Runner) -> None:
    ann = User.objects.create(username="ann")
    for _ in range(2):
        module("shop/schedules.py").send_summaries(ann)
    Schedule.objects.update(next_at=Now())
    slots = Slots()
    assert [slots.take(row) for row in slots.find(9)] == [True]
    run = Run.objects.get()
    assert (run.workflow, run.input, run.owner) == ("summary", {"days": 1}, ann)


def test_every_argument_is_in_the_table() -> None:
    section = PAGE[PAGE.index("| argument | |") :].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE)))
    assert named == list(inspect.signature(start).parameters) == list(inspect.signature(astart).parameters)
