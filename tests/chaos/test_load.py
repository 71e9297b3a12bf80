"""Many runs at once, and faults in the middle: the short form of ``bench/ownership.py --soak``.

Nothing here goes by the clock, but for what decides who is dead: a machine that is slow or shared changes how
long it takes, and not what comes of it.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

pytest.importorskip("psutil")

from ownership import Load, Report, aims, measure

from .patience import scaled

LOAD = Load(runs=60, watch=20, bound=90.0)


async def outcome(load: Load) -> Report:
    """What came of ``load``, if nothing came of it that may not."""
    report = await measure(load)
    assert not [*aims(load, report, timed=False)], f"{report.notes}\n{report}"
    assert (report.finished, report.viewers) == (load.runs, load.watch)
    return report


@pytest.mark.parametrize(
    ("shares", "even"), [([21, 20, 19], True), ([38, 16, 6], True), ([45, 9, 6], False), ([60], False)]
)
def test_load_that_does_not_even_out_is_a_failure(shares: list[int], even: bool) -> None:
    """Once one worker held 104 runs, the others 12 and 5."""
    report = Report({}, shares=shares, share=max(shares))
    assert [*aims(LOAD, report, timed=False)] == ([] if even else [f"share: {shares[0]}, at most 38"])
    assert not [*aims(replace(LOAD, kill="one"), report, timed=False)]  # two are left


async def test_runs_stay_where_they_are_however_busy_the_machine_is() -> None:
    await outcome(replace(LOAD, burn=3))


async def test_of_a_worker_that_is_killed_only_its_runs_go_on_elsewhere_and_once() -> None:
    report = await outcome(replace(LOAD, kill="one", dead_after=scaled(5.0), heartbeat_every=1.0))
    assert report.moved, report


async def test_a_worker_that_was_frozen_finds_its_runs_elsewhere_and_leaves_them_there() -> None:
    patience = scaled(5.0)
    report = await outcome(replace(LOAD, freeze=patience, dead_after=patience, heartbeat_every=1.0))
    assert report.moved, report


async def test_all_runs_and_viewers_get_over_restarts_of_postgresql_and_redis() -> None:
    await outcome(replace(LOAD, database_restart=True, redis_restart=True))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
async def test_clocks_that_are_an_hour_off_move_no_run_and_hide_no_end() -> None:
    await outcome(replace(LOAD, clock=3600.0))
