"""Tenants by host, looked up in the database, and callers of both transports."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Group
from django.test import AsyncClient

from lingstream.access.identity import ScopeRequest

from ..site import Site

__all__ = ["Caller", "tenant"]

_CSRF = "a" * 32


def tenant(request: ScopeRequest) -> str | None:
    """The setting ``SCOPE`` of the tests: the group that the host names; ``all`` is every tenant."""
    assert request.path and request.headers["host"] == request.host
    name = request.host.partition(".")[0]
    return None if name == "all" else Group.objects.get(name=name).name


@dataclass
class Caller:
    """Somebody who asks by HTTP and by the socket, with the same cookies."""

    client: AsyncClient = field(default_factory=AsyncClient)
    token: str = ""

    @classmethod
    async def signed_in(cls, user: Any) -> Caller:
        """Return a caller whom the session cookie signs in."""
        caller = cls()
        await caller.client.aforce_login(user)
        return caller

    @classmethod
    async def with_session(cls) -> Caller:
        """Return a visitor that has a session and no login."""
        caller = cls()
        session = await caller.client.asession()
        await session.aset("visited", True)
        await session.asave()
        caller.client.cookies["sessionid"] = session.session_key
        return caller

    @property
    def session_key(self) -> str:
        return str(self.client.cookies["sessionid"].value)

    async def get(self, site: Site, url: str, host: str = "localhost") -> str:
        """GET; return ``ok`` or the error's code."""
        async with site.http.stream("GET", url, headers=self._headers(host)) as response:
            return await _code(response)

    async def post(self, site: Site, url: str, host: str = "localhost", body: Any = None) -> str:
        """POST; see :meth:`get`."""
        return await _code(await site.http.post(url, json=body or {}, headers=self._headers(host)))

    async def follow(self, site: Site, run: Any, host: str, wait: float | None) -> str:
        """Ask for a run as for many, with its token in the body; see :meth:`get`."""
        body = {"runs": [{"run": str(run.pk), "token": self.token or None}], "wait": wait}
        headers = {name: value for name, value in self._headers(host).items() if name != "authorization"}
        response = await site.http.post("/ling/events/", json=body, headers=headers)
        if response.status_code != 200:
            return await _code(response)
        messages = [
            json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if "{" in line
        ]
        refused = [each["error"]["code"] for each in messages if "id" not in each]
        assert refused or "done" in messages[-1]
        return str(refused[0]) if refused else "ok"

    async def say(self, host: str, **message: Any) -> str:
        """Send one message on a socket of its own; return ``ok`` or the error's code."""
        from lingsite.asgi import application

        headers = [(b"host", host.encode()), (b"origin", b"http://localhost")]
        if self.client.cookies:
            headers.append((b"cookie", f"sessionid={self.session_key}".encode()))
        socket = WebsocketCommunicator(application, "/ws/ling/", headers=headers)
        socket.scope["client"] = ["127.0.0.1", 4711]  # as the real server says it of a visitor by HTTP
        await socket.connect(timeout=10)
        token = {"token": self.token} if self.token and message["type"] != "start" else {}
        await socket.send_to(json.dumps({**message, **token}))
        await socket.send_to('{"type": "ping"}')
        found = "ok"
        while (answer := json.loads(await socket.receive_from(timeout=10))) != {"type": "pong"}:
            if "error" in answer and "id" not in answer:
                found = answer["error"]["code"]
        await socket.disconnect()
        return found

    def _headers(self, host: str) -> dict[str, str]:
        headers = {"host": host}
        if self.token:
            headers["authorization"] = f"Ling {self.token}"
        if self.client.cookies:
            headers |= {"cookie": f"sessionid={self.session_key}; csrftoken={_CSRF}", "x-csrftoken": _CSRF}
        return headers


async def _code(response: httpx.Response) -> str:
    if response.status_code < 300:
        return "ok"
    await response.aread()
    return str(response.json()["error"]["code"])
