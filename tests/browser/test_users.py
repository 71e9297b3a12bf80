"""One tab, several people: what an element keeps for a reload is kept for who was signed in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ..chaos.patience import scaled
from .conftest import ROOT, serve

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.browser.admin_site"}  # its policy lets forms be sent
STREAM = "#cloud-facts ling-stream"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, with a second person who may sign in."""
    directory = tmp_path_factory.mktemp("users")
    with serve(directory, SETTINGS) as url:
        add_person(directory, "bob")
        yield url


def add_person(directory: Path, name: str) -> None:
    environment = {**os.environ, **SETTINGS, "DJANGO_SQLITE": str(directory / "demo.sqlite3")}
    command = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username", name]
    subprocess.run(
        [*command, "--email", f"{name}@example.com"],
        cwd=ROOT,
        env={**environment, "DJANGO_SUPERUSER_PASSWORD": name},
        check=True,
        capture_output=True,
        timeout=scaled(60),
    )


def sign_in(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/admin/login/?next=/")
    page.fill("#id_username", name)
    page.fill("#id_password", name)
    page.click("[type=submit]")
    page.wait_for_url(f"{site}/")


def sign_out(page: Page, site: str) -> None:
    page.goto(f"{site}/admin/")
    with page.expect_navigation():
        page.click("#logout-form button")


def shown(page: Page) -> tuple[str | None, str]:
    """The run that the element shows when it has looked for one, and its text."""
    page.wait_for_selector(f"{STREAM}:defined", state="attached")
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
    return page.get_attribute(STREAM, "run"), page.text_content(f"{STREAM} [data-ling=answer]") or ""


def test_who_signs_in_next_sees_nothing_of_it(page: Page, site: str) -> None:
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    sign_in(page, site, "admin")
    page.click("#cloud-facts button.primary")
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    run, answer = shown(page)
    assert run
    assert answer
    page.reload()
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    assert shown(page) == (run, answer), "who asked finds it again"

    sign_out(page, site)
    page.goto(f"{site}/")
    assert shown(page)[0] is None, "nobody is signed in"
    sign_in(page, site, "bob")
    assert shown(page)[0] is None
    assert answer not in page.inner_text("body")

    sign_out(page, site)
    sign_in(page, site, "admin")
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    assert shown(page) == (run, answer), "it is kept for who asked, as long as the tab is open"
