"""A page with bindings and no run: the test plays the document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route

ORIGIN = "http://bindings.test"
ROOT = Path(__file__).resolve().parent.parent.parent
STATIC = ROOT / "lingstream" / "static"
STRICT = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
BEGIN = """async () => {
    const { Bindings } = await import("/static/lingstream/bindings.js");
    const { fold } = await import("/static/lingstream/fold.js");
    const { plain } = await import("/static/lingstream/plain.js");
    const root = document.querySelector("section");
    window.Bindings = Bindings;
    window.said = {};
    window.folded = null;
    window.bindings = new Bindings(root, { about: () => window.said });
    window.draw = async () => {
        while (!bindings.render(folded)) await new Promise(requestAnimationFrame);
    };
    window.apply = (ops) => {
        for (const op of ops) folded = fold(folded, op);
        bindings.note(ops);
    };
    window.replace = (document, cut = []) => {
        folded = plain(document);
        bindings.reset(cut);
    };
    window.nextFrame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}"""


class Sheet:
    """A ``<section>`` on a page of its own, with bindings that are drawn at once."""

    def __init__(self, page: Page, policy: str | None = STRICT) -> None:
        self.page = page
        self._policy = policy
        self._body = ""
        self.files: dict[str, str] = {}
        page.route(f"{ORIGIN}/**", self._answer)

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        headers = {"Content-Security-Policy": self._policy} if self._policy else {}
        if path == "/":
            route.fulfill(body=self._body, content_type="text/html; charset=utf-8", headers=headers)
        elif path in self.files:
            route.fulfill(body=self.files[path], content_type="text/javascript")
        elif path.startswith("/static/"):
            source = (STATIC / path.removeprefix("/static/")).read_text()
            route.fulfill(body=source, content_type="text/javascript")
        else:
            route.fulfill(body="", content_type="image/svg+xml")

    def open(self, markup: str, head: str = "", begin: str = BEGIN) -> Sheet:
        """Show the markup inside the section and bind it; nothing is drawn yet."""
        self._body = (
            f"<!DOCTYPE html><html lang=en><head>{head}</head><body><section>{markup}</section></body></html>"
        )
        self.page.goto(ORIGIN)
        self.page.evaluate(begin)
        return self

    def replace(self, document: Any, cut: list[str] | None = None) -> None:
        """A snapshot."""
        self.page.evaluate(
            "([document, cut]) => { replace(document, cut); return draw(); }", [document, cut or []]
        )

    def apply(self, *ops: dict[str, Any]) -> None:
        """Ops, drawn at once."""
        self.page.evaluate("(ops) => { apply(ops); return draw(); }", list(ops))

    def settle(self, uri: str, *, cut: bool = False) -> None:
        """A field is complete."""
        self.page.evaluate("([uri, cut]) => { bindings.settle(uri, cut); return draw(); }", [uri, cut])

    def say(self, **said: Any) -> None:
        """What the element knows of the run."""
        self.page.evaluate(
            """(more) => {
                Object.assign(said, more);
                for (const name of Object.keys(more)) bindings.touch(name);
                return draw();
            }""",
            said,
        )

    def frame(self) -> None:
        """Let a frame pass."""
        self.page.evaluate("nextFrame()")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()


def set_(uri: str, value: Any) -> dict[str, Any]:
    return {"uri": uri, "value": value}


def append(uri: str, delta: str) -> dict[str, Any]:
    return {"uri": uri, "delta": delta}


Open = Callable[..., Sheet]
