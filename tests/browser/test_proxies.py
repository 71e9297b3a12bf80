"""The page behind a real nginx: whatever it does to connections, text comes, over one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chaos.patience import scaled

from .conftest import TIMEOUT, chatting, serve, until
from .gate import Gate
from .nginx import NGINX, nginx

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx: sh tests/install_tools.sh, as root")

INPUT = """{"question": "Can I lie on a cloud?"}"""
ASKS = """<ling-stream workflow="cloud-facts" data-input='%s' %s><p data-ling="answer"></p></ling-stream>"""
ANSWER = "[...document.querySelectorAll('.ling-turns .ling-markdown')].at(-1)?.textContent"
FOLLOWED = "document.querySelector('ling-chat').conversation"
ENDED = "[...document.querySelectorAll('ling-stream')].every((each) => each.state === 'finished')"
TEXTS = "[...document.querySelectorAll('p')].every((place) => place.textContent !== '')"

Visit = Callable[..., Page]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(scaled(TIMEOUT))
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext) -> Visit:
    """Open a page with some markup; ``asked`` gets the paths of what it asks the site for."""

    def open_page(url: str, markup: str, asked: list[str] | None = None, prefix: str = "") -> Page:
        page = context.new_page()
        if asked is not None:
            page.on("request", lambda request: asked.append(urlsplit(request.url).path))
            page.on("websocket", lambda socket: asked.append(urlsplit(socket.url).path))
        page.goto(f"{url}{prefix}/there/?body={quote(markup)}")
        return page

    return open_page


# What is asked for last, behind each kind of proxy.
KINDS = {
    "plain": "/ling/events/",
    "upgrading": "/ws/ling/",
    "http2": "/ling/events/",
    "prefix": "/app/ws/ling/",
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_text_streams_through(server: str, visit: Visit, tmp_path: Path, kind: str, count: int) -> None:
    asked: list[str] = []
    prefix = "/app" if kind == "prefix" else ""
    where = """base="/app/ling/" socket="/app/ws/ling/" """ if prefix else ""
    with nginx(server, kind, tmp_path) as url:
        page = visit(url, ASKS % (INPUT, where) * count, asked, prefix)
        until(page, TEXTS)
        assert page.evaluate("performance.now()") < scaled(5_500)
        statuses = page.evaluate("[...document.querySelectorAll('ling-stream')].map((each) => each.state)")
        assert "running" in statuses, "the text came at once, at the end"
        until(page, ENDED)
        assert [path for path in asked if "/static/" not in path][-1] == KINDS[kind]
        assert asked.count("/ws/ling/") <= 1, "one decision for all"
        page.close()


@pytest.mark.parametrize("transport", ["sse", "poll"])
def test_a_prefix_holds_for_http_too(server: str, visit: Visit, tmp_path: Path, transport: str) -> None:
    where = f'base="/app/ling/" transport="{transport}"'
    with nginx(server, "prefix", tmp_path) as url:
        page = visit(url, ASKS % (INPUT, where), prefix="/app")
        until(page, ENDED)
        page.close()


def test_a_proxy_that_holds_responses_back_is_polled_through(
    server: str, visit: Visit, tmp_path: Path
) -> None:
    asked: list[str] = []
    with nginx(server, "holding", tmp_path) as url:
        page = visit(url, ASKS % (INPUT, 'transport="poll"') * 3, asked)
        until(page, TEXTS)
        statuses = page.evaluate("[...document.querySelectorAll('ling-stream')].map((each) => each.state)")
        assert "running" in statuses, "the text came at once, at the end"
        until(page, ENDED)
        assert asked.count("/ling/events/") > 3
        page.close()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo with a model that takes its time."""
    with serve(tmp_path_factory.mktemp("slow"), {}, rate=4) as url:
        yield url


@pytest.mark.parametrize("count", [1, 2])
def test_it_is_noticed_that_streams_are_held_back(
    slow: str, visit: Visit, tmp_path_factory: pytest.TempPathFactory, count: int
) -> None:
    asked: list[str] = []
    with nginx(slow, "holding", tmp_path_factory.mktemp("nginx")) as url:
        page = visit(url, ASKS % (INPUT, "") * count, asked)
        until(page, TEXTS)
        assert page.evaluate("document.querySelector('ling-stream').state") == "running"
        assert 5_000 < page.evaluate("performance.now()") < scaled(9_000)
        assert asked.count("/ws/ling/") == 1
        page.close()


def test_a_chat_goes_on_where_streams_are_held_back(
    visit: Visit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is written is seen before it has ended; so are a second turn, and another tab's."""
    gates = {text: Gate() for text in ("one", "two", "three")}

    def reply(request: dict[str, Any]) -> list[Any]:
        asked = request["messages"][-1]["content"]
        return [f'{{"answer": "{asked} begins', gates[asked], ' and ends."}']

    asked: list[str] = []
    with (
        chatting(tmp_path_factory.mktemp("chat"), reply) as site,
        nginx(site, "holding", tmp_path_factory.mktemp("nginx")) as url,
    ):
        page = visit(url, "", asked)
        asked.clear()
        page.goto(f"{url}/ling/chat/talk/")
        until(page, FOLLOWED)
        for text in ("one", "two"):
            page.get_by_role("textbox", name="Message").fill(text)
            page.keyboard.press("Enter")
            until(page, f"{ANSWER}?.startsWith('{text} begin')")
            gates[text].open()
            until(page, f"{ANSWER} === '{text} begins and ends.'")
        until(page, "location.pathname.length > 40")
        other = visit(url, "")
        other.goto(page.url)
        until(other, FOLLOWED)
        other.get_by_role("textbox", name="Message").fill("three")
        other.keyboard.press("Enter")
        until(page, f"{ANSWER}.startsWith('three begin')")
        gates["three"].open()
        until(page, f"{ANSWER} === 'three begins and ends.'")
        assert asked.count("/ling/events/") > 3
        for each in (page, other):
            each.close()


def test_eight_tabs_stream_over_http2(server: str, visit: Visit, tmp_path: Path) -> None:
    with nginx(server, "http2", tmp_path) as url:
        pages = [visit(url, ASKS % (INPUT, 'transport="sse"')) for _ in range(8)]
        for page in pages:
            until(page, ENDED)
        for page in pages:
            page.close()
