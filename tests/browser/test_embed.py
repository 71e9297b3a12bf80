"""A chat in a frame on another site's page, in Chromium: its button, whose it is, and what both ends say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from ..chaos.patience import scaled
from .conftest import chatting, until
from .files import put
from .gate import Gate, closed_gates, gates

__all__ = ["closed_gates"]

numbers = count()  # a browser keeps who one is for each shop
NO_STORAGE = """
if (window !== top) Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("third-party storage is blocked", "SecurityError"); },
});
"""
HEARD = """
for (const kind of ["open", "close", "unread"]) addEventListener(`lingstream:${kind}`, ({ detail }) =>
    (globalThis.heard ??= []).push([kind, detail.count ?? null]));
"""


def reply(request: dict[str, Any]) -> Any:
    """Answer the last message; who is asked by nobody nudges."""
    asked = str(request["messages"][-1]["content"])
    if asked.startswith("("):
        return ['{"answer": "Are you ', gates.setdefault("nudge", Gate()), 'there?"}']
    if asked == "long":
        return json.dumps({"answer": "\n\n".join(f"Paragraph {number}." for number in range(60))})
    if asked == "slow":  # with a space, as a last letter waits for what follows in Markdown
        return ['{"answer": "You ', gates.setdefault(asked, Gate()), 'said slow."}']
    return json.dumps({"answer": f"You said {asked}."})


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site whose workflows are for pages of *.shop.test; yields the frame's URL of `talk`."""
    with chatting(tmp_path_factory.mktemp("embed"), reply) as url:
        yield f"{url}/ling/embed/talk/"


def shop(page: Page, chat: str, more: str = "", host: str = "") -> Page:
    """Open a page of a new shop with the chat's button, under a policy that allows nothing inline."""
    url = f"http://{host or f'shop-{next(numbers)}.shop.test'}/"
    site = chat.partition("/ling/")[0]
    script = f'<script async src="{site}/static/lingstream/embed.js" data-chat="{chat}" {more}></script>'
    policy = f"default-src 'none'; script-src {site}; frame-src {site}"
    put(
        url,
        f"<!doctype html><html lang=en><title>Shop</title>{script}<p>Shoes",
        headers={"Content-Security-Policy": policy},
    )
    page.goto(url)
    expect(page.get_by_role("button")).to_be_visible()
    return page


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def say(page: Page, text: str) -> None:
    field = frame_of(page).get_by_role("textbox", name="Message")
    field.fill(text)
    field.press("Enter")
    expect(frame_of(page).locator(".ling-markdown").last).to_have_text(f"You said {text}.")
    expect(frame_of(page).locator("ling-stream").last).to_have_attribute("status", "finished")


def test_a_chat_behind_a_button(page: Page, chat: str) -> None:
    page.add_init_script(HEARD)
    page.add_init_script(NO_STORAGE)
    shop(page, chat, 'data-label="Ask us"')
    assert page.locator("iframe").count() == 0  # nothing is loaded before somebody wants it
    button = page.get_by_role("button", name="Ask us")
    button.focus()
    page.keyboard.press("Enter")
    expect(frame_of(page).get_by_role("textbox", name="Message")).to_be_focused()
    say(page, "hello")
    page.keyboard.press("Escape")
    expect(page.locator("iframe")).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    assert [kind for kind, _ in page.evaluate("heard") if kind != "unread"] == ["open", "close"]

    page.reload()  # the page around has kept who one is
    page.get_by_role("button", name="Ask us").click()
    expect(frame_of(page).locator(".ling-markdown")).to_have_text("You said hello.")
    say(page, "again")
    frame_of(page).get_by_role("link", name="New conversation").click()
    say(page, "other")
    expect(frame_of(page).locator(".ling-turns .ling-turn")).to_have_count(1)
    # The shop is no secure context, so its frames have no clipboard.
    frame_of(page).get_by_role("button", name="Copy").click()
    field = frame_of(page).get_by_role("textbox", name="Message")
    field.press("Control+v")
    expect(field).to_have_value("You said other.")


def test_the_button_counts_what_nobody_has_seen(page: Page, chat: str) -> None:
    page.add_init_script(HEARD)
    shop(page, chat.replace("/talk/", "/nudge/"), 'data-label="Ask us"')
    button = page.get_by_role("button", name="Ask us")
    button.click()
    field = frame_of(page).get_by_role("textbox", name="Message")
    field.fill("slow")
    field.press("Enter")
    expect(frame_of(page).locator(".ling-markdown")).to_have_text("You")
    page.evaluate("document.querySelector('script').chat.close()")
    gates["slow"].open()
    # The bot speaks into the silence behind that, and counts from its first word on.
    expect(button).to_have_accessible_name("Ask us (1)")
    button.click()
    gates.setdefault("nudge", Gate()).open()
    expect(frame_of(page).locator(".ling-markdown").last).to_have_text("Are you there?")
    expect(button).to_have_accessible_name("Ask us")
    counts = [count for kind, count in page.evaluate("heard") if kind == "unread"]
    assert (set(counts), counts[-1]) == ({0, 1}, 0)


