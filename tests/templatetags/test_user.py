"""Whose page it is: the digest that ``{% lingstream_script %}`` writes, and what it costs the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template import Engine, RequestContext
from django.test import AsyncClient, Client
from django.urls import include, path

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

ENGINES = ["db", "cache", "cached_db", "signed_cookies"]


def rendered(request: HttpRequest) -> HttpResponse:
    engine = Engine(libraries={"lingstream": "lingstream.templatetags.lingstream"})
    tag = f"{{% lingstream_script {request.GET.get('options', '')} %}}"
    return HttpResponse(engine.from_string("{% load lingstream %}" + tag).render(RequestContext(request)))


def sync(request: HttpRequest) -> HttpResponse:
    return rendered(request)


async def unread(request: HttpRequest) -> HttpResponse:
    return rendered(request)


async def read(request: HttpRequest) -> HttpResponse:
    await request.auser()
    return rendered(request)


class Remembered:
    """A user whom some middleware of the site's knows by itself."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if name := request.COOKIES.get("remembered"):
            request.user = User.objects.get(username=name)
        return self.get_response(request)


urlpatterns = [
    path("sync/", sync),
    path("unread/", unread),
    path("read/", read),
    path("ling/", include("lingstream.urls")),
]
VIEWS = ["sync", "unread", "read"]


class Tab:
    """One browser, as far as cookies go."""

    def __init__(self, view: str) -> None:
        self.client: Any = Client() if view == "sync" else AsyncClient()
        self._view = view

    def get(self, options: str = "") -> Any:
        get = self.client.get if self._view == "sync" else async_to_sync(self.client.get)
        return get(f"/{self._view}/", {"options": options} if options else {})

    def user(self, options: str = "") -> str:
        found = re.search(r' data-user="([0-9a-f]{20})"', self.get(options).content.decode())
        return found[1] if found else ""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    return str(request.param)


@pytest.fixture
def people() -> list[User]:
    return [User.objects.create_user(name) for name in ("ann", "bob")]


@pytest.mark.parametrize("view", VIEWS)
def test_tells_one_user_from_the_next(engine: str, people: list[User], view: str) -> None:
    tab = Tab(view)
    assert tab.user() == ""
    seen = []
    for person in people:
        tab.client.force_login(person)
        seen.append(tab.user())
        assert tab.user() == seen[-1], "the page is read anew"
        tab.client.logout()
        assert tab.user() == ""
    assert all(seen)
    assert len(set(seen)) == len(people)


@pytest.mark.parametrize("view", ["sync", "read"])
def test_is_the_same_in_another_session(engine: str, people: list[User], view: str) -> None:
    tab, other = Tab(view), Tab("read")
    for each in (tab, other):
        each.client.force_login(people[0])
    assert tab.user() == other.user()


@pytest.mark.parametrize("view", VIEWS)
def test_a_user_whom_middleware_has_in_hand(people: list[User], settings: Any, view: str) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Remembered"]
    seen = []
    for person in people:
        tab = Tab(view)
        tab.client.cookies["remembered"] = person.username
        seen.append(tab.user())
    assert all(seen)
    assert len(set(seen)) == len(people)


@pytest.mark.parametrize("view", ["sync", "unread"])
def test_a_page_for_all_says_nobody_and_varies_by_language_alone(
    people: list[User], view: str, django_assert_num_queries: Any
) -> None:
    tab = Tab(view)
    tab.client.force_login(people[0])
    with django_assert_num_queries(0):
        response = tab.get("csrf=False")
    assert b"data-user" not in response.content
    assert response["Vary"] == "Accept-Language"


def test_a_page_that_has_read_the_session_is_its_users(people: list[User]) -> None:
    tab = Tab("read")
    tab.client.force_login(people[0])
    assert "Cookie" in tab.get("csrf=False")["Vary"]
    assert tab.user("csrf=False") == tab.user()


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_that_has_a_token_varies_as_before(people: list[User], view: str) -> None:
    tab = Tab(view)
    assert tab.get()["Vary"] == "Cookie, Accept-Language"
    tab.client.force_login(people[0])
    assert tab.get()["Vary"] == "Cookie, Accept-Language"


@pytest.mark.parametrize(
    ("view", "is_signed_in", "queries"), [("sync", False, 0), ("sync", True, 1), ("unread", True, 0)]
)
def test_what_it_asks_the_database(
    people: list[User], view: str, is_signed_in: bool, queries: int, django_assert_num_queries: Any
) -> None:
    tab = Tab(view)
    if is_signed_in:
        tab.client.force_login(people[0])
    with django_assert_num_queries(queries):
        tab.get()
