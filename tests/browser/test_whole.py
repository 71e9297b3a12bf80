"""A page without a line of script: a form, Stop, Again, the status, the error and what was asked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from .played import RUN, Peer, append, done, snapshot

PAGE = """
<ling-stream id="ask" workflow="w">
  <form data-ling-start>
    <input name="question" required value="Why?">
    <button data-ling-prop-disabled="@busy">Ask</button>
  </form>
  <button id="stop" commandfor="ask" command="--stop" data-ling-if="@busy" hidden>Stop</button>
  <button id="again" commandfor="ask" command="--retry" data-ling-if="@error/retryable" hidden>Again</button>
  <output data-ling="@status"></output>
  <p role="alert" data-ling-if="@error" hidden data-ling="@error/message"></p>
  <blockquote data-ling="@input/question"></blockquote>
  <h1 data-ling="answer"></h1>
</ling-stream>"""


def test_a_page_without_a_script(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(PAGE)
    page.wait_for_selector("output:text-is('idle')")
    page.press("input", "Enter")
    page.press("input", "Enter")
    page.wait_for_selector("blockquote:text-is('Why?')")
    peer.start()
    peer.send(snapshot({}))
    page.wait_for_selector("output:text-is('running')")
    assert page.is_visible("#stop")
    assert page.is_disabled("form button")
    peer.ops(2, append("answer", "No"))
    page.wait_for_selector("h1:text-is('No')")
    page.reload()
    assert peer.wait("subscribe")["run"] == RUN
    page.wait_for_selector("blockquote:text-is('Why?')")
    peer.send(snapshot({"answer": "Now"}, 5))
    page.wait_for_selector("h1:text-is('Now')")
    gone = {"code": "provider", "message": "gone", "retryable": True}
    peer.send({"run": RUN, "id": "1-6", "error": gone}, done(7, "failed"))
    page.wait_for_selector("[role=alert]:text-is('gone')")
    assert page.is_visible("#again")
    assert page.is_hidden("#stop")
    assert page.is_enabled("form button")
    assert page.locator("[role=alert]").count() == 1
    page.click("#again")
    assert peer.wait("start", 2)["input"] == {"question": "Why?"}
    page.wait_for_selector("[role=alert]", state="hidden")
    page.wait_for_selector("output:text-is('connecting')")
