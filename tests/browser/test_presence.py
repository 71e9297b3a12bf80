"""Pages that share a browser, go away and come back, and runs that another process executes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chaos.patience import scaled

from .conftest import ARGUMENTS, executable, serve, until
from .devtools import Tab, opened
from .proxy import proxied

TRANSPORTS = ["websocket", "sse", "poll"]
INPUT = """{"question": "Can I lie on a cloud?"}"""
ASKS = """<ling-stream workflow="cloud-facts" data-input='%s' %s><p data-ling="answer"></p></ling-stream>"""
STATES = "[...document.querySelectorAll('ling-stream')].map((each) => each.state)"
TEXTS = "[...document.querySelectorAll('p')].every((place) => place.textContent !== '')"

KNOWN = "(({ id, token }) => [id, token])(document.querySelector('ling-stream').run)"

Visit = Callable[..., Page]


@pytest.fixture
def visit(context: BrowserContext) -> Visit:
    """Open a page with some markup on a site."""

    def open_page(url: str, markup: str) -> Page:
        page = context.new_page()
        page.goto(f"{url}/there/?body={quote(markup)}")
        return page

    return open_page


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_eight_streams_leave_room_for_a_stop_and_for_the_next_tab(
    server: str, visit: Visit, transport: str
) -> None:
    page = visit(server, ASKS % (INPUT, f'transport="{transport}"') * 8)
    until(page, TEXTS)
    page.evaluate("document.querySelectorAll('ling-stream')[3].stop()")
    until(page, f"{STATES}[3] === 'canceled'")
    assert page.evaluate(STATES).count("running") >= 6, "the stop waited for the others"
    other = visit(server, ASKS % (INPUT, f'transport="{transport}"'))
    until(other, TEXTS)
    for each in (page, other):
        until(each, f"{STATES}.every((state) => ['finished', 'canceled'].includes(state))")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_tabs_show_one_run_and_either_stops_it(server: str, visit: Visit, transport: str) -> None:
    page = visit(server, ASKS % (INPUT, f'transport="{transport}"'))
    until(page, TEXTS)
    run, token = page.evaluate(KNOWN)
    other = visit(server, ASKS % ("{}", f'manual transport="{transport}" run="{run}" token="{token}"'))
    until(other, TEXTS)
    other.evaluate("document.querySelector('ling-stream').stop()")
    for each in (page, other):
        until(each, f"{STATES}[0] === 'canceled'")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stop_that_is_refused_is_told(server: str, visit: Visit, transport: str) -> None:
    page = visit(server, ASKS % (INPUT, f'transport="{transport}"'))
    until(page, TEXTS)
    run, share = page.evaluate("(({ id, share }) => [id, share])(document.querySelector('ling-stream').run)")
    other = visit(server, ASKS % ("{}", f'manual transport="{transport}" run="{run}" share="{share}"'))
    until(other, TEXTS)
    other.context.clear_cookies()
    other.evaluate(
        """() => {
            addEventListener("ling:error", ({ detail }) => (window.told = detail.code));
            document.querySelector("ling-stream").stop();
        }"""
    )
    until(other, "window.told === 'forbidden'")
    for each in (page, other):
        until(each, f"{STATES}[0] === 'finished'")


@pytest.fixture(scope="module")
def tab_that_is_kept(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """In a browser that keeps pages for its back button."""
    with opened(executable(browser.browser_type), ARGUMENTS, tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_that_is_left_and_shown_again_goes_on(
    server: str, tab_that_is_kept: Tab, transport: str
) -> None:
    tab, there = tab_that_is_kept, f"{server}/there/?body="
    tab.goto(there + quote(ASKS % (INPUT, f"restart transport={transport!r}") * 2))
    tab.until(f"{STATES}.length === 2 && {STATES}.every((state) => state === 'running')")
    tab.until(TEXTS)
    tab.evaluate(f"addEventListener('pageshow', ({{ persisted }}) => (window.shown = [persisted, {STATES}]))")
    tab.goto(there + quote("<b>Another page</b>"))
    tab.until("document.querySelector('b')")
    tab.evaluate("history.back()")
    tab.until("window.shown")
    assert tab.evaluate("shown") == [True, ["connecting", "connecting"]], "it is the page that was left"
    tab.until(f"{STATES}.every((state) => state === 'finished')")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("seconds", [3, pytest.param(120, marks=pytest.mark.soak)])
def test_a_page_without_a_network_comes_back_when_there_is_one(
    server: str, context: BrowserContext, visit: Visit, transport: str, seconds: float
) -> None:
    with proxied(server, "") as (url, proxy):  # playwright leaves alone what is open
        page = visit(url, ASKS % (INPUT, f'transport="{transport}"') * 3)
        until(page, TEXTS)
        context.set_offline(True)
        proxy.cut()
        until(page, f"{STATES}.every((state) => state === 'connecting')")
        page.wait_for_timeout(seconds * 1_000)
        assert set(page.evaluate(STATES)) == {"connecting"}
        began = page.evaluate("performance.now()")
        proxy.mend()
        context.set_offline(False)
        until(page, f"{STATES}.every((state) => state === 'finished')")
        assert page.evaluate("performance.now()") - began < scaled(10_000)
        page.close()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """They share a database and no hub."""
    directory = tmp_path_factory.mktemp("two_processes")
    with serve(directory, {}) as here, serve(directory, {}) as there:
        yield here, there


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_that_another_process_executes_is_shown_to_its_end(
    two_processes: tuple[str, str], visit: Visit, transport: str
) -> None:
    here, there = two_processes
    page = visit(there, ASKS % (INPUT, ""))
    until(page, TEXTS)
    run, token = page.evaluate(KNOWN)
    other = visit(here, ASKS % ("{}", f'manual transport="{transport}"'))
    other.evaluate(
        """([run, token]) => {
            window.told = [];
            addEventListener("ling:error", ({ detail }) => told.push(detail.code));
            const stream = document.querySelector("ling-stream");
            const copy = stream.cloneNode(true);
            copy.setAttribute("run", run);
            copy.setAttribute("token", token);
            stream.replaceWith(copy);
        }""",
        [run, token],
    )
    until(other, f"{STATES}[0] === 'finished'")
    assert other.evaluate("told") == ["elsewhere"]
    until(page, f"{STATES}[0] === 'finished'")
    whole = page.evaluate("document.querySelector('ling-stream').document")
    assert other.evaluate("document.querySelector('ling-stream').document") == whole
