"""How the versions of a prompt do, and who uses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from lingstream import workflow
from lingstream.admin.prompts import figures as prompt_figures
from lingstream.admin.prompts.figures import Figures, figures, latest
from lingstream.admin.times import Times
from lingstream.models import (
    BotRun,
    Feedback,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Run,
    Step,
    Workflow,
)

from ..forms import client_with

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def prompt() -> Prompt:
    prompt = Prompt.objects.create(slug="details")
    first, second = (PromptVersion.objects.create(prompt=prompt, text=text) for text in "ab")
    PromptLabel.objects.create(prompt=prompt, name="production", version=first, other=second, weight=50)
    return prompt


def call(run: Run, version: str = "details v1", **columns: Any) -> BotRun:
    began = columns.pop("started_at", NOW)
    ended = columns.pop("seconds", 1.0)
    known = run.bot_runs.count()
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return BotRun.objects.create(
        run=run,
        step="s",
        occurrence=known,
        prompt_version=version,
        started_at=began,
        finished_at=began + timedelta(seconds=ended) if ended else None,
        **{"status": "finished", "usage": usage, **columns},
    )


def make_run(**columns: Any) -> Run:
    return Run.objects.create(workflow="w", **columns)


def one(prompt: Prompt, scope: str | None = None) -> Figures:
    (found,) = figures(prompt, scope)
    return found


class TestFigures:
    def test_count_runs_calls_and_words(self, prompt: Prompt) -> None:
        run, other = make_run(), make_run()
        call(run, first_token=0.1, seconds=1)
        call(run, first_token=0.3, seconds=3, repairs=[{"kind": "x", "uri": "", "offset": 0}])
        call(other, status="failed", seconds=0, usage={})
        call(other, "elsewhere v1")
        for key, value in (("a", 1), ("b", -1), ("c", 1)):
            Feedback.objects.create(run=run, session_key=key, value=value)
        found = one(prompt)
        assert found == Figures(
            found.version,
            runs=2,
            failed=1,
            repaired=1,
            first=Times(0.2, 0.3),
            total=Times(2, 3),
            tokens=(20, 10),
            up=2,
            down=1,
            workflows=frozenset({"w"}),
        )

    def test_each_version_has_its_own(self, prompt: Prompt) -> None:
        call(make_run(), "details v1")
        call(make_run(), "details v2")
        call(make_run(), "details v2")
        assert [(each.version.number, each.runs) for each in figures(prompt, None)] == [(2, 2), (1, 1)]

    def test_are_of_the_last_days_and_calls(self, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
        call(make_run(), started_at=NOW - timedelta(days=prompt_figures.DAYS + 1))
        assert figures(prompt, None) == []
        monkeypatch.setattr(prompt_figures, "MOST", 2)
        for hours in (1, 2, 3):
            call(make_run(), started_at=NOW - timedelta(hours=hours), first_token=float(hours))
        assert one(prompt).runs == 2
        assert one(prompt).first.p95 == 2

    def test_leave_trials_out(self, prompt: Prompt) -> None:
        call(make_run(trial=True))
        assert figures(prompt, None) == []

    def test_are_of_the_tenant_s_own_runs(self, prompt: Prompt) -> None:
        call(make_run(scope="a"))
        call(make_run(scope="b"))
        assert one(prompt, "a").runs == 1
        assert figures(prompt, "c") == []

    def test_are_found_by_an_index(self, prompt: Prompt) -> None:
        runs = Run.objects.bulk_create(Run(workflow="w") for _ in range(50))
        BotRun.objects.bulk_create(
            BotRun(run=run, step="s", replay_key=str(number), prompt_version=f"p v{number}", started_at=NOW)
            for run in runs
            for number in range(40)
        )
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE lingstream_botrun")
        version = prompt.versions.get(number=1)
        assert "lingstream_bot_prompt" in latest(version)[:100].explain()

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [([], (None, None)), ([None], (None, None)), ([2.0], (2, 2)), (range(1, 101), (50.5, 95))],
    )
    def test_times_are_the_median_and_what_most_stay_below(self, seconds: Any, expected: Any) -> None:
        assert Times.of(seconds) == expected


class TestPage:
    def test_shows_them_beside_the_labels(self, admin_client: Client, prompt: Prompt) -> None:
        call(make_run(), first_token=0.25, seconds=1.5)
        html = admin_client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").content.decode()
        assert '<a href="/admin/lingstream/botrun/?prompt_version=details+v1">1</a>' in html
        assert "0.25 · 0.25" in html
        rows = admin_client.get("/admin/lingstream/botrun/", {"prompt_version": "details v1"})
        assert rows.status_code == 200
        assert rows.context["cl"].result_count == 1

    def test_leads_nobody_to_what_is_not_theirs(self, prompt: Prompt) -> None:
        call(make_run())
        Step.objects.create(workflow=Workflow.objects.create(slug="facts"), name="s", prompt=prompt)
        html = (
            client_with("view_prompt").get(f"/admin/lingstream/prompt/{prompt.pk}/change/").content.decode()
        )
        assert "facts/s" in html
        assert "/admin/lingstream/botrun/" not in html
        assert "/admin/lingstream/workflow/" not in html

    def test_tells_what_is_published_from_the_draft(self, admin_client: Client, prompt: Prompt) -> None:
        Provider.objects.create(name="default", kind="scripted")
        row = Workflow.objects.create(slug="facts")
        step = Step.objects.create(workflow=row, name="s", prompt=prompt, input="{{ input }}")
        row.publish()
        Step.objects.filter(pk=step.pk).update(pinned=2)
        html = admin_client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").content.decode()
        html = " ".join(html[html.index("ling-usage") :].split())
        assert '<span class="ling-label">production</span> (as published, no more in the draft)' in html
        assert '<span class="ling-label">v2</span> (in the draft)' in html

    def test_names_all_who_use_the_prompt(self, admin_client: Client, prompt: Prompt) -> None:
        @workflow("in-python")
        async def uses(run: Any) -> None: ...

        for slug, columns in (("facts", {"pinned": 2}), ("in-python", {}), ("off", {})):
            row = Workflow.objects.create(slug=slug, enabled=slug != "off")
            Step.objects.create(workflow=row, name="s", prompt=prompt, **columns)
        outer = Prompt.objects.create(slug="outer")
        version = PromptVersion.objects.create(prompt=outer, text='{% include "prompt:details" %}')
        PromptLabel.objects.create(prompt=outer, name="production", version=version)
        call(make_run())
        html = admin_client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").content.decode()
        html = " ".join(html[html.index("ling-usage") :].split())
        for shown in (
            'facts/s</a> <span class="ling-label">v2</span>',
            "in-python/s</a>",
            "uses takes it by the step's name",
            "(switched off)",
            "outer v1</a> includes it",
            "<li>w: its latest runs did",
        ):
            assert shown in html, shown
