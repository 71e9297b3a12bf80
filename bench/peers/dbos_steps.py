"""Workflows of steps in DBOS with its defaults: ``python bench/peers/dbos_steps.py URL WORKFLOWS STEPS``."""

import asyncio
import json
import sys
import time

from dbos import DBOS

WAIT, ANSWER = 0.2, "x" * 1024
gate = asyncio.Event()
waiting = 0


@DBOS.step()
async def ask(number: int) -> str:
    await asyncio.sleep(WAIT)
    return ANSWER


@DBOS.workflow()
async def run(steps: int) -> int:
    global waiting
    waiting += 1
    await gate.wait()  # all begin together, when all have been stored
    for number in range(steps):
        await ask(number)
    return steps


async def main(url: str, workflows: str, steps: str) -> None:
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "WARNING"})
    DBOS.launch()
    handles = [await DBOS.start_workflow_async(run, int(steps)) for _ in range(int(workflows))]
    while waiting < len(handles):
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    sys.stdin.readline()
    began, used = time.monotonic(), time.process_time()
    gate.set()
    done = await asyncio.gather(*(handle.get_result() for handle in handles))
    figures = {"seconds": time.monotonic() - began, "cpu": time.process_time() - used}
    print(json.dumps({"steps": sum(done), **figures}), flush=True)
    sys.stdin.readline()
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
