"""The parts of the chaos suite: processes that can be killed, the model they call, viewers that look on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import websockets

from lingstream.core.ending import end_tasks
from lingstream.core.log.frames import Frame
from lingstream.core.wire.frames import frame_from_wire
from lingstream.testing import OpenAIServer, Reply
from tests.ports import free_port, server_options
from tests.site import document_of

from .patience import PATIENCE, scaled, within

__all__ = ["Cluster", "Model", "Process", "Viewer"]

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A Python process and what it says.

    :param arguments: of the interpreter.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.base = ""
        self.lines: list[str] = []
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, *arguments: str, env: dict[str, str]) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            env={**os.environ, **env, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return cls(name, process)

    async def says(self, text: str) -> str:
        """Wait for a line with this text."""
        async with within(), self._news:
            while not (found := [line for line in self.lines if text in line]):
                assert not self._reading.done(), f"{self.name} ended:\n{self.output}"
                await self._news.wait()
        return found[0]

    def tell(self, line: str) -> None:
        """Write a line to where it reads."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())

    def kill(self) -> None:
        """kill -9."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self._send(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def ended(self) -> int:
        """Wait for the end; a process that does not come to it says where it hangs, and is killed."""
        try:
            async with within():
                await asyncio.wait({self._reading})  # to await the task itself would cancel it with us
                return await self._process.wait()
        except TimeoutError:
            for number in (signal.SIGUSR1, signal.SIGABRT):
                self._send(number)
                await asyncio.wait({self._reading}, timeout=scaled(2))
            await self.close()
            raise AssertionError(f"{self.name} did not end:\n{self.output}") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """The most bytes that it has ever had resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def close(self) -> None:
        """Kill it, whatever state it is in."""
        for number in (signal.SIGCONT, signal.SIGKILL):
            self._send(number)
        await asyncio.wait({self._reading}, timeout=scaled(5))
        await end_tasks(self._reading)  # a child of its may hold the pipe
        await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            async with self._news:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Model:
    """What the model server answers: by the first word of the system message; counts who asked what."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: Counter[str] = Counter()

    def __call__(self, request: dict[str, Any]) -> Any:
        asked = {message["role"]: message["content"] for message in request["messages"]}
        name = asked["system"]
        self.calls[f"{name}: {asked['user']}"] += 1
        answer = self.answers[name]
        return answer(asked["user"]) if callable(answer) else answer

    def count(self, name: str) -> int:
        """Calls of one prompt."""
        return sum(count for call, count in self.calls.items() if call.startswith(f"{name}:"))


class Viewer:
    """A browser with one run on a socket: keeps every frame, follows over any number of connections."""

    def __init__(self, run: str, token: str) -> None:
        self.run = run
        self.token = token
        self.frames: list[Frame] = []
        self._socket: Any = None

    async def connect(self, web: Process, after: str | None = None) -> Viewer:
        """Subscribe at ``web`` behind the last frame, or behind ``after``."""
        await self.leave()
        self._socket = await _open(web)
        place = after or (str(self.frames[-1].id) if self.frames else None)
        message = {"type": "subscribe", "run": self.run, "token": self.token}
        await self._socket.send(json.dumps({**message, "after": place} if place else message))
        return self

    async def send(self, **message: Any) -> None:
        await self._socket.send(json.dumps({"run": self.run, "token": self.token, **message}))

    async def answer(self, ref: Any) -> dict[str, Any]:
        """Wait for the answer to a message."""
        async with within():
            while (message := json.loads(await self._socket.recv())).get("ref") != ref:
                if message.get("run") == self.run and "id" in message:
                    self.frames.append(frame_from_wire(message))
        return dict(message)

    async def next(self) -> Frame:
        """Return the next frame."""
        async with within():
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("run") == self.run and "id" in message:
                    self.frames.append(frame_from_wire(message))
                    return self.frames[-1]
                assert "error" not in message, message

    async def sees(self, text: str) -> None:
        """Wait until the document has this text."""
        while text not in json.dumps(self.document, ensure_ascii=False):
            assert (await self.next()).kind != "done", self.frames

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """Wait for a frame, to the run's end at the latest."""
        while not wanted(frame := await self.next()):
            assert frame.kind != "done", self.frames
        return frame

    async def done(self, status: str = "finished") -> Any:
        """Wait for the end, check it and return the document."""
        frame = self.frames[-1] if self.frames and self.frames[-1].kind == "done" else None
        frame = frame or await self.until(lambda frame: frame.kind == "done")
        assert frame.body["status"] == status, self.frames
        return self.document

    @property
    def document(self) -> Any:
        return document_of(self.frames)

    @property
    def epochs(self) -> set[int]:
        return {frame.id.epoch for frame in self.frames}

    async def leave(self) -> None:
        """Lose the connection."""
        if self._socket:
            self._socket.transport.abort()
            await self._socket.wait_closed()
            self._socket = None


