"""A real Chromium, and the real server in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from ..chaos.patience import scaled
from ..ports import free_port
from .played import TIMEOUT, Peer, playing

ROOT = Path(__file__).resolve().parent.parent.parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NewPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Not for the session: the event loop that playwright keeps open would be in the way of asyncio's tests.
    with sync_playwright() as playwright:
        executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        chosen = executable if Path(executable).exists() else None
        browser = playwright.chromium.launch(executable_path=chosen, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(scaled(TIMEOUT))
    yield context
    context.close()


@pytest.fixture
def new_page(context: BrowserContext) -> Iterator[NewPage]:
    """Open pages that must not have complained on the console when the test ends."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_page() -> Page:
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    assert complaints == []


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
def serve(directory: Path, environment: dict[str, str], server: str = "daphne") -> Iterator[str]:
    """Run the demo project on a free port with a database of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LINGSTREAM_")},
        "DJANGO_SETTINGS_MODULE": "tests.browser.strict",
        "DJANGO_SQLITE": str(directory / "demo.sqlite3"),
        **environment,
    }
    for command in (["migrate", "--verbosity", "0"], ["demo"]):
        manage = [sys.executable, "manage.py", *command]
        subprocess.run(
            manage, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=scaled(120)
        )
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
