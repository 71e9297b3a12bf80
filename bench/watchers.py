"""People who watch runs from their beginning: each starts one on a socket, and follows as the client does."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import websockets

from lingstream.core.document.ops import fold, from_wire

__all__ = ["Watcher"]

AGAIN = 1.0  # seconds before a connection that was lost is opened again


class Watcher:
    """One person.

    :ivar told: whether the answer ``elsewhere`` came.
    :ivar done: the status that ``done`` gave.
    """

    def __init__(self, port: int, name: str) -> None:
        self._url = f"ws://127.0.0.1:{port}/ws/ling/"
        self._origin = websockets.Origin(f"http://127.0.0.1:{port}")
        self.name = name
        self.run = ""
        self._token = ""
        self._last = ""
        self.told = False
        self.done = ""
        self._messages: list[dict[str, Any]] = []
        self._story: list[str] = []

    async def watch(self) -> None:
        """Follow the run to its end, over as many connections as it takes."""
        while not self.done:
            try:
                async with websockets.connect(self._url, origin=self._origin, max_size=None) as socket:
                    await socket.send(json.dumps(self._request()))
                    async for message in socket:
                        if not self._take(json.loads(message)):
                            break
            except (OSError, websockets.WebSocketException, TimeoutError) as error:
                self._tell(repr(error))
            if not self.done:
                await asyncio.sleep(AGAIN)

    def __str__(self) -> str:
        story = "; ".join(self._story) or "no news"
        return f"viewer {self.name} of {self.run or 'no run'} at {self._last or 'no frame'}: {story}"

    @property
    def document(self) -> Any:
        """What the messages make of the document."""
        document: Any = None
        for message in self._messages:
            if "snapshot" in message:
                document = message["snapshot"]["document"]
            for op in message.get("ops", ()):
                document = fold(document, from_wire(op))
        return document

    def _request(self) -> dict[str, Any]:
        if self.run:
            place = {"after": self._last} if self._last else {}
            return {"type": "subscribe", "run": self.run, "token": self._token, **place}
        # With a key, so that a start whose answer was lost is not a second run.
        key = f"the only run of {self.name}"
        return {"type": "start", "workflow": "outline", "input": {"question": self.name}, "key": key}

    def _take(self, message: dict[str, Any]) -> bool:
        """Keep what came; return whether there is more to come on this connection."""
        if "error" in message:
            self._tell(f"{message['error']} at {message.get('id', 'no place')}")
        if "started" in message:
            self.run, self._token = message["started"]["run"], message["started"]["token"]
        elif "id" not in message:
            return not message.get("error", {}).get("retryable")  # the client comes back after those
        else:
            self._last = message["id"]
            self._messages.append(message)
            self.told |= message.get("error", {}).get("code") == "elsewhere"
            self.done = message.get("done", {}).get("status", "")
        return not self.done

    def _tell(self, news: str) -> None:
        self._story.append(f"{time.strftime('%H:%M:%S')} {news}")
