"""A page with bindings and no run: the test plays the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route

from .files import SCRIPT, put

ORIGIN = "http://bindings.test"
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
        self._headers = {"Content-Security-Policy": policy} if policy else {}
        self.files: dict[str, str] = {}
        """Modules in place of ours, by path."""

    def _answer(self, route: Route) -> None:
        source = self.files[route.request.url.removeprefix(ORIGIN)]
        route.fulfill(body=source, content_type=SCRIPT)

    def open(self, markup: str, head: str = "", begin: str = BEGIN) -> Sheet:
        """Show the markup inside the section and bind it; nothing is drawn yet."""
        body = f"<body><section>{markup}</section></body>"
        put(
            f"{ORIGIN}/",
            f"<!DOCTYPE html><html lang=en><head>{head}</head>{body}</html>",
            headers=self._headers,
        )
        for path in self.files:
            self.page.route(ORIGIN + path, self._answer)
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
