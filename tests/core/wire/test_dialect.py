"""The registry of dialects: who is found by what, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.wire import dialect as registry
from lingstream.core.wire.dialect import (
    Dialect,
    dialect,
    for_media_type,
    media_types,
    named,
    names,
    register,
)
from lingstream.core.wire.ling import JSONL, SSE

FRAME = Frame(FrameId(1, 1), "done", {"status": "finished", "usage": {}})


class Counting(Dialect):
    """The least that a dialect has."""

    content_type = "text/plain"

    def __init__(self, run: str, after: FrameId | None = None) -> None:
        self._count = 0

    def encode(self, frame: Frame) -> bytes:
        self._count += 1
        return b"%d\n" % self._count


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry with nothing but Ling's own."""
    monkeypatch.setattr(registry, "_kinds", {name: named(name) for name in ("sse", "jsonl")})
    yield


def test_lings_own_are_there() -> None:
    assert (names(), media_types()) == (("sse", "jsonl"), ("text/event-stream", "application/jsonl"))
    assert (named("sse").factory, named("jsonl").factory) == (SSE, JSONL)
    assert (named("sse").resumes, named("jsonl").resumes) == (True, False)
    assert for_media_type("application/jsonl") is named("jsonl")


def test_a_class_is_registered_by_a_decorator() -> None:
    assert dialect("counting", media_type="text/plain")(Counting) is Counting
    assert named("counting").factory is Counting
    assert for_media_type("text/plain") is named("counting")


def test_what_shares_a_media_type_is_found_by_name_only() -> None:
    register("counting", Counting)
    assert named("counting").media_type == ""
    assert for_media_type("") is None
    assert media_types() == ("text/event-stream", "application/jsonl")


def test_a_function_may_make_them() -> None:
    @dialect("from-ten")
    def from_ten(run: str, after: FrameId | None) -> Dialect:
        made = Counting(run)
        made._count = 9
        return made

    assert named("from-ten").factory("r", None).encode(FRAME) == b"10\n"


def test_the_least_dialect_says_nothing_more() -> None:
    made = Counting("r")
    assert (made.headers, made.begin(), made.heartbeat(), made.end()) == ({}, b"", b"", b"")


@pytest.mark.parametrize("missing", ["content_type", "encode"])
def test_what_a_dialect_lacks_is_said_when_it_is_made(missing: str) -> None:
    body = {"content_type": "text/plain", "encode": lambda self, frame: b""}
    del body[missing]
    with pytest.raises(TypeError, match=missing):
        type("Lacking", (Dialect,), body)()


def test_the_same_again_changes_nothing() -> None:
    register("counting", Counting, media_type="text/plain")
    register("counting", Counting, media_type="text/plain")
    assert names() == ("sse", "jsonl", "counting")


REFUSED: list[tuple[str, str, str]] = [
    ("sse", "", "a name of its own .* got 'sse'"),
    ("", "", "name of up to 40 characters .* got ''"),
    ("Mine", "", "got 'Mine'"),
    ("a b", "", "got 'a b'"),
    ("a" * 41, "", "up to 40 characters"),
    ("mine", "text", "a media type like .* got 'text'"),
    ("mine", "Text/Plain", "got 'Text/Plain'"),
    ("mine", "text/*", "got 'text/\\*'"),
    ("mine", "text/plain; charset=utf-8", "got 'text/plain; charset"),
    ("mine", "application/json", "asks for no stream"),
    ("mine", "text/event-stream", "a media type of its own .* that of 'sse'"),
]


@pytest.mark.parametrize(("name", "media_type", "message"), REFUSED)
def test_what_cannot_be_found_is_refused(name: str, media_type: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        register(name, Counting, media_type=media_type)
    assert names() == ("sse", "jsonl")


@pytest.mark.parametrize("name", ["", "SSE", "nope", "x" * 100_000, "sse\n"])
def test_an_unknown_name_is_told_which_there_are(name: Any) -> None:
    with pytest.raises(UsageError, match="expected a dialect among sse, jsonl, got ") as caught:
        named(name)
    assert caught.value.code == "unknown-dialect"
    assert len(caught.value.message) < 200
