"""Renderers: what executes the JavaScript of a page and returns what has become of it.

A site registers one in an app's ``knowledge.py``; sources of the kind ``web`` name it::

    @renderer("chromium")
    async def chromium(url: str) -> str: ...
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.names import check_free
from lingstream.core.phrases import Phrase

from ..text.extract.result import MOST_HTML

__all__ = ["MOST_HTML", "MOST_SECONDS", "RenderFailure", "Renderer", "check_renderer", "rendered", "renderer"]

#: Given the address of a page it returns the HTML that a reader's browser would have of it.
Renderer: TypeAlias = Callable[[str], Awaitable[str]]
F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that one page may take.
MOST_SECONDS = 30.0

_renderers: dict[str, Renderer] = {}


class RenderFailure(LingError):
    """A renderer gives no page."""

    code = "render"


def renderer(name: str) -> Callable[[F], F]:
    """Make an async function the renderer ``name``; it stays what it is.

    :raises UsageError: it is none, or another function has that name.
    """

    def register(function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise UsageError(f"expected an async function for the renderer {name!r}, got {function!r:.100}")
        check_free(f"the renderer {name!r}", _renderers.get(name), function)
        _renderers[name] = function
        return function

    return register


def check_renderer(name: str) -> None:
    """Check that there is such a renderer.

    :raises UsageError: ``unknown-renderer``.
    """
    if name not in _renderers:
        message = Phrase(
            "expected a function with @renderer among %(known)s, got %(got)s",
            known=", ".join(sorted(_renderers)) or Phrase("none"),
            got=f"{name!r:.80}",
        )
        raise UsageError(message, code="unknown-renderer")


async def rendered(name: str, url: str) -> bytes:
    """Return a page as it is once its JavaScript has been executed, as UTF-8.

    :param url: that may be asked for, and has answered with a page.
    :raises UsageError: ``unknown-renderer``.
    :raises RenderFailure: there is no page in time, or it is too large.
    """
    check_renderer(name)
    deadline = asyncio.timeout(MOST_SECONDS)
    try:
        async with deadline:
            html = await _renderers[name](url)
    except Exception as error:
        if deadline.expired():
            late = Phrase(
                "the renderer %(name)s took longer than %(most)s s", name=repr(name), most=f"{MOST_SECONDS:g}"
            )
            raise RenderFailure(late, retryable=True) from None
        why = Phrase(
            "the renderer %(name)s: %(problem)s",
            name=repr(name),
            problem=f"{type(error).__name__}: {error!s:.300}",
        )
        raise RenderFailure(why, retryable=True) from error
    if not isinstance(html, str):
        got = type(html).__name__
        raise RenderFailure(
            Phrase("expected HTML of the renderer %(name)s, got %(got)s", name=repr(name), got=got)
        )
    if len(html) > MOST_HTML or len(page := html.encode("utf-8", "replace")) > MOST_HTML:
        most = Phrase(
            "expected up to %(most)s bytes of HTML of the renderer %(name)s, got more",
            most=MOST_HTML,
            name=repr(name),
        )
        raise RenderFailure(most)
    return page
