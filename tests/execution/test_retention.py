"""What is deleted: runs past their workflow's retention, and all of a person's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.conversations.notices import topic_of, topics_of_owner
from lingstream.core.notices import Notice
from lingstream.execution import retention
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.hubs import get_hub
from lingstream.models import Attachment, BotRun, Conversation, Run, Runner, Workflow
from tests import site as sites
from tests.chaos.patience import scaled
from tests.site import Site


def ended(workflow: str = "facts", days: float = 0, bots: int = 1, **fields: Any) -> Run:
    """A run that ended so many days ago."""
    at = timezone.now() - timedelta(days=days)
    run = Run.objects.create(workflow=workflow, **{"status": "finished", "finished_at": at, **fields})
    for number in range(bots):
        BotRun.objects.create(run=run, step="answer", instance=f"answer#{number}", occurrence=number)
    return run


def left() -> set[Any]:
    return set(Run.objects.values_list("pk", flat=True))


@pytest.mark.django_db
class TestPrune:
    @pytest.fixture(autouse=True)
    def workflows(self) -> None:
        Workflow.objects.create(slug="facts", retention_days=30)
        Workflow.objects.create(slug="for-ever")

    @pytest.mark.parametrize(
        ("fields", "goes"),
        [
            ({"days": 31}, True),
            ({"days": 29}, False),
            ({"days": 31, "status": "failed"}, True),
            ({"days": 31, "status": "canceled"}, True),
            ({"days": 31, "status": "lost"}, True),
            ({"days": 31, "status": "running"}, False),
            ({"finished_at": None, "status": "running"}, False),
            ({"finished_at": None, "status": "queued"}, False),
            ({"days": 3000, "workflow": "for-ever"}, False),
            ({"days": 3000, "workflow": "in-python-only"}, False),
        ],
    )
    def test_runs_go_when_their_workflow_has_kept_them_long_enough(
        self, fields: dict[str, Any], goes: bool
    ) -> None:
        run = ended(**fields)
        assert retention.prune() == goes
        assert (run.pk in left(), BotRun.objects.exists()) == (not goes, not goes)

    def test_the_oldest_go_first_and_no_more_than_asked_for(self) -> None:
        runs = [ended(days=days) for days in (40, 60, 50)]
        assert retention.prune(2) == 2
        assert left() == {runs[0].pk}
        assert retention.prune(2) == 1
        assert retention.prune(2) == 0

    def test_one_call_is_one_batch_whatever_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "BATCH", 3)
        for _ in range(5):
            ended(days=40)
        assert [retention.prune(1_000), retention.prune(1_000)] == [3, 2]

    def test_the_bound_is_for_all_workflows_together(self) -> None:
        Workflow.objects.create(slug="short", retention_days=1)
        for slug in ("facts", "short"):
            for _ in range(3):
                ended(slug, days=40)
        assert [retention.prune(4), retention.prune(4)] == [4, 2]

    def test_a_conversation_goes_with_its_last_run(self) -> None:
        done, alive, other = (Conversation.objects.create() for _ in range(3))
        ended(days=40, conversation=done)
        ended(days=40, conversation=done)
        ended(days=40, conversation=alive)
        kept = ended(days=1, conversation=alive)
        retention.prune()
        assert left() == {kept.pk}
        assert set(Conversation.objects.all()) == {alive, other}

    @pytest.mark.django_db(transaction=True)
    async def test_pages_hear_of_what_has_gone(self, site: Site, tmp_path: Any, settings: Any) -> None:
        settings.MEDIA_ROOT = str(tmp_path)
        ann = await User.objects.acreate(username="ann")
        gone, fewer, unused = [await Conversation.objects.acreate(owner=ann, seq=4) for _ in range(3)]
        talks = [await sync_to_async(ended)(days=40, owner=ann, conversation=talk) for talk in (gone, fewer)]
        await sync_to_async(ended)(days=1, owner=ann, conversation=fewer)
        await Conversation.objects.filter(pk=unused.pk).aupdate(updated_at=timezone.now() - timedelta(days=2))
        file = Attachment(conversation=gone, run=talks[0], name="a.txt", size=1, owner=ann)
        await sync_to_async(file.file.save)("a.txt", ContentFile(b"a"))
        place = Path(file.file.path)
        assert place.exists()
        heard = await get_hub().notices.listen()
        heard.add(*topics_of_owner(Identity.of(ann, None)))  # as a page that lists them
        assert await sync_to_async(retention.prune)() == 2
        assert await sync_to_async(retention.sweep)() == 1
        told = set()
        while len(told) < 3:
            await heard.wait()
            told.update((notice.conversation, notice.kind, notice.seq) for notice in heard.take())
        assert told == {
            (str(gone.pk), "remove", 5),
            (str(fewer.pk), "change", 5),
            (str(unused.pk), "remove", 5),
        }
        assert (await Conversation.objects.aget()).seq == 5
        assert not place.exists()

    def test_documents_are_not_read_and_statements_do_not_grow_with_the_runs(self) -> None:
        def statements(count: int) -> list[str]:
            for _ in range(count):
                ended(days=40, bots=2, document={"a": "x"}, conversation=Conversation.objects.create())
            with CaptureQueriesContext(connection) as queries:
                assert retention.prune() == count
            return [query["sql"] for query in queries]

        few, many = statements(2), statements(40)
        assert len(few) == len(many)
        assert not any('"document"' in sql for sql in many)

    @pytest.mark.parametrize("days", [0, 36_501])
    def test_a_period_is_between_a_day_and_a_century(self, days: int) -> None:
        with pytest.raises(ValidationError, match="retention_days"):
            Workflow(slug="x", retention_days=days).full_clean()


@pytest.mark.django_db
class TestCommand:
    @pytest.fixture(autouse=True)
    def stored(self) -> None:
        Workflow.objects.create(slug="facts", retention_days=30)
        ended(days=31)
        ended(days=10)
        ended("other", days=10)
        old = timezone.now() - timedelta(days=2)
        Conversation.objects.create()
        Conversation.objects.filter(pk=Conversation.objects.create().pk).update(updated_at=old)

    def prune(self, *arguments: str) -> str:
        out = StringIO()
        call_command("ling_prune", *arguments, stdout=out)
        return out.getvalue().strip()

    @pytest.mark.parametrize(
        ("arguments", "runs"),
        [
            ([], 1),
            (["--days", "5"], 3),
            (["--days", "20"], 1),
            (["--days", "5", "--workflow", "other"], 1),
            (["--workflow", "other"], 0),
            (["--days", "5", "--workflow", "other", "--workflow", "facts"], 3),
        ],
    )
    def test_deletes_all_that_may_go(self, arguments: list[str], runs: int) -> None:
        assert self.prune(*arguments, "--dry-run") == f"{runs} runs would be deleted"
        assert Run.objects.count() == 3
        assert self.prune(*arguments) == f"{runs} runs and 1 empty conversations deleted"
        assert Run.objects.count() == 3 - runs
        assert Conversation.objects.count() == 1, "a new conversation still waits for its first run"

    def test_goes_on_until_nothing_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        for _ in range(5):
            ended(days=40)
        assert self.prune().startswith("6 runs")

    def test_days_are_a_number_from_0_on(self) -> None:
        for days in ("-1", "36501", "99999999999"):
            with pytest.raises(CommandError, match=f"from 0 to 36500, got {days}"):
                self.prune("--days", days)
        assert self.prune("--days", "0").startswith("3 runs")


class TestErase:
    @pytest.fixture(autouse=True)
    def hasty(self, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02, "HEARTBEAT_EVERY": 0.05}

    async def test_all_that_is_a_persons_goes_and_nothing_else(self, site: Site) -> None:
        ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
        for user in (ann, bob):
            talk = await Conversation.objects.acreate(owner=user)
            await sync_to_async(ended)(owner=user, conversation=talk)
            await sync_to_async(ended)(owner=user)
        await sync_to_async(ended)()
        assert await retention.aerase(ann) == 2
        assert await Run.objects.filter(owner=ann).acount() == 0
        assert await Conversation.objects.filter(owner=ann).acount() == 0
        assert (await Run.objects.acount(), await BotRun.objects.acount()) == (3, 3)
        assert await Conversation.objects.acount() == 1
        assert await User.objects.filter(pk=ann.pk).aexists()

    async def test_pages_hear_that_the_conversations_are_gone(self, site: Site) -> None:
        ann = await User.objects.acreate(username="ann")
        talk = await Conversation.objects.acreate(owner=ann, seq=4)
        await sync_to_async(ended)(owner=ann, conversation=talk)
        heard = await get_hub().notices.listen()
        heard.add(topic_of(talk.pk))
        await retention.aerase(ann)
        await heard.wait()
        assert heard.take() == [Notice(str(talk.pk), 5, "remove")]

    async def test_what_runs_is_cancelled_first_and_its_log_is_dropped(self, site: Site) -> None:
        sites.answers = [['{"answer": "half', asyncio.Event()]]
        await site.workflow(answer="Go.")
        ann = await User.objects.acreate(username="ann")
        runner = get_runner()
        row, _ = await runner.start(Start("test", sites.QUESTION), Identity.of(ann, None))
        assert await get_hub().find(str(row.pk))
        assert await retention.aerase(ann) == 1
        assert runner.running() == []
        assert not await Run.objects.aexists()
        assert await get_hub().find(str(row.pk)) is None

    async def test_what_nobody_alive_executes_is_not_waited_for(self, site: Site) -> None:
        ann = await User.objects.acreate(username="ann")
        dead = await Runner.objects.acreate(heartbeat_at=timezone.now() - timedelta(minutes=5))
        await Run.objects.acreate(workflow="facts", owner=ann, status="running", runner=dead)
        await Run.objects.acreate(workflow="facts", owner=ann)
        async with asyncio.timeout(scaled(5)):
            assert await retention.aerase(ann) == 2

    async def test_what_does_not_end_is_deleted_all_the_same(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(retention, "_PATIENCE", 0.1)
        ann = await User.objects.acreate(username="ann")
        deaf = await Runner.objects.acreate()
        await Run.objects.acreate(workflow="facts", owner=ann, status="running", runner=deaf)
        assert await retention.aerase(ann) == 1
        assert "did not end in time" in caplog.text

    async def test_from_code_that_is_not_async(self, site: Site) -> None:
        ann = await User.objects.acreate(username="ann")
        await sync_to_async(ended)(owner=ann)
        assert await sync_to_async(retention.erase)(ann) == 1

    async def test_in_batches(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        ann = await User.objects.acreate(username="ann")
        for _ in range(5):
            await sync_to_async(ended)(owner=ann)
        assert await retention.aerase(ann) == 5


@pytest.mark.django_db
def test_a_process_row_that_runs_name_is_kept_and_none_of_them_is_touched() -> None:
    from lingstream.execution import ownership

    old = timezone.now() - timedelta(days=3)
    named, unnamed = (Runner.objects.create(heartbeat_at=old) for _ in range(2))
    ended(runner=named)
    with CaptureQueriesContext(connection) as queries:
        ownership.register(uuid4(), "worker")
    assert Runner.objects.filter(pk=named.pk).exists()
    assert not Runner.objects.filter(pk=unnamed.pk).exists()
    changed = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "lingstream_run"')]
    assert changed == [] or all(str(named.pk.hex) not in sql for sql in changed)
