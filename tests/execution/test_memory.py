"""What a bot remembers: the conversation's last runs, or what the site's memory says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

import lingstream
from lingstream.core.exceptions import ConfigurationError
from lingstream.execution import running
from lingstream.execution.memory import history_of
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import BotRun, Run, Runner
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import QUESTION, Site
from tests.watching import watch

KNOWN = [{"role": "system", "content": "A customer since 2019."}]

recalled: list[str] = []

says: Callable[[Run], Any] = lambda run: KNOWN  # noqa: E731  # a test puts another one here


class Told:
    """The memory of these tests: notes who asks, and says what ``says`` does."""

    def recall(self, run: Run) -> Any:
        recalled.append(str(run.pk))
        return says(run)


@pytest.fixture
def told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Run], Any]], None]:
    """Have the site's memory do as told."""
    recalled.clear()
    settings.LINGSTREAM = {**settings.LINGSTREAM, "MEMORY": f"{__name__}.Told", "TICK": 0.02}
    return lambda does: monkeypatch.setitem(globals(), "says", does)


PARTS = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


@pytest.mark.django_db
class TestWhatAMemorySays:
    @pytest.mark.parametrize(
        "given",
        [
            [],
            KNOWN,
            tuple(KNOWN),
            KNOWN * 1_000,
            [{"role": "user", "content": PARTS, "name": "ann"}, {"role": "developer", "content": ""}],
        ],
    )
    def test_is_taken_as_a_copy(self, told: Any, given: Any) -> None:
        told(lambda run: given)
        found = history_of(Run())
        assert found == list(given)
        assert all(mine is not theirs for mine, theirs in zip(found, given, strict=True))
        if found and isinstance(found[0]["content"], list):
            assert found[0]["content"] is not PARTS and found[0]["content"][0] is not PARTS[0]

    def test_may_come_from_the_database_as_it_is_read(self, told: Any) -> None:
        for number in range(3):
            Run.objects.create(workflow="w", input=f"q{number}")

        def rows(run: Run) -> Iterator[Any]:
            for row in Run.objects.order_by("-created_at")[:2]:
                yield {"role": "user", "content": row.input}

        told(rows)
        assert [message["content"] for message in history_of(Run())] == ["q2", "q1"]

    def test_is_what_it_said_first(self, told: Any) -> None:
        run = Run.objects.create(workflow="w", epoch=1)
        told(lambda run: KNOWN)
        assert history_of(run) == KNOWN
        told(lambda run: [])
        assert history_of(run) == history_of(Run.objects.get(pk=run.pk)) == KNOWN
        assert recalled == [str(run.pk)]

    def test_is_not_stored_by_a_process_whose_run_it_is_no_more(self, told: Any) -> None:
        run = Run.objects.create(workflow="w", epoch=1)
        Run.objects.filter(pk=run.pk).update(epoch=2)
        told(lambda run: KNOWN)
        history_of(run)
        assert Run.objects.get(pk=run.pk).context is None

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (None, "to return messages, got None"),
            (5, "to return messages, got 5"),
            ("text", "content and perhaps name, got 't'"),
            ({"role": "user", "content": "x"}, "got 'role'"),
            ([("user", "x")], r"got \('user', 'x'\)"),
            ([{"role": "user"}], "expected the memory"),
            ([{"content": "x"}], "expected the memory"),
            ([{"role": "bot", "content": "x"}], r"role \(assistant, developer, system, user\)"),
            ([{"role": ["user"], "content": "x"}], "expected the memory"),
            ([{"role": "user", "content": None}], "expected the memory"),
            ([{"role": "user", "content": 5}], "expected the memory"),
            ([{"role": "user", "content": ["x"]}], "expected the memory"),
            ([{"role": "user", "content": [{"text": "x"}]}], "expected the memory"),
            ([{"role": "user", "content": "x", "name": 1}], "expected the memory"),
            ([{"role": "user", "content": "x", "at": 1}], "expected the memory"),
            ([*KNOWN, {"role": "user", "content": "x" * 9_999, "at": 1}], r"got .{80}$"),
            ([{"role": "user", "content": [{"type": "text", "text": {1, 2}}]}], "failed: TypeError"),
            (repeat(KNOWN[0]), "up to 1000 messages, 4000000 characters, got more"),
            ([{"role": "user", "content": "x" * 2_000_001}] * 2, "4000000 characters, got more"),
            ([{"role": "user", "content": "", "name": "x" * 4_000_001}], "4000000 characters, got more"),
            ([{"role": "user", "content": [{"type": "text", "text": "x" * 4_000_000}]}], "got more"),
        ],
    )
    def test_is_refused_where_it_is_no_messages(self, told: Any, given: Any, message: str) -> None:
        told(lambda run: given)
        with pytest.raises(ConfigurationError, match=message):
            history_of(Run())

    def test_a_failure_is_told_with_its_cause(self, told: Any) -> None:
        def fails(run: Run) -> Any:
            yield KNOWN[0]
            raise KeyError("no such fact")

        told(fails)
        with pytest.raises(ConfigurationError, match=r"Told failed: KeyError\('no such fact'\)") as raised:
            history_of(Run())
        assert isinstance(raised.value.__cause__, KeyError)

    @pytest.mark.parametrize("path", ["no.such.Memory", "tests.execution.test_memory.KNOWN"])
    def test_one_that_cannot_be_made(self, settings: Any, path: str) -> None:
        settings.LINGSTREAM = {"MEMORY": path}
        with pytest.raises(ConfigurationError, match=f"the memory {path} failed"):
            history_of(Run())


