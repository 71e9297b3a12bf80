"""docs/recipes.md: each of its pages, with the libraries from npm, against the demo's server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.template import Context, Engine
from django.test import RequestFactory
from playwright.sync_api import Page, Request, Route

from tests.chaos.patience import scaled
from tests.node import node, peers

from .conftest import until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```\w+\n(?:# |<!-- |// )([\w.-]+?)(?: -->)?\n(.*?)```", PAGE, re.DOTALL))
ANSWER = "No, you would fall straight through"
LIBRARIES = {
    "alpine": 'import Alpine from "alpinejs"; Alpine.start();',
    "htmx": 'import htmx from "htmx.org"; htmx.process(document.body);',
    "turbo": 'import "@hotwired/turbo";',
    "svelte": 'import { mount } from "svelte"; import App from "./App.svelte"; '
    "mount(App, { target: document.body });",
}
ROOTED = '<div id="root"></div>'

Show = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's blocks in their files, beside an installed client."""
    folder = tmp_path_factory.mktemp("recipes")
    for name, code in BLOCKS.items():
        (folder / name).write_text(code, encoding="utf-8")
    for name, code in LIBRARIES.items():
        (folder / f"{name}-library.js").write_text(code)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "lingstream").symlink_to(ROOT / "lingstream" / "static" / "lingstream")
    return folder


@pytest.fixture
def show(page: Page, server: str, folder: Path, settings: Any) -> Iterator[Show]:
    """Open a page of recipes at the demo's server: its markup, and what a bundler makes of its script."""
    settings.DEBUG = True

    def answer(route: Route, request: Request) -> None:
        name = urlsplit(request.url).path.removeprefix("/recipes/")
        if name == "ask/":
            route.fulfill(content_type="text/html", body=ask(folder, request))
        elif name in ("module.js", "talk.js") or name.endswith(".bundle"):
            code = BLOCKS[name] if name in BLOCKS else bundled(folder, name.removesuffix(".bundle"))
            route.fulfill(content_type="text/javascript", body=code)
        else:
            route.fulfill(content_type="text/html", body=document(name))

    def open_page(name: str) -> None:
        # For Chromium a page that a test made is no page of this machine's.
        page.context.grant_permissions(["local-network-access"])
        page.route(f"{server}/recipes/**", answer)
        page.goto(f"{server}/recipes/{name}")

    yield open_page


def document(name: str) -> str:
    """The page of a name such as ``plain.html``, or one with nothing but a script of that name."""
    head = '<!DOCTYPE html><meta charset="utf-8"><title>A recipe</title><link rel="icon" href="data:,">'
    stem = Path(name).stem
    library = f'<script type="module" src="{stem}-library.js.bundle"></script>' if stem in LIBRARIES else ""
    if name in BLOCKS:
        engine = Engine(libraries={"lingstream": "lingstream.templatetags.lingstream"})
        return head + library + engine.from_string(BLOCKS[name]).render(Context())
    entry = next((f"{name}{end}" for end in (".jsx", ".js") if f"{name}{end}" in BLOCKS), None)
    script = f'<script type="module" src="{entry}.bundle"></script>' if entry else library
    return f"{head}{ROOTED}{script}"


def bundled(folder: Path, entry: str) -> str:
    command = [node(), str(peers() / "recipe.mjs"), str(folder), entry]
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(60), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(folder: Path, request: Request) -> str:
    """What the recipe's view answers."""
    names: dict[str, Any] = {}
    exec(BLOCKS["views.py"], names)
    engine = Engine(dirs=[str(folder)])
    names["render"] = lambda _, name, context: engine.get_template(name).render(Context(context))
    values = {name: values[0] for name, values in parse_qs(request.post_data or "").items()}
    return str(names["ask"](RequestFactory().post("/ask/", values)))


def test_each_block_is_used() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```\w+$", PAGE, re.MULTILINE))


def test_a_plain_page(show: Show, page: Page) -> None:
    show("plain.html")
    page.fill("input", "Can I lie on a cloud?")
    page.click("button")
    page.click("text=Stop")
    page.wait_for_selector("ling-stream[status=canceled]")
    page.click("text=Ask")
    page.wait_for_selector("ling-stream[status=finished]")
    assert ANSWER in page.inner_text("h1")
    assert page.locator("li").count() == 3
    assert page.is_hidden("text=Stop")


def test_a_module(show: Show, page: Page) -> None:
    show("module.html")
    page.click("button")
    page.wait_for_selector(f"output:has-text('{ANSWER}')")


def test_a_chat_page(show: Show, page: Page) -> None:
    assert len(BLOCKS["talk.js"].splitlines()) <= 30
    show("talk.html")
    page.fill("input", "Can I lie on a cloud?")
    page.click("button")
    page.wait_for_selector(f"li:has-text('{ANSWER}')")
    until(page, "localStorage.talk")
    page.reload()
    page.wait_for_selector(f"li:has-text('{ANSWER}')")
    assert page.locator("li").count() == 1


def test_a_hook_of_react_is_short() -> None:
    assert len([line for line in BLOCKS["use-run.jsx"].splitlines() if line]) <= 10


@pytest.mark.parametrize("framework", ["react", "svelte"])
def test_a_framework_draws(show: Show, page: Page, framework: str) -> None:
    show(framework)
    page.click("button")
    page.wait_for_selector(f"h1:has-text('{ANSWER}')")
    page.wait_for_selector("li:nth-of-type(3)")


def test_the_element_draws_inside_vue(show: Show, page: Page) -> None:
    show("vue")
    page.click("button")
    page.wait_for_selector("output:has-text('finished')")
    assert ANSWER in page.inner_text("h1")
    assert page.locator("li:visible").count() == 3


def test_alpine_hears_the_elements_events(show: Show, page: Page) -> None:
    show("alpine.html")
    page.wait_for_selector("output:has-text('finished')")
    assert ANSWER in page.inner_text("h1.answered")


def test_htmx_swaps_a_stream_in(show: Show, page: Page) -> None:
    show("htmx.html")
    page.click("button")
    page.wait_for_selector("#answer ling-stream[status=finished]")
    assert ANSWER in page.inner_text("#answer h1")


def test_turbo_brings_back_the_same_run(show: Show, page: Page) -> None:
    show("turbo.html")
    page.wait_for_selector("ling-stream[status=finished]")
    run = page.get_attribute("ling-stream", "run")
    page.click("a")
    page.wait_for_url("**/other.html")
    page.go_back()
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.get_attribute("ling-stream", "run") == run
    assert ANSWER in page.inner_text("h1")
