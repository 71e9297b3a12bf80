"""Who asks: the tenant that the site names, and the address that a call came from."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from lingstream.access.identity import ScopeRequest, address_of, identify, identify_socket
from lingstream.core.exceptions import LingError
from lingstream.models import Conversation, Run

from .. import site as sites
from ..site import Site
from .tenants import Caller

answer: Any = ""


def scope(request: ScopeRequest) -> Any:
    """The setting ``SCOPE`` of this module: what the test says."""
    if isinstance(answer, Exception):
        raise answer
    return answer(request) if callable(answer) else answer


@pytest.fixture
def scoped(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["shop.example", ".tenants.example"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": f"{__name__}.scope"}


def say(value: Any) -> None:
    global answer
    answer = value


SOCKET: dict[str, Any] = {
    "type": "websocket",
    "path": "/ws/ling/",
    "query_string": b"",
    "headers": [(b"host", b"one.tenants.example:8000"), (b"x-tenant", b"7")],
    "client": ["203.0.113.9", 4711],
    "server": ["127.0.0.1", 8000],
}


def test_a_scope_function_gets_the_same_on_both_transports(scoped: None) -> None:
    say(lambda request: f"{request.host} {request.headers['X-Tenant']} {request.user.is_authenticated}")
    request = RequestFactory().get("/ling/", headers={"host": "one.tenants.example:8000", "x-tenant": "7"})
    expected = "one.tenants.example:8000 7 False"
    assert identify(request).scope == expected
    assert identify_socket(SOCKET).scope == expected
    say(lambda request: request.path)
    assert (identify(request).scope, identify_socket(SOCKET).scope) == ("/ling/", "/ws/ling/")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "forbidden"),
        (PermissionDenied(), "forbidden"),
        (5, "configuration"),
        ("x" * 201, "configuration"),
        (ValueError("the database is called secret"), "internal"),
        (lambda request: request.headers["no-such"], "internal"),
    ],
)
def test_what_is_no_scope_is_refused(scoped: None, given: Any, code: str) -> None:
    say(given)
    request = RequestFactory().get("/ling/", headers={"host": "shop.example"})
    request.user = AnonymousUser()
    with pytest.raises(LingError) as caught:
        identify(request)
    assert caught.value.code == code
    assert "secret" not in caught.value.message


def test_every_tenant_is_for_superusers(scoped: None) -> None:
    say(None)
    request = RequestFactory().get("/ling/", headers={"host": "shop.example"})
    request.user = User(pk=1, is_superuser=True)
    identity = identify(request)
    assert (identity.scope, identity.tenant) == (None, "")
    assert identity.sees("any")


def test_a_host_that_the_site_does_not_have_is_refused_on_the_socket_too(scoped: None) -> None:
    say("x")
    with pytest.raises(LingError) as caught:
        identify_socket({**SOCKET, "headers": [(b"host", b"evil.example")]})
    assert caught.value.code == "host"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "203.0.113.9"),
        (0, "198.51.100.1", "203.0.113.9"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "10.1.1.1, 198.51.100.1", "198.51.100.1"),
        (2, "10.1.1.1, 198.51.100.1, 203.0.113.7", "198.51.100.1"),
        (2, "198.51.100.1", "203.0.113.9"),
        (1, "", "203.0.113.9"),
        (1, "198.51.100.1:5000", "198.51.100.1"),
        (1, "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "<script>", "unknown"),
    ],
)
def test_the_address_is_what_the_trusted_proxies_saw(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.LINGSTREAM = {"TRUSTED_PROXIES": proxies}
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    assert address_of(RequestFactory().get("/", headers=headers, REMOTE_ADDR="203.0.113.9")) == address
    pairs = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert identify_socket({**SOCKET, "headers": pairs}).address == address


def test_a_server_that_tells_no_address(settings: Any) -> None:
    assert identify_socket({**SOCKET, "client": None}).address == "unknown"


async def test_starts_keys_and_conversations_stay_in_their_tenant(site: Site, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
    for name in ("a", "b"):
        await Group.objects.acreate(name=name)
    await site.workflow(a="A")
    sites.answers = '{"a": "b"}'
    caller = await Caller.signed_in(await User.objects.acreate_superuser("root", password="pw"))
    url, body = "/ling/workflows/test/runs/", {"input": sites.QUESTION, "key": "k"}
    for host in ("a.example", "a.example", "b.example", "all.example"):
        assert await caller.post(site, url, host, {**body, "conversation": "new"}) == "ok"
    assert sorted([run.scope async for run in Run.objects.all()]) == ["", "a", "b"]
    conversation = await Conversation.objects.aget(scope="a")
    more = {"input": sites.QUESTION, "conversation": str(conversation.pk)}
    assert await caller.post(site, url, "a.example", more) == "ok"
    assert await caller.post(site, url, "b.example", more) == "forbidden"
    assert await caller.say("b.example", type="start", workflow="test", **more) == "forbidden"
