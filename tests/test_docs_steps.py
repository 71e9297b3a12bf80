"""What docs/workflows.md shows of steps of other kinds does what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail

from lingstream.access.identity import Identity
from lingstream.core.engine import kinds, registry
from lingstream.core.engine.kinds import Identity as Who
from lingstream.core.engine.kinds import StepCall, check_options, kind_of
from lingstream.core.engine.plan import Plan, StepPlan
from lingstream.core.templates import computing
from lingstream.execution import services
from lingstream.execution.runner import get_runner
from lingstream.execution.services import SiteServices
from lingstream.execution.start import Start
from lingstream.models import Run
from lingstream.steps import answers, exchange, register_kinds
from tests import site as sites
from tests.core.support import outcome
from tests.site import Site
from tests.web import web

PAGE = (Path(__file__).parents[1] / "docs" / "workflows.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Steps of other kinds") : PAGE.index("## What a bot writes")]
BLOCKS = dict(re.findall(r"```python\n# ([\w./]+)\n(.*?)```", SECTION, re.DOTALL))
OPTIONS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)]
HTTP, LANGSERVE, COMPUTE, INNER = OPTIONS


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's app."""
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))
    for path, code in BLOCKS.items():
        name = path.removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))


def test_every_block_of_python_says_where_it_belongs() -> None:
    assert len(BLOCKS) == SECTION.count("```python") == 4


def test_the_table_has_every_kind() -> None:
    table = SECTION[SECTION.index("| kind | does |") :].partition("\n\n")[0]
    named = set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE))
    shops = {"customer", "send-mail", "count-down", "last-changes"}
    others = {kind for kind in kinds.step_kinds() if kind.startswith("outside-")} | {"letter"}
    assert named | shops | {"bot"} == set(kinds.step_kinds()) - others


def test_the_table_of_compute_has_every_option() -> None:
    table = SECTION[SECTION.index("| option | |\n") :].partition("\n\n")[0]
    names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)))
    assert names == list(kind_of("compute").options_schema["properties"])
    assert set(computing.FILTERS) < set(re.findall(r"`(\w+)`", SECTION))


def test_the_table_of_http_has_every_option_with_its_default() -> None:
    table = SECTION[SECTION.index("| option | default | |") :].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*)\|", table, re.MULTILINE)
    names = [name for row, _ in rows for name in re.findall(r"`(\w+)`", row)]
    properties = kind_of("http").options_schema["properties"]
    assert names == list(properties)
    defaults = [default for _, row in rows for default in re.findall(r"`(.*?)`|(true)", row)]
    told = [quoted or word == "true" for quoted, word in defaults]
    assert told == [each["default"] for each in properties.values() if "default" in each]


