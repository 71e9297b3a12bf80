"""Runs of the core that wait for their models, without a site: ``python -m bench.project.waiting RUNS``."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from lingstream.core.engine.kinds import Services
from lingstream.core.engine.plan import Limits, Plan, ProviderPlan
from lingstream.core.engine.registry import workflow
from lingstream.core.engine.run import Run
from lingstream.core.log.memory import MemoryLog
from lingstream.core.provider import Chunk


class Model:
    """Begins each answer, and goes on when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.goes_on = asyncio.Event()

    async def stream(self, *_: Any) -> AsyncIterator[Chunk]:
        """See the port."""
        self.asked += 1
        yield Chunk(text='{"answer": "No. You')
        await self.goes_on.wait()
        yield Chunk(text=' would fall through."}')

    async def aclose(self) -> None:
        """See the port."""


@workflow("waiting")
async def _waiting(run: Any) -> None:
    run.bot('Answer as JSON: {"answer": "…"}', name="ask").chat(run.input["question"])


async def main(count: int) -> None:
    model = Model()
    plan = Plan("waiting", python=True, providers=(ProviderPlan(),), limits=Limits())
    services = Services(lambda _: model)
    before = memory()
    runs = [Run(plan, {"question": "hi"}, log=MemoryLog(), services=services) for _ in range(count)]
    tasks = [asyncio.create_task(run.execute()) for run in runs]
    while model.asked < count:
        await asyncio.sleep(0.05)
    during = memory()
    model.goes_on.set()
    ended = [result.status for result in await asyncio.gather(*tasks)].count("finished")
    print(json.dumps({"before": before, "during": during, "ended": ended}))


def memory() -> int:
    """KB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
