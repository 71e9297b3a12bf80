"""A provider kind and an observer of the app's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from lingstream.core.engine.observers import Observer, RunInfo, StepInfo
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.provider import ChatOptions, Chunk, Message
from lingstream.providers import ProviderKind

__all__ = ["Ears", "parrot"]


class _Parrot:
    def __init__(self, plan: ProviderPlan) -> None:
        self.times = plan.options.get("times", 1)

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        for _ in range(self.times):
            yield Chunk(f"{messages[-1]['content']} ")

    async def aclose(self) -> None:
        """Nothing is held."""


parrot = ProviderKind(
    lambda plan, key: _Parrot(plan),
    remote=False,
    needs_model=False,
    options_schema={"type": "object", "properties": {"times": {"type": "integer", "minimum": 1}}},
)


class Ears(Observer):
    """Hears how steps end."""

    heard: list[tuple[str, str]] = []

    def step_ended(self, run: RunInfo, step: StepInfo) -> None:
        self.heard.append((step.plan.kind, step.status))
