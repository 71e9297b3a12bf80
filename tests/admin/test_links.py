"""Whatever a page of the admin links, who sees the link may follow it: once as each group of the staff.

Lists are filtered and sorted as the superuser alone, as these links are the same for all.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import StringIO
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from lingstream.access.groups import GROUPS
from lingstream.knowledge.models import Document, Question, Source
from lingstream.models import (
    BotRun,
    Conversation,
    Feedback,
    Prompt,
    Provider,
    Run,
    Runner,
    Schedule,
    Workflow,
)

pytestmark = pytest.mark.django_db

NUMBER = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|(?<=/)\d+(?=/)")
NOT_OURS = re.compile(r"/admin/(auth|logout|password_change|jsi18n|r)/")


class Links(HTMLParser):
    """The addresses of a page's links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (address := dict(attrs).get("href")):
            self.found.append(address)


@pytest.fixture
def rows() -> None:
    """The demo, and a row of everything else, each of which tells of all that it may."""
    call_command("demo", stdout=StringIO())
    owner = User.objects.create_superuser("ada")
    workflow = Workflow.objects.get(slug="cloud-facts")
    provider = Provider.objects.get()
    workflow.steps.update(provider=provider)
    prompt = Prompt.objects.get(slug="cloud-answer")
    plan = {"steps": [{"name": "answer", "prompt": {"slug": prompt.slug, "version": 1}}]}
    conversation = Conversation.objects.create(workflow="companion", owner=owner)
    about = {"owner": owner, "runner": Runner.objects.create(), "conversation": conversation}
    ended = {"status": "failed", "error_code": "provider", "plan": plan, "input": {"question": "Why?"}}
    run = Run.objects.create(workflow="cloud-facts", number=1, **about, **ended)
    BotRun.objects.create(run=run, step="answer", instance="answer#1", digest="d", status="failed")
    Feedback.objects.create(run=run, owner=owner, value=1)
    Schedule.objects.create(
        name="daily", workflow="outline", every=86400, owner=owner, conversation=conversation
    )
    source = Source.objects.get()
    Document.objects.create(source=source, key="a.md", owner=owner)
    Question.objects.create(collection=source.collection, text="What?", expected=["a.md"])


def kind(address: str) -> str:
    """What addresses have in common that lead to the same sort of page."""
    parts = urlsplit(address)
    asked = sorted({each.partition("=")[0] for each in parts.query.split("&")})
    return f"{NUMBER.sub('#', parts.path)}?{'&'.join(asked)}"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("group", [*GROUPS, "superuser"])
def test_no_link_refuses_who_sees_it(group: str) -> None:
    user: Any = User.objects.create(username="bob", is_staff=True, is_superuser=group == "superuser")
    user.groups.set(Group.objects.filter(name=group))
    client = Client(raise_request_exception=False)
    client.force_login(user)
    seen, dead = set[str](), list[str]()
    to_follow = [("/admin/", "/admin/")]
    while to_follow:
        address, page = to_follow.pop(0)
        if kind(address) in seen:
            continue
        seen.add(kind(address))
        answer: Any = client.get(address)
        if answer.status_code != 200:
            dead.append(f"{answer.status_code} {address} on {page}")
        elif not answer.streaming and answer["Content-Type"].startswith("text/html"):
            found = (urljoin(address, each) for each in Links(answer.content.decode()).found)
            to_follow += [
                (each.partition("#")[0], address)
                for each in found
                if each.startswith("/admin/lingstream") and not NOT_OURS.match(each)
                if not urlsplit(each).query or (user.is_superuser and not urlsplit(address).query)
            ]
    assert dead == []
    assert len(seen) > 20
