"""The chat page in Chromium, under a policy that allows nothing inline: what people do with it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from lingstream.testing import Reply
from tests.node import peers

from ..chaos.patience import scaled
from .conftest import NewPage, chatting, until
from .files import STATIC
from .gate import Gate, closed_gates, gates
from .test_demo import FOUND

__all__ = ["closed_gates"]

EVIL = (
    '<img src="https://evil.example/a"> ![x](https://evil.example/b) [go](javascript:alert(1)) '
    "<script>alert(1)</script>\n\n```html\n<iframe src='https://evil.example/c'></iframe>\n```\n"
)
LONG = "\n\n".join(f"Paragraph {number} of many." for number in range(60))
CARDS = {"answer": "Look:", "state": {"plan": "Thinking"}, "fact_sheet": {"kinds": ["cumulus", {"rain": 2}]}}


def reply(request: dict[str, Any]) -> Any:
    """What the model says to the last message."""
    asked = str(request["messages"][-1]["content"])
    if asked == "slow details":
        return ["It is ", gates.setdefault(asked, Gate()), "wet."]
    if asked.startswith("slow"):
        gate = gates.setdefault(asked, Gate())
        return ['{"answer": "It begins. ', gate, 'It ends.", "related_question": ["Why?"]}']
    if asked == "paragraphs":
        return [
            '{"answer": "A **bold** word.\\n\\n- first item',
            gates.setdefault(asked, Gate()),
            ' grows\\n- second\\n\\nAn end."}',
        ]
    if asked == "grow":
        pieces = [f"Line {number}.\\n\\n" for number in range(40)]
        return ['{"answer": "', *pieces[:20], gates.setdefault(asked, Gate()), *pieces[20:], '"}']
    if asked == "broken":
        return "no JSON at all"
    if asked == "think":
        return Reply('{"answer": "Done."}', reasoning=["Let me ", "see."])
    if asked == "plan":
        return ['{"plan": [{"topic": "', gates.setdefault(asked, Gate()), 'Rain"}]}']
    answers = {"evil": {"answer": EVIL}, "long": {"answer": LONG}, "cards": CARDS}
    usual = {"answer": f"You said **{asked}**.", "related_question": ["Why so?", "And then?"]}
    return json.dumps(answers.get(asked, usual))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose workflow `talk` asks a model that the test plays; yields its chat's URL."""
    with chatting(tmp_path_factory.mktemp("chat"), reply) as url:
        yield f"{url}/ling/chat/talk/"


def opened(page: Page, url: str) -> Page:
    """Open a chat, and wait until its script follows it."""
    page.goto(url)
    followed(page)
    return page


def followed(page: Page) -> None:
    until(page, "document.querySelector('ling-chat').conversation !== null")


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def say(page: Page, text: str, *, wait: bool = True) -> None:
    field(page).fill(text)
    field(page).press("Enter")
    if wait:
        expect(page.locator(".ling-turn").last.locator("[data-text]")).to_have_text(text)
        finished(page)


def finished(page: Page) -> None:
    """Wait for the end of the last turn, and until the chat has drawn it: its cards come a frame later."""
    turn = page.locator(".ling-turn").last
    expect(turn.locator("ling-stream")).to_have_attribute("status", "finished")
    expect(turn.locator("[data-deeds]")).to_be_visible()


def answers(page: Page) -> list[str]:
    return page.locator(".ling-turns .ling-markdown").all_inner_texts()


