"""A bot that speaks first: each tab of a person shows the one turn, whatever connection it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from .conftest import chatting, until
from .gate import closed_gates, gates
from .proxy import proxied
from .test_chat import distance, opened, say
from .test_chat_away import NUDGE, answer

__all__ = ["closed_gates"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chatting(tmp_path_factory.mktemp("nudges"), answer) as url:
        yield url


@pytest.fixture
def fresh(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own: Chromium holds sockets back where many have failed before."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    yield context
    context.close()


def heard(page: Page) -> list[str]:
    """Collect the connections that a page has: the sockets that hold, and the responses for many runs."""
    paths: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: paths.append("socket")))
    page.on("request", lambda request: request.url.endswith("/ling/events/") and paths.append("response"))
    return paths


def look_up(page: Page) -> None:
    page.locator(".ling-log").hover()
    page.mouse.wheel(0, -20_000)
    until(page, "document.querySelector('.ling-log').scrollTop === 0")
    assert distance(page) > 100


TURNS = "document.querySelector('ling-chat').conversation.turns.map(({ id, cause }) => [id, cause])"


@pytest.mark.parametrize("way", ["socket", "response"])
def test_one_nudge_is_one_turn_in_every_tab(fresh: BrowserContext, server: str, way: str) -> None:
    with proxied(server, "refused") as (site, _):
        first = opened(fresh.new_page(), f"{server}/ling/chat/nudge/")
        say(first, "grow", wait=False)
        until(first, "location.pathname.length > 40")
        second = fresh.new_page()
        paths = heard(second)
        opened(second, first.url if way == "socket" else first.url.replace(server, site))
        tabs = (first, second)
        for tab in tabs:
            expect(tab.locator(".ling-markdown")).to_contain_text("Line 18.")
            look_up(tab)
        gates["grow"].open()
        for tab in tabs:
            expect(tab.locator(".ling-markdown").last).to_have_text(NUDGE)
            expect(tab).to_have_title("(1) Nudge")
            expect(tab.locator("[data-list] [data-count]")).to_have_text("1 unread ")
            expect(tab.locator("[data-jump]")).to_contain_text("1")
        assert first.evaluate(TURNS) == second.evaluate(TURNS)
        assert [cause for _, cause in first.evaluate(TURNS)].count("silence") == 1
        assert set(paths) == {way}
        second.get_by_role("button", name="To the end").click()
        for tab in tabs:
            expect(tab).to_have_title("Nudge")
            expect(tab.locator("[data-list] [data-count]")).to_be_hidden()
            assert tab.locator(".ling-turns > *").count() == len(first.evaluate(TURNS))
