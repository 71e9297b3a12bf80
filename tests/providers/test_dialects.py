"""What model servers send that call themselves compatible: each case whole, cut everywhere, and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import ChatOptions, Chunk, Usage, merged_calls
from lingstream.providers import build_provider
from lingstream.providers.openai.completions import CompletionDecoder
from lingstream.providers.openai.responses import ResponseDecoder
from lingstream.testing import OpenAIServer, Reply

DECODERS = {"completions": CompletionDecoder, "responses": ResponseDecoder}
PATHS = {"completions": "/v1/chat/completions", "responses": "/v1/responses"}
LINES = (Path(__file__).parents[1] / "cases" / "dialects.jsonl").read_text(encoding="utf-8").splitlines()
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in map(json.loads, LINES)}
"""By id. ``stream`` is what the server sends: an object goes as ``data:``, a text as it is."""


def bytes_of(case: dict[str, Any]) -> bytes:
    text = "".join(
        piece if isinstance(piece, str) else f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
        for piece in case["stream"]
    )
    # Halves of emojis are escapes in JSON, and so in here.
    return text.replace("\n", case.get("newline", "\n")).encode()


def whole(case: dict[str, Any]) -> Reply:
    return Reply(body=bytes_of(case), status=case.get("status", 200))


def summary(chunks: Iterable[Chunk], error: ProviderError | None) -> dict[str, Any]:
    """What came in all, as a case expects it."""
    chunks = list(chunks)
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
    calls = merged_calls(call for chunk in chunks for call in chunk.tool_calls)
    found = {
        "text": "".join(chunk.text for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks),
        "finish": next((chunk.finish for chunk in reversed(chunks) if chunk.finish), None),
        "usage": usage and [usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens],
        "calls": [[call.index, call.id, call.name, call.arguments] for call in calls],
        "logprobs": [
            [t.token, t.logprob, [list(each) for each in t.top]] for c in chunks for t in c.logprobs
        ],
    }
    return {**found, "error": error and {"code": error.code, "retryable": error.retryable}}


def decoded(api: str, pieces: Iterable[bytes]) -> tuple[dict[str, Any], ProviderError | None]:
    decoder = DECODERS[api]()
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.close()
    assert not any(chunk == Chunk() for chunk in chunks)
    return summary(chunks, decoder.error), decoder.error


def check(case: dict[str, Any], found: dict[str, Any], error: ProviderError | None) -> None:
    expected = dict(case["expected"])
    if failure := expected.pop("error", None):
        assert error is not None, found
        assert failure.pop("says") in error.message.encode().decode()
        assert found["error"] == failure
    else:
        assert error is None, error
    for name, value in expected.items():
        assert found[name] == value, (name, found)
    for name in ("reasoning", "usage", "calls", "logprobs"):
        if name not in expected:
            assert not found[name], (name, found)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "status" not in case])
def test_a_case_is_read_wherever_it_is_cut(name: str) -> None:
    case = json.loads(json.dumps(CASES[name]))
    api, stream = case.get("api", "completions"), bytes_of(case)
    found, error = decoded(api, [stream])
    check(case, found, error)
    assert decoded(api, (stream[at : at + 1] for at in range(len(stream))))[0] == found
    for at in range(1, len(stream)):
        assert decoded(api, [stream[:at], stream[at:]])[0] == found, stream[:at]


async def test_each_case_over_http() -> None:
    for api in DECODERS:
        cases = [case for case in CASES.values() if case.get("api", "completions") == api]
        async with OpenAIServer([whole(case) for case in cases]) as server:
            options = {"api": api, "max_retries": 0}
            plan = ProviderPlan(kind="openai", base_url=server.base_url, model="m", options=options)
            provider = build_provider(plan)
            for case in cases:
                chunks, error = [], None
                try:
                    async for chunk in provider.stream([{"role": "user", "content": "?"}], ChatOptions()):
                        chunks.append(chunk)
                except ProviderError as raised:
                    error = raised
                check(json.loads(json.dumps(case)), summary(chunks, error), error)
            await provider.aclose()
            assert server.requests[-1].path == {"completions": "/v1/chat/completions"}.get(
                api, "/v1/responses"
            )


def test_usage_counts_reasoning_once() -> None:
    usage = Usage(36, 87, reasoning_tokens=64) + Usage(1, 2)
    assert usage.to_wire() == {
        "prompt_tokens": 37,
        "completion_tokens": 89,
        "total_tokens": 126,
        "reasoning_tokens": 64,
    }
