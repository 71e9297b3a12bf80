"""Plain peers, without a line of ours on their side: a socket client, curl, Node with npm's jsonuri."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import pytest

from . import site as sites
from .node import node, peers
from .site import Site, fold_sse, lines

BODY = json.dumps({"input": sites.QUESTION})


async def run(*command: str) -> str:
    """Run a program beside the server, which lives in this loop; return what it printed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def curl(site: Site, accept: str) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.fail("expected curl, which tests/install_tools.sh installs")
    url = f"{site.base}/ling/workflows/cloud-facts/runs/"
    return await run(program, "-sN", url, "-H", f"Accept: {accept}", "-d", BODY)


def read_events(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [{"event": "message", **event} for event in events]


def fold_lines(items: list[Any]) -> Any:
    """As Ling's client does it, in Python: get, set, and ``value`` besides."""
    events = [
        {"event": "message" if "uri" in item and "event" not in item else "other", "data": json.dumps(item)}
        for item in items
    ]
    return fold_sse(events)


async def test_all_end_with_the_same_document(site: Site) -> None:
    await site.cloud_facts()
    async with site.socket() as socket:
        started = await socket.start("cloud-facts")
        await socket.until("done")
    by_socket = socket.document(started["run"])
    by_sse = fold_sse(read_events(await curl(site, "text/event-stream")))
    by_jsonl = fold_lines(list(lines(await curl(site, "application/jsonl"))))
    url = f"{site.base}/ling/workflows/cloud-facts/runs/"
    script = await asyncio.to_thread(peers)
    printed = await run(node(), str(script / "fold_jsonl.mjs"), url, BODY)
    by_node = json.loads(printed.splitlines()[0])
    assert by_socket == by_sse == by_jsonl == by_node
    assert by_socket["details_cn"] == "云是水。"