class Cluster:
    """Web and worker processes on one database, with the model that they call.

    :param settings: changes to ``LINGSTREAM``.
    """

    def __init__(self, database: Any, port: int, redis: Any = None, **settings: Any) -> None:
        self.database = database
        self.redis = redis
        self.model = Model()
        self.changes: dict[str, Any] = {}  # to the database's settings
        self.processes: list[Process] = []
        self._starting: set[asyncio.Task[Process]] = set()
        self._viewers: list[Viewer] = []
        self.settings = {
            "DEFAULT_PROVIDER": "demo",
            "DEAD_AFTER": scaled(2.5),
            "HEARTBEAT_EVERY": 0.3,
            "TICK": 0.1,
            "CHECKPOINT": 0.3,
            "DRAIN": 2.0,
            **settings,
        }
        if redis:
            options = {"url": redis.url, "check": 0.5}
            self.settings |= {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": options}
        if self.settings.get("EXECUTION") == "worker":
            self.settings.setdefault("BROKER", "tests.chaos.broker.broker")
        self.server = OpenAIServer(lambda request: self.model(request), port=port)

    @property
    def env(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "CHAOS_DATABASE": json.dumps({**self.database.database, **self.changes}),
            "CHAOS_LINGSTREAM": json.dumps(self.settings),
            "CHAOS_REDIS": self.redis.url if self.redis else "",
        }

    def says(self, **answers: Any) -> Model:
        """Set what the model answers."""
        self.model = Model(**answers)
        return self.model

    async def web(self, server: str = "uvicorn", count: int = 1) -> list[Process]:
        """Start web processes."""
        return list(await asyncio.gather(*(self._web(server) for _ in range(count))))

    async def workers(self, count: int = 1) -> list[Process]:
        """Start workers."""
        return list(await asyncio.gather(*(self._worker() for _ in range(count))))

    async def program(self, module: str) -> Process:
        """Start a module of the tests on the same database."""
        return await self._process(module, "-m", module)

    async def start(self, web: Process, workflow: str, **more: Any) -> Viewer:
        """Start a run at ``web`` and return its first viewer, who has not connected yet."""
        async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE), verify=False) as http:
            body = {"input": {"question": "hi"}, **more}
            response = await http.post(f"/ling/workflows/{workflow}/runs/", json=body)
        assert response.status_code == 202, response.text
        started = response.json()
        viewer = Viewer(started["run"], started["token"])
        self._viewers.append(viewer)
        return viewer

    def viewer(self, other: Viewer) -> Viewer:
        """Return one more viewer of the same run."""
        viewer = Viewer(other.run, other.token)
        self._viewers.append(viewer)
        return viewer

    async def watch(self, web: Process, workflow: str, **more: Any) -> Viewer:
        """Start a run and connect its first viewer."""
        return await (await self.start(web, workflow, **more)).connect(web, "1-0")

    def row(self, run: str) -> dict[str, Any]:
        """The run as the database has it, with its document and errors parsed."""
        (row,) = self.database.rows("SELECT * FROM lingstream_run WHERE id = ?", [run])
        return {**row, **{name: json.loads(row[name] or "null") for name in ("document", "errors", "usage")}}

    def bots(self, run: str) -> dict[str, str]:
        """The status of each bot run, as the database has it."""
        sql = "SELECT instance, status FROM lingstream_botrun WHERE run_id = ?"
        return {row["instance"]: row["status"] for row in self.database.rows(sql, [run])}

    async def stored(self, run: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a state of the run in the database: where there is no event to wait for."""
        async with within():
            while not wanted(row := await asyncio.to_thread(self.row, run)):
                await asyncio.sleep(0.05)
        return row

    def owner(self, run: str, processes: list[Process]) -> tuple[Process, list[Process]]:
        """Return who executes the run, and the others."""
        sql = (
            "SELECT u.pid FROM lingstream_run r JOIN lingstream_runner u ON u.id = r.runner_id WHERE r.id = ?"
        )
        ((pid,),) = [tuple(row.values()) for row in self.database.rows(sql, [run])]
        (mine,) = [process for process in processes if process.pid == pid]
        return mine, [process for process in processes if process is not mine]

    async def agree(self, document: Any, *viewers: Viewer, status: str = "finished") -> None:
        """Check that the stored document and every viewer's are this one."""
        for viewer in viewers:
            assert await viewer.done(status) == document
            row = await self.stored(viewer.run, lambda row: row["status"] not in ("queued", "running"))
            assert (row["status"], row["document"]) == (status, document)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with self.server:
            try:
                yield self
            finally:
                await self._close()

    async def _close(self) -> None:
        """Leave nothing behind, also of a test that failed while it started things."""
        if self._starting:
            await asyncio.wait(self._starting)
        for viewer in self._viewers:
            with contextlib.suppress(OSError, TimeoutError, websockets.WebSocketException):
                async with within(5):
                    await viewer.leave()
        closing = [process.close() for process in self.processes]
        failures = [each for each in await asyncio.gather(*closing, return_exceptions=True) if each]
        for process in self.processes:  # pytest shows it where the test failed
            print(f"--- {process.name}", process.output, sep="\n")
        assert not failures

    async def _web(self, server: str) -> Process:
        port = free_port()
        options = server_options(server, "lingsite.asgi:application", port)
        process = await self._process(f"{server} {port}", "-m", server, *options)
        process.base = f"http://127.0.0.1:{port}"
        await process.says({"uvicorn": "Uvicorn running", "daphne": "Listening on TCP"}[server])
        return process

    async def _worker(self) -> Process:
        process = await self._process("worker", "manage.py", "ling_worker")
        await process.says("takes up to")
        return process

    async def _process(self, name: str, *arguments: str) -> Process:
        starting = asyncio.create_task(Process.start(name, *arguments, env=self.env))
        self._starting.add(starting)
        starting.add_done_callback(self._started)
        return await asyncio.shield(starting)  # a test that runs out of time leaves no process half made

    def _started(self, starting: asyncio.Task[Process]) -> None:
        self._starting.discard(starting)
        if not starting.cancelled() and not starting.exception():
            self.processes.append(starting.result())


async def _open(web: Process) -> Any:
    url = web.base.replace("http", "ws") + "/ws/ling/"
    return await websockets.connect(url, max_size=None, origin=websockets.Origin(web.base))


def reply(*pieces: Any, **options: Any) -> Reply:
    """An answer: one text, sent in deltas, or pieces with gates among them."""
    return Reply(pieces[0] if len(pieces) == 1 else pieces, **options)
