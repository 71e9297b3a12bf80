"""Peer (a): what one writes by hand. A Django view that forwards the SDK's chunks and parses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from openai import AsyncOpenAI

settings.configure(
    SECRET_KEY="bench", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, MIDDLEWARE=[], USE_TZ=True
)
client = AsyncOpenAI(base_url=os.environ["BENCH_MODEL"], api_key=os.environ["BENCH_KEY"])


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_events(), content_type="text/event-stream")


async def _events() -> AsyncIterator[str]:
    chunks = await client.chat.completions.create(
        model="bench", messages=[{"role": "user", "content": "What time is it?"}], stream=True
    )
    async for chunk in chunks:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield f"data: {json.dumps({'delta': text})}\n\n"


urlpatterns = [path("stream", stream)]
application = get_asgi_application()
