"""Chats on pages of other sites: the frame's answer, and who its visitor is."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import AsyncClient, Client

from lingstream.access.visitors import new_visitor, shown_visitor
from lingstream.models import Chat, Workflow

URL = "/ling/embed/talk/"
SHOP = "https://shop.example"


def refuse(request: Any) -> str:
    """The setting ``SCOPE`` of a site that lets nobody in."""
    raise PermissionDenied


@pytest.fixture
def chat(db: None) -> Chat:
    workflow = Workflow.objects.create(slug="talk", name="Talk", access="anyone")
    return Chat.objects.create(workflow=workflow, origins=[SHOP, "https://*.example.org"])


def signed(chat: Chat, key: str = "", algorithm: str = "HS256", **claims: Any) -> str:
    given = {"sub": "42", "exp": int(time.time()) + 60, **claims}
    given = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(given, key or chat.embed_secret(), algorithm=algorithm)


def visitor_of(body: Any, url: str = URL) -> Any:
    answer = async_to_sync(AsyncClient().post)(f"{url}visitor/", body, content_type="application/json")
    data = answer.json()
    return (
        shown_visitor(f"Ling-Visitor {data['visitor']}")
        if answer.status_code == 200
        else data["error"]["code"]
    )


class TestTheFrame:
    def test_only_listed_pages_may_show_it(self, client: Client, chat: Chat) -> None:
        answer = client.get(URL)
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["frame-ancestors"] == "https://shop.example https://*.example.org"
        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
        assert policy["connect-src"] == "'self' ws://testserver"
        assert "X-Frame-Options" not in answer and answer["Referrer-Policy"] == "origin"

    def test_a_login_says_nothing_in_it(self, client: Client, chat: Chat) -> None:
        client.force_login(User.objects.create_user("ann"))
        page = client.get(URL)
        assert "csrftoken" not in page.cookies and "sessionid" not in page.cookies
        assert "csrfmiddlewaretoken" not in page.text and "data-csrf" not in page.text

    def test_files_of_another_origin_are_let_in(self, client: Client, chat: Chat, settings: Any) -> None:
        settings.STATIC_URL = "https://cdn.example/static/"
        assert "script-src 'self' https://cdn.example;" in client.get(URL)["Content-Security-Policy"]

    @pytest.mark.parametrize("slug", ["talk", "other"])
    def test_a_chat_that_lists_nobody_is_in_no_frame(self, client: Client, chat: Chat, slug: str) -> None:
        Chat.objects.update(origins=[])
        assert client.get(f"/ling/embed/{slug}/").status_code == 404

    def test_whom_the_site_refuses_is_told_so(self, client: Client, chat: Chat, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.refuse"}
        assert client.get(URL).status_code == 403


class TestItsVisitor:
    def test_a_new_one_each_time(self, chat: Chat) -> None:
        assert len(visitor_of({})) == 32
        assert visitor_of({}) != visitor_of({})

    def test_the_same_one_where_a_site_says_who_he_is(self, chat: Chat) -> None:
        ann = visitor_of({"user": signed(chat)})
        assert visitor_of({"user": signed(chat, exp=int(time.time()) + 999)}) == ann
        assert visitor_of({"user": signed(chat, sub="43")}) not in (ann, "visitor")

    def test_one_chat_does_not_vouch_for_another(self, chat: Chat) -> None:
        other = Chat.objects.create(workflow=Workflow.objects.create(slug="other"))
        ann = visitor_of({"user": signed(chat)})
        assert len(there := visitor_of({"user": signed(other)}, "/ling/embed/other/")) == 32 and there != ann
        assert visitor_of({"user": signed(other)}) == "visitor"

    @pytest.mark.parametrize(
        "more",
        [
            {"key": "k" * 64},
            {"algorithm": "HS512"},
            {"exp": 1},
            {"exp": None},
            {"sub": None},
            {"sub": 42},
        ],
        ids=str,
    )
    def test_what_it_has_not_signed_is_refused(self, chat: Chat, more: dict[str, Any]) -> None:
        try:
            token = signed(chat, **more)
        except TypeError:  # the library signs no number as "sub"
            token = "e30." * 3
        assert visitor_of({"user": token}) == "visitor"

    def test_nor_what_nobody_has_signed(self, chat: Chat) -> None:
        unsigned = jwt.encode({"sub": "42", "exp": int(time.time()) + 60}, None, algorithm="none")
        for token in (unsigned, "x", "a.b.c", "é", signed(chat)[:-2]):
            assert visitor_of({"user": token}) == "visitor", token

    def test_no_key_that_a_client_chooses_leads_to_him(self, chat: Chat) -> None:
        ann = visitor_of({"user": signed(chat, sub="customer@shop.example")})
        for key in (
            json.dumps([chat.pk, "", "customer@shop.example"]),
            f"embed:{chat.pk}::customer@shop.example",
        ):
            assert new_visitor(key) != ann != new_visitor(key, of="session")

    def test_a_secret_is_renewed(self, chat: Chat) -> None:
        token = signed(chat)
        Chat.objects.update(secret_version=2)
        assert visitor_of({"user": token}) == "visitor"
        chat.refresh_from_db()
        assert len(visitor_of({"user": signed(chat)})) == 32

    @pytest.mark.parametrize("body", ["[]", '{"user": 1}', "{"])
    def test_a_body_of_another_shape(self, chat: Chat, body: str) -> None:
        assert visitor_of(body) in ("usage", "bad-json")
