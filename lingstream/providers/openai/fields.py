"""Fields that the two protocols share, read from JSON that may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingstream.core.provider import TokenLogprob, Usage

__all__ = ["content_of", "logprobs_of", "usage_of"]

MOST_TOKENS = 2**31 - 1
REASONING_PARTS = (
    "thinking",
    "reasoning",
    "reasoning_text",
    "summary_text",
    "reasoning.text",
    "reasoning.summary",
)


def content_of(content: Any, depth: int = 0) -> tuple[str, str]:
    """Return the text and the reasoning of a content: text, or a list of parts.

    Mistral's reasoning is a part of the content, and its text a list of parts in it.
    """
    if isinstance(content, str):
        return content, ""
    if isinstance(content, Mapping):
        content = [content]
    text = reasoning = ""
    for part in content if isinstance(content, list) and depth < 3 else ():
        if isinstance(part, Mapping):
            kind = part.get("type")
            said = part.get("text") or part.get("refusal") or part.get("thinking") or part.get("summary")
            more, thought = content_of(said, depth + 1)
            if kind in REASONING_PARTS:
                more, thought = "", more + thought
        else:
            more, thought = (part, "") if isinstance(part, str) else ("", "")
        text, reasoning = text + more, reasoning + thought
    return text, reasoning


def usage_of(used: Any) -> Usage | None:
    """Return the tokens of ``usage``, in the names of either protocol; ``None`` where it tells of none.

    Some servers (Gemini, xAI) count the reasoning in the total only.
    """
    if not isinstance(used, Mapping):
        return None
    prompt = _count(used, "prompt_tokens", "input_tokens")
    completion = _count(used, "completion_tokens", "output_tokens")
    total = _count(used, "total_tokens")
    if prompt is None and completion is None:
        return None
    details = used.get("completion_tokens_details") or used.get("output_tokens_details")
    reasoning = _count(details, "reasoning_tokens") if isinstance(details, Mapping) else None
    asked, said = prompt or 0, completion or 0
    if total is not None and prompt is not None and total > asked + said:
        reasoning = reasoning or total - asked - said
        said = total - asked
    return Usage(asked, said, reasoning_tokens=min(reasoning or 0, said))


def logprobs_of(found: Any) -> tuple[TokenLogprob, ...]:
    """Return the tokens of ``logprobs``: an object with a list in ``content``, or the list."""
    if isinstance(found, Mapping):
        found = found.get("content")
    return tuple(
        TokenLogprob(token, float(each["logprob"]), _top(each.get("top_logprobs")))
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, Mapping) and (token := _token(each)) is not None
    )


def _top(found: Any) -> tuple[tuple[str, float], ...]:
    return tuple(
        (token, float(each["logprob"]))
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, Mapping) and (token := _token(each)) is not None
    )


def _token(each: Mapping[str, Any]) -> str | None:
    """The token, if there is one with a number."""
    token: object = each.get("token")
    logprob: Any = each.get("logprob")
    if (
        not isinstance(token, str)
        or type(logprob) not in (int, float)
        or not -MOST_TOKENS < logprob < MOST_TOKENS
    ):
        return None
    return token.encode("utf-8", "replace").decode()


def _count(used: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = used.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return int(value)
    return None
