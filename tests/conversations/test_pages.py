"""The chat page without a script: what it shows to whom, and what each of its forms does."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.test import Client
from django.utils import timezone

from lingstream.conf import LingstreamSettings
from lingstream.conversations.drawing import turns_from
from lingstream.core.engine.chat import Chat
from lingstream.models import Attachment, Conversation, Feedback, Run, Runner, Workflow
from lingstream.models import Chat as ChatRow
from tests import site as sites

URL = "/ling/chat/talk/"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
pytestmark = pytest.mark.django_db


@pytest.fixture
def talk() -> Workflow:
    """A workflow that everybody may talk to, and a process that would execute it."""
    Runner.objects.create()
    return sites.store_workflow("talk", {"answer": {"prompt": "A", "history": True}})


class Page:
    """What a person without scripts sees and presses."""

    def __init__(self, client: Client, url: str = URL) -> None:
        self.client = client
        self.url = url
        self.response: Any = client.get(url)

    @property
    def html(self) -> str:
        return str(self.response.content.decode())

    @property
    def text(self) -> str:
        body = re.sub(r"<template.*?</template>", "", self.html, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    def press(self, **fields: Any) -> Page:
        """Send a form of the page, and go where that leads."""
        key = re.findall(r'name="key" value="(\w+)"', self.html)[0]
        self.response = self.client.post(self.url, {"key": key, **fields})
        if self.response.status_code == 302:
            self.url = self.response["Location"].partition("#")[0]
            self.response = self.client.get(self.url)
        return self

    def answer(self, document: Any, status: str = "finished") -> Run:
        """Let the last turn end."""
        run = Run.objects.order_by("created_at", "number").last()
        assert run
        run.document, run.status, run.finished_at = document, status, timezone.now()
        run.save()
        self.response = self.client.get(self.url)
        return run


def test_a_person_talks(client: Client, talk: Workflow) -> None:
    page = Page(client)
    assert page.response.status_code == 200 and page.response["Cache-Control"] == "private, no-cache"
    page.press(text="Can I <b>lie</b> on a cloud?")
    assert "Writing…" in page.text and '<noscript><meta http-equiv="refresh"' in page.html
    first = page.answer(
        {
            "answer": "No.\nYou would *fall*.",
            "related_question": ["Why white?", 3],
            "state": {"plan": True, "look": "Looking up"},
            "fact_sheet": {"weight": 500, "kinds": ["cumulus", {"rain": None}]},
        }
    )
    assert "refresh" not in page.html
    assert "Can I <b>lie</b> on a cloud?" in page.text and "Can I &lt;b&gt;lie" in page.html
    assert "No.\nYou would *fall*." in page.html
    assert "fact sheet weight 500 kinds cumulus rain" in page.text
    assert re.findall(r'name="text" value="([^"]*)"', page.html) == ["Why white?"]
    page.press(text="Why white?")
    assert [(run.number, run.input, run.parent) for run in Run.objects.order_by("number")] == [
        (1, {"question": "Can I <b>lie</b> on a cloud?"}, None),
        (2, {"question": "Why white?"}, first),
    ]
    assert Conversation.objects.get().read_number == 2
    assert "Untitled" in page.text and 'aria-current="page"' in page.html


def test_a_form_that_is_sent_twice_is_one_turn(client: Client, talk: Workflow) -> None:
    page = Page(client).press(text="one")
    html = page.html
    for text in ("two", "two", "three"):  # a double click, and another text from the page one went back to
        page.response = type("Shown", (), {"content": html.encode()})
        page.press(text=text)
    asked = [run.input["question"] for run in Run.objects.order_by("number")]
    assert asked == ["one", "two", "three"]


def test_so_is_the_first_one(client: Client, talk: Workflow) -> None:
    page = Page(client)
    html = client.get("/ling/chat/talk/").content
    for _ in range(2):
        page.response = type("Shown", (), {"content": html})
        page.press(text="one")
    assert Run.objects.count() == Conversation.objects.count() == 1


def test_a_first_message_that_is_refused_leaves_no_conversation(client: Client, talk: Workflow) -> None:
    ChatRow.objects.update_or_create(workflow=talk, defaults={"longest": 3})
    page = Page(client)
    page.response = type("Shown", (), {"content": client.get("/ling/chat/talk/").content})
    page.press(text="four")
    assert not Conversation.objects.exists()


def test_each_button_does_what_it_says(client: Client, talk: Workflow) -> None:
    page = Page(client).press(text="one")
    first = page.answer({"answer": "yes"})
    page.press(regenerate=str(first.pk))
    second = page.answer({"answer": "maybe"})
    assert (second.cause, second.message) == ("regenerate", first.message)
    assert "2/2" in page.text and "maybe" in page.text and f'name="switch" value="{first.pk}"' in page.html
    page.press(switch=str(first.pk))
    assert "1/2" in page.text and "maybe" not in page.text
    page.press(edit=str(first.pk), text="other")
    third = page.answer({"answer": "no"})
    assert (third.cause, third.input, third.parent) == ("edit", {"question": "other"}, None)
    page.press(judge=f"1 {third.pk}")
    assert Feedback.objects.get().value == 1 and 'aria-pressed="true"' in page.html
    page.press(judge=f"0 {third.pk}")
    assert not Feedback.objects.exists()
    page.press(rename="1", title=" Clouds ")
    assert Conversation.objects.get().title == "Clouds" and "<title>Clouds</title>" in page.html
    page.press(archive="1")
    assert "Conversations appear here." in page.text
    assert "Clouds" in Page(client, f"{URL}?archived=1").text
    page.press(archive="0").press(text="two").press(stop="1")
    assert Run.objects.latest("number").status == "canceled"
    page.press(delete="1")
    assert page.url == URL and Conversation.objects.get().deleted_at


def test_what_is_refused_is_said_and_the_text_stays(client: Client, talk: Workflow, settings: Any) -> None:
    page = Page(client).press(text="  ")
    assert page.response.status_code == 400 and "expected a message with some text" in page.text
    assert not Conversation.objects.exists()
    settings.LINGSTREAM = {
        **settings.LINGSTREAM,
        "THROTTLE": LingstreamSettings().throttle,
        "STARTS_PER_IDENTITY": "2/h",
    }
    page.press(text="one")
    assert page.response.status_code == 200
    page.press(text="and <two>")
    assert page.response.status_code == 429 and "&lt;two&gt;</textarea>" in page.html
    assert page.press(regenerate="nothing").response.status_code == 404
    assert page.client.get(URL, {"before": "x"}).status_code == 400


class TestAccess:
    def test_what_is_not_yours_is_not_there(self, client: Client, talk: Workflow) -> None:
        url = Page(client).press(text="secret").url
        sites.store_workflow("other", {"answer": "A"})
        owned = Conversation.objects.create(owner=User.objects.create(username="ann"), workflow="talk")
        assert client.get(url.replace("/talk/", "/other/")).status_code == 404
        for stranger in (Client(), client):
            there = url if stranger is not client else f"{URL}{owned.pk}/"
            assert stranger.get(there).status_code == 404
            assert stranger.post(there, {"text": "mine"}).status_code == 404
        assert "secret" not in Page(Client()).text
        for nothing in (f"{URL}x/", f"{URL}{Runner.objects.get().pk}/", "/ling/chat/nothing/"):
            assert client.get(nothing).status_code == 404
        assert Run.objects.count() == 1

    def test_a_conversation_goes_along_with_a_login(self, client: Client, talk: Workflow) -> None:
        page = Page(client).press(text="hi")
        client.force_login(User.objects.create(username="ann"))
        assert "hi" in Page(client, page.url).text
        client.logout()
        assert Page(client, page.url).response.status_code == 404

    @pytest.mark.parametrize(
        ("access", "enabled", "said"),
        [
            ("authenticated", True, "for people who are signed in"),
            ("permission", True, "for people who are signed in"),
            ("anyone", False, "closed at the moment"),
        ],
    )
    def test_who_may_not_talk_is_told_what_to_do(
        self, client: Client, talk: Workflow, access: str, enabled: bool, said: str
    ) -> None:
        Workflow.objects.update(access=access, enabled=enabled)
        page = Page(client)
        assert page.response.status_code == 403 and said in page.text
        assert "<textarea" not in re.sub(r"<template.*?</template>", "", page.html, flags=re.DOTALL)

    def test_nor_may_an_account_without_the_permission(
        self, client: Client, talk: Workflow, settings: Any
    ) -> None:
        Workflow.objects.update(access="permission")
        settings.LOGIN_URL = "admin:login"
        assert '<a href="/admin/login/?next=%2Fling%2Fchat%2Ftalk%2F">Sign in</a>' in Page(client).html
        user = User.objects.create(username="ann")
        client.force_login(user)
        assert "may not talk here" in Page(client).text
        user.user_permissions.add(Permission.objects.get(codename="start_workflow"))
        assert Page(client).press(text="hi").response.status_code == 200

    def test_a_page_of_another_site_sends_nothing(self, talk: Workflow) -> None:
        client = Client(enforce_csrf_checks=True)
        page = Page(client)
        assert client.post(URL, {"text": "hi"}).status_code == 403
        token = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.html)[0]
        assert page.press(text="hi", csrfmiddlewaretoken=token).response.status_code == 200


def test_files_go_along_where_the_chat_takes_them(
    client: Client, talk: Workflow, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    assert 'type="file"' not in Page(client).html
    ChatRow.objects.create(workflow=talk, attachments="images")
    page = Page(client)
    assert 'accept="image/png' in page.html
    page.press(text="look", file=SimpleUploadedFile("a <cat>.png", PNG))
    run = page.answer({"answer": "a cat"})
    file = Attachment.objects.get()
    assert file.run == run and f'/ling/attachments/{file.pk}/" download="a &lt;cat&gt;.png"' in page.html
    page.press(edit=str(run.pk), text="look again")
    assert [part["type"] for part in Run.objects.latest("number").message["parts"]] == ["text", "file"]
    page.press(text="x", file=SimpleUploadedFile("a.svg", b"<svg/>"))
    assert page.response.status_code == 415


def test_what_nobody_has_seen_stands_below_a_line(client: Client, talk: Workflow) -> None:
    page = Page(client).press(text="one")
    page.answer({"answer": "yes"})
    conversation = Conversation.objects.get()
    for text in ("psst", "hey"):
        conversation.say("talk", {"question": text})
    html = Page(client, page.url).html
    shown = [found for found in re.findall(r"data-unread( hidden)?>", html) if not found]
    assert len(shown) == 1 and re.search(r'data-number="2"[^>]*>\s*<p class="ling-unread" data-unread>', html)
    assert "<b>2</b>" in html


def test_earlier_turns_are_a_page_before(client: Client, talk: Workflow) -> None:
    page = Page(client).press(text="turn 1")
    for number in range(2, 53):
        Conversation.objects.get().ask(f"turn {number}")
    html = Page(client, page.url).html
    assert "turn 2<" not in html and "turn 3<" in html
    earlier = re.findall(r'data-earlier><a href="([^"]+)"', html)
    assert earlier == [f"{page.url}?before=3"]
    text = Page(client, earlier[0]).text
    assert "turn 2 " in text and "turn 3" not in text


def test_a_site_draws_the_answers_of_one_workflow(
    client: Client, talk: Workflow, settings: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "lingstream" / "chat" / "talk"
    folder.mkdir(parents=True)
    (folder / "answer.html").write_text('<b data-ling="answer">{{ turn.answer }}</b>')
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    page = Page(client).press(text="hi")
    page.answer({"answer": "mine"})
    assert '<b data-ling="answer">mine</b>' in page.html and '<b data-ling="answer"></b>' in page.html
    assert "data-ling-markdown" not in page.html


def shown(document: Any, stale: Any = (), **chat: Any) -> Any:
    turn = {"run": "r", "number": 1, "cause": "code", "message": None, "status": "finished", "error": None}
    more = {"document": document, "siblings": ["r"], "feedback": [], "stale": stale}
    more["created"] = "2026-01-01T00:00:00+00:00"
    return next(turns_from([{**turn, **more}], Chat(**chat), 0))


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


def test_cards_have_bounds_and_the_rest_is_json() -> None:
    turn = shown({"answer": {"x": 1}, "n": list(range(1000)), "d": deep(300)})
    assert turn.answer == "" and [card.name for card in turn.cards] == ["answer", "n", "d"]
    assert (len(turn.cards[1].entries), turn.cards[1].more) == (200, 800)
    assert "[[[" in str(turn.cards[2])
    assert shown("all", answer_uri="").answer == "all" and shown("all", answer_uri="").cards == []
    assert [card.text for card in shown("all").cards] == ["all"]
    assert shown({"a": {"b": "x"}}, answer_uri="a/b").answer == "x"
    assert shown({"s": ["x"]}, suggestions_uri="").suggestions == []


def test_citations_say_which_of_their_sources_have_changed() -> None:
    document = {"answer": "a [1] [2]", "citations": [{"source": "1"}, {"source": "2"}]}
    turn = shown(document, stale=["citations/1"])
    assert ([cited.stale for cited in turn.citations], turn.stale) == ([False, True], '["citations/1"]')
    assert ([cited.stale for cited in shown(document).citations], shown(document).stale) == ([False] * 2, "")


class TestTag:
    def draw(self, client: Client, source: str = '{% lingstream_chat "talk" %}', **more: Any) -> str:
        """Render the tag in a page of the site, as this client's request would have it."""
        request: HttpRequest = client.get("/").wsgi_request
        template = Template(f"{{% load lingstream %}}{source}")
        html = template.render(RequestContext(request, more))
        if request.session.modified:
            request.session.save()
            client.cookies["sessionid"] = request.session.session_key
        return html

    def test_draws_the_conversation_of_last_time(self, client: Client, talk: Workflow) -> None:
        html = self.draw(client)
        assert 'workflow="talk"' in html and "data-back" in html and "ling-conversations" not in html
        assert 'data-tells=""' in html
        assert 'data-tells="badge"' in self.draw(client, '{% lingstream_chat "talk" tells="badge" %}')
        back = {"text": "hello", "back": "/somewhere/"}
        response: HttpResponse = client.post(URL, back)
        assert response["Location"].startswith("/somewhere/#turn-")
        assert client.post(URL, {**back, "back": "https://evil.example/"})["Location"].startswith(URL)
        row = Conversation.objects.order_by("created_at").first()
        assert row
        row.ask("once more")
        assert "once more" in self.draw(client)
        assert str(row.pk) in self.draw(client, '{% lingstream_chat "talk" conversation=row %}', row=row)
        assert "once more" not in self.draw(client, '{% lingstream_chat "talk" conversation="new" %}')

    @pytest.mark.parametrize(
        "draw",
        [
            lambda tag, client, row: tag.draw(client, '{% lingstream_chat "nothing" %}'),
            lambda tag, client, row: tag.draw(client, '{% lingstream_chat "talk" row %}', row=row),
        ],
    )
    def test_what_is_not_there_is_404(self, client: Client, talk: Workflow, draw: Callable[..., str]) -> None:
        row = Conversation.objects.create(owner=User.objects.create(username="ann"), workflow="talk")
        with pytest.raises(Http404):
            draw(self, client, row)
