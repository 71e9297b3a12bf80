"""A site whose answers break off: ``/abort`` on purpose, ``/fail`` by a fault; ``/whole`` does not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponseBase
from django.urls import path

from lingstream.core.wire.dialect import EndStream
from lingstream.transports.stream import Streams, streamed

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="unfinished")


async def parts(error: Exception | None) -> AsyncGenerator[bytes, None]:
    yield b"first"
    if error:
        raise error


async def view(request: HttpRequest, error: Exception | None) -> HttpResponseBase:
    return streamed(request, parts(error), "text/plain")


urlpatterns = [
    path("abort", view, {"error": EndStream(aborted=True)}),
    path("fail", view, {"error": ValueError("a fault")}),
    path("whole", view, {"error": None}),
]
application = Streams(get_asgi_application())
