"""The client between real servers and pages that are not ours: which connection, whose run, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.chaos.patience import scaled

from .conftest import serve, until
from .proxy import FATES, proxied

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
    with serve(tmp_path_factory.mktemp(request.param), {}, server=request.param) as url:
        yield url


@pytest.fixture
def visit(context: BrowserContext) -> Iterator[Visit]:
    """Open a page with some markup on a site."""
    pages: list[Page] = []

    def open_page(url: str, markup: str) -> Page:
        page = context.new_page()
        pages.append(page)
        page.add_init_script(WATCH)
        page.goto(f"{url}/there/?body={quote(markup)}")
        return page

    yield open_page
    for page in pages:
        if page.is_closed():
            continue
        assert page.evaluate("faults") == []


FIRST_TEXTS = """[...document.querySelectorAll('p')].every((place) => place.textContent !== '')"""


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("fate", FATES)
def test_a_page_whose_sockets_do_not_come_through(server: str, visit: Visit, fate: str, count: int) -> None:
    with proxied(server, fate) as (url, proxy):
        page = visit(url, ASKS * count)
        until(page, FIRST_TEXTS)
        assert page.evaluate("performance.now()") < scaled(5_500)
        assert proxy.sockets == 1, "one decision for all"
        page.close()