def test_a_conversation(page: Page, site: str) -> None:
    opened(page, site)
    expect(page.get_by_text("Conversations appear here.")).to_be_visible()
    say(page, "hello")
    assert answers(page) == ["You said hello."]
    assert page.locator(".ling-markdown strong").inner_text() == "hello"
    until(page, "location.pathname.length > 40")
    expect(page.locator("[data-list] [aria-current=page]")).to_have_count(1)
    page.get_by_role("button", name="Why so?").click()
    expect(page.locator(".ling-turn")).to_have_count(2)
    finished(page)
    assert page.get_by_role("button", name="And then?").locator("visible=true").count() == 1
    say(page, "cards")
    assert page.locator(".ling-card").all_inner_texts() == ["Fact sheet\nKinds\ncumulus\nRain\n2"]
    say(page, "think")
    expect(page.locator(".ling-reasoning summary").last).to_be_visible()
    say(page, "broken", wait=False)
    expect(page.locator(".ling-error:visible")).to_contain_text("no answer that could be read")
    page.get_by_role("button", name="Good answer").first.click()
    expect(page.get_by_role("button", name="Good answer").first).to_have_attribute("aria-pressed", "true")
    shown = answers(page)
    page.reload()
    followed(page)
    until(page, "document.querySelectorAll('.ling-markdown strong').length === 2")
    assert answers(page) == shown
    assert page.get_by_role("button", name="Good answer").first.get_attribute("aria-pressed") == "true"
    page.get_by_label("This conversation").click()
    page.get_by_label("Title", exact=True).fill("Greetings")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Greetings")
    expect(page).to_have_title("Greetings")
    expect(page.locator("[data-list] [data-name]").first).to_have_text("Greetings")
    page.get_by_label("This conversation").click()
    page.locator(".ling-menu").get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url(site)


def test_a_card_shows_what_its_field_has_become(page: Page, site: str) -> None:
    opened(page, site.replace("talk", "parts"))
    say(page, "plan", wait=False)
    until(page, "'plan' in (document.querySelector('ling-stream').run?.document ?? {})")
    gates["plan"].open()
    plan = page.locator(".ling-card", has_text="Plan")
    expect(plan).to_have_text(re.compile(r"Rain\s*details\s*It is\s*$"), use_inner_text=False)
    gates["slow details"].open()
    finished(page)
    shown = ["Percent\n100", "Plan\nTopic\nRain\nDetails\nIt is wet."]
    assert page.locator(".ling-card").all_inner_texts() == shown
    page.reload()
    followed(page)
    assert page.locator(".ling-card").all_inner_texts() == shown


@pytest.mark.parametrize(
    ("document", "shown"), [('["one", "two"]', "one\ntwo"), ('"A *text*."', "A text."), ("42", "42")]
)
def test_a_document_that_is_no_object_is_one_card(page: Page, site: str, document: str, shown: str) -> None:
    opened(page, site.replace("talk", "whole"))
    say(page, document)
    assert page.locator(".ling-card").all_inner_texts() == [shown]
    page.reload()
    followed(page)
    expect(page.locator(".ling-card")).to_have_text([shown.replace("\n", "")], use_inner_text=False)


def test_what_is_being_sent_survives_a_reload(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "one")
    page.route("**/messages/", lambda route: None)  # it never arrives
    say(page, "two", wait=False)
    expect(page.locator(".ling-turn")).to_have_count(2)
    page.unroute("**/messages/")
    page.reload()
    followed(page)
    expect(field(page)).to_have_value("two")
    expect(page.locator(".ling-turn")).to_have_count(1)
    held: list[Route] = []

    def hold(route: Route) -> None:
        route.fetch()  # the server takes it, and nobody hears so
        held.append(route)

    page.route("**/messages/", hold)
    field(page).press("Enter")
    expect(page.locator(".ling-turn")).to_have_count(2)
    while not held:
        page.wait_for_timeout(10)
    page.unroute("**/messages/")
    page.reload()
    followed(page)
    expect(page.locator(".ling-turn")).to_have_count(2)
    expect(field(page)).to_have_value("")


def test_escape_closes_the_list_and_stops_no_answer(page: Page, site: str) -> None:
    opened(page, site)
    page.set_viewport_size({"width": 420, "height": 800})
    say(page, "slow list", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("searchbox")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_be_hidden()
    gates["slow list"].open()
    finished(page)


def test_keys_and_compositions(page: Page, site: str) -> None:
    opened(page, site)
    field(page).click()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert field(page).input_value() == "one\ntwo"
    field(page).fill("")
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    session.send(
        "Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Process", "windowsVirtualKeyCode": 229}
    )
    page.keyboard.press("Enter")  # of the composition
    field(page).dispatch_event(
        "keydown", {"key": "Enter", "keyCode": 229}
    )  # Safari's, behind the composition
    assert page.locator(".ling-turns .ling-turn").count() == 0
    session.send("Input.insertText", {"text": "你好"})
    page.keyboard.press("Enter")
    expect(page.locator("[data-text]").first).to_have_text("你好")
    assert field(page).input_value() == ""


