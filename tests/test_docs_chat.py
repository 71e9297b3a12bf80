"""What docs/chat.md shows does what it says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import fields
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.template import Context, RequestContext, Template
from django.test import Client

import lingstream
from lingstream.access.embedding import vouched_visitor
from lingstream.conversations import listing, occasions
from lingstream.conversations.chats import chat_of
from lingstream.core.engine import registry
from lingstream.core.engine.chat import Chat
from lingstream.execution.storage import in_database
from lingstream.models import Chat as Row
from lingstream.models import Conversation, Occasion, Run, Runner
from tests import site as sites

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(word: str, **names: Any) -> dict[str, Any]:
    """Execute the block with this word in it."""
    exec(block_with(word), names)
    return names


def block_with(word: str) -> str:
    (block,) = [each for each in BLOCKS if word in each]
    return str(block)


@pytest.mark.django_db
def test_a_conversation_from_python() -> None:
    Runner.objects.create()  # somebody executes runs
    sites.store_workflow("talk", {"answer": "A"})
    user = User.objects.create(username="ann")
    names = run("talk.ask", user=user)
    assert names["said"] == [("user", "queued"), ("user", "queued"), ("code", "queued")]
    first, more, said = names["talk"].turns()
    assert (first, more) == (names["first"], names["more"])
    assert (first.input, more.key, more.parent) == ({"question": "Can I lie on a cloud?"}, "order-7", first)
    assert (said.message, said.owner, said.parent) == (None, user, more)


@pytest.mark.django_db(transaction=True)
async def test_and_from_an_event_loop() -> None:
    await Runner.objects.acreate()
    await sync_to_async(sites.store_workflow)("talk", {"answer": "A"})
    talk = await Conversation.objects.acreate(workflow="talk")
    asked = await talk.aask("hi", input={"lang": "en"})
    said = await talk.asay("talk", {"question": "x"}, key="k" * 16)
    assert await talk.asay("talk", {"question": "x"}, key="k" * 16) == said
    assert await talk.aturns() == [asked, said]
    assert asked.input == {"lang": "en", "question": "hi"}
    assert await Run.objects.acount() == 2


@pytest.mark.django_db
def test_what_a_workflow_in_python_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(registry, "_declared", {})
    run('@workflow("talk"', __name__="shop.workflows")
    assert chat_of("talk") == Chat(history_tokens=4_000)
    row = sites.store_workflow("talk", {"answer": "A"})
    assert chat_of("talk") == Chat(history_tokens=4_000)
    Row.objects.create(workflow=row, history_tokens=7)
    assert chat_of("talk") == Chat(history_tokens=7)


def test_the_table_has_every_setting() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE, re.MULTILINE))
    assert {name: eval(text) for name, text in rows.items()} == {
        each.name: each.default for each in fields(Chat)
    }


@pytest.mark.django_db(transaction=True)
async def test_a_conversation_by_http(site: sites.Site) -> None:
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer="A")
    block = block_with('httpx.Client(base_url="http')
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, block.replace("http://127.0.0.1:8000", site.base), names)
    assert [turn["document"] for turn in names["turns"]] == [{"answer": "yes"}] * 2
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert [turn.keys() for turn in names["turns"]] == [shown.keys()] * 2
    whole = await in_database(lambda: listing.shown(Conversation.objects.get()))
    told = set(re.findall(r"`\"?(\w+)\"?`|\"(\w+)\"", PAGE[PAGE.index("A conversation is `{") :]))
    assert whole.keys() <= {name for pair in told for name in pair}


@pytest.mark.django_db(transaction=True)
async def test_an_attachment(site: sites.Site, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("talk", answer="A")
    await Row.objects.acreate(workflow=workflow, attachments="images", titles=False)
    begun = await site.http.post("/ling/conversations/", json={"workflow": "talk"})
    headers = {"Authorization": f"Ling-Visitor {begun.headers['Ling-Visitor']}"}
    with httpx.Client(base_url=site.base, headers=headers) as http:
        names = {"http": http, "talk": begun.json()["id"], "picture": b"\x89PNG\r\n\x1a\n"}
        await asyncio.to_thread(exec, block_with("picture"), names)
    run = await Run.objects.aget()
    assert [part["type"] for part in run.message["parts"]] == ["text", "file"]


@pytest.mark.django_db
def test_a_bot_that_greets_and_nudges_in_ten_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(registry, "_declared", {})
    run("occasions=[", __name__="shop.workflows")
    assert len(block_with("occasions=[").split("\n")) <= 10
    call_command("ling_sync", stdout=StringIO())
    found = {row.kind: row for row in Occasion.objects.of("companion")}
    assert set(found) == {"greeting", "silence"} and found["silence"].after == 60
    Runner.objects.create()
    sites.store_provider()
    (greeting,) = occasions.attached(Conversation.objects.create(workflow="companion"))
    assert greeting.cause == "greeting"


def test_the_table_of_occasions_says_what_they_take() -> None:
    for text in re.findall(
        r"^\| `((?:Greeting|Silence|Schedule|Signal|Webhook)\(.*?\))`", PAGE, re.MULTILINE
    ):
        shown = eval(text, vars(lingstream))
        assert shown == eval(re.sub(r", \w+=.*\)", ")", text), vars(lingstream)), text


@pytest.mark.django_db
def test_a_signal() -> None:
    Runner.objects.create()
    workflow = sites.store_workflow("shop", {"answer": "A"})
    Occasion.objects.create(workflow=workflow, kind="signal", name="shipped")
    talk = Conversation.objects.create(workflow="shop")
    names = run("shipped.fire", talk=talk)
    assert names["run"].input["question"] == '(This has just happened, tell the user: {"order": 7})'


@pytest.mark.django_db(transaction=True)
async def test_a_webhook(site: sites.Site) -> None:
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("shop", answer="A")
    hook = await Occasion.objects.acreate(workflow=workflow, kind="webhook", name="shop")
    await Conversation.objects.acreate(workflow="shop", external_id="cart-7")
    url = f"{site.base}/ling/hooks/{hook.pk}/"
    block = block_with("hmac.new").replace("http://127.0.0.1:8000/ling/hooks/1/", url)
    names: dict[str, Any] = {"secret": hook.secret()}
    await asyncio.to_thread(exec, block, names)
    assert names["answer"].status_code == 202 and "run" in names["answer"].json()


@pytest.mark.django_db
def test_a_chat_on_a_page_of_the_sites(client: Client) -> None:
    sites.store_workflow("talk", {"answer": "A"})
    lines = re.findall(r"```django\n(.*?)```", PAGE, re.DOTALL)[0]
    assert lines.count("\n") <= 5
    request = client.get("/").wsgi_request
    page = Template(lines).render(RequestContext(request))
    assert '<ling-chat class="ling-chat" workflow="talk"' in page and "data-lingstream" in page
    answer = re.findall(r"```html\+django\n(.*?)```", PAGE, re.DOTALL)[0]
    shown = Template(answer).render(Context({"turn": {"answer": "<No>"}}))
    assert "&lt;No&gt;</p>" in shown
    properties = (ROOT / "lingstream/static/lingstream/chat.css").read_text()
    assert set(re.findall(r"`(--ling-\w+)`", PAGE)) <= set(re.findall(r"(--ling-\w+):", properties))
    named = set(re.findall(r"`(\w+\.html)`", PAGE))
    assert named <= {path.name for path in (ROOT / "lingstream/templates/lingstream/chat").iterdir()}


@pytest.mark.django_db
def test_another_site_says_who_its_visitor_is() -> None:
    chat = Row.objects.create(workflow=sites.store_workflow("talk", {"answer": "A"}))
    names = run("jwt.encode", time=time, customer=SimpleNamespace(pk=7), secret=chat.embed_secret())
    assert vouched_visitor(chat, names["token"])
