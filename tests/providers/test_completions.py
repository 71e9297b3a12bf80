"""The decoder alone: bytes in, chunks out."""

import json

import pytest

from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Chunk, Usage
from lingstream.providers.openai.completions import CompletionDecoder
from lingstream.testing import Reply
from lingstream.testing.model_reply import packets

ASKED = {"stream_options": {"include_usage": True}}
TEXT = '{"topic": "云是水", "n": "😀\\n"}'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


def decode(*pieces: bytes) -> Chunk:
    decoder = CompletionDecoder()
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.close()
    if decoder.error:
        raise decoder.error
    return Chunk(
        "".join(chunk.text for chunk in chunks),
        "".join(chunk.reasoning for chunk in chunks),
        next((chunk.usage for chunk in chunks if chunk.usage), None),
        next((chunk.finish for chunk in chunks if chunk.finish), None),
    )


def event(delta: object, **more: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, **more}]}).encode() + b"\n\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("space", [True, False])
@pytest.mark.parametrize("done", [True, False])
def test_a_stream_cut_anywhere_is_the_same_stream(newline, space, done):
    reply = Reply(
        TEXT, reasoning=["思", "考"], newline=newline, space=space, comments=True, done=done, chunk=7
    )
    stream = b"".join(packets(reply, ASKED))
    expected = Chunk(TEXT, "思考", Usage(7, 11), "stop")
    assert decode(stream) == expected
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == expected
    for cut in range(1, len(stream)):
        assert decode(stream[:cut], stream[cut:]) == expected


def test_events_of_one_packet_are_one_chunk():
    decoder = CompletionDecoder()
    assert decoder.feed(event({"content": "a"}) + event({"content": "b"}) + FINISH) == [
        Chunk("ab", "", None, "stop")
    ]


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n \n", b"\xef\xbb\xbf\n"])
def test_bare_lines_behind_blank_ones_come_at_once_wherever_the_packet_ends(blank):
    lines = [event({"content": text})[6:-1] for text in "ab"]
    for cut in range(1, len(lines[0]) + 1):
        decoder = CompletionDecoder()
        decoder.feed(blank + lines[0][:cut])
        decoder.feed(lines[0][cut:])
        assert decoder.feed(lines[1]) == [Chunk("b")]


def test_text_before_reasoning_in_one_packet_keeps_its_order():
    decoder = CompletionDecoder()
    data = event({"reasoning": "r1"}) + event({"content": "a"}) + event({"reasoning": "r2"}) + FINISH
    assert decoder.feed(data) == [Chunk("a", "r1"), Chunk("", "r2", None, "stop")]


@pytest.mark.parametrize(
    ("events", "text", "reasoning"),
    [
        pytest.param(event({"content": "x"}), "x", "", id="plain"),
        pytest.param(event({"content": None}), "", "", id="null content"),
        pytest.param(event(None), "", "", id="null delta"),
        pytest.param(event("x"), "", "", id="delta of another type"),
        pytest.param(event({"content": 5}), "", "", id="content of another type"),
        pytest.param(b"data: {}\n\n", "", "", id="no choices"),
        pytest.param(b'data: {"choices": null}\n\n', "", "", id="null choices"),
        pytest.param(b'data: {"choices": [null]}\n\n', "", "", id="null choice"),
        pytest.param(b'data: {"choices": [], "prompt_filter_results": []}\n\n', "", "", id="Azure's first"),
        pytest.param(b"data: null\n\ndata: 1\n\ndata: []\n\n", "", "", id="no objects"),
        pytest.param(b"data:\n\n: ping\n\nevent: x\nid: 1\nretry: 5\n\n", "", "", id="nothing in it"),
        pytest.param(event({"content": [{"type": "text", "text": "a"}, "b", 1]}), "ab", "", id="parts"),
        pytest.param(event({"refusal": "no"}), "no", "", id="refusal"),
        pytest.param(event({"content": "", "reasoning_content": "r"}), "", "r", id="DeepSeek, Qwen"),
        pytest.param(event({"content": "", "reasoning": "r"}), "", "r", id="OpenRouter"),
        pytest.param(event({"reasoning": "r", "reasoning_content": "r"}), "", "r", id="both, once"),
        pytest.param(b'data: {"choices":\ndata: [{"delta": {"content": "x"}}]}\n\n', "x", "", id="two lines"),
        pytest.param(
            b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "\ufffd", "", id="broken UTF-8"
        ),
        pytest.param(event({"content": "\ud83d"}) + event({"content": "\ude00"}), "😀", "", id="half emoji"),
        pytest.param(event({"content": "\ud83d"}) + event({"content": "x"}), "\ufffdx", "", id="lone half"),
    ],
)
def test_what_servers_send_is_read_defensively(events, text, reasoning):
    decoded = decode(*(events[at : at + 1] for at in range(len(events))), FINISH)
    assert decoded == Chunk(text, reasoning, None, "stop")


def test_a_whole_completion_is_an_answer_too():
    body = {"choices": [{"message": {"content": "hi", "reasoning_content": "hm"}, "finish_reason": "stop"}]}
    body["usage"] = {"prompt_tokens": 1, "completion_tokens": 2}
    data = json.dumps(body, indent=1).encode()
    for cut in range(len(data)):
        assert decode(data[:cut], data[cut:]) == Chunk("hi", "hm", Usage(1, 2), "stop")


@pytest.mark.parametrize(
    ("error", "code", "retryable", "status"),
    [
        ({"message": "m", "code": 502}, "provider-unavailable", True, 502),
        ({"message": "m", "code": "429"}, "provider-rate-limit", True, 429),
        ({"message": "m", "code": "rate_limit_exceeded"}, "provider-rate-limit", True, None),
        ({"message": "m", "type": "insufficient_quota"}, "provider-quota", False, None),
        ({"message": "m", "type": "server_error", "code": None}, "provider-unavailable", True, None),
        ({"message": "m", "code": "context_length_exceeded"}, "provider-bad-request", False, None),
        ({"message": "m"}, "provider-error", True, None),
        ("m", "provider-error", True, None),
    ],
)
def test_an_error_in_mid_stream_is_named_and_keeps_what_came_before_it(error, code, retryable, status):
    decoder = CompletionDecoder()
    data = event({"content": "so far"}) + b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    assert decoder.feed(data) == [Chunk("so far")]
    assert (decoder.error.code, decoder.error.retryable, decoder.error.status) == (code, retryable, status)
    assert decoder.error.message.endswith(": m")


@pytest.mark.parametrize(
    "data",
    [
        b"data: {broken}\n\n",
        b'data: {"choices":\ndata: []\n\n',
        b"<html>\nThe front page\n</html>",
        b"{broken",
        b"",
    ],
)
def test_what_is_no_completion_is_an_error(data):
    with pytest.raises(ProviderError) as caught:
        decode(data)
    assert caught.value.code == "provider-bad-response"


def test_an_end_without_an_end_is_a_lost_connection():
    with pytest.raises(ProviderError) as caught:
        decode(event({"content": "x"}))
    assert (caught.value.code, caught.value.retryable) == ("provider-disconnected", True)


@pytest.mark.parametrize("data", [b"data: " + b"x" * 200, b"{" + b"x" * 200, b"data: x\n" * 100])
def test_memory_is_bounded(data):
    decoder = CompletionDecoder(longest=100)
    for at in range(len(data)):
        decoder.feed(data[at : at + 1])
    assert decoder.error.message == "expected the answer of a model, got an event of more than 100 bytes"
