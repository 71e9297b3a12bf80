"""The client between real servers and other people's pages: which connection, whose run, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.chaos.patience import scaled

from .conftest import serve, until
from .proxy import FATES, proxied

BRISK = 120  # tokens a second: what is tested takes no longer than the answer
Visit = Callable[..., Page]
INPUT = """{"question": "Can I lie on a cloud?"}"""
ASKS = (
    f"""<ling-stream workflow="cloud-facts" data-input='{INPUT}'><p data-ling="answer"></p></ling-stream>"""
)
WATCH = """
window.faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
"""


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp(request.param), {}, server=request.param, rate=BRISK) as url:
        yield url


@pytest.fixture
def visit(context: BrowserContext) -> Iterator[Visit]:
    """Open a page with some markup on a site; nothing may have been thrown in it when the test ends."""
    yield lambda url, markup: open_page(context, url, markup)
    for page in context.pages:
        assert page.evaluate("faults") == []


def open_page(context: BrowserContext, url: str, markup: str) -> Page:
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{url}/there/?body={quote(markup)}")
    return page


FIRST_TEXTS = """[...document.querySelectorAll('p')].every((place) => place.textContent !== '')"""


@pytest.fixture
def fresh(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own: Chromium holds sockets back where many have failed before."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.mark.parametrize("count", [1, 2, 3, pytest.param(4, marks=pytest.mark.soak)])
@pytest.mark.parametrize("fate", FATES)
def test_a_page_whose_sockets_do_not_come_through(
    server: str, fresh: BrowserContext, fate: str, count: int
) -> None:
    with proxied(server, fate) as (url, proxy):
        page = open_page(fresh, url, ASKS * count)
        until(page, FIRST_TEXTS)
        assert page.evaluate("performance.now()") < scaled(5_500)
        assert proxy.sockets == 1, "one decision for all"
        assert page.evaluate("faults") == []
        page.close()


TRANSPORTS = ["websocket", "sse", "poll"]
WAITS = """<ling-stream workflow="cloud-facts" transport="%s"><p data-ling="answer"></p></ling-stream>"""
ONE_KEY = {
    "twice on one element": "return [first.start(input, { key }), first.start(input, { key })];",
    "on two elements": "return [first.start(input, { key }), second.start(input, { key })];",
    "by two clients": "return [one.start(workflow, input, { key }), other.start(workflow, input, { key })];",
    "twice, the first one leaves": """
        const runs = [one.start(workflow, input, { key }), other.start(workflow, input, { key })];
        await has(runs[0], "started");
        runs[0].close();
        return [runs[1]];""",
    "once it runs, and the first one leaves": """
        const early = one.start(workflow, input, { key });
        await has(early, "ops");
        const late = other.start(workflow, input, { key });
        early.close();
        return [late];""",
    "once it runs, on one element": """
        const early = first.start(input, { key });
        await has(early, "ops");
        return [early, first.start(input, { key })];""",
    "after the end": """
        const early = first.start(input, { key });
        await early.finished;
        return [early, first.start(input, { key })];""",
    "by an element that goes on to another run": """
        const shared = [first.start(input, { key }), second.start(input, { key })];
        await has(shared[0], "ops");
        first.start(input).addEventListener("ops", ({ target }) => target.cancel(), { once: true });
        return shared;""",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_key_is_one_run(site: str, visit: Visit, transport: str) -> None:
    """All cases side by side on one page, each with two elements and two clients of its own."""
    page = visit(site, WAITS % transport * 2 * len(ONE_KEY))
    cases = ", ".join(
        f"async ({{ first, second, one, other, key }}) => {{ {code} }}" for code in ONE_KEY.values()
    )
    page.evaluate(
        """([transport, input]) => void (async () => {
            const { Client } = await import("/static/lingstream/index.js");
            const elements = document.querySelectorAll("ling-stream");
            const workflow = "cloud-facts";
            const has = (run, type) => new Promise((go) => run.addEventListener(type, go, { once: true }));
            const cases = [CASES].map(async (run, number) => {
                const [first, second] = [elements[2 * number], elements[2 * number + 1]];
                const [one, other] = [new Client({ transport }), new Client({ transport })];
                const runs = await run({ first, second, one, other, key: crypto.randomUUID() });
                await Promise.all(runs.map((run) => run.finished));
                return runs.map(({ id, status, document }) => [id, status, document.details_cn !== ""]);
            });
            window.results = await Promise.all(cases);
        })()""".replace("CASES", cases),
        [transport, {"question": "Can I lie on a cloud?"}],
    )
    until(page, "window.results !== undefined")
    for name, results in zip(ONE_KEY, page.evaluate("results"), strict=True):
        assert len({run for run, *_ in results}) == 1, name
        assert [result[1:] for result in results] == [["finished", True]] * len(results), name


REFUSED = {
    "over MAX_BODY": ("'x'.repeat(300_000)", "too-large"),
    "over what a server takes": ("'x'.repeat(20_000_000)", "too-large"),
    "half a surrogate pair": ("'\\ud800'", "bad-json"),
    "too deep": ("JSON.parse('['.repeat(200) + ']'.repeat(200))", "too-deep"),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_an_input_that_is_refused_is_told_and_leaves_the_others_alone(
    site: str, visit: Visit, transport: str, case: tuple[str, str]
) -> None:
    source, code = case
    page = visit(site, WAITS % transport * 3)
    page.evaluate(
        """([question]) => {
            const [first, bad, last] = document.querySelectorAll("ling-stream");
            first.start({ question });
            bad.addEventListener("ling:error", ({ detail }) => (window.told = detail.code));
            bad.start({ question: SOURCE });
            last.start({ question });
        }""".replace("SOURCE", source),
        ["Can I lie on a cloud?"],
    )
    page.wait_for_selector("ling-stream >> nth=1 >> css=[role=alert]")
    assert page.evaluate("told") == code
    statuses = "[...document.querySelectorAll('ling-stream')].map((stream) => stream.state)"
    until(page, f"({statuses}).join() === 'finished,failed,finished'")


MOVES = {
    "before the answer, for a moment": "moved.remove(); await pause(); document.body.append(moved);",
    "before the answer, until others have ended": """
        moved.remove();
        await others.finished;
        document.body.append(moved);""",
    "before the answer, twice": """
        for (const _ of "12") {
            moved.remove();
            await pause();
            document.body.append(moved);
        }""",
    "in mid-answer": """
        await has(moved.run, "ops");
        moved.remove();
        await pause();
        document.body.append(moved);""",
    "after the end": """
        await moved.run.finished;
        moved.remove();
        await pause();
        document.body.append(moved);""",
    "while another element shows it to its end": """
        const shared = document.querySelector("#second").start(input, { key: moved.run.key });
        moved.remove();
        await shared.finished;
        document.body.append(moved);""",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("code", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("site", ["daphne"], indirect=True)
def test_an_element_is_removed_and_put_back(site: str, visit: Visit, transport: str, code: str) -> None:
    one = WAITS % transport
    page = visit(
        site, f'<div id="moved">{one}</div>' + one + one.replace("<ling-stream", '<ling-stream id="second"')
    )
    page.evaluate(
        """([input]) => void (async () => {
            const [moved, other] = document.querySelectorAll("ling-stream");
            const pause = () => new Promise((go) => setTimeout(go));
            const has = (run, type) => new Promise((go) => run.addEventListener(type, go, { once: true }));
            const others = other.start(input);
            moved.start(input, { key: crypto.randomUUID() });
            CODE
            await Promise.all([others.finished, moved.run.finished]);
            moved.id = "back";
        })()""".replace("CODE", code),
        [{"question": "Can I lie on a cloud?"}],
    )
    page.wait_for_selector("#back[status=finished] p:not(:empty)")
    back = "document.querySelector('#back')"
    until(page, f"{back}.querySelector('p').textContent === {back}.document.answer")


MISTAKES = {
    "broken data-input": ("""workflow="cloud-facts" data-input="{" """, "", "data-input"),
    "no workflow": ("data-input='{}'", "", "workflow"),
    "no workflow, by hand": ("", "stream.start({});", "workflow"),
    "a circle": ("""workflow="w" """, "const a = {}; a.a = a; stream.start(a);", "circular"),
    "no JSON": ("""workflow="w" """, "stream.start({ number: 1n });", "BigInt"),
    "an unknown transport": ("""workflow="w" transport="pigeon" """, "stream.start({});", "pigeon"),
}


# None of them gets as far as its transport.
@pytest.mark.parametrize(
    "transport", ["websocket", *(pytest.param(each, marks=pytest.mark.soak) for each in ("sse", "poll"))]
)
@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_asked_fails_without_a_throw(
    server: str, visit: Visit, transport: str, case: tuple[str, str, str]
) -> None:
    attributes, code, word = case
    said: list[str] = []
    page = visit(server, f'<ling-stream {attributes} manual transport="{transport}"></ling-stream>')
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.evaluate(
        """() => {
            window.told = [];
            addEventListener("ling:error", ({ detail }) => told.push(detail.message));
            const stream = document.querySelector("ling-stream");
            CODE
        }""".replace("CODE", code or "document.querySelector('ling-stream').start();")
    )
    page.wait_for_selector("ling-stream[status=failed] [role=alert]")
    assert len(page.evaluate("told")) == len(said) == 1
    assert word in said[0]
    assert word in page.inner_text("[role=alert]")


def test_a_header_that_is_lost_on_the_way_is_named(site: str, fresh: BrowserContext) -> None:
    def lose(route: Route) -> None:
        kept = {name: value for name, value in route.request.headers.items() if name != "x-csrftoken"}
        route.continue_(headers=kept)

    cookies = {"sessionid": "unknown", "csrftoken": "a" * 32}
    fresh.add_cookies([{"name": name, "value": value, "url": site} for name, value in cookies.items()])
    page = fresh.new_page()
    page.route("**/runs/", lose)
    markup = ASKS.replace("<ling-stream", '<ling-stream transport="sse"')
    page.goto(f"{site}/there/?body={quote(markup)}")
    expect(page.locator("[role=alert]")).to_contain_text("in the header X-Csrftoken, got none")