@pytest.mark.django_db(transaction=True)
async def test_the_request(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web({"/orders/A%207%2F1/notes": b'{"id": 5}'}) as server:
        options = json.loads(json.dumps(HTTP).replace("https://api.example.com", server.url))
        settings.LINGSTREAM = {**settings.LINGSTREAM, "PROVIDER_KEYS": {"SHOP_KEY": [server.url]}}
        monkeypatch.setenv("SHOP_KEY", "sk-shop")
        given = {"order": "A 7/1", "language": "de", "note": "Danke", "tags": ["a", 1]}
        input = "{{ value }}"
        await site.workflow(note={"kind": "http", "options": options, "root": "note", "input": input})
        row, _ = await get_runner().start(Start("test", given), Identity.of_site())
        await get_runner().wait(str(row.pk))
        (request,) = server.requests
    assert (await Run.objects.aget()).document == {"note": {"id": 5}}
    assert (request.method, request.path) == ("POST", "/orders/A%207%2F1/notes?language=de")
    assert json.loads(request.body) == {"note": "Danke", "tags": ["a", 1]}
    assert request.headers["authorization"] == "Bearer sk-shop"
    assert (request.headers["x-source"], len(request.headers["idempotency-key"])) == ("our shop", 64)


@pytest.mark.django_db(transaction=True)
async def test_the_workflow_inside_and_triggers_that_depend_on_others(site: Site) -> None:
    def store() -> None:
        sites.store_workflow("summary", {"answer": {"format": "text", "input": "{{ input.text }}"}})
        steps = {
            "sort": "ANSWER",
            "order": {"format": "text", "root": "order"},
            "talk": {"format": "text", "root": "talk"},
            "ask": {
                "kind": "workflow",
                "options": INNER,
                "root": "summary",
                "input": "{{ {'text': value} }}",
            },
        }
        flow = sites.store_workflow("flow", steps)
        sites.store_trigger(flow, "sort", "order", "answer", condition="value == 'order'")
        sites.store_trigger(flow, "sort", "talk", "answer", otherwise=True)
        condition = "failed == 0 and value[0].step == 'talk'"
        sites.store_trigger(flow, "sort", "ask", "", event="joined", condition=condition)

    sites.answers = {"ANSWER": '{"answer": "Rain?"}', "": "fine"}
    await sync_to_async(store)()
    row, _ = await get_runner().start(Start("flow", {"question": "?"}), Identity.of_site())
    await get_runner().wait(str(row.pk))
    run = await Run.objects.aget(pk=row.pk)
    assert run.status == "finished"
    assert sorted(run.document) == ["answer", "summary", "talk"]
    instances = {bot.instance async for bot in run.bot_runs.all()}
    assert instances == {"sort#1", "talk#1", "ask.answer#1"}
    assert "`ask.answer#1`" in SECTION


async def test_the_chain() -> None:
    body = b'event: data\ndata: "Why did "\n\nevent: data\ndata: {"content": "it?"}\n\nevent: end\n\n'
    async with web({"/joke/stream": body}) as server:
        options = json.loads(json.dumps(LANGSERVE).replace("https://chains.example.com", server.url))
        plan = StepPlan("joke", "http", root="joke", format="text", options=options)
        check_options(plan)
        shared = SiteServices()
        ended = await outcome(Plan("test", steps=(plan,)), input={"topic": "a cloud"}, services=shared)
        await shared.aclose()
        assert json.loads(server.requests[0].body) == {"input": {"topic": "a cloud"}}
    assert ended.document == {"joke": "Why did it?"}


async def test_the_values() -> None:
    plan = StepPlan("sum", "compute", root="r", options=COMPUTE)
    check_options(plan)
    order = {"number": "A7", "customer": {"name": "Ann"}, "prices": [40, 70], "notes": []}
    began = "2031-05-20T12:00:00+00:00"
    ended = await outcome(Plan("test", steps=(plan,)), input={"order": order}, began=began)
    found = ended.document["r"]
    assert UUID(found.pop("marks")[0]).version == 4
    assert found == {
        "order": "A7",
        "customer_name": "Ann",
        "total": 110,
        "cheap": False,
        "due": "2031-06-03T12:00:00+00:00",
    }


@pytest.mark.django_db(transaction=True)
async def test_the_workflow_that_thanks(site: Site) -> None:
    await sync_to_async(sites.store_provider)()
    sites.answers = {"Thank Ann Smith for order A7": "Dear Ann."}
    user = await User.objects.acreate(first_name="Ann", last_name="Smith", email="ann@example.com")
    row, _ = await get_runner().start(Start("thanks", {"order": "A7"}), Identity.of_site(user))
    await get_runner().wait(str(row.pk))
    run = await Run.objects.aget()
    assert (run.status, run.document) == ("finished", {"letter": "Dear Ann.", "sent": 1})
    (message,) = mail.outbox
    assert (message.to, message.subject, message.body) == (["ann@example.com"], "Thank you", "Dear Ann.")
    assert re.fullmatch(r"<\w{64}@example\.com>", message.extra_headers["Message-ID"])
    assert kind_of("send-mail").has_effects(StepPlan("s", "send-mail"))


@pytest.mark.django_db(transaction=True)
async def test_the_query() -> None:
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    for user, what in ((ann, "Clouds"), (bob, "Rain")):
        await LogEntry.objects.acreate(user=user, object_repr=what, action_flag=1)

    async def who() -> Who:
        return Who(str(ann.pk))

    plan = Plan(
        "test", steps=(StepPlan("changes", "last-changes", root="changes", options={"days": "{{ 1 }}"}),)
    )
    made = SiteServices()
    ended = await outcome(plan, services=made, identity=who)
    await made.aclose()
    (row,) = ended.document["changes"]
    assert row["object_repr"] == "Clouds" and row["action_time"].startswith("20")


async def test_the_count_down() -> None:
    plan = StepPlan("c", "count-down", root="c", options={"word": "to go"})
    ended = await outcome(Plan("test", steps=(plan,)), input=4)
    assert ended.document == {"c": ["4 to go", "3 to go", "2 to go", "1 to go"]}
    (note,) = [frame.body for frame in ended.frames if frame.body and "half-way" in repr(frame.body)]
    assert note["data"] == {"to go": 2}


async def test_the_class() -> None:
    register_kinds(["shop.kinds.Words"])
    async with web({"/a%20b": b"one two"}) as server:
        options = {"url": server.url + "/{{ value }}"}
        shared = SiteServices()
        flow = Plan("test", steps=(StepPlan("w", "words", options=options),))
        assert (await outcome(flow, input="a b", services=shared)).document == ["one", "two"]
        await shared.aclose()


def test_what_it_says_in_figures_and_names() -> None:
    told = " ".join(SECTION.split())
    assert "4 MB of answer" in told and answers.MOST_BYTES == 4 * 2**20
    assert "30 seconds of silence" in told and exchange._SILENCE == 30
    assert "Up to five redirects" in told and exchange.MOST_REDIRECTS == 5
    assert "There are 16 such threads" in told and services._THREADS == 16
    for name in re.findall(r"`call\.(\w+)`", SECTION):
        assert name in StepCall.__dataclass_fields__
    assert Who._fields == ("user", "groups", "scope", "visitor")
