"""What model servers send, mutated, through both decoders: the target ``decoder`` of :mod:`tests.fuzz`.

Whatever comes: nothing raises, the cuts change nothing, the answer ends or fails by a code that is known, and
what comes out can be stored and sent.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from lingstream.core.provider import Chunk, merged_calls
from lingstream.providers.openai.completions import CompletionDecoder
from lingstream.providers.openai.decoder import Decoder
from lingstream.providers.openai.responses import ResponseDecoder

DECODERS: dict[str, type[Decoder]] = {"completions": CompletionDecoder, "responses": ResponseDecoder}
CODES = {
    f"provider-{code}"
    for code in (
        *("auth", "permission", "bad-request", "not-found", "quota", "rate-limit", "timeout", "unavailable"),
        *("disconnected", "bad-response", "error"),
    )
}
PIECES = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"\xef",
        b" ",
        b":",
        b"data:",
        b"data: ",
        b"data: [DONE]\n\n",
    ),
    *(
        b"event: error\n",
        b"event: done\n",
        b"error: no\n",
        b"id: 1\n",
        b"null",
        b"{}",
        b"[]",
        b"{",
        b"}",
        b'"',
    ),
    *(b"\\ud83d", b"\\ude00", b"\xf0\x9f\x98\x80", b"\xff", b"NaN", b"1e999", b"9" * 400, b"-1", b"true"),
    *(
        b"[" * 2000,
        b'{"a":' * 2000,
        b'"error":',
        b'"detail":',
        b'"finish_reason":',
        b'"index":',
        b'"message":',
    ),
]
SECONDS_PER_MEGABYTE = 20.0  # byte by byte, on a slow machine: far from what anything quadratic takes


def mutated(stream: bytes, known: list[bytes], dice: random.Random) -> bytes:
    start, end = sorted((dice.randrange(len(stream) + 1), dice.randrange(len(stream) + 1)))
    match dice.randrange(7):
        case 0:
            return stream[:start] + stream[end:]
        case 1:
            return stream[:start] + dice.choice(PIECES) + stream[start:]
        case 2:
            return stream[:end] + stream[start:]
        case 3:
            return stream[:start] + bytes([dice.randrange(256)]) + stream[start + 1 :]
        case 4:
            other = dice.choice(known)
            return stream[:start] + other[dice.randrange(len(other) + 1) :]
        case 5:
            return swapped(stream, dice)
        case _:
            return stream[:end]


def swapped(stream: bytes, dice: random.Random) -> bytes:
    """Two values of an event that have changed places, or one that has become something else."""
    lines = stream.split(b"\n")
    at = dice.randrange(len(lines))
    try:
        event = orjson.loads(lines[at].removeprefix(b"data: "))
    except orjson.JSONDecodeError:
        return stream
    places = [
        (box, key) for box in boxes(event) for key in (box if isinstance(box, dict) else range(len(box)))
    ]
    if places:
        (box, key), (other, name) = dice.choice(places), dice.choice(places)
        odd: Any = dice.choice([None, True, 0, -1, 1e99, "", "x", [], {}, [[]], {"text": "x"}, 2**70])
        box[key] = odd if dice.random() < 0.6 else copy.deepcopy(other[name])
    lines[at] = b"data: " + json.dumps(event).encode()
    return b"\n".join(lines)


def boxes(value: object) -> Iterator[Any]:
    """Yield every object and array in ``value``."""
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from boxes(each)


def check(api: str, stream: bytes, dice: random.Random) -> None:
    """Decode a stream whole, byte by byte and in random pieces.

    :raises AssertionError: for what is wrong.
    """
    begun = time.process_time()
    expected = decoded(api, [stream])
    assert decoded(api, (stream[at : at + 1] for at in range(len(stream)))) == expected
    took = time.process_time() - begun
    assert took < 0.5 + SECONDS_PER_MEGABYTE * len(stream) / 1e6, f"{took:.1f} s for {len(stream)} bytes"
    for _ in range(3):
        cuts = sorted(dice.randrange(len(stream) + 1) for _ in range(dice.randrange(8)))
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert decoded(api, pieces) == expected, cuts


def decoded(api: str, pieces: Iterable[bytes]) -> tuple[object, ...]:
    """What came out in all, which no cut may change."""
    decoder = DECODERS[api]()
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.close()
    error = decoder.error
    assert error is not None or decoder.finished
    assert error is None or (error.code in CODES and 0 < len(error.message) < 1000 and error.message.encode())
    text, reasoning = "".join(chunk.text for chunk in chunks), "".join(chunk.reasoning for chunk in chunks)
    calls = merged_calls(call for chunk in chunks for call in chunk.tool_calls)
    for said in (text, reasoning, *(f"{call.id}{call.name}{call.arguments}" for call in calls)):
        said.encode()
    usage, finish = last(chunk.usage for chunk in chunks), last(chunk.finish for chunk in chunks)
    assert usage is None or all(0 <= count < 2**31 for count in usage)  # type: ignore[attr-defined]
    assert Chunk() not in chunks
    logprobs = [token for chunk in chunks for token in chunk.logprobs]
    return text, reasoning, usage, finish, calls, repr(logprobs), error and (error.code, error.message)


def last(values: Iterable[object]) -> object:
    return next((value for value in reversed([*values]) if value), None)