def test_stop_and_what_is_written_meanwhile(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "slow stop", wait=False)
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    expect(page.locator(".ling-markdown").first).to_have_text("It begins.")
    field(page).press_sequentially("next")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    expect(stop).to_be_hidden()
    assert page.evaluate("document.activeElement.name") == "text"
    field(page).press("Enter")
    expect(page.locator(".ling-turn")).to_have_count(2)
    stop.click()
    for place in (0, 1):
        expect(page.locator("ling-stream").nth(place)).to_have_attribute("status", "canceled")
    assert page.evaluate("document.activeElement.name") == "text"
    say(page, "slow escape", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    page.keyboard.press("Escape")
    expect(page.locator("ling-stream").last).to_have_attribute("status", "canceled")
    assert answers(page)[-1] == "It begins."


def test_what_is_refused_comes_back(new_page: NewPage, site: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()  # its console tells of the refusal
    opened(page, site)
    fault = {"error": {"code": "rate-limited", "message": "too often"}}
    page.route("**/messages/", lambda route: route.fulfill(status=429, json=fault))
    say(page, "draft one", wait=False)
    expect(field(page)).to_have_value("draft one")
    expect(page.locator(".ling-turns .ling-turn")).to_have_count(0)  # it goes with the next frame
    expect(page.get_by_role("alert").locator("visible=true")).to_have_text("too often")
    page.unroute_all()
    page.reload()
    followed(page)
    assert field(page).input_value() == "draft one"
    field(page).press("Enter")
    expect(page.locator("ling-stream[status=finished]")).to_have_count(1)
    page.reload()
    followed(page)
    assert field(page).input_value() == ""
    context.close()


def test_other_answers_and_other_questions(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "first")
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator("[data-position]").first).to_have_text("2/2")
    page.get_by_label("Edit").click()
    edit = page.get_by_role("textbox", name="What you said")
    expect(edit).to_be_focused()
    edit.fill("second")
    expect(page.get_by_role("button", name="Send anew")).to_be_visible()
    edit.press("Enter")  # as in the field for a new message
    expect(page.locator("[data-position]").first).to_have_text("3/3")
    expect(page.locator(".ling-markdown").first).to_have_text("You said second.")
    page.get_by_role("button", name="Version before").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-position]").first).to_have_text("2/3")
    expect(page.get_by_role("button", name="Version before")).to_be_focused()
    expect(page.locator(".ling-markdown").first).to_have_text("You said first.")
    assert page.locator(".ling-turns .ling-turn").count() == 1


ANSWERED = "document.querySelector('ling-chat').conversation.turns.at(-1)?.status === 'finished'"
FRAMES = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
DISTANCE = "({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight"


def distance(page: Page) -> float:
    return float(page.evaluate(f"({DISTANCE})(document.querySelector('.ling-log'))"))


def test_the_end_stays_in_sight_until_one_looks_up(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "long")
    say(page, "grow", wait=False)
    until(page, "document.querySelector('.ling-turns').textContent.includes('Line 18')")
    page.evaluate(FRAMES)
    assert distance(page) < 2
    page.locator(".ling-log").hover()
    page.mouse.wheel(0, -30)  # less than would be near the end
    until(page, "!document.querySelector('.ling-log').hasAttribute('data-pinned')")
    # The wheel is told of before anything has moved.
    until(page, f"({DISTANCE})(document.querySelector('.ling-log')) > 28")
    place = page.evaluate("document.querySelector('.ling-log').scrollTop")
    gates["grow"].open()
    expect(page.locator("ling-stream").last).to_have_attribute("status", "finished")
    assert page.evaluate("document.querySelector('.ling-log').scrollTop") == place
    assert distance(page) > 100
    page.get_by_role("button", name="To the end").click()
    assert distance(page) < 2
    page.mouse.wheel(0, -1500)
    until(page, f"({DISTANCE})(document.querySelector('.ling-log')) > 1498")  # it may glide there
    before = page.evaluate("document.querySelector('.ling-log').scrollTop")
    page.reload()
    followed(page)
    until(page, f"Math.abs(document.querySelector('.ling-log').scrollTop - {before}) < 40")


