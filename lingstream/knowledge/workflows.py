"""The workflows of knowledge: one looks at a source, as a pass is a run; one answers from a collection."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from lingstream import Run, workflow
from lingstream.core.engine.chat import Chat

from .answering import answer_from
from .due import EVALUATION, WORKFLOW, go_on
from .evaluation import evaluate, questions_of
from .sync import sync

__all__ = ["docs_chat", "knowledge_eval", "knowledge_sync"]

_OFTEN = 0.5  # seconds between two reports
_PATIENCE = 480.0  # seconds that golden questions may take; the run has 600 in all

_BEGINNING = {
    "phase": "",
    "seen": 0,
    "changed": 0,
    "deleted": 0,
    "failed": 0,
    "left": None,
    "done": None,
    "current": "",
    "problem": "",
}


@workflow(WORKFLOW, access="code")
async def knowledge_sync(run: Run) -> None:
    """Do a slice of a pass, say meanwhile how far it is, and queue the next one if there is more."""
    await run.ready()  # whoever has lost the run must not act in its name
    asked = run.input
    progress = _Progress(run)
    outcome = await sync(
        asked["source"],
        asked["holder"],
        full=asked["full"],
        trigger=asked["trigger"],
        run=UUID(run.info.id),
        services=run.services,
        report=progress.hear,
    )
    progress.hear({"phase": outcome.status, "problem": outcome.problem})
    progress.show()
    if outcome.status == "unfinished":
        await run.services.database(go_on, asked["source"])


@workflow(EVALUATION, access="code")
async def knowledge_eval(run: Run) -> None:
    """Ask golden questions, and write down what came of each; say how many there was no time for."""
    questions = await run.services.database(questions_of, run.input["questions"])
    left = await evaluate(questions, _PATIENCE)
    run.set("asked", len(questions) - len(left))
    run.set("left", len(left))


@workflow("docs-chat", chat=Chat())
async def docs_chat(run: Run) -> None:
    """Answer from the collection ``docs``."""
    await answer_from(run, "docs")


class _Progress:
    """The run's document, which says how far the pass is; twice a second at most."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._news: dict[str, Any] = dict(_BEGINNING)
        self._seen = 0
        self._shown = float("-inf")

    def hear(self, said: Mapping[str, Any]) -> None:
        """See :data:`.sync.Report`; what is ``done`` of what was seen is known where it is counted."""
        self._news.update(said)
        self._seen = said.get("seen", self._seen)
        if said.get("left") is not None:
            self._news["done"] = max(self._seen - said["left"], 0)
        if time.monotonic() - self._shown >= _OFTEN:
            self.show()

    def show(self) -> None:
        """Set what has changed."""
        news, self._news = self._news, {}
        for name, value in news.items():
            self._run.set(name, value)
        self._shown = time.monotonic()
