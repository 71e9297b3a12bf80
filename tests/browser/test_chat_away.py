"""The chat page of who goes away and comes back: without a network, or left, or hidden meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from .conftest import NewPage, chatting, until
from .gate import Gate, closed_gates, gates
from .test_chat import answers, opened, reply, say

__all__ = ["closed_gates"]

NUDGE = "Are you there?"
# Before the page's modules are executed.
TELL = """((attributes) => document.addEventListener("readystatechange", () => {
    Object.assign(document.querySelector("ling-chat").dataset, attributes);
}, { once: true }))(%s);"""
LOST = "The connection was lost. Trying again…"
# As a browser tells it: playwright shows all its pages.
HIDE = """(isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
RUNS = "document.querySelector('ling-chat').conversation.turns.map(({ run }) => run?.status ?? 'ended')"


def answer(request: dict[str, Any]) -> Any:
    """As in the other tests; who is asked by nobody nudges."""
    asked = str(request["messages"][-1]["content"])
    return json.dumps({"answer": NUDGE}) if asked.startswith("(") else reply(request)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yields the URL under which chats are."""
    with chatting(tmp_path_factory.mktemp("away"), answer) as url:
        yield f"{url}/ling/chat"


def banner(page: Page) -> Locator:
    return page.locator("[data-banner]")


def event(page: Page, name: str) -> None:
    """As a browser tells it that keeps the page; playwright cannot follow one that does."""
    page.evaluate("(name) => dispatchEvent(new PageTransitionEvent(name, { persisted: true }))", name)


def test_without_a_network_it_says_so_and_what_is_said_goes_out_later(
    context: BrowserContext, site: str
) -> None:
    page = opened(context.new_page(), f"{site}/talk/")  # its console tells of the network
    say(page, "hello")
    expect(banner(page)).to_be_hidden()
    context.set_offline(True)
    expect(banner(page)).to_have_text(LOST)
    expect(banner(page)).to_be_visible()
    say(page, "offline", wait=False)
    expect(page.locator("[data-text]").last).to_have_text("offline")
    assert answers(page)[1:] == [""]
    context.set_offline(False)
    expect(page.locator(".ling-markdown").last).to_have_text("You said offline.")
    expect(banner(page)).to_be_hidden()
    assert page.locator(".ling-turns > *").count() == 2


def test_a_page_that_is_left_and_shown_again_goes_on(new_page: NewPage, site: str) -> None:
    page = opened(new_page(), f"{site}/talk/")
    say(page, "hello")
    until(page, "location.pathname.length > 40")
    other = opened(new_page(), page.url)
    say(page, "slow leave", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    event(page, "pagehide")
    assert page.evaluate(RUNS) == ["ended", "connecting"]
    gates.setdefault("slow leave", Gate()).open()
    say(other, "meanwhile")
    assert page.locator(".ling-turns > *").count() == 2
    event(page, "pageshow")
    expect(page.locator(".ling-turns > *")).to_have_count(3)
    expect(page.locator(".ling-markdown").last).to_have_text("You said meanwhile.")
    assert answers(page) == answers(other)
    say(other, "and now")
    expect(page.locator(".ling-markdown").last).to_have_text("You said and now.")


def begin(page: Page, site: str, text: str) -> None:
    """A conversation in which the bot is about to answer."""
    opened(page, f"{site}/nudge/")
    say(page, text, wait=False)
    until(page, "location.pathname.length > 40")
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")


def lines(page: Page) -> list[str | None]:
    """The turns above which the line of what is unread stands."""
    turns = page.locator(".ling-turn:has(.ling-unread:visible)")
    return [turn.get_attribute("data-number") for turn in turns.all()]


def test_a_line_stands_above_what_came_meanwhile(page: Page, site: str) -> None:
    begin(page, site, "slow gone")
    address = page.url
    opened(page, f"{site}/nudge/")
    gates["slow gone"].open()
    badge = page.locator("[data-list] [data-count]")
    expect(badge).to_have_text("1 unread ")
    opened(page, address)
    assert lines(page) == ["2"]
    expect(page.locator(".ling-unread:visible")).to_have_text("New")
    expect(badge).to_be_hidden()  # it is in sight: it was read
    assert lines(page) == ["2"]
    say(page, "hello")
    assert lines(page) == []
    opened(page, address)
    assert lines(page) == []


def test_the_line_in_a_page_that_was_hidden(page: Page, site: str) -> None:
    begin(page, site, "slow hidden")
    page.evaluate(HIDE, True)
    gates["slow hidden"].open()
    expect(page.locator(".ling-markdown").last).to_have_text(NUDGE)
    expect(page).to_have_title("(1) Nudge")
    assert lines(page) == ["2"]
    page.evaluate(HIDE, False)
    expect(page).to_have_title("Nudge")
    assert lines(page) == ["2"]


@pytest.mark.parametrize(
    ("attributes", "title", "badges"),
    [
        ({"tells": ""}, "Nudge", set()),
        ({"tells": "title badge"}, "(1) Nudge", {0, 1}),
        ({"back": ""}, "Nudge", set()),  # on a page of the site's
        ({"back": "", "tells": "title"}, "(1) Nudge", set()),
    ],
)
def test_what_else_tells_of_unread_turns(
    page: Page, site: str, attributes: dict[str, str], title: str, badges: set[int]
) -> None:
    page.add_init_script(TELL % json.dumps(attributes))
    page.add_init_script("navigator.setAppBadge = async (count) => void (window.badges ??= []).push(count);")
    opened(page, f"{site}/nudge/")
    say(page, "slow told", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    page.evaluate(HIDE, True)
    gates["slow told"].open()
    expect(page.locator(".ling-markdown").last).to_have_text(NUDGE)
    expect(page).to_have_title(title)
    page.evaluate(HIDE, False)
    until(page, "document.querySelector('ling-chat').conversation.unread === 0")
    expect(page).to_have_title("Nudge")
    told = page.evaluate("window.badges ?? []")
    assert (set(told), told[-1:]) == (badges, [0] if badges else [])
