"""Bots that answer what the test's model server says, and one that needs no model."""

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
