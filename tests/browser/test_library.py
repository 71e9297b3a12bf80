"""Knowledge in the admin, in Chromium, by who may: sources are added, watched, confirmed, and asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import serve
from .people import person
from .staff import sign_in

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.browser.library_site"}
NAMES = ("droplets", "rain", "held")
PAGES = {
    "/": "".join(f'<p><a href="/{name}.html">{name}</a></p>' for name in NAMES),
    "/droplets.html": "<h1>Droplets</h1><p>A cloud is made of droplets.</p>",
    "/rain.html": "<h1>Rain</h1><p>Rain falls when they are heavy.</p>",
    "/held.html": "<h1>Fog</h1><p>Fog lies on the ground.</p>",
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        gate = gates.get(self.path)
        if gate:
            gate.wait()
        page = PAGES.get(self.path)
        body = f"<title>Weather</title><body>{page}</body>".encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


gates: dict[str, threading.Event] = {}
"""Who asks for these paths waits until the test lets them."""


@contextmanager
def weather() -> Iterator[str]:
    """Serve the pages, with all of the gates shut."""
    gates.update({"/robots.txt": threading.Event(), "/held.html": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        for gate in gates.values():
            gate.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[str]:
    environment = {**SETTINGS, "LIBRARY_FOLDER": str(folder)}
    with serve(tmp_path_factory.mktemp("library"), environment, rows="tests.browser.admin_rows") as url:
        yield url


@pytest.fixture
def editor(page: Page, url: str) -> Page:
    """Who may edit knowledge, and nothing else."""
    sign_in(page, url, "/admin/lingstream_knowledge/collection/", person("knowledge editors"))
    return page


def save(page: Page, name: str = "_save") -> None:
    with page.expect_navigation():
        page.click(f"[name={name}]")
    expect(page.locator(".messagelist .success").first).to_be_visible()


def follow(page: Page, label: str) -> None:
    with page.expect_navigation():
        page.get_by_role("link", name=label, exact=True).click()


def press(page: Page, label: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=label, exact=True).click()


def add_source(page: Page, collection: str, kind: str) -> str:
    """Make a collection and open the form of a source for it; return where the collection is."""
    follow(page, "Add collection")
    page.fill("[name=slug]", collection)
    save(page, "_continue")
    made = page.url
    follow(page, "Add a source")
    follow(page, kind)
    return made


def state(page: Page) -> Locator:
    return page.locator(".ling-source .ling-status").first


def test_a_web_site_is_added_and_watched_and_asked(editor: Page) -> None:
    page = editor
    collection = add_source(page, "weather", "Web site")
    page.fill("[name=slug]", "clouds")
    with weather() as site:
        page.fill("[name=options-web-seeds]", json.dumps([site]))
        save(page, "_continue")

        press(page, "Look now")
        stream, bar = page.locator("ling-stream"), page.locator(".ling-source progress")
        first = stream.get_attribute("run") or ""
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(page.locator("[data-phase]")).to_have_text("listing")
        assert bar.get_attribute("value") is None

        gates["/robots.txt"].set()
        expect(stream).not_to_have_attribute("run", first)  # the next slice
        expect(bar).to_have_attribute("max", "4")  # the page that it begins at, and what that leads to
        expect(bar).to_have_attribute("value", "1")
        expect(page.locator("[data-phase]")).to_have_text("reading")
        page.get_by_role("link", name="Dry run").focus()

        gates["/held.html"].set()
        expect(state(page)).to_have_text("in order")
        expect(stream).to_have_count(0)
        expect(page.locator(".ling-source")).to_contain_text("Documents: 4")
        expect(page.get_by_role("link", name="Dry run")).to_be_focused()
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)

    page.goto(collection)
    follow(page, "Try a search")
    page.fill("[name=question]", "What is a cloud made of?")
    press(page, "Search")
    found = page.locator(".ling-hits").first.locator("tbody tr").first
    expect(found).to_contain_text("1. (")  # its rank by words
    expect(page.locator(".ling-sent")).to_contain_text("A cloud is made of droplets.")
    found.get_by_role("link").click()
    expect(page.locator("figure#passage-1")).to_contain_text("A cloud is made of droplets.")
    assert page.url.endswith("#passage-1")


def test_who_may_only_look_watches_the_bar_too(editor: Page, url: str) -> None:
    page = editor
    add_source(page, "climate", "Web site")
    page.fill("[name=slug]", "climate")
    with weather() as site, viewer(page, url) as other:
        page.fill("[name=options-web-seeds]", json.dumps([site]))
        save(page, "_continue")
        other.goto(page.url)
        press(page, "Look now")
        other.reload()  # soon: an answer is waited for no longer than 30 seconds
        bar = other.locator(".ling-source progress")
        expect(bar).to_be_visible()
        assert bar.get_attribute("value") is None
        gates["/robots.txt"].set()
        expect(bar).to_have_attribute("max", "4")  # without a new look at the page
        expect(other.get_by_role("button", name="Stop")).to_have_count(0)
        expect(other.locator(".ling-source")).not_to_contain_text("held.html")
        gates["/held.html"].set()
        expect(state(other)).to_have_text("in order")
        expect(bar).to_have_count(0)


@contextmanager
def viewer(page: Page, url: str) -> Iterator[Page]:
    """A page of who may look at sources and change nothing."""
    assert page.context.browser
    context = page.context.browser.new_context()
    other = context.new_page()
    sign_in(other, url, "/admin/", person("viewers"))
    yield other
    context.close()


def test_deletions_wait_until_somebody_confirms_them(editor: Page, folder: Path) -> None:
    page = editor
    for number in range(25):
        (folder / f"{number}.md").write_text(f"Cloud {number}.")
    add_source(page, "handbook", "Folder")
    page.fill("[name=slug]", "files")
    page.fill("[name=options-folder-path]", str(folder))
    save(page, "_continue")
    source = page.locator(".ling-source")
    press(page, "Look now")
    expect(source).to_contain_text("Documents: 25")
    expect(state(page)).to_have_text("in order")
    for path in folder.iterdir():
        path.unlink()
    press(page, "Look now")
    expect(state(page)).to_have_text("deletions wait for a confirmation")
    expect(source).to_contain_text("25 documents have vanished")
    press(page, "Confirm the deletions")
    expect(source).to_contain_text("Documents: 0")
    expect(state(page)).to_have_text("in order")
