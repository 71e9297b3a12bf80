"""`data-ling-html` in a real browser, under the strictest policy: HTML grows in place and stays safe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from lingstream.core.document.ops import Closed
from lingstream.core.parsing.html import HtmlParser

from .conftest import until
from .played import Peer, done, set_, snapshot

ATTACKS = json.loads((Path(__file__).parent.parent / "cases" / "html_attacks.json").read_text())
DANGEROUS = r"""[...document.querySelectorAll('article *')]
    .flatMap((element) => [
        element.tagName,
        ...[...element.attributes].map(({ name, value }) => `${name}=${value}`),
    ])
    .filter(
        (text) =>
            /^(script|style|iframe|object|embed|svg|math|form|base|link|meta|on.*|id=.*)$/is.test(text) ||
            /^(style|srcdoc|srcset|action)=|^(href|src|cite)=\s*(javascript|data|vbscript):/i.test(text),
    )
"""
Show = Callable[[str], Peer]
STREAM = '<ling-stream workflow="w" data-input="1" transport="websocket">{}</ling-stream>'


def ops(parser: HtmlParser, text: str) -> list[dict[str, Any]]:
    return [op.to_wire() for op in parser.feed(text) if not isinstance(op, Closed)]


def test_grows_in_place(page: Page, show: Show) -> None:
    peer = show(STREAM.format('<article data-ling-html="page"><i>waiting</i></article>'))
    until(page, "document.querySelector('article > i') !== null")
    peer.start()
    peer.send(snapshot({}))
    parser = HtmlParser("page")
    peer.ops(2, *ops(parser, "<h1>Clo"))
    until(page, "document.querySelector('article > h1')?.textContent === 'Clo'")
    assert page.evaluate("document.querySelector('article > i')") is None
    assert page.evaluate("document.querySelector('article').hasAttribute('data-ling-writing')")
    page.evaluate("window.title = document.querySelector('h1'); window.text = title.firstChild")
    peer.ops(3, *ops(parser, "uds</h1><p title=t>Soft &amp; <a href='/wet'>wet</a></p><ul><li>one<li>two"))
    until(page, "document.querySelectorAll('article li').length === 2")
    html = page.evaluate("document.querySelector('article').innerHTML")
    assert html == (
        '<h1>Clouds</h1><p title="t">Soft &amp; <a rel="noopener noreferrer nofollow" href="/wet">wet</a></p>'
        "<ul><li>one</li><li>two</li></ul>"
    )
    assert page.evaluate("title.isConnected && title.firstChild === text")
    peer.send(done(4))
    until(page, "document.querySelector('ling-stream').state === 'finished'")
    until(page, "!document.querySelector('article').hasAttribute('data-ling-writing')")


def test_works_inside_an_each(page: Page, show: Show) -> None:
    markup = (
        '<div data-ling-each="items"><template><section data-ling-html="body"></section></template></div>'
    )
    peer = show(STREAM.format(markup))
    peer.start()
    tree = {"children": [{"tag": "b", "attrs": {}, "children": ["x"]}]}
    peer.send(snapshot({"items": [{"body": tree}, {"body": "text"}]}))
    until(page, "document.querySelectorAll('section').length === 2")
    assert page.evaluate("[...document.querySelectorAll('section')].map((each) => each.innerHTML)") == [
        "<b>x</b>",
        "text",
    ]


def test_attacks_draw_nothing_that_runs(page: Page, show: Show) -> None:
    """The server's tree, and trees that no server would send: the client checks for itself."""
    peer = show(STREAM.format('<article data-ling-html="page"></article>'))
    page.evaluate("void (window.alert = () => { window.attacked = true; })")
    peer.start()
    peer.send(snapshot({"page": []}))
    for number, attack in enumerate(ATTACKS):
        parser = HtmlParser()
        parser.feed(attack["html"])
        parser.close()
        forged = [
            {
                "tag": tag,
                "attrs": {name: attack["html"], "src": "javascript:alert(1)", "href": "javascript:alert(1)"},
            }
            for tag in ("script", "iframe", "svg", "img", "a", "style", "object")
            for name in ("onerror", "onclick", "srcdoc", "style")
        ]
        peer.ops(
            number + 2,
            set_("page", [parser.value["children"], *parser.value["children"], *forged, str(number)]),
        )
        until(page, f"document.querySelector('article').textContent.endsWith('{number}')")
        assert page.evaluate(DANGEROUS) == [], attack["name"]
    assert page.evaluate("window.attacked") is None
