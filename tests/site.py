"""A real server for tests: uvicorn in the test's own loop, so that a test can hold a model by a gate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
import websockets
from asgiref.sync import sync_to_async

from lingstream.core.document.ops import fold, from_wire
from lingstream.core.ending import bounded
from lingstream.core.log.frames import Frame
from lingstream.core.wire.frames import frame_from_wire
from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Trigger, Workflow
from lingstream.providers import ProviderKind
from lingstream.providers.scripted import ScriptedProvider
from tests.chaos.patience import within
from tests.ports import KEEP_ALIVE

__all__ = ["Site", "Socket", "document_of", "read_sse", "serve"]

ANSWER = '{"answer": "No. You would fall through."}'
DETAILS = '{"details": "Clouds are water.", "related_question": ["Why white?", "How heavy?"]}'
TRANSLATION = '{"details_cn": "云是水。"}'

QUESTION = {"question": "hi"}

answers: Any = ""
"""What the provider ``demo`` of a test answers; see :class:`ScriptedProvider`."""


def scripted(plan: Any, key: str) -> ScriptedProvider:
    """The factory of the provider kind ``test``."""
    return ScriptedProvider(answers, rate=None)


strict = ProviderKind(scripted, remote=False, options_schema={"properties": {"level": {"type": "integer"}}})
"""A kind that says what it can do, and what options it takes."""


@dataclass
class Site:
    """A running site.

    :param base: ``http://127.0.0.1:…``.
    :param http: a client that speaks to it.
    """

    base: str
    http: httpx.AsyncClient

    async def start(self, slug: str, input: Any = None, **more: Any) -> httpx.Response:
        """Start a run and return the 202."""
        return await self.http.post(
            f"/ling/workflows/{slug}/runs/", json={"input": QUESTION if input is None else input, **more}
        )

    @asynccontextmanager
    async def stream(
        self, slug: str, input: Any = None, accept: str = "text/event-stream"
    ) -> AsyncIterator[httpx.Response]:
        """Start a run whose events come as the answer."""
        url = f"/ling/workflows/{slug}/runs/"
        async with self.http.stream(
            "POST", url, json={"input": QUESTION if input is None else input}, headers={"Accept": accept}
        ) as response:
            yield response

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Socket]:
        """Open a WebSocket."""
        url = self.base.replace("http", "ws") + "/ws/ling/"
        options.setdefault("origin", self.base)
        async with websockets.connect(url, max_size=None, **options) as connection:
            yield Socket(connection)

    async def workflow(self, slug: str = "test", **steps: Any) -> Workflow:
        """Store a workflow; each keyword is a step: a prompt's text, or a dict of the step's fields."""
        return await sync_to_async(store_workflow)(slug, steps)

    async def cloud_facts(self) -> None:
        """Store Ling's example with its three bots."""
        await sync_to_async(store_cloud_facts)()


@dataclass
class Socket:
    """A WebSocket client: messages as data, frames by run."""

    connection: Any
    frames: dict[str, list[Frame]] = field(default_factory=dict)

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """Return the next message; frames are also kept in ``frames``."""
        async with within():
            message: dict[str, Any] = json.loads(await self.connection.recv())
        if "run" in message and "id" in message:
            self.frames.setdefault(message["run"], []).append(frame_from_wire(message))
        return message

    async def start(self, workflow: str, input: Any = None, **more: Any) -> dict[str, Any]:
        """Start a run and return ``started``."""
        await self.send(type="start", workflow=workflow, input=QUESTION if input is None else input, **more)
        while "started" not in (message := await self.receive()):
            if "error" in message and "id" not in message:
                raise AssertionError(message)
        return dict(message["started"])

    async def until(self, kind: str, run: str | None = None) -> dict[str, Any]:
        """Receive until a message has the key ``kind`` (of this run); return it."""
        while kind not in (message := await self.receive()) or (run and message.get("run") != run):
            pass
        return message

    def document(self, run: str) -> Any:
        """The fold of what came for a run."""
        return document_of(self.frames[run])


