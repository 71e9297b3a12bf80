"""What mypy makes of a site's own module: ``make check`` reads this, and nobody runs it.

What it has to refuse stands behind an ``ignore``, which mypy calls unused where it refuses it no more.
"""

from __future__ import annotations

from typing import Any

from asgiref.typing import ASGI3Application
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from lingstream.asgi import application
from lingstream.transports.asgi import ASGIApp, Receive, Scope, Send
from lingstream.transports.stream import Streams


async def of_our_types(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is annotated with our types."""
    await Streams(get_asgi_application())(scope, receive, send)


async def of_no_types(scope: Any, receive: Any, send: Any) -> None:
    """One that is annotated with none."""


def applications(of_asgiref: ASGI3Application) -> list[ASGIApp]:
    """What may be wrapped, and again."""
    return [
        application(get_asgi_application()),
        application(Streams(get_asgi_application())),
        application(ProtocolTypeRouter({"http": get_asgi_application()})),
        application(application(of_asgiref)),
        application(of_our_types),
        application(of_no_types),
        Streams(application(of_no_types)),
    ]


def mistakes() -> None:
    """What is no application."""
    application(get_asgi_application)  # type: ignore[arg-type]
    application("mysite.asgi.application")  # type: ignore[arg-type]
    Streams(get_asgi_application)  # type: ignore[arg-type]