async def asked_of_the_model(run: Run) -> list[str]:
    """Wait for the run's end; return what its one bot was told."""
    row = await ended(str(run.pk))
    assert row.status == "finished", row.errors
    bot = await BotRun.objects.aget(run=run)
    return [message["content"] for message in bot.messages]


class TestInARun:
    @pytest.fixture(autouse=True)
    async def workflow(self, site: Site) -> None:
        sites.answers = '{"answer": "yes"}'
        await site.workflow(answer={"prompt": "A", "history": True})

    async def test_it_stands_between_prompt_and_question(self, told: Any) -> None:
        run = await lingstream.astart("test", QUESTION, conversation="new")
        assert await asked_of_the_model(run) == ["A", KNOWN[0]["content"], "hi"]
        assert recalled == [str(run.pk)]

    async def test_without_a_conversation_nobody_is_asked(self, told: Any) -> None:
        assert await asked_of_the_model(await lingstream.astart("test", QUESTION)) == ["A", "hi"]
        assert recalled == []

    async def test_a_site_may_have_none(self, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "MEMORY": ""}
        first = await lingstream.astart("test", QUESTION, conversation="new")
        await ended(str(first.pk))
        second = await lingstream.astart("test", QUESTION, conversation=first.conversation)
        assert await asked_of_the_model(second) == ["A", "hi"]

    async def test_after_a_crash_neither_it_nor_who_has_answered_is_asked_again(self, told: Any) -> None:
        run = await lingstream.astart("test", QUESTION, conversation="new")
        await ended(str(run.pk))
        await get_runner().wait(str(run.pk))
        dead = await Runner.objects.acreate(stopped_at=timezone.now())
        get_hub().drop(str(run.pk))  # before anybody looks for whom it belongs to
        await Run.objects.filter(pk=run.pk).aupdate(status="running", runner=dead, finished_at=None)
        sites.answers = []
        told(lambda run: [{"role": "user", "content": "something else"}])
        get_runner().look()
        assert await asked_of_the_model(run) == ["A", KNOWN[0]["content"], "hi"]
        assert recalled == [str(run.pk)]

    async def test_a_database_that_comes_back_costs_nothing(self, told: Any) -> None:
        def away(run: Run) -> Any:
            if len(recalled) == 1:
                raise OperationalError("gone")
            return KNOWN

        told(away)
        run = await lingstream.astart("test", QUESTION, conversation="new")
        assert await asked_of_the_model(run) == ["A", KNOWN[0]["content"], "hi"]


def fails(run: Run) -> Any:
    raise KeyError("secret words")


def says_nonsense(run: Run) -> Any:
    return ["secret words"]


class TestThatFails:
    """The run ends, whoever looks at it; so does the next one of the conversation."""

    @pytest.fixture(autouse=True)
    async def workflow(self, site: Site) -> None:
        sites.answers = '{"answer": "yes"}'
        await site.workflow(answer={"prompt": "A", "history": True})

    async def test_by_error(self, site: Site, told: Any, caplog: pytest.LogCaptureFixture) -> None:
        for does, message in ((fails, "failed: KeyError('secret words')"), (says_nonsense, "got 'secret")):
            told(does)
            caplog.clear()
            run = await lingstream.astart("test", QUESTION, conversation="new")
            for transport in ("socket", "sse"):
                await self.sees_the_end(site, run, transport)
            row = await ended(str(run.pk))
            (error,) = row.errors
            assert (row.status, error["code"]) == ("failed", "configuration")
            assert message in error["message"] and "test_memory.Told" in error["message"]
            whole, short = (self.record(caplog, logger) for logger in ("lingstream", "lingstream.runs"))
            assert whole.exc_info[1].message == error["message"]
            assert (short.run, short.workflow, short.code) == (str(run.pk), "test", "configuration")
            assert message in short.getMessage()

    async def sees_the_end(self, site: Site, run: Run, transport: str) -> None:
        async with watch(site, run, transport) as watcher:
            done = await watcher.until("done")
        assert done.body["status"] == "failed"
        errors = [frame.body["error"] for frame in watcher.frames if "error" in frame.body]  # in a snapshot
        errors += [frame.body for frame in watcher.frames if frame.kind == "error"]
        assert [error["code"] for error in errors] == ["internal"]
        assert "secret" not in repr(watcher.frames) and "test_memory" not in repr(watcher.frames)

    def record(self, caplog: pytest.LogCaptureFixture, logger: str) -> Any:
        (found,) = [each for each in caplog.records if each.name == logger and each.levelname == "ERROR"]
        return found

    async def test_by_silence(self, site: Site, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "_RECALL", 0.2)
        heard, silence = threading.Event(), threading.Event()

        def hangs(run: Run) -> Any:
            heard.set()
            silence.wait(60)
            return KNOWN

        told(hangs)
        try:
            run = await lingstream.astart("test", QUESTION, conversation="new")
            await self.sees_the_end(site, run, "sse")
            assert heard.is_set()
            row = await ended(str(run.pk))
        finally:
            silence.set()
        assert row.errors[0]["message"] == "expected LINGSTREAM['MEMORY'] to take up to 0.2 s"

    async def test_and_the_next_run_goes_on(self, told: Any) -> None:
        told(lambda run: fails(run) if len(recalled) == 1 else KNOWN)
        first = await lingstream.astart("test", QUESTION, conversation="new")
        second = await lingstream.astart("test", QUESTION, conversation=first.conversation)
        assert await asked_of_the_model(second) == ["A", KNOWN[0]["content"], "hi"]
        assert (await ended(str(first.pk))).status == "failed"