SELECT = """() => {
    const [bold, item] = document.querySelectorAll(".ling-markdown strong, .ling-markdown li");
    getSelection().setBaseAndExtent(bold.firstChild, 1, item.firstChild, 3);
}"""


def test_what_is_selected_stays_so_while_the_answer_grows(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "paragraphs", wait=False)
    expect(page.locator(".ling-markdown li")).to_contain_text("first")
    page.evaluate(SELECT)
    selected = page.evaluate("String(getSelection())")
    assert selected.startswith("old word.") and selected.endswith("fir")
    gates["paragraphs"].open()
    expect(page.locator("ling-stream")).to_have_attribute("status", "finished")
    expect(page.locator(".ling-markdown li")).to_have_text(["first item grows", "second"])
    page.evaluate(FRAMES)
    assert page.evaluate("String(getSelection())") == selected


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_for_who_does_not_want_it(page: Page, site: str, motion: Any) -> None:
    page.emulate_media(reduced_motion=motion)
    opened(page, site)
    say(page, "long")
    say(page, "slow motion", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    assert page.evaluate("document.getAnimations().length") == (motion != "reduce")
    log = page.locator(".ling-log")
    log.evaluate("log => log.scrollTop -= 900")
    page.get_by_role("button", name="To the end").click()
    assert distance(page) < 2  # at once
    assert log.evaluate("log => getComputedStyle(log).scrollBehavior") == "auto"
    gates["slow motion"].open()
    expect(page.locator("ling-stream").last).to_have_attribute("status", "finished")
    assert page.evaluate("document.getAnimations().length") == 0


FIRST = "document.querySelector('[data-number=\"11\"]').getBoundingClientRect().top"


@pytest.mark.parametrize("rest", [0, 250])
def test_earlier_turns_keep_what_is_in_sight_where_it_is(page: Page, site: str, rest: int) -> None:
    opened(page, site.replace("/talk/", "/echo/"))
    page.evaluate(
        """async () => {
            const { conversation } = document.querySelector("ling-chat");
            for (let number = 1; number <= 60; number++) await conversation.send("word ".repeat(9 * number));
        }"""
    )
    until(page, "!document.querySelector('ling-chat').conversation.open && location.pathname.length > 40")
    asked: list[Route] = []
    page.route(re.compile(r"\?before="), lambda route: asked.append(route))
    opened(page, page.url)
    expect(page.locator(".ling-turns > *").first).to_have_attribute("data-number", "11")
    while not asked:
        page.locator(".ling-log").hover()
        page.mouse.wheel(0, -3_000)
        page.wait_for_timeout(20)  # which dispatches what is asked
    page.evaluate(f"document.querySelector('.ling-log').scrollTop = {rest}")
    page.evaluate(FRAMES)
    before = page.evaluate(FIRST)
    asked[0].continue_()
    expect(page.locator(".ling-turns > *")).to_have_count(60)
    page.evaluate(FRAMES)
    assert abs(page.evaluate(FIRST) - before) < 2
    expect(page.locator("[data-earlier]")).to_be_hidden()


def test_two_tabs_show_the_same(new_page: NewPage, site: str) -> None:
    first = opened(new_page(), site)
    say(first, "hello")
    until(first, "location.pathname.length > 40")
    second = opened(new_page(), first.url)
    say(first, "slow tab", wait=False)
    expect(second.locator(".ling-markdown").last).to_have_text("It begins.")
    gates["slow tab"].open()
    expect(second.locator(".ling-markdown").last).to_have_text("It begins. It ends.")
    say(second, "from the other")
    expect(first.locator("[data-text]").last).to_have_text("from the other")
    expect(first.locator(".ling-markdown").last).to_have_text("You said from the other.")


def test_a_double_click_asks_once(page: Page, site: str) -> None:
    opened(page, site)
    say(page, "hello")
    page.get_by_role("button", name="Why so?").dblclick()
    expect(page.locator(".ling-turn")).to_have_count(2)
    finished(page)
    page.get_by_role("button", name="Answer again").last.dblclick()
    expect(page.locator("[data-position]").last).to_have_text("2/2")
    finished(page)
    say(page, "more")
    assert page.locator("[data-position]").all_text_contents() == ["1/1", "2/2", "1/1"]


def test_the_list_keeps_the_focus_while_it_changes(new_page: NewPage, site: str) -> None:
    first, second = opened(new_page(), site), opened(new_page(), site)
    say(first, "one")
    say(second, "two")
    items = second.locator("[data-list] [data-id]")
    expect(items).to_have_count(2)
    newer = items.first.get_attribute("data-id")
    items.first.locator("a").focus()
    first.bring_to_front()
    say(first, "three")
    expect(items.last).to_have_attribute("data-id", str(newer))
    assert second.evaluate("document.activeElement.closest('[data-id]')?.dataset.id") == newer


def test_attacks_and_copies(page: Page, site: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script("navigator.clipboard.writeText = async (text) => { window.copied = text; };")
    opened(page, site)
    say(page, "evil")
    assert [url for url in asked if "evil.example" in url] == []
    answer = page.locator(".ling-markdown")
    assert answer.locator("img, script, iframe, [href^=javascript]").count() == 0
    assert "<script>alert(1)</script>" in answer.inner_text()
    answer.get_by_role("button", name="Copy").click()
    until(page, "document.querySelector('[data-told]').textContent === 'Copied'")
    assert page.evaluate("window.copied").strip() == "<iframe src='https://evil.example/c'></iframe>"
    page.locator(".ling-turns [data-copy]").click()
    until(page, "document.querySelector('[data-copied]:not([data-told])') !== null")
    assert page.evaluate("window.copied") == EVIL


FORBIDDEN = (
    "navigator.clipboard.writeText = async () => { throw new DOMException('no', 'NotAllowedError'); };"
)


def test_copies_where_the_browser_forbids_it(page: Page, site: str) -> None:
    """The person's own way of copying is tried, and what cannot be done is told."""
    page.add_init_script(FORBIDDEN)
    opened(page, site)
    say(page, "evil")
    page.locator(".ling-markdown").get_by_role("button", name="Copy").click()
    expect(page.locator("[data-told]")).to_have_text("Copied")
    field(page).press("Control+v")
    expect(field(page)).to_have_value(re.compile(r"^<iframe src='https://evil\.example/c'></iframe>"))
    page.evaluate("document.execCommand = () => false")
    copy = page.locator(".ling-turns [data-copy]")
    copy.click()
    expect(page.get_by_role("alert").locator("visible=true")).to_contain_text("did not copy")
    expect(copy).to_be_focused()
    expect(copy).not_to_have_attribute("data-copied", "")


def test_files(page: Page, site: str) -> None:
    opened(page, site)
    files = [{"name": name, "mimeType": "text/plain", "buffer": b"text"} for name in ("a.txt", "b.txt")]
    page.set_input_files("input[type=file]", files)
    page.get_by_role("button", name="Leave out").first.click()
    assert page.locator("[data-waiting] [data-name]").all_inner_texts() == ["b.txt"]
    field(page).fill("hello")
    field(page).press("Enter")
    link = page.locator(".ling-said [data-files] a")
    expect(link).to_have_text("b.txt")
    expect(page.locator("ling-stream[status=finished]")).to_have_count(1)
    assert page.request.get(str(link.evaluate("link => link.href"))).text() == "text"


MODULES = "".join(path.read_text() for path in sorted((STATIC / "lingstream").glob("chat*.js")))
PARTS = set(re.findall(r'\bpart\([^"()]+, "([a-z]+)"\)', MODULES))
COPIES = set(re.findall(r'\bcopyOf\([^"()]+, "([a-z]+)"\)', MODULES))
# Before the page's modules are executed.
LEAVE_OUT = """((names) => document.addEventListener("readystatechange", () => {
    const roots = [document];
    for (const root of roots) {
        for (const { content } of root.querySelectorAll("template")) roots.push(content);
        for (const name of names) {
            for (const place of root.querySelectorAll(`[data-${name}]:not(ling-chat)`)) {
                place.removeAttribute(`data-${name}`);
            }
        }
    }
}, { once: true }))(%s);"""


@pytest.mark.parametrize(
    "left_out", [{"log"}, {"turns"}, PARTS - {"log", "turns", "composer"}, {"composer"}, COPIES]
)
def test_templates_may_leave_any_part_out(page: Page, site: str, left_out: set[str]) -> None:
    """The rest does what it did; what goes wrong is on the console."""
    assert {"news", "said"} <= PARTS and {"chip", "turn"} <= COPIES

    page.add_init_script(LEAVE_OUT % json.dumps(sorted(left_out)))
    opened(page, site)
    if "composer" not in left_out:
        page.set_input_files(
            "input[type=file]", [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"}]
        )
        field(page).fill("hello")
        field(page).press("Enter")
    else:
        page.evaluate("document.querySelector('ling-chat').conversation.send('hello')")
    until(page, ANSWERED)
    page.evaluate("document.querySelector('ling-chat').conversation.send('cards')")
    until(page, f"{ANSWERED} && document.querySelector('ling-chat').conversation.turns.length === 2")
    page.evaluate(FRAMES)
    until(page, "location.pathname.length > 40")
    page.reload()
    followed(page)
    page.evaluate(FRAMES)
    assert page.locator(".ling-turns > .ling-turn").count() == 2


def reloaded(page: Page, text: str) -> None:
    """Load the page anew, as its refresh would, until the last answer is there."""
    end = time.monotonic() + scaled(20)
    while (shown := page.locator(".ling-markdown").last.inner_text()) != text:
        assert time.monotonic() < end, (shown, page.content())
        page.reload()


def test_without_a_script(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    field(page).fill("slow form")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".ling-state")).to_be_visible()
    assert '<noscript><meta http-equiv="refresh"' in page.content()
    gates.setdefault("slow form", Gate()).open()
    reloaded(page, "It begins. It ends.")
    page.get_by_role("button", name="Why?").click()
    expect(page.locator(".ling-turn")).to_have_count(2)
    reloaded(page, "You said **Why?**.")
    page.get_by_role("button", name="Good answer").last.click()
    expect(page.get_by_role("button", name="Good answer").last).to_have_attribute("aria-pressed", "true")
    context.close()


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_say(page: Page, site: str, width: int, scheme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme=scheme)
    opened(page, site)
    page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    assert page.evaluate(FOUND) == []
    say(page, "hello")
    say(page, "slow look", wait=False)
    expect(page.locator(".ling-markdown").last).to_have_text("It begins.")
    assert page.evaluate(FOUND) == []
    page.get_by_label("This conversation").click()
    assert page.evaluate(FOUND) == []
    page.keyboard.press("Escape")
    page.get_by_label("Edit").first.click()
    assert page.evaluate(FOUND) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_alone(page: Page, site: str) -> None:
    opened(page, site)
    field(page).focus()
    page.keyboard.type("slow keys")
    page.keyboard.press("Enter")
    expect(page.locator(".ling-markdown")).to_have_text("It begins.")
    reached = []
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.className"))
    assert {"Edit", "This conversation"} <= set(reached)
    page.get_by_label("Edit").focus()
    gates["slow keys"].open()
    expect(page.locator("ling-stream")).to_have_attribute("status", "finished")
    assert page.evaluate("document.activeElement.ariaLabel") == "Edit"  # kept while the answer came
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="What you said")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Edit")).to_be_focused()


@pytest.mark.parametrize(("language", "direction"), [("zh-hans", "ltr"), ("ar", "rtl")])
def test_other_languages(browser: Browser, site: str, language: str, direction: str) -> None:
    context = browser.new_context(locale=language, viewport={"width": 1280, "height": 740})
    page = context.new_page()
    opened(page, site)
    page.locator(".ling-composer textarea").fill("hello")
    page.keyboard.press("Enter")
    expect(page.locator("ling-stream[status=finished]")).to_have_count(1)
    assert page.evaluate("document.documentElement.dir") == direction
    side, said = (page.locator(name).bounding_box() for name in (".ling-conversations", "[data-text]"))
    assert side and said
    assert (
        (side["x"] == 0 and said["x"] > 640) if direction == "ltr" else (side["x"] > 640 and said["x"] < 640)
    )
    if language == "zh-hans":
        assert page.get_by_role("button", name="重新回答").count() == 1
    context.close()
