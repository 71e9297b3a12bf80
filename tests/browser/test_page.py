"""Pages of a real site: they are left and come back, over both transports, and bring a run with them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from .conftest import serve, until

TRANSPORTS = ["websocket", "sse"]
RELOADS = int(os.environ.get("LINGSTREAM_RELOADS", "3"))  # 200 in ``make soak``
INPUT = """{"question": "Can I lie on a cloud?"}"""
FIRST = "document.querySelector('ling-stream')"
STREAM = f"""<ling-stream workflow="cloud-facts" transport="%s" data-input='{INPUT}'>
    <h1 data-ling="answer"></h1><p data-ling="details"></p></ling-stream>"""


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp(request.param), {}, server=request.param) as url:
        yield url


def there(site: str, markup: str) -> str:
    return f"{site}/there/?body={quote(markup)}"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reload_at_any_time_pays_for_no_second_run(page: Page, site: str, transport: str) -> None:
    """Also before the answer to the start: its key tells which run that was."""
    page.goto(there(site, STREAM % transport * 2), wait_until="commit")
    until(page, f"{FIRST}?.run")
    keys = page.evaluate("[...document.querySelectorAll('ling-stream')].map((stream) => stream.run.key)")
    dice = random.Random(RELOADS)
    for _ in range(RELOADS):
        page.wait_for_timeout(dice.uniform(0, 300))
        page.reload(wait_until="commit")
        until(page, f"{FIRST}?.run")
    until(page, "[...document.querySelectorAll('ling-stream')].every(({ document }) => document?.answer)")
    shown = page.evaluate("[...document.querySelectorAll('ling-stream')].map((stream) => stream.run.id)")
    started = page.evaluate(
        """async ([keys, input]) => Promise.all(keys.map(async (key) => {
            const body = JSON.stringify({ input: JSON.parse(input), key });
            const headers = { "Content-Type": "application/json", Accept: "application/json" };
            const options = { method: "POST", body, headers };
            return (await (await fetch("/ling/workflows/cloud-facts/runs/", options)).json()).run;
        }))""",
        [keys, INPUT],
    )
    assert shown == started
    assert len(set(shown)) == 2


PAINTED = """{% lingstream_document run %}
    <ling-stream run="{{ run.pk }}" share="SHARE" transport="TRANSPORT">
        <h1 data-ling="answer">{% ling "answer" %}</h1><p data-ling="details">{% ling "details" %}</p>
    </ling-stream>"""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_brings_its_run(page: Page, site: str, transport: str) -> None:
    page.goto(there(site, STREAM % transport))
    until(page, "document.querySelector('p').textContent.length > 3")
    run, share, answer = page.evaluate(
        f"(({{ id, share, document }}) => [id, share, document.answer])({FIRST}.run)"
    )
    body = PAINTED.replace("SHARE", share).replace("TRANSPORT", transport)
    painted = f"{site}/painted/?run={run}&body={quote(body)}"

    page.goto(painted, wait_until="commit")
    page.wait_for_selector(f"h1:text-is({answer!r})")
    page.wait_for_selector("ling-stream[status=finished]")
    document = page.evaluate(f"{FIRST}.document")
    assert (page.text_content("h1"), page.text_content("p")) == (document["answer"], document["details"])
    assert page.evaluate(f"{FIRST}.run.error") is None, "the checksum is the server's"

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(painted)
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.text_content("p") == document["details"]
    assert [url for url in asked if "/ling/" in url.replace("/static/", "")] == [], "nothing was left to ask"
