"""`Accept`: weights, wildcards, and what is refused."""

from __future__ import annotations

import pytest

from lingstream.transports.accept import preferred

JSON, SSE, JSONL = "application/json", "text/event-stream", "application/jsonl"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (BROWSER, JSON),
        (SSE, SSE),
        (JSONL, JSONL),
        ("TEXT/Event-Stream", SSE),
        ("text/event-stream; charset=utf-8", SSE),
        ("text/*", SSE),
        ("application/*", JSON),
        ("*/*, text/event-stream", SSE),
        ("application/json, text/plain, */*", JSON),
        ("text/event-stream, application/jsonl", SSE),
        ("application/jsonl, text/event-stream", JSONL),
        ("application/json, text/event-stream", JSON),
        ("text/event-stream;q=0.2, application/jsonl;q=0.9", JSONL),
        ("text/event-stream;q=0.5, application/json", JSON),
        ("text/event-stream;q=0.5, */*;q=0.1", SSE),
        ("text/event-stream;q=0.1, */*", JSON),
        ("text/event-stream;q=0, text/*", None),
        ("*/*, application/json;q=0", SSE),
        ("*/*, application/*;q=0", SSE),
        ("application/json;q=0, text/event-stream;q=0.0, */*", JSONL),
        ("*/*;q=0", None),
        ("*/*;q=0, application/jsonl", JSONL),
        ("text/html", None),
        ("text/event-stream;q=much", SSE),
        ("text/event-stream;q=nan, application/jsonl;q=0.1", JSONL),
        (",,;;q=0,text", None),
        ("x/" + "y" * 20_000 + ", text/event-stream", SSE),
    ],
)
def test_what_is_wanted_most(header: str | None, expected: str | None) -> None:
    assert preferred(header, (JSON, SSE, JSONL)) == expected
