"""Steps of the app's own, found because the app is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lingstream import step
from lingstream.core.engine.kinds import Note, Said, StepCall

__all__ = ["count", "shout"]


@step("outside-shout", events=("shouted",))
async def shout(input: str, call: StepCall, times: int = 1) -> AsyncIterator[Said | str]:
    """Say it louder, word by word, and how loud that was."""
    for word in input.split():
        yield f"{word.upper()}{'!' * times} "
    yield Note("shouted", {"to": call.identity.visitor or call.identity.user or "anybody"})


@step("outside-count")
def count(input: str) -> int:
    """Count, in a thread."""
    return len(input.split())
