"""``lingstream.start()``: from whatever code of the site, and as whom."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import connections, transaction
from django.db.models import F
from django.utils import timezone, translation

import lingstream
from lingstream.access.identity import Identity
from lingstream.core.exceptions import AccessError, LingError, NotFound, UsageError
from lingstream.execution.runner import Runner as Executor
from lingstream.execution.runner import get_runner, living_runner
from lingstream.models import Conversation, Run, Runner, Workflow
from tests import site as sites
from tests.access.tenants import Caller
from tests.chaos.patience import within
from tests.execution.test_recovery import until
from tests.site import QUESTION, Site, store_workflow
from tests.watching import TRANSPORTS, watch

KEY = "a key of sixteen characters"


@pytest.fixture
def views(settings: Any) -> None:
    """The site has views that start runs, and its picker does not come by in time by itself."""
    settings.ROOT_URLCONF = "tests.execution.starting"
    settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT_EVERY": 30, "DEAD_AFTER": 90}


@pytest.fixture
def alive(settings: Any) -> Runner:
    """Another process, which executes runs, lives; this one does not."""
    return Runner.objects.create()


@pytest.fixture
def workflow() -> Workflow:
    return store_workflow("test", {"answer": "A"})


async def ended(run: str) -> Run:
    """Wait for the end of a run."""
    await until(lambda: Run.objects.filter(pk=run, finished_at__isnull=False).aexists())
    return await Run.objects.aget(pk=run)


class TestFromAWebProcess:
    """Whose runner lives, and takes the run."""

    @pytest.fixture(autouse=True)
    def model(self, views: None) -> None:
        sites.answers = '{"answer": "No."}'

    @pytest.mark.parametrize("view", ["sync", "async"])
    async def test_a_view_starts_a_run_for_who_is_signed_in(self, site: Site, view: str) -> None:
        await site.workflow(answer="A")
        ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
        caller, other = await Caller.signed_in(ann), await Caller.signed_in(bob)
        cookies = {"cookie": f"sessionid={caller.session_key}"}
        told = (await site.http.post(f"/{view}/", headers=cookies)).json()
        assert told["status"] == "queued"
        run = await ended(told["run"])
        assert (run.status, run.document, run.owner_id) == ("finished", {"answer": "No."}, ann.pk)
        assert (run.runner_id, run.epoch, run.attempts) == (get_runner().id, 1, 1)
        url = f"/ling/runs/{run.pk}/"
        assert (await caller.get(site, url), await other.get(site, url)) == ("ok", "forbidden")

    @pytest.mark.parametrize("view", ["sync", "async"])
    async def test_or_for_a_visitor_with_a_session(self, site: Site, view: str) -> None:
        await site.workflow(answer="A")
        visitor, other = await Caller.with_session(), await Caller.with_session()
        cookies = {"cookie": f"sessionid={visitor.session_key}"}
        run = (await site.http.post(f"/{view}/", headers=cookies)).json()["run"]
        assert visitor.session_key not in (await ended(run)).session_key
        url = f"/ling/runs/{run}/"
        assert (await visitor.get(site, url), await other.get(site, url)) == ("ok", "forbidden")

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_viewers_follow_it(self, site: Site, transport: str) -> None:
        gate = asyncio.Event()
        sites.answers = [['{"answer": "half', gate, ' whole"}']]
        workflow = await site.workflow(answer="A")
        run = await lingstream.astart("test", QUESTION, key="k" * 20)
        assert workflow.slug == run.workflow
        async with watch(site, run, transport) as watcher:
            await watcher.sees("half")
            gate.set()
            await watcher.until("done")
        assert watcher.document == {"answer": "half whole"}

    async def test_inside_a_transaction_it_begins_on_commit(self, site: Site) -> None:
        await site.workflow(answer="A")
        told = (await site.http.post("/atomic/")).json()
        assert (told["status"], told["inside"]) == ("queued", "queued")
        assert (await ended(told["run"])).status == "finished"

    async def test_and_after_a_rollback_nothing_has_begun(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await site.workflow(answer="A")
        looked = asyncio.Event()
        monkeypatch.setattr(get_runner(), "look", looked.set)
        told = (await site.http.post("/atomic/?fail=1")).json()
        assert told["inside"] == "queued"
        assert not await Run.objects.aexists()
        assert not looked.is_set()
        await site.http.post("/atomic/")
        async with within(10):
            await looked.wait()

    async def test_from_a_thread_and_from_another_event_loop(self, site: Site) -> None:
        await site.workflow(answer="A")

        def in_another_loop() -> Run:
            return asyncio.run(lingstream.astart("test", QUESTION))

        for work in (lambda: lingstream.start("test", QUESTION), in_another_loop):
            run = await asyncio.to_thread(closing, work)
            assert (await ended(str(run.pk))).runner_id == get_runner().id

    async def test_in_the_callers_language(self, site: Site) -> None:
        await site.workflow(answer="A")
        with translation.override("de"):
            run = await lingstream.astart("test", QUESTION)
        assert (await ended(str(run.pk))).language == "de"

    async def test_a_run_that_finds_no_room_waits(self, site: Site, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "MAX_RUNS": 1, "TICK": 0.02}
        gate = asyncio.Event()
        sites.answers = [['{"answer": "', gate, '"}'], '{"answer": "No."}']
        await site.workflow(answer="A")
        runs = [await lingstream.astart("test", QUESTION) for _ in range(2)]
        await until(lambda: Run.objects.filter(pk=runs[0].pk, status="running").aexists())
        assert (await site.start("test")).json()["error"]["code"] == "busy"
        assert (await Run.objects.aget(pk=runs[1].pk)).status == "queued"
        gate.set()
        assert [(await ended(str(run.pk))).status for run in runs] == ["finished", "finished"]

    async def test_what_it_interrupts_ends_at_once_for_its_viewers(self, site: Site) -> None:
        gate = asyncio.Event()
        sites.answers = [['{"answer": "', gate, '"}'], '{"answer": "Yes."}']
        workflow = await site.workflow(answer="A")
        await Workflow.objects.filter(pk=workflow.pk).aupdate(when_busy="interrupt")
        first = await lingstream.astart("test", QUESTION, conversation="new")
        await until(lambda: Run.objects.filter(pk=first.pk, status="running").aexists())
        second = await lingstream.astart("test", QUESTION, conversation=str(first.conversation_id))
        assert (await ended(str(second.pk))).document == {"answer": "Yes."}
        assert (await Run.objects.aget(pk=first.pk)).status == "canceled"


def closing(work: Any) -> Any:
    """Call it as a thread that leaves no connection behind."""
    try:
        return work()
    finally:
        connections.close_all()


@pytest.mark.django_db
@pytest.mark.usefixtures("workflow", "alive")
class TestWhose:
    def test_nobodys(self) -> None:
        run = lingstream.start("test", QUESTION)
        assert (run.owner_key, run.scope, run.status, run.counted_for) == ("anyone", "", "queued", "")
        assert Run.objects.get() == run

    @pytest.mark.parametrize("owner", ["user", "anonymous", None])
    def test_a_users_or_a_sessions(self, owner: str | None) -> None:
        users = {"user": User.objects.create(username="ann"), "anonymous": AnonymousUser(), None: None}
        run = lingstream.start("test", QUESTION, owner=users[owner], session="s3ssion", scope="acme")
        digest = Identity.of(None, "s3ssion").session
        key = f"user:{users[owner].pk}" if owner == "user" else f"session:{digest}"
        assert (run.owner_key, run.session_key, run.scope) == (key, digest, "acme")
        again = lingstream.start("test", QUESTION, owner=run.owner, session=run.session_key, scope="acme")
        assert (again.owner_key, again.session_key) == (run.owner_key, run.session_key)

    def test_a_visitor_without_a_session(self) -> None:
        run = lingstream.start("test", QUESTION, owner=AnonymousUser(), session=None)
        assert run.owner_key == "anyone"

    @pytest.mark.parametrize("owner", [5, "ann", User(username="unsaved")])
    def test_no_user(self, owner: Any) -> None:
        with pytest.raises(UsageError, match="expected owner to be a stored user"):
            lingstream.start("test", QUESTION, owner=owner)

    def test_a_scope_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="expected scope to be up to 200"):
            lingstream.start("test", QUESTION, scope="x" * 201)

    def test_the_same_key_gives_the_same_run(self) -> None:
        ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
        run = lingstream.start("test", QUESTION, owner=ann, key="1")
        assert lingstream.start("test", QUESTION, owner=ann, key="1") == run
        assert lingstream.start("test", QUESTION, owner=bob, key="1") != run
        assert lingstream.start("test", QUESTION, owner=ann, key="1", scope="acme") != run
        with pytest.raises(LingError, match="belongs to a run of another"):
            lingstream.start("test", {"question": "else"}, owner=ann, key="1")
        with pytest.raises(UsageError, match="at least 16 characters"):
            lingstream.start("test", QUESTION, key="1")
        assert lingstream.start("test", QUESTION, key=KEY) == lingstream.start("test", QUESTION, key=KEY)

    def test_access_and_throttle_are_not_asked(self, settings: Any, workflow: Workflow) -> None:
        throttle = "lingstream.access.throttle.CacheThrottle"
        bounds = {"THROTTLE": throttle, "STARTS_PER_IDENTITY": "1/d", "OPEN_RUNS": 1}
        settings.LINGSTREAM = {**settings.LINGSTREAM, **bounds}
        Workflow.objects.update(access="permission")
        ann = User.objects.create(username="ann")
        assert len({lingstream.start("test", QUESTION, owner=ann).pk for _ in range(3)}) == 3


@pytest.mark.parametrize(("host", "told"), [("acme", "ok"), ("other", "forbidden")])
async def test_a_tenants_run_is_read_by_its_owner_there(
    site: Site, settings: Any, host: str, told: str
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
    settings.ALLOWED_HOSTS = ["*"]
    await site.workflow(answer="A")
    for name in ("acme", "other"):
        await Group.objects.acreate(name=name)
    ann = await User.objects.acreate(username="ann")
    run = await lingstream.astart("test", QUESTION, owner=ann, scope="acme")
    await ended(str(run.pk))
    caller = await Caller.signed_in(ann)
    assert await caller.get(site, f"/ling/runs/{run.pk}/", f"{host}.example.com") == told


@pytest.mark.django_db
@pytest.mark.usefixtures("workflow", "alive")
class TestConversations:
    def test_a_new_one_belongs_to_the_owner(self) -> None:
        ann = User.objects.create(username="ann")
        run = lingstream.start("test", QUESTION, owner=ann, scope="acme", conversation="new")
        assert run.conversation
        assert (run.conversation.owner, run.conversation.scope) == (ann, "acme")

    @pytest.mark.parametrize("form", [lambda row: row, lambda row: row.pk, lambda row: str(row.pk)])
    @pytest.mark.parametrize("owner", ["user", "session", "nobody"])
    def test_one_that_exists_says_whose_the_run_is(self, owner: str, form: Any) -> None:
        digest = Identity.of(None, "s3ssion").session
        whose = {
            "user": {"owner": User.objects.create(username="ann")},
            "session": {"session_key": digest},
            "nobody": {},
        }
        row = Conversation.objects.create(scope="acme", **whose[owner])
        run = lingstream.start("test", QUESTION, conversation=form(row))
        assert (run.conversation, run.owner_key, run.scope) == (row, row.owner_key, "acme")

    @pytest.mark.parametrize("given", [{"owner": AnonymousUser()}, {"session": "other"}, {"scope": "other"}])
    def test_and_is_nobody_elses(self, given: Any) -> None:
        ann = User.objects.create(username="ann")
        row = Conversation.objects.create(owner=ann, scope="acme")
        with pytest.raises(AccessError):
            lingstream.start("test", QUESTION, conversation=row, **given)
        assert lingstream.start("test", QUESTION, conversation=row, owner=ann).conversation == row

    @pytest.mark.parametrize("name", ["none", uuid4()])
    def test_none(self, name: Any) -> None:
        with pytest.raises(NotFound):
            lingstream.start("test", QUESTION, conversation=name)

    @pytest.mark.parametrize(
        ("policy", "expected"), [("enqueue", ["queued", "queued"]), ("interrupt", ["canceled", "queued"])]
    )
    def test_its_workflow_says_what_a_further_run_does(self, policy: str, expected: list[str]) -> None:
        Workflow.objects.update(when_busy=policy)
        first = lingstream.start("test", QUESTION, conversation="new")
        lingstream.start("test", QUESTION, conversation=first.conversation)
        assert [run.status for run in Run.objects.order_by("created_at")] == expected

    def test_or_that_there_is_none(self) -> None:
        Workflow.objects.update(when_busy="reject")
        first = lingstream.start("test", QUESTION, conversation="new")
        with pytest.raises(LingError) as raised:
            lingstream.start("test", QUESTION, conversation=first.conversation)
        assert raised.value.code == "conversation-busy"


@pytest.mark.django_db
@pytest.mark.usefixtures("alive")
class TestInput:
    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"question": object()}, "invalid-input"),
            ({1: "one"}, "invalid-input"),
            ({"question": ""}, "invalid-input"),
            ({}, "invalid-input"),
            ({"question": __import__("functools").reduce(lambda made, _: [made], range(200), 1)}, "too-deep"),
            (
                {"question": __import__("functools").reduce(lambda made, _: [made], range(9999), 1)},
                "too-deep",
            ),
        ],
    )
    def test_that_does_not_fit_stores_nothing(self, given: Any, code: str) -> None:
        sites.store_cloud_facts()
        with pytest.raises(UsageError) as raised:
            lingstream.start("cloud-facts", given)
        assert raised.value.code == code
        assert not Run.objects.exists()

    def test_is_stored_as_it_will_be_read(self, workflow: Workflow) -> None:
        run = lingstream.start("test", {"days": (datetime.date(2024, 2, 29),)})
        assert run.input == Run.objects.get().input == {"days": ["2024-02-29"]}

    @pytest.mark.parametrize("slug", ["none", "", 5, "x" * 300])
    def test_of_a_workflow_that_there_is_not(self, slug: Any) -> None:
        with pytest.raises(UsageError):
            lingstream.start(slug, QUESTION)


@pytest.mark.django_db
@pytest.mark.usefixtures("workflow")
class TestNobodyLives:
    def test_nothing_is_stored(self) -> None:
        with pytest.raises(LingError, match=r"start the site by ASGI, with lingstream\.asgi") as raised:
            lingstream.start("test", QUESTION, conversation="new")
        assert (raised.value.code, raised.value.retryable) == ("no-runner", True)
        assert not Run.objects.exists() and not Conversation.objects.exists()

    @pytest.mark.parametrize(
        ("execution", "kind", "silent", "stopped", "lives"),
        [
            ("inline", "inline", 14, False, True),
            ("inline", "inline", 16, False, False),
            ("inline", "inline", 14, True, True),  # it is being restarted, more likely than not
            ("inline", "inline", 16, True, False),
            ("inline", "worker", 0, False, False),
            ("worker", "worker", 0, False, True),
            ("worker", "inline", 0, False, False),
        ],
    )
    def test_who_is_alive(
        self, settings: Any, execution: str, kind: str, silent: float, stopped: bool, lives: bool
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "EXECUTION": execution, "DEAD_AFTER": 15}
        now = timezone.now()
        beat = now - datetime.timedelta(seconds=silent)
        Runner.objects.create(kind=kind, heartbeat_at=beat, stopped_at=now if stopped else None)
        if lives:
            assert lingstream.start("test", QUESTION).status == "queued"
        else:
            with pytest.raises(LingError, match="none has said within 15 s"):
                lingstream.start("test", QUESTION)

    def test_a_key_that_is_known_still_gives_its_run(self, alive: Runner) -> None:
        run = lingstream.start("test", QUESTION, key=KEY)
        Runner.objects.update(heartbeat_at=F("heartbeat_at") - datetime.timedelta(hours=1))
        assert lingstream.start("test", QUESTION, key=KEY) == run

    def test_inside_a_transaction_the_rest_of_it_goes_on(self) -> None:
        with transaction.atomic():
            with pytest.raises(LingError):
                lingstream.start("test", QUESTION)
            User.objects.create(username="ann")
        assert User.objects.exists()


async def test_a_page_is_told_so_and_nothing_of_how_the_site_is_made(
    site: Site, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await site.workflow(answer="A")
    settings.LINGSTREAM = {**settings.LINGSTREAM, "EXECUTION": "worker"}
    response = await site.start("test")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    error = response.json()["error"]
    assert (error["code"], error["retryable"]) == ("no-runner", True)
    assert "worker" not in error["message"] and "ling_worker" in caplog.text
    async with site.socket() as socket:
        await socket.send(type="start", workflow="test", input=QUESTION)
        assert (await socket.receive())["error"] == error
    assert not await Run.objects.aexists()
    await Runner.objects.acreate(kind="worker")
    assert (await site.start("test")).status_code == 202


class Post:
    """A broker that keeps what it is told, and by how many at a time."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.loops: set[int] = set()
        self.open = self.most = self.closed = 0

    def register_task(self, function: Any, task_name: str) -> None:
        """As taskiq's."""

    async def startup(self) -> None:
        self.open += 1
        self.most = max(self.most, self.open)

    async def shutdown(self) -> None:
        self.open -= 1
        self.closed += 1

    def find_task(self, name: str) -> Any:
        return self

    async def kiq(self, run: str) -> None:
        await asyncio.sleep(0.01)
        self.loops.add(threading.get_ident())
        self.runs.append(run)


