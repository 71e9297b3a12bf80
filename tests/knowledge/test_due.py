"""When a source is looked at: by the clock, by hand, and when something is pending."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from lingstream.access.identity import Identity
from lingstream.core.exceptions import AccessError, LingError
from lingstream.execution.ownership import register
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, create_run
from lingstream.knowledge import workflows
from lingstream.knowledge.due import WORKFLOW, DueSources, WatchedSources, following, request, wake
from lingstream.knowledge.models import Collection, Document, Source, Sync
from lingstream.knowledge.sources import folder as folders
from lingstream.knowledge.sync import sync
from lingstream.models import Run
from lingstream.models.clock import Now
from tests.chaos.patience import within
from tests.site import Site

from .world import one_pass, settled, world

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)


@pytest.fixture
def source() -> Source:
    settled()
    collection = Collection.objects.create(slug="c")
    return Source.objects.create(slug="s", collection=collection, kind="world")


@pytest.fixture
def somebody(db: None) -> None:
    """A process that executes runs; it is none of this test's."""
    register("00000000-0000-0000-0000-000000000001", "inline")  # type: ignore[arg-type]


def due() -> list[str]:
    return [row.slug for row in DueSources().find(100)]


class TestWhatIsDue:
    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({}, False),
            ({"next_at": -1}, True),
            ({"next_at": 60}, False),
            ({"next_at": -1, "paused": True}, False),
            ({"next_at": -1, "held_until": 60}, False),
            ({"next_at": -1, "held_until": -1}, True),
            ({"next_at": -1, "probe_at": 60}, False),
            ({"next_at": -1, "probe_at": -1}, True),
        ],
    )
    def test_a_source_is_when_its_row_says_so(self, source: Source, columns: Any, expected: bool) -> None:
        for name, value in columns.items():
            moment = value if isinstance(value, bool) else Now() + value * SECOND
            Source.objects.update(**{name: moment})
        assert bool(due()) is expected

    @pytest.mark.parametrize(("retry_at", "expected"), [(None, True), (-1, True), (60, False)])
    def test_a_pending_document_makes_it_due(self, source: Source, retry_at: Any, expected: bool) -> None:
        Document.objects.create(source=source, key="a")
        if retry_at:
            Document.objects.update(retry_at=Now() + retry_at * SECOND)
        assert bool(due()) is expected

    def test_a_pass_that_nobody_goes_on_with_does(self, source: Source) -> None:
        world.write("a", "one")
        assert one_pass(source, seconds=0.0).status == "unfinished"
        assert due() == ["s"]

    def test_one_with_a_period_is_due_from_its_first_day(self, source: Source) -> None:
        Source.objects.create(slug="t", collection=source.collection, kind="world", every=3_600)
        assert due() == ["t"]


class TestTaking:
    @pytest.mark.usefixtures("somebody")
    def test_a_time_that_the_database_has_written_is_taken_too(self, source: Source) -> None:
        """SQLite writes its clock in thousandths, Python in millionths: the two are never equal as text."""
        Source.objects.update(next_at=Now())
        assert [DueSources().take(each) for each in DueSources().find(1)] == [True]
        source.refresh_from_db()
        assert source.next_at is None

    def test_it_queues_a_run_and_moves_the_time(self, source: Source, somebody: None) -> None:
        Source.objects.update(next_at=Now() - SECOND, every=3_600)
        [found] = DueSources().find(1)
        assert DueSources().take(found) is True
        assert DueSources().take(found) is False
        run = Run.objects.get()
        assert (run.workflow, run.owner_key, run.input["full"]) == (WORKFLOW, "anyone", True)
        source.refresh_from_db()
        assert source.next_at and abs((source.next_at - found.at).total_seconds() - 3_600) <= 360
        assert source.holder == run.input["holder"]
        assert due() == []

    def test_a_crontab_has_its_own_times(self, source: Source) -> None:
        source.cron = "30 4 * * *"
        at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        assert following(source, at) == datetime(2026, 3, 2, 4, 30, tzinfo=UTC)

    def test_of_many_processes_one_takes_it(self, source: Source, somebody: None) -> None:
        Source.objects.update(next_at=Now() - SECOND)
        [found] = DueSources().find(1)
        taken: list[bool] = []
        gate = Barrier(4)

        def take() -> None:
            gate.wait()
            try:
                taken.append(DueSources().take(found))
            finally:
                connection.close()

        threads = [Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False, False, False, True]
        assert Run.objects.count() == 1

    def test_without_a_process_nothing_is_queued_and_nothing_is_lost(self, source: Source) -> None:
        Document.objects.create(source=source, key="a")
        assert wake(source.pk) is None
        with pytest.raises(LingError, match="executes runs"):
            request(source)
        assert (Run.objects.count(), due()) == (0, ["s"])

    def test_by_hand_it_follows_what_is_under_way(self, source: Source, somebody: None) -> None:
        run = request(source)
        assert run and run.input["trigger"] == "manual"
        assert request(source) is None
        Source.objects.update(held_until=None)
        [found] = DueSources().find(1)
        assert DueSources().take(found) is True

    def test_a_wish_that_is_rolled_back_takes_nothing(self, source: Source, somebody: None) -> None:
        with transaction.atomic():
            request(source)
            transaction.set_rollback(True)
        source.refresh_from_db()
        assert (source.holder, Run.objects.count()) == ("", 0)

    def test_nobody_from_outside_starts_one(self, source: Source, admin_user: Any) -> None:
        with pytest.raises(AccessError):
            create_run(Start(workflow=WORKFLOW, input={"source": source.pk}), Identity.of(admin_user, ""))