def document_of(frames: list[Frame]) -> Any:
    """Fold frames by the reference."""
    document: Any = None
    for frame in frames:
        if frame.kind == "snapshot":
            document = frame.body["document"]
        elif frame.kind == "ops":
            for op in frame.body:
                document = fold(document, op)
    return document


async def read_sse(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Yield server-sent events as a browser reads them: ``event``, ``id``, ``data``."""
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        if not line:
            if event:
                yield {"event": "message", **event}
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


def fold_sse(events: list[dict[str, str]]) -> Any:
    """The document that a list of server-sent events makes."""
    document: Any = None
    for event in events:
        data = json.loads(event["data"])
        if event["event"] == "snapshot":
            document = data["snapshot"]["document"]
        elif event["event"] == "message":
            document = fold(document, from_wire(data))
    return document


def store_provider(**fields: Any) -> Provider:
    """Store the default provider, scripted by :data:`answers` unless told otherwise."""
    defaults = {"kind": "test", "default_model": "test-model", **fields}
    return Provider.objects.update_or_create(name="demo", defaults=defaults)[0]


def store_prompt(slug: str, text: str) -> Prompt:
    """Store a prompt whose label ``production`` points at this text."""
    prompt, _ = Prompt.objects.get_or_create(slug=slug)
    version = PromptVersion.objects.create(prompt=prompt, text=text)
    PromptLabel.objects.update_or_create(prompt=prompt, name="production", defaults={"version": version})
    return prompt


def store_workflow(slug: str, steps: dict[str, Any]) -> Workflow:
    """Store a workflow and its steps; see :meth:`Site.workflow`."""
    if not Provider.objects.filter(name="demo").exists():
        store_provider()
    workflow = Workflow.objects.create(slug=slug, access="anyone")
    for position, (name, given) in enumerate(steps.items()):
        fields = dict(given) if isinstance(given, dict) else {"prompt": given}
        prompt = store_prompt(f"{slug}-{name}", fields.pop("prompt", name))
        fields.setdefault("input", "{{ input.question }}" if position == 0 else "{{ value }}")
        Step.objects.create(workflow=workflow, name=name, prompt=prompt, position=position, **fields)
    return workflow


def store_trigger(workflow: Workflow, source: str, target: str, pattern: str, **fields: Any) -> Trigger:
    """Store a trigger between two steps, by name."""
    return Trigger.objects.create(
        workflow=workflow,
        source=workflow.steps.get(name=source),
        target=workflow.steps.get(name=target),
        pattern=pattern,
        **fields,
    )


def store_cloud_facts() -> Workflow:
    """Store the demo's shape with short prompts that the scripted answers are found by."""
    global answers
    answers = {"DETAILS": DETAILS, "TRANSLATION": TRANSLATION, "ANSWER": ANSWER}
    workflow = store_workflow(
        "cloud-facts", {"answer": "ANSWER", "details": "DETAILS", "translation": "TRANSLATION"}
    )
    workflow.input_schema = {
        "type": "object",
        "properties": {"question": {"type": "string", "minLength": 1}},
        "required": ["question"],
    }
    workflow.save()
    store_trigger(workflow, "answer", "details", "answer")
    store_trigger(workflow, "answer", "translation", "answer")
    return workflow


@asynccontextmanager
async def serve(application: Any = None) -> AsyncIterator[Site]:
    """Serve an ASGI application, the demo's unless told otherwise, on a free port, in this loop."""
    if application is None:
        from lingsite.asgi import application

    server = uvicorn.Server(
        uvicorn.Config(
            application,
            port=0,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=KEEP_ALIVE,
        )
    )
    server.capture_signals = nullcontext  # type: ignore[method-assign]  # the process's signals are pytest's
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        # Without TLS: to read the certificates that nobody asks for takes longer than most tests.
        async with httpx.AsyncClient(base_url=base, timeout=30, verify=False) as http:
            yield Site(base, http)
    finally:
        server.should_exit = True
        await bounded(_end(task), 60)


async def _end(task: asyncio.Task[None]) -> None:
    await task


def lines(text: str) -> Iterator[Any]:
    """Parse JSON lines."""
    for line in text.splitlines():
        if line:
            yield json.loads(line)