post = Post()


@pytest.fixture
def broker(settings: Any) -> Iterator[Post]:
    """The site has workers and a broker."""
    post.__init__()  # type: ignore[misc]
    ours = {"EXECUTION": "worker", "BROKER": "tests.execution.test_start.post", "DEAD_AFTER": 60}
    settings.LINGSTREAM = {**settings.LINGSTREAM, **ours}
    yield post


@pytest.mark.django_db(transaction=True)
class TestWorkersAreTold:
    @pytest.fixture(autouse=True)
    def worker(self, workflow: Workflow) -> None:
        Runner.objects.create(kind="worker")

    def test_of_a_run_and_the_broker_is_released(self, broker: Post) -> None:
        run = lingstream.start("test", QUESTION)
        assert (broker.runs, broker.open, broker.closed) == ([str(run.pk)], 0, 1)

    def test_on_commit(self, broker: Post) -> None:
        with transaction.atomic():
            run = lingstream.start("test", QUESTION, key=KEY)
            assert lingstream.start("test", QUESTION, key=KEY) == run
            assert broker.runs == []
        assert broker.runs == [str(run.pk)]

    @pytest.mark.parametrize("nested", [False, True])
    def test_of_nothing_after_a_rollback(self, broker: Post, nested: bool) -> None:
        with transaction.atomic():
            try:
                with transaction.atomic():
                    lingstream.start("test", QUESTION)
                    raise ZeroDivisionError
            except ZeroDivisionError:
                transaction.set_rollback(not nested)
        assert broker.runs == [] and not Run.objects.exists()

    def test_in_a_transaction_around_an_event_loop(self, broker: Post) -> None:
        with transaction.atomic():
            run = async_to_sync(lingstream.astart)("test", QUESTION)
            assert broker.runs == []
        assert broker.runs == [str(run.pk)]

    def test_one_at_a_time_from_many_threads(self, broker: Post) -> None:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(closing, lambda: lingstream.start("test", QUESTION)) for _ in range(8)]
            runs = {str(job.result().pk) for job in jobs}
        assert set(broker.runs) == runs and len(runs) == 8
        assert broker.most == 1

    def test_whatever_the_broker_does(self, broker: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fails() -> None:
            raise ConnectionError("the server went away")

        monkeypatch.setattr(broker, "startup", fails)
        assert Run.objects.get(pk=lingstream.start("test", QUESTION).pk).status == "queued"

    async def test_from_an_event_loop_that_allows_it(
        self, broker: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a notebook does, whose cells are executed in its own loop."""
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        run = closing(lambda: lingstream.start("test", QUESTION))
        assert broker.runs == [str(run.pk)]

    async def test_in_the_loop_of_a_process_that_has_one(self, fresh_runner: None, broker: Post) -> None:
        """A web process beside workers: the broker's connections belong to its loop."""
        await get_runner().ensure_registered()
        run = await lingstream.astart("test", QUESTION)
        async with within(10):
            while not broker.runs:
                await asyncio.sleep(0.01)
        assert broker.runs == [str(run.pk)]
        assert broker.loops == {threading.get_ident()}

    async def test_not_by_a_worker_which_takes_it_itself(self, fresh_runner: None, broker: Post) -> None:
        """As a workflow in Python does that starts another run."""
        sites.answers = '{"answer": "No."}'
        worker = Executor("worker")
        try:
            await worker.ensure_registered()
            assert living_runner() is worker
            run = await lingstream.astart("test", QUESTION)
            assert (await ended(str(run.pk))).runner_id == worker.id
        finally:
            await worker.aclose()
        assert broker.runs == []
        assert living_runner() is None


def test_it_is_there_without_django_until_somebody_asks() -> None:
    assert lingstream.start.__module__ == "lingstream.execution.start"
    assert {"start", "astart"} <= set(lingstream.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'stop'"):
        lingstream.stop  # noqa: B018


async def test_in_an_event_loop_the_one_without_await_says_so(site: Site) -> None:
    await site.workflow(answer="A")
    with pytest.raises(Exception, match="cannot call this from an async context"):
        lingstream.start("test", QUESTION)
    assert not await sync_to_async(Run.objects.exists)()
