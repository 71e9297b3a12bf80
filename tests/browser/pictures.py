"""``python -m tests.browser.pictures``: the pictures of the admin and the demo in ``docs/images``, anew.

With ``--language zh-hans`` they show it in Chinese, and are named so. For that, and for ``demo``, which has a
translation in it, the system needs a font. Those of the admin are of a day of each group.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, ViewportSize, expect, sync_playwright

from .conftest import ROOT, launch, serve, until
from .people import person
from .staff import SETTINGS, sign_in, start

FILES = {"en": "{}.png", "zh-hans": "{}-chinese.png"}
DEMO: ViewportSize = {"width": 1280, "height": 740}
SIZE: ViewportSize = {"width": 1040, "height": 800}
COLOURS = 128
QUESTION = "What are clouds made of?"


class Camera(NamedTuple):
    """A page of the demo, or of its admin.

    :param wanted: the pictures that are taken, with the paths of their files.
    """

    page: Page
    url: str
    wanted: Mapping[str, Path]

    def enter(self, group: str) -> None:
        """Sign in as somebody of this group."""
        self.page.context.clear_cookies()
        sign_in(self.page, self.url, "/admin/", person(group))

    def open(self, path: str) -> None:
        """Go to a page of ours."""
        self.page.goto(f"{self.url}/admin/lingstream/{path}")

    def choose(self, path: str, name: str) -> None:
        """Go to the page of a row."""
        self.open(path)
        self.click(f"#result_list a:text-is('{name}')")

    def click(self, selector: str) -> None:
        """Click, and wait for the next page."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def take(self, name: str, *, of: str = "#content", until: str = "") -> None:
        """Take a picture.

        :param of: the element that it shows; "" for what is seen of the page.
        :param until: one in it, with which the picture ends.
        """
        if name not in self.wanted:
            return
        path = self.wanted[name]
        whole = self.page.locator(of or "html")
        if not of:
            self.page.screenshot(path=path)
        elif until:
            whole.scroll_into_view_if_needed()
            self.page.screenshot(path=path, full_page=True, clip=self._clip(whole, until))
        else:
            whole.screenshot(path=path)
        with Image.open(path) as picture:
            picture.quantize(COLOURS).save(path, optimize=True)

    def _clip(self, whole: Locator, until: str) -> FloatRect:
        box, last = whole.bounding_box(), self.page.locator(until).first.bounding_box()
        assert box and last
        height = last["y"] + last["height"] - box["y"] + 8
        top = self.page.evaluate("scrollY")
        return {"x": box["x"], "y": box["y"] + top, "width": box["width"], "height": height}


def run_some(camera: Camera) -> None:
    """Let there be something to see."""
    for slug, question in (
        ("cloud-facts", "Can I lie on a cloud?"),
        ("outline", QUESTION),
        ("field-guide", "Which clouds bring rain?"),
        ("cloud-facts-python", "Why is the sky blue?"),
    ):
        run = start(camera.page, slug, question)
        camera.page.evaluate(
            "(run) => fetch(`/ling/runs/${run}/events/`).then((answer) => answer.text())", run
        )


def prompt(camera: Camera) -> None:
    """A prompt of which an editor's version is not live."""
    camera.enter("editors")
    camera.choose("prompt/", "cloud-answer")
    box = camera.page.locator("textarea[name=text]")
    box.fill(box.input_value().replace("{{ tone }}", "pirate"))
    camera.page.fill("[name=note]", "Arr!")
    camera.click("[name=_continue] >> nth=0")
    camera.page.reload()  # without the message
    camera.take("prompt", until="#labels-group")


def workflow(camera: Camera) -> None:
    """A workflow with its graph, as an editor builds it."""
    camera.enter("editors")
    camera.choose("workflow/", "outline")
    camera.take("workflow", until="#triggers-group")


def trial(camera: Camera) -> None:
    """What comes of a draft that is tried."""
    camera.choose("workflow/", "outline")
    camera.page.locator("#trial[data-ready] #trial-input-question").fill(QUESTION)
    camera.page.click("#trial [name=start]")
    expect(camera.page.locator("[data-side=a] .ling-status-finished")).to_be_visible()
    until(camera.page, "!document.querySelector('#trial [name=start]').disabled")
    camera.take("trial", of="#trial")


def versions(camera: Camera) -> None:
    """A workflow that a publisher has published, and whose draft differs."""
    page = camera.page
    camera.enter("publishers")
    camera.choose("workflow/", "outline")
    camera.click("[name=_publish]")
    page.click("#steps-1 .ling-fold")
    told = page.locator("#id_steps-1-input")
    told.fill(told.input_value() + "\nTwo sentences, no more.")
    page.fill("[name=version_note] >> nth=0", "Shorter details")
    camera.click("[name=_publish]")
    page.click("#steps-1 .ling-fold")
    page.fill("#id_steps-1-model", "small")
    camera.click("[name=_continue] >> nth=0")
    camera.click("a[href*='versions/?a=']")
    camera.take("versions")


def run(camera: Camera) -> None:
    """A run that has ended, as a viewer sees it."""
    camera.enter("viewers")
    camera.open("run/?workflow=outline")
    camera.click("#result_list th a >> nth=0")
    camera.take("run", until=".ling-waterfall")


def runs(camera: Camera) -> None:
    """The list from which an operator stops runs."""
    camera.enter("operators")
    camera.open("run/")
    camera.page.locator("#result_list .action-select").first.check()
    camera.page.locator("select[name=action]").select_option("stop")
    camera.take("runs", until=".results")


def board(camera: Camera) -> None:
    """The index page, as an operator begins the day."""
    camera.enter("operators")
    camera.open("")
    camera.take("board", until=".ling-board")


def search(camera: Camera) -> None:
    """What an editor of knowledge finds."""
    camera.enter("knowledge editors")
    camera.page.goto(f"{camera.url}/admin/lingstream_knowledge/collection/")
    camera.click("#result_list .field-shown_trial a")
    camera.page.fill("[name=question]", "How do I test a workflow?")
    camera.page.fill("[name=k]", "3")
    camera.click(".ling-trial button")
    camera.take("search", until="#content table")


def demo(camera: Camera) -> None:
    """The first page, as two bots write beside each other."""
    camera.page.set_viewport_size(DEMO)
    camera.page.goto(camera.url)
    camera.page.click("#cloud-facts button.primary")
    expect(camera.page.locator("#cloud-facts [data-ling=details]")).to_have_text(re.compile(".{4}"))
    camera.take("demo", of="")
    camera.page.set_viewport_size(SIZE)


PARTS: tuple[Callable[[Camera], None], ...] = (
    *(run_some, prompt, versions, workflow, trial, run, runs, board, search),
    demo,
)
TAKEN = [part.__name__ for part in PARTS[1:]]


def main() -> None:
    """Take them, in one language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(TAKEN)}; else all")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--language", choices=FILES, default="en")
    options = parser.parse_args()
    expect.set_options(timeout=60_000)
    file = FILES[options.language]
    named = {name: name if name == "demo" else f"admin-{name}" for name in options.names or TAKEN}
    wanted = {name: options.folder / file.format(each) for name, each in named.items()}
    with (
        TemporaryDirectory() as directory,
        serve(Path(directory), SETTINGS, rows="tests.browser.people") as url,
        sync_playwright() as playwright,
        launch(playwright) as browser,
    ):
        page = browser.new_page(locale=options.language, viewport=SIZE, reduced_motion="reduce")
        page.add_init_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
        sign_in(page, url, "/admin/")
        for part in PARTS:
            part(Camera(page, url, wanted))


if __name__ == "__main__":
    main()
