"""Conversations by the client: two tabs, reloads in mid-turn, visitors without a session, each transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.chaos.patience import scaled

from .conftest import NewPage, serve, until

QUESTION = "Can I lie on a cloud?"
LONGEST = 1_000  # milliseconds from one tab to the other
BEGIN = """async ([options, id]) => {
    const { Client } = await import("/static/lingstream/index.js");
    window.client = new Client(options);
    window.talk = await client.conversation(id, { workflow: "cloud-facts" });
    window.faults = [];
    talk.addEventListener("error", ({ detail }) => faults.push(detail.code));
    await talk.ready;
}"""
SEND = "async (text) => void (await talk.send(text))"
ENDED = "talk.turns.length === %d && talk.turns.every(({ run, status }) => !run && status === 'finished')"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def sessionless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo without sessions; yields its URL."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.sessionless"}
    with serve(tmp_path_factory.mktemp("sessionless"), settings) as url:
        yield url


@pytest.fixture
def tab(new_page: NewPage, context: BrowserContext, server: str) -> Open:
    """Open a tab with a conversation; in one that ``fails`` the browser may complain of requests."""

    def open_tab(identity: str = "new", *, at: str = server, fails: bool = False, **options: Any) -> Page:
        page = context.new_page() if fails else new_page()
        page.goto(f"{at}/there/?body={quote('<p>A page</p>')}")
        page.evaluate(BEGIN, [options, identity])
        return page

    return open_tab


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_another_tab_shows_a_turn_as_it_is_written(tab: Open, transport: str) -> None:
    first = tab(transport=transport)
    first.evaluate("talk.begin()")
    second = tab(first.evaluate("talk.id"), transport=transport)
    second.evaluate(
        "void (window.since = new Promise((see) => talk.addEventListener('turn', () => see(Date.now()))))"
    )
    sent = first.evaluate("async (text) => { await talk.send(text); return Date.now(); }", QUESTION)
    assert second.evaluate("since") - sent < scaled(LONGEST)
    until(second, "talk.turns[0]?.run?.document?.answer && talk.turns[0].status === 'running'")
    for page in (first, second):
        until(page, ENDED % 1)
    first.evaluate("talk.rename('Clouds')")
    until(second, "talk.title === 'Clouds'")
    until(first, f"talk.seq === {second.evaluate('talk.seq')}")  # whoever hears of it first
    assert [page.evaluate("faults") for page in (first, second)] == [[], []]


def test_a_reload_in_mid_turn_goes_on_with_it(tab: Open) -> None:
    page = tab()
    page.evaluate(SEND, QUESTION)
    identity, run = page.evaluate("[talk.id, talk.turns[0].id]")
    page.reload()
    page.evaluate(BEGIN, [{}, identity])
    assert page.evaluate("[talk.turns[0].id, talk.turns[0].isBusy, talk.turns[0].text]") == [
        run,
        True,
        QUESTION,
    ]
    until(page, ENDED % 1)
    page.evaluate("(async () => void (await talk.edit(talk.turns[0], 'Can I lie on it?')))()")
    until(page, f"{ENDED % 1} && talk.turns[0].siblings.length === 2")


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_a_visitor_without_a_session_has_a_second_turn(tab: Open, sessionless: str, transport: str) -> None:
    page = tab(at=sessionless, transport=transport)
    start = """async ([conversation, input]) => {
        const run = client.start("cloud-facts", input, { conversation });
        await new Promise((resolve, reject) => {
            run.addEventListener("started", resolve);
            run.addEventListener("error", ({ detail }) => reject(new Error(detail.message)));
        });
        return run.id;
    }"""
    page.evaluate(start, ["new", {"question": QUESTION}])
    listed = "client.conversations().then(async (list) => { await list.ready; return list.items[0].id; })"
    identity = page.evaluate(listed)
    page.reload()
    page.evaluate(BEGIN, [{"transport": transport}, identity])
    page.evaluate(start, [identity, {"question": QUESTION}])
    page.evaluate(SEND, QUESTION)
    until(page, ENDED % 3)
    assert page.evaluate("faults") == []


def test_what_is_sent_without_a_network_goes_out_when_there_is_one(tab: Open) -> None:
    page = tab(fails=True)
    page.evaluate(SEND, QUESTION)
    cut_off: list[str] = []

    def abort(route: Route) -> None:
        cut_off.append(route.request.url)
        route.abort("internetdisconnected")

    page.route("**/messages/", abort)
    page.evaluate("void talk.send('offline')")
    until(page, "talk.turns.at(-1).status === 'sending' && talk.turns.length === 2")
    while not cut_off:
        page.wait_for_timeout(5)
    page.unroute("**/messages/")
    page.evaluate("dispatchEvent(new Event('online'))")
    until(page, ENDED % 2)
    assert page.evaluate("faults") == []


def test_what_the_server_refuses_comes_back_and_leaves_nothing(tab: Open) -> None:
    page = tab(fails=True)
    refused = (
        "talk.send('x'.repeat(300_000)).catch(({ code, text }) => [code, text.length, talk.turns.length])"
    )
    assert page.evaluate(refused) == ["too-large", 300_000, 0]
