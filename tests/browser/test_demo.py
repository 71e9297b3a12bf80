"""The demo page on the real server: fields fill while the run is being written."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from lingstream.testing import OpenAIServer
from tests.node import node, peers

from ..catalogs import APPS
from ..chaos.patience import scaled
from .conftest import NewPage, serve, until
from .played import TIMEOUT
from .staff import Site
from .strict import POLICY
from .test_admin_pages import TEXTS, english

PEER = Path(__file__).parent.parent / "peers" / "fold_jsonl.mjs"
TRANSPORTS = ["auto", "sse"]
RECORD = """
window.log = [];
for (const type of ["ops", "event", "status", "done", "error"]) {
    addEventListener(`ling:${type}`, ({detail}) => {
        const at = performance.now();
        if (type === "ops") for (const op of detail.ops) log.push({type, at, uri: op.uri, delta: op.delta});
        else log.push({type, at, ...detail, document: undefined});
    });
}
"""


FOUND = """async () => {
    const { violations } = await axe.run();
    return violations.map(({ id, nodes }) => [id, ...nodes.map(({ target }) => target.join(" "))]);
}"""


def open_demo(page: Page, server: str, transport: str = "auto") -> None:
    """Open the page, without the script of its chat, and note all events with their time."""
    page.add_init_script(RECORD)
    page.route("**/lingstream/chat.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.goto(f"{server}/")
    for workflow in ("cloud-facts", "outline", "field-guide"):
        page.locator(f"#{workflow} input[value={transport}]").check(force=True)


def ask(page: Page, workflow: str, question: str | None = None) -> None:
    if question is not None:
        page.fill(f"#{workflow} input[name=question]", question)
    page.click(f"#{workflow} button.primary")


def ended(page: Page, workflow: str, status: str = "finished") -> None:
    page.wait_for_selector(f"#{workflow} ling-stream[status={status}]", state="attached")


def growth(page: Page, uri: str) -> list[int]:
    """The places in the order of ops at which `uri` grew."""
    ops = [entry for entry in page.evaluate("log") if entry["type"] == "ops"]
    return [number for number, op in enumerate(ops) if op["uri"] == uri and op.get("delta")]


def document(page: Page, workflow: str) -> Any:
    return json.loads(
        page.evaluate(f"JSON.stringify(document.querySelector('#{workflow} ling-stream').document)")
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cloud_facts_details_and_translation_grow_side_by_side(
    page: Page, server: str, transport: str
) -> None:
    open_demo(page, server, transport)
    ask(page, "cloud-facts")
    until(page, "document.querySelector('#cloud-facts [data-ling=details_cn]').textContent.length > 3")
    assert page.get_attribute("#cloud-facts ling-stream", "status") == "running"
    assert page.is_enabled("#cloud-facts [command=--stop]")
    ended(page, "cloud-facts")
    details, translation = growth(page, "details"), growth(page, "details_cn")
    assert details[0] < translation[-1] and translation[0] < details[-1]
    overlap = range(max(details[0], translation[0]), min(details[-1], translation[-1]))
    turns = sum(1 for place in overlap if (place in details) != (place + 1 in details))
    assert turns >= 6
    assert max(growth(page, "answer")) < min(details[0], translation[0])
    answer = document(page, "cloud-facts")
    assert page.text_content("#cloud-facts .answer") == answer["answer"]
    assert page.text_content("#cloud-facts [data-ling=details]") == answer["details"]
    assert page.locator("#cloud-facts .suggestion").all_text_contents() == answer["related_question"]
    assert page.inner_text("#cloud-facts .word:visible") == "Finished"
    assert page.locator("[data-ling-writing]").count() == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_outline_details_begin_before_the_outline_ends(page: Page, server: str, transport: str) -> None:
    open_demo(page, server, transport)
    ask(page, "outline")
    page.wait_for_selector("#outline li .is-writing:visible")
    ended(page, "outline")
    outline = document(page, "outline")["outline"]
    assert len(outline) >= 3
    first_details, last_topic = (
        growth(page, "outline/0/details"),
        growth(page, f"outline/{len(outline) - 1}/topic"),
    )
    assert first_details[0] < last_topic[-1]
    assert page.locator("#outline li h2").all_text_contents() == [entry["topic"] for entry in outline]
    assert page.locator("#outline li [data-ling=details]").all_text_contents() == [
        entry["details"] for entry in outline
    ]
    assert page.locator("#outline .state:visible").count() == 0


def test_transport_switch_is_what_it_says(page: Page, server: str) -> None:
    requests: list[str] = []
    sockets: list[str] = []
    page.on(
        "request", lambda request: requests.append(f"{request.method} {request.url.removeprefix(server)}")
    )
    page.on("websocket", lambda socket: sockets.append(socket.url))
    open_demo(page, server, "sse")
    ask(page, "cloud-facts")
    until(page, "log.some(entry => entry.type === 'ops')")
    assert "POST /ling/workflows/cloud-facts/runs/" in requests
    assert sockets == []
    page.locator("#outline input[value=auto]").check(force=True)
    ask(page, "outline")
    until(page, "log.some(entry => entry.uri === 'outline/0/topic')")
    assert [url.removeprefix(server.replace("http", "ws")) for url in sockets] == ["/ws/ling/"]
    page.click("#cloud-facts [command=--stop]")
    page.click("#outline [command=--stop]")
    ended(page, "cloud-facts", "canceled")
    ended(page, "outline", "canceled")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stop_keeps_the_partial_answer(page: Page, server: str, transport: str) -> None:
    open_demo(page, server, transport)
    ask(page, "cloud-facts")
    until(page, "document.querySelector('#cloud-facts [data-ling=details]').textContent.length > 20")
    page.click("#cloud-facts [command=--stop]")
    ended(page, "cloud-facts", "canceled")
    partial = page.text_content("#cloud-facts [data-ling=details]")
    assert partial
    assert partial == document(page, "cloud-facts")["details"]
    assert page.inner_text("#cloud-facts .word:visible") == "Stopped"
    assert page.is_disabled("#cloud-facts [command=--stop]")
    assert [entry for entry in page.evaluate("log") if entry["type"] == "error"] == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reload_in_mid_answer_continues(page: Page, server: str, transport: str) -> None:
    open_demo(page, server, transport)
    ask(page, "outline")
    until(page, "(document.querySelector('#outline ling-stream').document?.outline?.length ?? 0) > 1")
    run = page.evaluate("document.querySelector('#outline ling-stream').run.id")
    before = document(page, "outline")
    page.reload()
    until(page, "document.querySelector('#outline ling-stream').document?.outline?.length > 1")
    assert page.evaluate("document.querySelector('#outline ling-stream').run.id") == run
    assert page.get_attribute("#outline ling-stream", "status") == "running"
    ended(page, "outline")
    after = document(page, "outline")
    assert after["outline"][0]["topic"] == before["outline"][0]["topic"]
    assert len(after["outline"]) >= len(before["outline"])
    assert all(entry["details"] for entry in after["outline"])
    page.reload()
    ended(page, "outline")
    assert document(page, "outline") == after


def test_a_lost_connection_is_resumed(page: Page, server: str) -> None:
    open_demo(page, server)
    page.add_init_script(
        """window.sockets = [];
        window.WebSocket = class extends WebSocket {
            constructor(...all) { super(...all); sockets.push(this); }
        };"""
    )
    page.reload()
    ask(page, "cloud-facts")
    until(page, "document.querySelector('#cloud-facts [data-ling=details]').textContent.length > 20")
    page.evaluate("sockets.at(-1).close()")
    ended(page, "cloud-facts")
    statuses = [entry["status"] for entry in page.evaluate("log") if entry["type"] == "status"]
    assert statuses == ["connecting", "running", "connecting", "running", "finished"]
    assert page.evaluate("sockets.length") == 2
    assert [entry for entry in page.evaluate("log") if entry["type"] == "error"] == []


def test_two_tabs_see_the_same_document(new_page: NewPage, server: str) -> None:
    first, second = new_page(), new_page()
    open_demo(first, server)
    open_demo(second, server, "sse")
    ask(first, "cloud-facts")
    # A tab in the background draws nothing, but it folds.
    until(first, "document.querySelector('#cloud-facts ling-stream').document?.answer?.length > 20")
    run, token = first.evaluate(
        "(({id, token}) => [id, token])(document.querySelector('#cloud-facts ling-stream').run)"
    )
    second.evaluate(
        """([run, token]) => {
            const late = document.createElement("ling-stream");
            late.id = "late";
            late.setAttribute("run", run);
            late.setAttribute("token", token);
            const text = document.createElement("p");
            text.dataset.ling = "details";
            late.append(text);
            document.body.append(late);
        }""",
        [run, token],
    )
    second.wait_for_selector("#late[status=running]", state="attached")
    ended(first, "cloud-facts")
    second.wait_for_selector("#late[status=finished]", state="attached")
    seen = json.loads(second.evaluate("JSON.stringify(document.querySelector('#late').document)"))
    assert seen == document(first, "cloud-facts")
    assert second.text_content("#late p") == seen["details"]


def test_a_suggestion_asks_the_next_question(page: Page, server: str) -> None:
    open_demo(page, server)
    ask(page, "cloud-facts")
    ended(page, "cloud-facts")
    suggestion = page.locator("#cloud-facts .suggestion").first
    question = suggestion.text_content()
    first = page.text_content("#cloud-facts .answer")
    suggestion.click()
    until(page, "document.querySelector('#cloud-facts ling-stream').state === 'running'")
    assert page.input_value("#cloud-facts input[name=question]") == question
    ended(page, "cloud-facts")
    assert page.text_content("#cloud-facts .answer") != first


def test_the_wire_shows_ops_as_ling_writes_them(page: Page, server: str) -> None:
    open_demo(page, server)
    ask(page, "outline")
    ended(page, "outline")
    lines = page.locator("#outline .log .op").all_text_contents()
    assert any(set(json.loads(line)) == {"uri", "delta"} for line in lines)
    assert page.locator("#outline .log > *").count() <= 300
    assert page.locator("#outline .lane").count() >= 4
    assert (
        json.loads(page.locator("#outline .log .done").last.text_content() or "")["done"]["status"]
        == "finished"
    )


def test_an_unknown_workflow_is_said_on_the_page(page: Page, server: str) -> None:
    open_demo(page, server)
    page.evaluate("document.querySelector('#outline ling-stream').setAttribute('workflow', 'no-such-thing')")
    ask(page, "outline")
    ended(page, "outline", "failed")
    assert page.inner_text("#outline .word:visible") == "Failed"
    assert "no-such-thing" in page.inner_text("#outline [role=alert]")


def greeted(page: Page, server: str) -> Locator:
    """Open the page and wait until the companion has spoken first."""
    page.goto(f"{server}/")
    chat = page.locator("#companion ling-chat")
    expect(chat.locator(".ling-markdown").first).to_contain_text("Hello!", timeout=scaled(TIMEOUT))
    expect(chat.locator("ling-stream[status=finished]")).to_have_count(1, timeout=scaled(TIMEOUT))
    return chat


def test_the_companion_greets_and_answers_with_cards_beside_the_others(page: Page, server: str) -> None:
    chat = greeted(page, server)
    assert chat.locator(".ling-card").count() == 0
    chat.get_by_role("textbox", name="Message").fill("Can I lie on a cloud?")
    page.keyboard.press("Enter")
    expect(chat.locator("ling-stream[status=finished]")).to_have_count(2, timeout=scaled(TIMEOUT))
    cards = chat.locator(".ling-card h3").all_text_contents()
    assert cards[0] == "Half a gram"
    expect(chat.get_by_role("button", name="How much does a cloud weigh?").last).to_be_visible()
    page.reload()
    until(page, "document.querySelector('ling-chat').conversation !== null")
    assert chat.locator(".ling-card h3").all_text_contents() == cards
    assert page.locator(".wire .op").count() == 0


def test_nothing_scrolls_sideways(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_demo(page, server)
    ask(page, "cloud-facts", "x" * 400)
    ask(page, "outline")
    ended(page, "cloud-facts")
    ended(page, "outline")
    for width, height in [(320, 640), (390, 844), (768, 1024), (1280, 800)]:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        logs = "[...document.querySelectorAll('.log')].every(log => log.scrollWidth <= log.clientWidth)"
        assert page.evaluate(logs), width


def test_names_for_everything_that_can_be_used(page: Page, server: str) -> None:
    open_demo(page, server)
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input:not([type=hidden]), a, [role=log], ling-stream")]
            .filter((element) => {
                const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent;
                return !(label ?? element.textContent).trim();
            })
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_has_nothing_to_say(
    page: Page, server: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    page.set_viewport_size({"width": width, "height": 812})
    page.emulate_media(color_scheme=scheme)
    greeted(page, server)
    page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    assert page.evaluate(FOUND) == []
    ask(page, "field-guide")
    ended(page, "field-guide")
    assert page.evaluate(FOUND) == []


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("path", ["/", "/docs/", "/docs/providers.md"])
def test_it_is_all_chinese_for_who_reads_that(page: Page, server: str, path: str, width: int) -> None:
    page.set_extra_http_headers({"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    page.set_viewport_size({"width": width, "height": 812})
    if path == "/":
        greeted(page, server)
        for workflow in ("cloud-facts", "outline"):
            ask(page, workflow)
            ended(page, workflow)
            assert page.inner_text(f"#{workflow} .word:visible") == "已完成"
            assert re.fullmatch(r"\d+\.\d 秒内 \d+ 个操作", page.inner_text(f"#{workflow} .figures"))
    else:
        page.goto(server + path)
    assert page.get_attribute("html", "lang") == "zh-hans"
    assert [text for text in page.evaluate(TEXTS, "body") if text.rstrip(":?*") in english(*APPS)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    assert page.evaluate(FOUND) == []


def test_buttons_choose_the_language(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("button", name="简体中文").click()
    primary = page.locator("#cloud-facts button.primary")
    expect(primary).to_have_text("提问")
    page.reload()
    expect(primary).to_have_text("提问")
    page.goto(f"{site.url}/docs/")
    page.get_by_role("button", name="English").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ask the documentation")
    assert page.url == f"{site.url}/docs/"
    expect(page.get_by_role("button", name="English")).to_have_attribute("aria-current", "true")


def test_a_keyboard_is_enough(page: Page, server: str) -> None:
    open_demo(page, server)
    page.focus("#cloud-facts input[name=question]")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#cloud-facts [data-ling=details]').textContent.length > 20")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab") if page.evaluate("document.activeElement.matches('.primary')") else None
    assert page.evaluate("document.activeElement.textContent") == "Stop"
    page.keyboard.press("Enter")
    ended(page, "cloud-facts", "canceled")
    assert page.evaluate("document.activeElement.textContent") == "Stop"


def test_a_plain_peer_ends_with_the_document_that_the_server_keeps(server: str) -> None:
    command = [node(), str(PEER), f"{server}/ling/workflows/outline/runs/"]
    body = json.dumps({"input": {"question": "What are clouds made of?"}})
    result = subprocess.run([*command, body], capture_output=True, text=True, timeout=60, check=True)
    folded, run, token = (json.loads(line) for line in result.stdout.splitlines())
    request = urllib.request.Request(f"{server}/ling/runs/{run}/", headers={"Authorization": f"Ling {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        kept = json.load(response)
    assert kept["status"] == "finished"
    assert kept["document"] == folded
    assert all(entry["details"] for entry in folded["outline"])


EVIL = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


@pytest.fixture(scope="module")
def evil_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo in front of a model that answers with markup."""
    fields = {"answer": EVIL, "details": EVIL, "details_cn": EVIL, "related_question": [EVIL]}

    def reply(request: dict[str, Any]) -> str:
        prompt = request["messages"][0]["content"]
        return json.dumps({name: value for name, value in fields.items() if f'"{name}"' in prompt})

    with OpenAIServer(reply) as model:
        environment = {"LINGSTREAM_ENDPOINT": model.base_url, "LINGSTREAM_MODEL": "any"}
        with serve(tmp_path_factory.mktemp("evil"), environment) as url:
            yield url


def test_markup_from_the_model_stays_text(page: Page, evil_server: str) -> None:
    open_demo(page, evil_server)
    title = page.title()
    ask(page, "cloud-facts")
    ended(page, "cloud-facts")
    assert page.text_content("#cloud-facts .answer") == EVIL
    assert page.locator("#cloud-facts .suggestion").all_text_contents() == [EVIL]
    assert page.locator("main img").count() == 0
    assert page.title() == title


def test_all_this_happens_under_a_strict_policy(page: Page, server: str) -> None:
    response = page.goto(server)
    assert response is not None
    assert response.headers["content-security-policy"] == POLICY
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content") or ""
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
