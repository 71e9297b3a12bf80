"""The life cycle: one table, and whoever has its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from lingstream.core.lifecycle import RUN, STEP, RunStatus, StepStatus, advance, ended, follows
from lingstream.core.log.state import RunState, empty_snapshot
from lingstream.models import BotRun, Run

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "lingstream" / "static" / "lingstream"


@pytest.mark.parametrize(("table", "words"), [(RUN, RunStatus), (STEP, StepStatus)])
def test_a_table_has_each_word_and_no_other(table: Mapping[Any, frozenset[Any]], words: Any) -> None:
    assert set(table) == set(get_args(words))
    assert set().union(*table.values()) <= set(table)


@pytest.mark.parametrize("table", [RUN, STEP])
def test_what_has_ended_stays_as_it_is_and_all_can_end(table: Mapping[Any, frozenset[Any]]) -> None:
    for status, following in table.items():
        assert ended(status) == (not following)
        reached: set[Any] = set()
        pending = [status]
        while pending:
            now = pending.pop()
            pending.extend(table[now] - reached)
            reached |= table[now] | {now}
        assert any(ended(each) for each in reached), status


def test_a_step_goes_along_the_lines_only() -> None:
    for now, following in STEP.items():
        for to in STEP:
            assert follows(now, to) == (to in following)
            if to in following:
                assert advance(now, to) == to
            else:
                with pytest.raises(AssertionError, match=f"{now} becomes"):
                    advance(now, to)


def test_an_unknown_word_is_no_status() -> None:
    assert not follows("lost", "canceled")
    with pytest.raises(ValueError, match="expected one of"):
        ended("done")


def test_rows_have_the_words_of_the_table() -> None:
    assert set(Run.Status.values) == set(RUN)
    # Rows of step runs are written at their ends, and by none that waits or has more to say.
    assert set(BotRun.Status.values) <= set(STEP) - {"waiting", "inferred"}
    for status in Run.Status.values:
        assert Run(status=status).ended == ended(status)


@pytest.mark.parametrize("end", sorted({"finished", "failed", "canceled", "lost"}))
def test_frames_have_the_words_of_the_table_and_go_along_its_lines(end: str) -> None:
    state = RunState(empty_snapshot())
    seen = {"a#1": ["waiting"], "b#1": ["waiting"], "c#1": ["waiting"]}
    run = ["queued", state.status]

    def fold(kind: Any, body: dict[str, Any]) -> None:
        state.apply(kind, body)
        for name, bot in state.bots.items():
            if bot["status"] != seen[name][-1]:
                seen[name].append(bot["status"])

    for name in seen:
        fold("event", {"event": "string-response", "bot": name, "step": name[0], "root": "", "uri": "x"})
    for event in ("inference-done", "response"):
        fold("event", {"event": event, "bot": "a#1", "step": "a", "root": "", "uri": ""})
    fold("error", {"code": "no-json", "message": "", "bot": "b#1"})
    fold("done", {"status": end, "usage": {}})
    run.append(state.status)
    for statuses, table in [(run, RUN), *((each, STEP) for each in seen.values())]:
        for now, to in pairwise(statuses):
            assert to in table[now], statuses  # type: ignore[index]
    assert all(ended(statuses[-1]) for statuses in seen.values())


@pytest.mark.parametrize(("whose", "table"), [("run", RUN), ("bot run", STEP)])
def test_the_page_on_the_wire_has_the_tables(whose: str, table: Mapping[Any, frozenset[Any]]) -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = page.partition(f"| a {whose} that is | becomes |\n|---|---|\n")[2].partition("\n\n")[0]
    told: dict[str, set[str]] = {}
    for row in rows.splitlines():
        now, to = (re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|"))
        told |= {status: set(to) for status in now}
    assert told == table


def test_the_client_has_the_words_that_a_viewer_can_meet() -> None:
    found = re.search(r"@typedef \{(.*?)\} Status", (CLIENT / "run.js").read_text())
    assert found
    # It is connecting until its first frame: that is when it hears that a run is queued, or anything.
    assert set(re.findall(r'"(\w+)"', found[1])) == set(RUN) - {"queued"} | {"connecting"}


def test_the_client_has_the_table_of_step_runs() -> None:
    rows = re.findall(r"^    (\w+): \[(.*)\],$", (CLIENT / "lifecycle.js").read_text(), re.MULTILINE)
    assert {now: set(re.findall(r'"(\w+)"', to)) for now, to in rows} == STEP
