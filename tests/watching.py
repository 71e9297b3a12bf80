"""One viewer of a run over any transport, as frames: for tests that ask the same of all of them."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lingstream.access.tokens import make_token
from lingstream.core.document.ops import from_wire
from lingstream.core.log.frames import Frame, FrameId, parse_place
from lingstream.core.wire.frames import frame_from_wire
from lingstream.models import Run

from .site import Site, document_of, read_sse

__all__ = ["TRANSPORTS", "Watcher", "watch"]

TRANSPORTS = ("socket", "sse", "jsonl", "feed")
PATIENCE = 20.0


class Watcher:
    """What came, frame by frame.

    :param source: the frames as they come; it ends with the connection.
    """

    def __init__(self, source: AsyncIterator[Frame]) -> None:
        self.frames: list[Frame] = []
        self._source = source

    async def next(self) -> Frame:
        async with asyncio.timeout(PATIENCE):
            self.frames.append(await anext(self._source))
        return self.frames[-1]

    async def until(self, kind: str) -> Frame:
        """Wait for a frame of this kind."""
        while (frame := await self.next()).kind != kind:
            pass
        return frame

    async def sees(self, text: str) -> None:
        """Wait until the document has this text."""
        while text not in json.dumps(self.document, ensure_ascii=False):
            await self.next()

    @property
    def document(self) -> Any:
        return document_of(copy.deepcopy(self.frames))

    @property
    def places(self) -> list[FrameId]:
        """The ids, without what has none of its own."""
        return [
            frame.id
            for frame in self.frames
            if not (frame.kind == "event" and frame.body["event"] == "resumable")
        ]


@asynccontextmanager
async def watch(site: Site, run: Run, transport: str, after: str | None = None) -> AsyncIterator[Watcher]:
    """Follow ``run``; JSON lines are the answer to a start, so the run needs a key.

    ``poll`` is none of :data:`TRANSPORTS`: each turn begins anew where the last one ended, so that some
    frames come twice.
    """
    name, token = str(run.pk), make_token(run.pk)
    if transport == "socket":
        async with site.socket() as socket:
            await socket.send(type="subscribe", run=name, token=token, **({"after": after} if after else {}))
            await socket.send(type="ping", ref="subscribed")
            first = []
            while (message := await socket.receive()).get("ref") != "subscribed":
                first.append(message)
            yield Watcher(_messages(socket, first))
    elif transport == "sse":
        headers = {"Authorization": f"Ling {token}"}
        query = {"after": after} if after else {}
        url = f"/ling/runs/{name}/events/"
        async with site.http.stream("GET", url, headers=headers, params=query) as response:
            assert response.status_code == 200
            yield Watcher(_events(read_sse(response)))
    elif transport == "feed":
        async with site.http.stream("POST", "/ling/events/", json=_asked(run, after)) as response:
            assert response.status_code == 200
            yield Watcher(_data(read_sse(response)))
    elif transport == "poll":
        yield Watcher(_polled(site, run, after))
    else:
        body = {"input": run.input, "key": run.key}
        url, headers = f"/ling/workflows/{run.workflow}/runs/", {"Accept": "application/jsonl"}
        async with site.http.stream("POST", url, headers=headers, json=body) as response:
            assert response.headers["ling-run"] == name
            yield Watcher(_lines(response.aiter_lines()))


async def _messages(socket: Any, first: list[dict[str, Any]]) -> AsyncIterator[Frame]:
    while True:
        message = first.pop(0) if first else await socket.receive()
        assert "id" in message, message
        yield frame_from_wire(message)


async def _events(events: AsyncIterator[dict[str, str]]) -> AsyncIterator[Frame]:
    async for event in events:
        data = json.loads(event["data"])
        if event["event"] == "message":
            place = parse_place(event["id"])
            assert place
            yield Frame(place, "ops", [from_wire(data)])
        else:
            assert data["id"] == event["id"]
            yield frame_from_wire(data)


def _asked(run: Run, after: str | None, **more: Any) -> dict[str, Any]:
    return {"runs": [{"run": str(run.pk), "token": make_token(run.pk), "after": after}], **more}


async def _data(events: AsyncIterator[dict[str, str]]) -> AsyncIterator[Frame]:
    async for event in events:
        assert set(event) == {"event", "data"}
        yield frame_from_wire(json.loads(event["data"]))


async def _polled(site: Site, run: Run, after: str | None) -> AsyncIterator[Frame]:
    body = _asked(run, after, wait=10)
    while True:
        response = await site.http.post("/ling/events/", json=body)
        for line in response.text.splitlines():
            frame = frame_from_wire(json.loads(line))
            body["runs"][0]["after"] = str(frame.id)
            yield frame


async def _lines(lines: AsyncIterator[str]) -> AsyncIterator[Frame]:
    last = FrameId(0, 0)
    async for line in lines:
        if not line:
            continue
        data = json.loads(line)
        # An op as a line has no id: it stands somewhere behind what came before it.
        last = last._replace(part=last.part + 1)
        if "id" not in data:
            yield Frame(last, "ops", [from_wire(data)])
        else:
            frame = frame_from_wire(data)
            last = frame.id
            yield frame
