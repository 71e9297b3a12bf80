"""Processes that do not share a hub find each other in the database and say so."""

from __future__ import annotations

from .harness import Cluster


async def test_two_web_processes_with_logs_in_memory_are_told_so(embedded: Cluster) -> None:
    first, second = [*await embedded.web(), *await embedded.web("daphne")]
    await embedded.start(second, "facts")  # daphne brings its runner to life with the first call
    for process in (first, second):
        assert "LINGSTREAM['HUB']" in await process.says("Several web processes execute runs")
