"""The first hour: from tables without a row to a first answer, by links."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lingstream.testing import OpenAIServer

from ..chaos.patience import scaled
from .conftest import ROOT, serve, variables
from .staff import SETTINGS


def answer(request: dict[str, Any]) -> list[str]:
    return ['{"ans', 'wer": "Of drops, says ', request["model"], '."}']


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with OpenAIServer(answer) as server:
        yield server.base_url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[str]:
    """The demo's site after ``migrate`` and ``createsuperuser``, and nothing else."""
    directory = tmp_path_factory.mktemp("empty")
    settings = {**SETTINGS, "LINGSTREAM_ENDPOINT": model}
    database = {"DJANGO_SQLITE": str(directory / "demo.sqlite3"), "DJANGO_SUPERUSER_PASSWORD": "admin"}
    who = ["--noinput", "--username", "admin", "--email", "admin@example.com"]
    command = [sys.executable, "-m", "tests.tables", "createsuperuser", *who]
    environment = variables({**settings, **database})
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=scaled(120))
    with serve(directory, settings) as url:
        yield url


def follow(page: Page, text: str) -> None:
    with page.expect_navigation():
        page.get_by_role("link", name=text).first.click()


def save(page: Page, name: str = "_save") -> None:
    with page.expect_navigation():
        page.locator(f"[name={name}]").first.click()


def test_leads_from_nothing_to_an_answer(context: BrowserContext, empty: str, model: str) -> None:
    page = context.new_page()  # what is refused on the way is told on the console, too
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(empty)
    expect(page.locator(".notice")).to_contain_text("There is nothing to ask here yet.")
    expect(page.locator(".notice")).to_contain_text("manage.py createsuperuser")
    expect(page.locator("main section")).to_have_count(0)
    with page.expect_navigation():
        page.locator(".notice a").click()
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    with page.expect_navigation():
        page.click("[type=submit]")

    steps = page.locator("section[aria-labelledby=ling-first] li")
    expect(steps).to_have_count(3)
    assert all(step.locator("a").count() for step in steps.all())

    page.goto(f"{empty}/admin/lingstream/workflow/add/")
    tried = page.locator("#trial[data-ready]")
    page.locator("#id_slug").fill("too-early")
    page.locator("#ling-graph [data-part=add]").click()
    page.keyboard.type("answer")
    page.locator("#id_steps-0-input").fill("Hello.")
    page.locator("#id_steps-0-input").blur()
    tried.locator("[name=start]").click()
    expect(tried.get_by_role("link", name="Add a provider")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    follow(page, "lingstream")

    follow(page, "Add a provider")
    expect(page.locator("#id_name")).to_have_value("demo")
    page.locator("#id_base_url").fill("http://10.1.2.3:11434/v1")
    save(page)
    expect(page.locator(".field-base_url .errorlist")).to_contain_text("ALLOW_HOSTS")
    page.locator("#id_base_url").fill(model)
    page.locator("#id_default_model").fill("small")
    save(page)
    follow(page, "Write a prompt")
    page.locator("#id_slug").fill("short")
    page.locator("#id_name").fill("Short")
    page.locator("#id_text").fill('Answer in one sentence, as JSON: {"answer": "…"}')
    save(page)
    follow(page, "Build a workflow")
    page.locator("#id_slug").fill("first")
    page.locator("#ling-graph [data-part=add]").click()
    page.keyboard.type("answer")
    page.locator("#steps-0 .field-prompt .select2-selection").click()
    page.keyboard.type("short")
    page.locator(".select2-results__option--highlighted", has_text="short").click()
    page.locator("#id_steps-0-input").press_sequentially(" {{ input.place }}")
    tried.locator("[name=start]").hover()
    page.mouse.down()  # which ends what was typed: the input gets a field, and the button goes elsewhere
    expect(tried.locator("#trial-input-place")).to_be_visible()
    page.mouse.up()
    expect(tried.locator("[data-side=a] .ling-try-tree").first).to_contain_text("Of drops, says small.")
    tried.locator("#trial-input-question").fill("What are clouds made of?")
    tried.locator("[name=start]").click()
    expect(tried.locator("[data-side=a] .ling-try-tree").first).to_contain_text("Of drops, says small.")
    save(page, "_publish")
    expect(page.locator(".messagelist")).to_contain_text("Published as v1")
    page.goto(f"{empty}/admin/lingstream/")
    expect(page.locator("section[aria-labelledby=ling-first]")).to_have_count(0)