def test_what_the_page_says_to_it(page: Page, chat: str) -> None:
    shop(page, chat, 'data-lang="zh-hans" data-theme="dark" data-side="left"')
    page.evaluate("document.querySelector('script').chat.say('from the shop')")
    page.evaluate("document.querySelector('script').chat.open()")
    expect(frame_of(page).locator(".ling-markdown").last).to_have_text("You said from the shop.")
    root = frame_of(page).locator("html")
    assert root.get_attribute("lang") == "zh-hans"
    assert root.evaluate("element => getComputedStyle(element).colorScheme") == "dark"
    page.evaluate("document.querySelector('script').chat.theme('light')")
    expect(root).to_have_css("color-scheme", "light")
    assert page.locator("iframe").bounding_box()["x"] < 100  # type: ignore[index]
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.locator("iframe").bounding_box() == {"x": 0, "y": 0, "width": 375, "height": 700}
    frame_of(page).locator("[data-close]").click()
    expect(page.locator("iframe")).to_be_hidden()


def test_as_high_as_what_is_in_it(page: Page, chat: str) -> None:
    page.add_init_script(
        "addEventListener('lingstream:resize', ({ detail }) => (globalThis.height = detail.height));"
    )
    shop(page, chat, "data-fit").get_by_role("button").click()
    frame = "document.querySelector('div').shadowRoot.querySelector('iframe').offsetHeight"
    until(page, f"globalThis.height < 320 && {frame} === 320")  # nothing was said
    for text in ("one", "two"):
        say(page, text)
    until(page, f"height > 320 && height < 640 && {frame} === height")
    log = frame_of(page).locator("[data-log]")
    assert log.evaluate("({ scrollHeight, clientHeight }) => scrollHeight === clientHeight")
    field = frame_of(page).get_by_role("textbox", name="Message")
    field.fill("long")
    field.press("Enter")
    until(page, f"height > 1_500 && {frame} === 640")


def test_a_token_that_is_not_taken_is_told_of(context: Any, chat: str) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(
        "addEventListener('lingstream:event', ({ detail }) => (globalThis.told ??= []).push(detail.error));"
    )
    shop(page, chat, 'data-user="x.y.z"').get_by_role("button").click()
    expect(frame_of(page).get_by_role("alert")).to_contain_text("vouch", timeout=scaled(30) * 1000)
    until(page, "globalThis.told")
    page.locator("script").evaluate("({ chat }) => chat.say('kept')")
    page.wait_for_timeout(500)  # in which nothing begins anew by itself
    assert len(page.evaluate("told")) == sum(url.endswith("/visitor/") for url in asked) == 1
    page.locator("script").evaluate("({ chat }) => chat.open()")
    until(page, "told.length === 2")
    # Somebody else sits there, then: what the one before has said is nobody's.
    page.locator("script").evaluate("({ chat }) => { chat.user(''); chat.say('at once'); }")
    expect(frame_of(page).locator(".ling-markdown")).to_have_text(["You said at once."])
    say(page, "anonymous")
    expect(frame_of(page).locator(".ling-turns .ling-turn")).to_have_count(2)


def test_what_is_said_while_the_frame_begins_anew(page: Page, chat: str) -> None:
    shop(page, chat).get_by_role("button").click()
    say(page, "hello")
    page.locator("script").evaluate("({ chat }) => { chat.user(''); chat.say('in between'); }")
    expect(frame_of(page).locator(".ling-markdown")).to_have_text(["You said hello.", "You said in between."])


def test_others_learn_nothing(page: Page, chat: str) -> None:
    """A message from another window, or with another shape, changes nothing and gets no token."""
    shop(page, chat)
    page.get_by_role("button").click()
    say(page, "mine")
    stolen = page.evaluate(
        """() => new Promise((resolve) => {
            const channel = new MessageChannel();
            channel.port1.onmessage = ({ data }) => resolve(data);
            const frame = document.querySelector("div").shadowRoot.querySelector("iframe").contentWindow;
            frame.postMessage({ lingstream: 1, type: "hello", token: "" }, "*", [channel.port2]);
            frame.postMessage(null, "*");
            postMessage({ lingstream: 1, type: "ready" }, "*");
            setTimeout(() => resolve("nothing"), 500);
        })"""
    )
    assert stolen == "nothing"
    expect(frame_of(page).locator(".ling-markdown").last).to_have_text("You said mine.")


def test_a_page_that_is_not_listed_shows_nothing(context: Any, chat: str) -> None:
    page = context.new_page()
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        shop(page, chat, host="thief.test").get_by_role("button").click()
    assert page.frames[-1].evaluate("document.querySelector('ling-chat')") is None


def test_its_own_site_has_it_in_the_page(context: Any, chat: str) -> None:
    page = context.new_page()
    script = f'<script src="/static/lingstream/embed.js" data-chat="{chat}"></script>'
    with page.expect_console_message(lambda message: "lingstream_chat" in message.text):
        page.goto(f"{chat.removesuffix('/ling/embed/talk/')}/there/?body={quote(script)}")
