"""Bots that answer what the test's model server says, and some that need no model."""

import json

from lingstream import Chat, Run, Silence, workflow

# No model is asked but for answers; no rate, as the tests say more in a minute than people do.
QUIET = {"titles": False, "summarize": False, "rate": ""}


@workflow(
    "talk",
    access="anyone",
    show_reasoning=True,
    chat=Chat(**QUIET, attachments="files", origins=["http://*.shop.test"]),
)
async def talk(run: Run) -> None:
    """Answer."""
    await run.bot('Answer as JSON: {"answer": "…"}', history=True).chat(run.input["question"])


@workflow(
    "nudge",
    access="anyone",
    chat=Chat(**QUIET, origins=["http://*.shop.test"]),
    occasions=[Silence("1s", at_most=1)],
)
async def nudge(run: Run) -> None:
    """Answer, and say something once into the silence behind that."""
    await run.bot('Answer as JSON: {"answer": "…"}', history=True).chat(run.input["question"])


@workflow("echo", access="anyone", chat=Chat(**QUIET))
async def echo(run: Run) -> None:
    """Say the same."""
    run.set("answer", run.input["question"])


@workflow("parts", access="anyone", chat=Chat(**QUIET))
async def parts(run: Run) -> None:
    """Write something into a field that is complete, and a number twice."""
    run.set("percent", 50)
    await run.bot('Answer as JSON: {"plan": [{"topic": "…"}]}').chat(run.input["question"])
    await run.bot("Say more.", root="plan/0/details", format="text").chat("slow details")
    run.set("percent", 100)


@workflow("whole", access="anyone", chat=Chat(**QUIET))
async def whole(run: Run) -> None:
    """Answer with a document of any type."""
    run.set("", json.loads(run.input["question"]))
