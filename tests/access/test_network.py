"""The guard of outgoing addresses: nothing that a row names leads into the network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from lingstream.access import network
from lingstream.access.network import AddressRefused, Guard, is_on_the_web, is_public
from lingstream.access.policy import site_guard
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.models import Provider
from lingstream.providers import build_provider
from lingstream.providers.policy import check_provider
from lingstream.testing import OpenAIServer, collect

ADDRESSES = [
    ("93.184.215.14", True),
    ("2606:4700:4700::1111", True),
    ("64:ff9b::5db8:d70e", True),  # NAT64 of a public one
    ("::ffff:93.184.215.14", True),
    ("127.0.0.1", False),
    ("127.8.9.10", False),
    ("0.0.0.0", False),
    ("10.0.0.1", False),
    ("172.16.0.1", False),
    ("192.168.1.1", False),
    ("169.254.169.254", False),  # metadata of clouds
    ("100.64.0.1", False),
    ("100.100.100.200", False),  # metadata of another
    ("192.0.0.192", False),
    ("192.88.99.1", False),
    ("198.18.0.1", False),
    ("224.0.0.1", False),
    ("240.0.0.1", False),
    ("255.255.255.255", False),
    ("::", False),
    ("::1", False),
    ("::7f00:1", False),
    ("::ffff:127.0.0.1", False),
    ("::ffff:0:127.0.0.1", False),
    ("64:ff9b::7f00:1", False),
    ("64:ff9b::a9fe:a9fe", False),
    ("64:ff9b:1::a00:1", False),
    ("2002:7f00:1::1", False),
    ("2002:5db8:d70e::1", False),
    ("2001:0:7f00:1::1", False),
    ("2001:10::1", False),
    ("2001:4860:4860::8888", True),
    ("2001:db8::1", False),
    ("3fff::1", False),
    ("fc00::1", False),
    ("fd00:ec2::254", False),
    ("fe80::1", False),
    ("fe80::1%eth0", False),
    ("fec0::1", False),
    ("ff02::1", False),
    ("5f00::1", False),
    ("no address", False),
]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        *(
            (url, True)
            for url in ("https://a.example/x?y#z", "HTTP://a.example", "/x", "?q=a:b", "#x", "//b/c")
        ),
        *(
            (url, False)
            for url in ("javascript:x()", " JavaScript:x()", "java\nscript:x()", "\x01javascript:x()")
        ),
        *((url, False) for url in ("data:text/html,x", "file:///etc/passwd", "vbscript:x", "http://[x")),
    ],
)
def test_where_a_link_leads(url: str, expected: bool) -> None:
    assert is_on_the_web(url) is expected


@pytest.mark.parametrize(("address", "public"), ADDRESSES)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


ALLOWED = ["Inside", "ollama.:11434", "10.0.0.5", "[fd00::5]:8000", "10.0.0.6:443"]
HOSTS = [
    ("api.example.com", 443, True),
    ("api.example.com", 80, True),
    ("api.example.com", 22, False),
    ("inside", 6379, True),
    ("INSIDE.", 80, True),
    ("inside.example.com", 8080, False),
    ("ollama", 11434, True),
    ("ollama", 11435, False),
    ("10.0.0.5", 1, True),
    ("10.0.0.6", 443, True),
    ("10.0.0.6", 80, False),
    ("10.0.0.7", 443, False),
    ("[fd00::5]", 8000, True),
    ("fd00::5", 8000, True),
    ("fd00:0::5", 443, False),
    ("[::1]", 80, False),
]


@pytest.mark.parametrize(("host", "port", "allowed"), HOSTS)
def test_hosts_and_ports_without_the_dns(host: str, port: int, allowed: bool) -> None:
    guard = Guard(ALLOWED)
    if allowed:
        guard.check(host, port)
    else:
        with pytest.raises(AddressRefused):
            guard.check(host, port)


def test_one_address_inside_spoils_the_public_ones() -> None:
    guard = Guard(["ours"])
    guard.judge("api.example.com", 443, ["93.184.215.14", "2606:4700:4700::1111"])
    guard.judge("ours", 443, ["10.0.0.1"])
    with pytest.raises(AddressRefused):
        guard.judge("api.example.com", 443, ["93.184.215.14", "10.0.0.1"])


# Ways to write this machine that no list of names would have; the resolver knows them all.
TRICKS = ["localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1."]


@pytest.mark.parametrize("host", TRICKS)
async def test_a_name_is_judged_by_what_it_resolves_to(host: str) -> None:
    with pytest.raises((AddressRefused, OSError)):
        await Guard().resolve(host, 80)
    with pytest.raises(AddressRefused):
        Guard().look_up("localhost", 80)


@pytest.fixture
def no_list(settings: Any) -> None:
    settings.LINGSTREAM = {}


class Resolver:
    """A name server whose answer for one name changes with each question."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked = 0

    async def __call__(self, host: str, port: int, **more: Any) -> list[Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer("hello") as running:
        yield running


async def failure(base_url: str, **options: Any) -> ProviderError:
    plan = ProviderPlan(kind="openai", base_url=base_url, options={"max_retries": 0, **options})
    provider = build_provider(plan)
    try:
        with pytest.raises(ProviderError) as caught:
            await collect(provider)
    finally:
        await provider.aclose()
    return caught.value


async def test_a_provider_does_not_connect_into_the_network(no_list: None, server: OpenAIServer) -> None:
    for base_url in (server.base_url, server.base_url.replace("127.0.0.1", "localhost")):
        assert (await failure(base_url)).code == "provider-address"
    assert not server.requests


async def test_the_address_that_was_judged_is_the_one_that_is_called(
    settings: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is looked at and this machine a moment later (DNS rebinding)."""
    settings.LINGSTREAM = {}
    monkeypatch.setattr(network, "PORTS", frozenset((server.port,)))
    resolver = Resolver([["192.0.2.1"], ["127.0.0.1"]])
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolver)
    monkeypatch.setattr(network, "is_public", lambda address: address == "192.0.2.1")
    called: list[str] = []

    async def connect(factory: Any, host: str, port: int, **more: Any) -> Any:
        called.append(host)
        raise OSError("nobody there")

    monkeypatch.setattr(loop, "create_connection", connect)
    assert (await failure(f"http://rebinding.example:{server.port}/v1")).code == "provider-unavailable"
    assert (called, resolver.asked) == (["192.0.2.1"], 1)
    assert (await failure(f"http://rebinding.example:{server.port}/v1")).code == "provider-address"
    assert called == ["192.0.2.1"]


async def test_the_next_address_is_tried_when_one_does_not_answer(
    settings: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LINGSTREAM = {"ALLOW_HOSTS": ["model.example"]}
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", Resolver([["127.0.0.2", "127.0.0.1"]]))
    plan = ProviderPlan(kind="openai", base_url=f"http://model.example:{server.port}/v1")
    provider = build_provider(plan)
    assert (await collect(provider)).text == "hello"
    await provider.aclose()


async def test_hosts_that_no_proxy_names_are_guarded_too(
    no_list: None, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert (await failure(server.base_url)).code == "provider-address"
    assert not server.requests


def test_without_a_site_there_is_no_guard() -> None:
    installed = network._installed
    network.install(None)
    try:
        assert network.guard() is None
    finally:
        network.install(installed)


class TestRows:
    """A provider's row, with a key and without, when it is saved and when it is used."""

    @pytest.fixture(autouse=True)
    def site(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.LINGSTREAM = {
            "PROVIDER_KEYS": {"KEY": ["http://10.0.0.9:8000/v1"]},
            "ALLOW_HOSTS": ["127.0.0.1:11434"],
        }
        monkeypatch.setenv("LINGSTREAM_ENDPOINT", "http://192.168.7.7:5000/v1")

    @pytest.mark.parametrize(
        ("base_url", "key", "allowed"),
        [
            ("http://127.0.0.1:11434/v1", "", True),
            ("http://192.168.7.7:5000/v1", "", True),
            ("http://10.0.0.9:8000/v1", "KEY", True),
            ("http://127.0.0.1:6379", "", False),
            ("http://localhost:11434/v1", "", False),
            ("http://169.254.169.254/latest/meta-data", "", False),
            ("http://[::ffff:169.254.169.254]/v1", "", False),
            ("http://10.0.0.9:9000/v1", "", False),
            ("http://localhost/v1", "", False),
        ],
    )
    def test_saved_and_used(self, base_url: str, key: str, allowed: bool) -> None:
        row = Provider(name="p", kind="openai", base_url=base_url, key_name=key)
        if allowed:
            row.clean()
            check_provider(ProviderPlan("p", "openai", base_url, key))
            return
        with pytest.raises(ValidationError) as caught:
            row.clean()
        assert "ALLOW_HOSTS" in str(caught.value.message_dict["base_url"])
        if "localhost/" not in base_url:  # a name is looked up when it is saved and when it is called
            with pytest.raises(UsageError):
                check_provider(ProviderPlan("p", "openai", base_url, key))

    def test_the_settings_make_the_list(self) -> None:
        guard = site_guard()
        assert guard.allows("192.168.7.7", 5000)
        assert guard.allows("10.0.0.9", 8000)
        assert not guard.allows("10.0.0.9", 80)
