"""What ships for other people's tests."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lingstream.core.provider import Chunk, TokenLogprob, ToolCall, Usage
from lingstream.testing import (
    STAMP,
    OpenAIServer,
    Reply,
    ScriptedProvider,
    collect,
    collect_chunks,
    split_everywhere,
    stamp_age,
    stamped,
)
from tests.chaos.patience import scaled


def post(server, path="/chat/completions", **body):
    """Ask with the standard library alone; return status, headers and text."""
    data = json.dumps({"model": "m", "messages": [], **body}).encode()
    request = urllib.request.Request(server.base_url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def deltas(text):
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_split_everywhere():
    assert list(split_everywhere("abc")) == [["a", "bc"], ["ab", "c"], ["a", "b", "c"]]
    assert list(split_everywhere("")) == [[]]
    assert all("".join(pieces) == "a云😀" for pieces in split_everywhere("a云😀"))


async def test_collect_takes_a_provider_or_its_stream():
    async def stream():
        yield Chunk("a", "r", tool_calls=(ToolCall(0, "id", "look", "{"),))
        yield Chunk("b", "s", Usage(1, 2), logprobs=(TokenLogprob("b", -1.0),))
        yield Chunk(finish="stop", tool_calls=(ToolCall(1, "", "jump"), ToolCall(0, arguments="}")))

    calls = (ToolCall(0, "id", "look", "{}"), ToolCall(1, "", "jump"))
    tokens = (TokenLogprob("b", -1.0),)
    assert await collect(stream()) == Chunk("ab", "rs", Usage(1, 2), "stop", calls, tokens)
    assert (await collect(ScriptedProvider("abc", rate=0))).text == "abc"
    assert len(await collect_chunks(stream())) == 3


def test_the_stream_is_that_of_the_protocol():
    with OpenAIServer("hello world", chunk=6) as server:
        status, headers, text = post(server, stream=True, stream_options={"include_usage": True})
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    first, *middle, last, usage = deltas(text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [event["choices"][0]["delta"]["content"] for event in middle] == ["hello ", "world"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
    assert server.requests[0].json["model"] == "m"
    assert server.requests[0].headers["content-type"] == "application/json"


def test_usage_is_sent_only_when_asked_for():
    with OpenAIServer("x") as server:
        assert all("usage" not in event for event in deltas(post(server, stream=True)[2]))


def test_without_stream_the_answer_is_one_body():
    with OpenAIServer(Reply("hello", reasoning=["hm"])) as server:
        body = json.loads(post(server)[2])
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "hello",
        "reasoning_content": "hm",
    }


def test_a_response_is_streamed_in_named_events():
    with OpenAIServer("hello world", chunk=6) as server:
        status, headers, text = post(server, "/responses", stream=True)
        whole = json.loads(post(server, "/responses")[2])
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    named = [event.split("\n") for event in text.split("\n\n") if event]
    events = [json.loads(data.removeprefix("data: ")) for _, data in named]
    assert [name.removeprefix("event: ") for name, _ in named] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["delta"] for event in events if "delta" in event] == ["hello ", "world"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"] == whole
    assert whole["output"][0]["content"][0]["text"] == "hello world"
    assert whole["usage"]["total_tokens"] == 18


def test_answers_may_depend_on_the_request_or_come_in_order():
    with OpenAIServer(lambda request: Reply(request["model"].upper())) as server:
        assert json.loads(post(server)[2])["choices"][0]["message"]["content"] == "M"
    with OpenAIServer(["a", Reply(status=503, headers={"Retry-After": "7"})]) as server:
        assert post(server)[0] == 200
        status, headers, text = post(server)
        assert (status, headers["retry-after"]) == (503, "7")
        assert json.loads(text)["error"]["message"] == "Service Unavailable"
        assert post(server)[0] == 400


def test_keys_and_paths():
    with OpenAIServer("a", key="k") as server:
        assert post(server)[0] == 401
        assert post(server, "/models")[0] == 404
        assert len(server.requests) == 2


async def test_a_client_that_goes_away_is_noticed():
    async with OpenAIServer([["a", asyncio.Event()]]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = b'{"stream": true}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        request = await asyncio.wait_for(server.received(), scaled(5))
        await reader.readuntil(b'"content":"a"')
        assert not request.ended.is_set()
        writer.close()
        await asyncio.wait_for(request.ended.wait(), scaled(5))
        assert request.closed_early


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
def test_a_byte_order_mark_comes_first(path):
    with OpenAIServer(Reply("x", bom=True)) as server:
        assert post(server, path, stream=True)[2].startswith("\ufeff")


def test_stamped_tokens_tell_their_age():
    reply = stamped(5)
    assert list(reply.content).count(STAMP) == 5
    with OpenAIServer(reply) as server:
        text = "".join(
            event["choices"][0]["delta"].get("content", "") for event in deltas(post(server, stream=True)[2])
        )
    tokens = json.loads(text)["text"].split()
    assert len(tokens) == 5
    assert all(0 <= stamp_age(token) < 10 for token in tokens)


@pytest.mark.parametrize("stamp", [True, False])
def test_it_runs_by_itself(tmp_path, stamp):
    answer = tmp_path / "answer.txt"
    answer.write_text("云" * 10, encoding="utf-8")
    arguments = ["--rate", "0", "--stamp", "3"] if stamp else ["--rate", "0", "--answer-file", str(answer)]
    command = [sys.executable, "-m", "lingstream.testing", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            server = type("Server", (), {"base_url": url})
            text = "".join(
                event["choices"][0]["delta"].get("content", "")
                for event in deltas(post(server, stream=True)[2])
            )
        finally:
            process.terminate()
    assert len(json.loads(text)["text"].split()) == 3 if stamp else text == "云" * 10


def test_the_examples_of_the_docs_run():
    page = Path(__file__).parents[2] / "docs" / "providers.md"
    examples = page.read_text(encoding="utf-8").split("```python\n")[1:]
    assert len(examples) == 3
    for example in examples:
        exec(compile(example.split("```")[0], str(page), "exec"), {"__name__": "example"})
