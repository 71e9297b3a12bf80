"""What a page far from its server waits for before it shows a run."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from django.template import Context, Engine
from playwright.sync_api import Page

from .conftest import until
from .files import put
from .played import ORIGIN, RUN, STRICT, done, snapshot

LATENCY = 150  # milliseconds
ROUNDS = 3
PAGE = """<!DOCTYPE html><html><head>{tag}</head><body>
    <script type="application/json" id="lingstream-{run}">{frames}</script>
    <ling-stream run="{run}"><article data-ling-markdown="answer"></article></ling-stream></body></html>"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]"
RESOURCES = """performance.getEntriesByType("resource").map(({ name, startTime, responseEnd }) =>
    [new URL(name).pathname.split("/").at(-1), startTime, responseEnd])"""
NEEDED = {"lingstream.min.js", "rare.min.js", "markdown.min.js"}


class Loading(NamedTuple):
    """When the page showed something, and how many of its requests had to wait for another one's end."""

    painted: float
    in_a_row: int


def load(page: Page, tag: str) -> Loading:
    engine = Engine(libraries={"lingstream": "lingstream.templatetags.lingstream"})
    written = engine.from_string("{% load lingstream %}" + tag).render(Context())
    frames = json.dumps([snapshot({"answer": "**No**, you cannot."}), done(2)])
    put(f"{ORIGIN}/far/", PAGE.format(tag=written, run=RUN, frames=frames), headers=STRICT)
    page.goto(f"{ORIGIN}/far/")
    page.wait_for_selector("strong:text-is('No')")
    until(page, PAINTED)
    needed = [spans for name, *spans in page.evaluate(RESOURCES) if name in NEEDED]
    assert len(needed) == len(NEEDED), "each is asked for once"
    return Loading(page.evaluate(f"{PAINTED}.startTime"), longest_row(needed))


def longest_row(spans: list[list[float]]) -> int:
    """The most requests of which each began when the one before it had ended."""
    rows: list[tuple[float, int]] = []
    for start, end in sorted(spans):
        rows.append((end, 1 + max((length for before, length in rows if before <= start), default=0)))
    return max(length for _, length in rows)


@pytest.fixture
def far(page: Page, settings: Any) -> Page:
    """A page whose requests take long, with an empty cache."""
    settings.LINGSTREAM = {"BUNDLE": True}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    conditions = {"offline": False, "latency": LATENCY, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", conditions)
    return page


def test_a_page_that_says_what_it_uses_waits_one_round_trip_less(far: Page) -> None:
    plain, told = [], []
    for _ in range(ROUNDS):
        plain.append(load(far, "{% lingstream_script %}"))
        told.append(load(far, '{% lingstream_script preload="markdown" %}'))
    assert [{each.in_a_row for each in loads} for loads in (plain, told)] == [{2}, {1}]
    best = [min(each.painted for each in loads) for loads in (plain, told)]
    print(f"first paint at {best[0]:.0f} ms, with preload at {best[1]:.0f} ms")
    assert best[1] < best[0] - LATENCY / 2
