"""Runs of bots through our journal, without models: ``python -m bench.project.steps RUNS STEPS``.

What ``bench/peers/dbos_steps.py`` does: each step waits, and returns 1 KB that is stored before the next one
begins; each run ends with its result. The runs are stored before, as there.
"""

import asyncio
import json
import sys
import time
from typing import Any

import django

WAIT, ANSWER = 0.2, "x" * 1024


async def run(row: Any, writer: Any, steps: int) -> int:
    from lingstream.core.engine.journal import CallResult, Occurrences
    from lingstream.core.engine.plan import BotPlan
    from lingstream.core.engine.run import RunResult
    from lingstream.core.provider import Usage
    from lingstream.execution.journal import DatabaseJournal

    journal, known, plan = DatabaseJournal(row, writer), Occurrences(), BotPlan("ask")
    for number in range(steps):
        asked = [{"role": "user", "content": f"step {number}"}]
        options = {"model": "bench", "params": {}}
        call = known.call(f"ask#{number}", plan, "", asked, options, {"messages": asked, **options})
        if journal.recorded(call) is None:
            await asyncio.sleep(WAIT)
            await journal.finish(call, CallResult("finished", ANSWER))
    await journal.end(RunResult("finished", ANSWER, Usage()), f"1-{steps + 2}")
    return steps


async def measure(rows: list[Any], steps: int) -> dict[str, float]:
    from lingstream.execution.journal import Writer

    writer = Writer()
    began, used = time.monotonic(), time.process_time()
    done = await asyncio.gather(*(run(row, writer, steps) for row in rows))
    figures = {"steps": sum(done), "seconds": time.monotonic() - began, "cpu": time.process_time() - used}
    await writer.aclose()
    return figures


def main(runs: str, steps: str) -> None:
    django.setup()
    from django.core.management import call_command

    from lingstream.models import BotRun, Run

    call_command("migrate", verbosity=0)
    rows = [Run(workflow="steps", status="running", epoch=1, attempts=1) for _ in range(int(runs))]
    Run.objects.bulk_create(rows)
    print("ready", flush=True)
    sys.stdin.readline()
    figures = asyncio.run(measure(rows, int(steps)))
    assert BotRun.objects.count() == figures["steps"]
    print(json.dumps(figures), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
