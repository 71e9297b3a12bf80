"""A real Chromium, and the real server in a process of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from lingstream.testing import OpenAIServer

from ..chaos.patience import scaled
from ..ports import free_port
from .files import HOSTS, serving
from .played import TIMEOUT, Peer, playing
from .staff import SETTINGS, Site, sign_in

ROOT = Path(__file__).resolve().parent.parent.parent
# Two pages of the browser's own, for its address bar, that it loads with each of ours: half of all CPU.
POPUPS = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"]
# What Playwright turns off. The last list counts, so it has to be in ours.
WITHOUT = [
    *("AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
    "ThirdPartyStoragePartitioning",
]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--disable-features={','.join([*WITHOUT, *POPUPS])}",
]
NewPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Not for the session: the event loop that playwright keeps open would be in the way of asyncio's tests.
    with serving() as port, sync_playwright() as playwright:
        browser = launch(playwright, f"--host-resolver-rules=MAP {HOSTS} 127.0.0.1:{port}")
        yield browser
        browser.close()


def launch(playwright: Playwright, *arguments: str) -> Browser:
    chosen = executable(playwright.chromium)
    return playwright.chromium.launch(executable_path=chosen, args=[*ARGUMENTS, *arguments])


def executable(chromium: BrowserType) -> str:
    """The system's Chromium, else playwright's own."""
    chosen = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    return chosen if Path(chosen).exists() else chromium.executable_path


@pytest.fixture(scope="package")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """What all pages share: what the browser has loaded and compiled once is there for the next."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture(autouse=True)
def _patience() -> None:
    """What is expected may take as long as anything else; by itself it would be 5 s, however busy we are."""
    expect.set_options(timeout=scaled(TIMEOUT))


@pytest.fixture
def context(profile: BrowserContext) -> Iterator[BrowserContext]:
    """The profile without pages, cookies, stored items and permissions of other tests."""
    profile.set_default_timeout(scaled(TIMEOUT))
    before = profile.pages
    yield profile
    profile.set_offline(False)
    for page in profile.pages:
        if page not in before:
            clear_storage(page)
            page.close()
    profile.clear_cookies()
    profile.clear_permissions()


def clear_storage(page: Page) -> None:
    """Forget what the origins of a page's frames have stored, a visitor's token for one."""
    session = page.context.new_cdp_session(page)
    for origin in {"{0.scheme}://{0.netloc}".format(urlsplit(frame.url)) for frame in page.frames}:
        if origin.startswith("http"):
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage"})
    session.detach()


@pytest.fixture
def listen() -> Iterator[Callable[[Page], Page]]:
    """A page that is listened to must not have complained on the console when the test ends."""
    complaints: list[str] = []
    pages: list[Page] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def note_error(error: Error) -> None:
        complaints.append(str(error))

    def listen_to(page: Page) -> Page:
        page.on("console", note)
        page.on("pageerror", note_error)
        pages.append(page)
        return page

    yield listen_to
    for page in pages:
        page.remove_listener("console", note)
        page.remove_listener("pageerror", note_error)
    assert complaints == []


@pytest.fixture
def new_page(context: BrowserContext, listen: Callable[[Page], Page]) -> NewPage:
    """Open pages that are listened to."""
    return lambda: listen(context.new_page())


@pytest.fixture(scope="module")
def tab(profile: BrowserContext) -> Iterator[Page]:
    """One page for all tests of a module, which leave nothing behind when they open it anew."""
    page = profile.new_page()
    page.set_default_timeout(scaled(TIMEOUT))
    yield page
    clear_storage(page)
    page.close()
    profile.clear_cookies()  # who has signed in is nobody to the next module


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()


@pytest.fixture
def show(page: Page) -> Iterator[Callable[[str], Peer]]:
    """Open a page with some markup in it, and a server that the test plays."""
    with playing(page) as open_page:
        yield open_page


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as `make run` starts it; yields its URL."""
    with serve(tmp_path_factory.mktemp("server"), {}) as url:
        yield url


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo under the policy of the admin's tests, with the rows of `admin_rows`.

    It is one for all of them: a test leaves what others look at as it was.
    """
    directory = tmp_path_factory.mktemp("admin")
    with serve(directory, SETTINGS, rows="tests.browser.admin_rows") as url:
        expect.set_options(timeout=scaled(TIMEOUT))
        yield Site(url, directory / "demo.sqlite3")
        expect.set_options(timeout=None)


@pytest.fixture
def admin(page: Page, site: Site) -> Page:
    """The superuser, on the list of workflows."""
    sign_in(page, site.url, "/admin/lingstream/workflow/")
    return page


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true (playwright's own needs `eval`, which a CSP forbids)."""
    page.evaluate(
        """async ([condition, timeout]) => {
            const end = performance.now() + timeout;
            while (!CONDITION) {
                if (performance.now() > end) throw new Error(`not within ${timeout} ms: ${condition}`);
                await new Promise((resolve) => setTimeout(resolve, 5));
            }
        }""".replace("CONDITION", f"({condition})"),
        [condition, scaled(TIMEOUT)],
    )


@contextmanager
def serve(
    directory: Path,
    environment: dict[str, str],
    server: str = "daphne",
    rate: float | None = None,
    rows: str = "",
) -> Iterator[str]:
    """Run the demo project on a free port with a database of its own.

    :param directory: for the database and what the server says; a database that is there is kept.
    :param rate: tokens per second of the model, where it plays recorded answers.
    :param rows: a module that, executed, writes further rows.
    """
    database = directory / "demo.sqlite3"
    if not database.exists():
        database.write_bytes(filled_database(frozenset(environment.items()), rows))
    environment = variables(environment)
    if rate is not None:
        set_rate(database, rate)
    environment["DJANGO_SQLITE"] = str(database)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "daphne": ["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        "uvicorn": ["-m", "uvicorn", "lingsite.asgi:application", "--port", str(port)],
    }
    arguments = [sys.executable, *options[server]]
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_for(url, process, directory / "server.log")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=scaled(15))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def variables(environment: dict[str, str]) -> dict[str, str]:
    """What a process of the demo finds in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LINGSTREAM_")}
    return {**kept, "DJANGO_SETTINGS_MODULE": "tests.browser.strict", **environment}


@cache
def filled_database(environment: frozenset[tuple[str, str]], rows: str) -> bytes:
    """A database with the demo in it, made once for all servers that are given this environment."""
    with TemporaryDirectory() as directory:
        database = Path(directory) / "demo.sqlite3"
        given = {**variables(dict(environment)), "DJANGO_SQLITE": str(database)}
        for module in [["tests.tables", "demo"], *([[rows]] if rows else [])]:
            command = [sys.executable, "-m", *module]
            subprocess.run(command, cwd=ROOT, env=given, check=True, capture_output=True, timeout=scaled(120))
        with closing(sqlite3.connect(database)) as connection:
            return connection.serialize()


def set_rate(database: Path, rate: float) -> None:
    options = json.dumps({"script": "recorded", "rate": rate})
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE lingstream_provider SET options = ? WHERE name = 'demo'", [options])


@contextmanager
def chatting(directory: Path, reply: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
    """Serve a site whose workflow `talk` asks a model that ``reply`` plays."""
    with OpenAIServer(reply) as model:
        environment = {
            "DJANGO_SETTINGS_MODULE": "tests.browser.chat_site",
            "LINGSTREAM_ENDPOINT": model.base_url,
            "LINGSTREAM_MODEL": "any",
        }
        with serve(directory, environment) as url:
            yield url


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + scaled(60)
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)  # a server that is not there yet has no event to wait for
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
