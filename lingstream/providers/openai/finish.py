"""Why an answer ended: the words of many servers, in OpenAI's."""

from __future__ import annotations

import re

from lingstream.core.exceptions import ProviderError

from .failures import broken_off

__all__ = ["read_finish"]

LONGEST_REASON = 100
NO_END = {"", "null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified"}
OURS = ("stop", "length", "content_filter", "tool_calls")
SAME = {
    **dict.fromkeys(
        (
            *("max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit"),
            "model_context_window_exceeded",
        ),
        "length",
    ),
    **dict.fromkeys(
        (
            *("sensitive", "safety", "recitation", "blocklist", "prohibited_content", "spii", "language"),
            *("refusal", "image_safety", "content_filtered", "guardrail_intervened", "error_toxic"),
        ),
        "content_filter",
    ),
    **dict.fromkeys(("tool_use", "tool_call", "function_call"), "tool_calls"),
    **dict.fromkeys(
        (
            "end_turn",
            "stop_sequence",
            "eos",
            "eos_token",
            "end",
            "complete",
            "completed",
            "finish",
            "finished",
        ),
        "stop",
    ),
}
FAILED = re.compile(
    "error|abort|fail|cancel|insufficient|time_?d?_?out|overload|unavailable|exception|interrupt|malformed"
    "|disconnect|preempt|crash|invalid|unexpected"
)


def read_finish(reason: object, said: object = None) -> tuple[str | None, ProviderError | None]:
    """Return why the answer ended, ``None`` if it has not, and the error if it ended by a failure.

    A word that is not known comes as it is.

    :param said: where the server's words for a failure may be.
    """
    if isinstance(reason, dict):
        reason = reason.get("type")  # SGLang
    if not isinstance(reason, str):
        return None, None
    word = reason[:LONGEST_REASON].strip().lower()
    if word in NO_END:
        return None, None
    if word in OURS or word in SAME:
        return SAME.get(word, word), None
    if FAILED.search(word):
        return None, broken_off(said, word)
    kind = word.partition(":")[0]  # Gemini: "content_filter: PROHIBITED_CONTENT"
    return (kind if kind != word else reason[:LONGEST_REASON].strip()), None