async def test_a_long_pass_goes_from_run_to_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await sync_to_async(settled)()
    for number in range(70):
        world.write(f"{number:02}", "text")
    monkeypatch.setattr(workflows, "sync", partial(sync, seconds=0.0))
    collection = await Collection.objects.acreate(slug="c")
    source = await Source.objects.acreate(slug="s", collection=collection, kind="world", paused=True)
    await get_runner().ensure_registered()
    await sync_to_async(request)(source)
    await _finished()
    assert (await Sync.objects.aget()).number == 1
    assert await Document.objects.filter(status="indexed").acount() == 70
    assert await Run.objects.acount() > 1


async def test_a_run_does_it_and_the_source_says_so(site: Site) -> None:
    await sync_to_async(settled)()
    world.write("a", "one")
    collection = await Collection.objects.acreate(slug="c")
    await get_runner().ensure_registered()
    source = await Source.objects.acreate(slug="s", collection=collection, kind="world", every=3_600)
    await _finished()
    row = await Sync.objects.aget()
    run = await Run.objects.aget()
    await get_runner().wait(str(run.pk))
    await run.arefresh_from_db()
    assert (row.run_id, run.status, run.document["phase"]) == (run.pk, "finished", "finished")
    told = {name: run.document[name] for name in ("seen", "changed", "left", "done")}
    assert told == {"seen": 1, "changed": 1, "left": 0, "done": 1}
    await source.arefresh_from_db()
    assert (source.state, source.holder) == ("ok", "")


async def _finished() -> None:
    async with within():
        while not await Sync.objects.filter(status="finished").aexists():
            await asyncio.sleep(0.05)


@pytest.fixture
def watched(tmp_path: Path, settings: Any) -> Source:
    """A folder that is watched."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_ROOTS": [str(tmp_path)]}
    (tmp_path / "a.md").write_text("one")
    config = {"path": str(tmp_path), "watch": True}
    made = Collection.objects.create(slug="files")
    return Source.objects.create(slug="files", collection=made, kind="folder", config=config)


def looks() -> list[bool]:
    """What comes of one look of each of two processes, which have seen the same."""
    both = [WatchedSources(), WatchedSources()]
    found = [[*zip([each] * 100, each.find(100), strict=False)] for each in both]
    return [each.take(row) for rows in found for each, row in rows]


@pytest.mark.usefixtures("somebody")
class TestAFolderThatIsWatched:
    def test_is_looked_at_once_for_each_change(self, watched: Source, tmp_path: Path) -> None:
        assert looks() == [True, False]
        self._end()
        assert looks() == []
        for change in (
            lambda: (tmp_path / "a.md").write_text("two"),
            lambda: (tmp_path / "b.md").write_text("one"),
            lambda: (tmp_path / "a.md").unlink(),
        ):
            change()
            assert looks() == [True, False]
            assert looks() == []  # somebody is at it
            self._end()
        assert looks() == []
        assert Run.objects.count() == 4

    def test_a_change_while_somebody_is_at_it_is_seen_behind_that(
        self, watched: Source, tmp_path: Path
    ) -> None:
        looks()
        (tmp_path / "a.md").write_text("two")
        assert looks() == []
        self._end()
        assert looks() == [True, False]

    @pytest.mark.parametrize("fault", ["not asked for", "paused", "too many files", "it is away", "resting"])
    def test_or_is_not(
        self, watched: Source, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if fault == "not asked for":
            Source.objects.update(config={"path": str(tmp_path)})
        elif fault == "too many files":
            monkeypatch.setattr(folders, "_MOST_WATCHED", 1)
            (tmp_path / "b.md").write_text("one")
        elif fault == "it is away":
            (tmp_path / "a.md").unlink()
            tmp_path.rmdir()
        elif fault == "resting":
            Source.objects.update(probe_at=Now() + 60 * SECOND)
        else:
            Source.objects.update(paused=True)
        assert looks() == []

    @staticmethod
    def _end() -> None:
        Source.objects.update(held_until=None, holder="")


async def test_an_edited_file_is_found_within_seconds(site: Site, watched: Source, tmp_path: Path) -> None:
    await get_runner().ensure_registered()
    document = Document.objects.filter(source=watched, status="indexed")
    for version, text in enumerate(("two", "three"), 1):
        (tmp_path / "a.md").write_text(text)
        async with within():
            while not await document.filter(version=version, chunks__text=text).aexists():
                await asyncio.sleep(0.05)
