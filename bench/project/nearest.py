"""Searches on PostgreSQL: ``python -m bench.project.nearest PASSAGES ROUNDS``, beside pgvector's bare index.

The database is ``BENCH_DATABASE`` of the server whose port is ``BENCH_POSTGRES`` and whose process is
``BENCH_POSTMASTER``; ``BENCH_DIMENSIONS`` is how long vectors are. What is printed, in ms, is CPU of this
process and of the server's together:

* *hybrid*: the whole search, as a step has it;
* *bare*: the nearest twenty by the HNSW, in one statement, and nothing else;
* *recall*: how many of the nearest twenty the store finds, beside a comparison of all;
* *narrowed*: how many of twenty a search finds that is narrowed to a two-hundredth.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from .finding import embedded, fill, mixed, prepare, questions, searching, vector

_K = 20
_BARE = """
    SELECT chunk_id FROM lingstream_knowledge_pgvector
    WHERE collection_id = {collection} AND embedder_id = {embedder} AND vector_dims(data) = {dimensions}
    ORDER BY (data::vector({dimensions})) <#> %s::vector({dimensions}) LIMIT {k}
"""
_EXACT = """
    SELECT chunk_id FROM lingstream_knowledge_pgvector
    WHERE collection_id = {collection} AND marks && %s::bigint[] ORDER BY data <#> %s::vector LIMIT {k}
"""


def main(number: int, rounds: int) -> None:
    """Fill the database, search, and print what a search costs and finds."""
    collection = prepare("pgvector")
    from django.core.management import call_command
    from django.db import connection

    from lingstream.execution.lane import Lane
    from lingstream.knowledge.stores.bounds import Bounds, Place
    from lingstream.knowledge.stores.port import store_named

    rows = mixed(number)
    fill(rows)
    fill(rows[: number // 10], "another")
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '1GB'")
        call_command("ling_vectors", verbosity=0)
        cursor.execute("VACUUM ANALYZE")
    lane = Lane(1)
    find = searching(lane)
    bounds = Bounds([Place(collection.pk, "", ("",))])
    names = {"collection": collection.pk, "embedder": collection.embedder_id, "k": _K}
    names["dimensions"] = len(vector("one"))
    store = store_named("pgvector")

    def asked(sql: str, *values: Any) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(sql.format(**names), values)
            return [pk for (pk,) in cursor.fetchall()]

    def bare(question: str) -> list[int]:
        return asked(_BARE, json.dumps(vector(question).tolist()))

    def recall(question: str) -> float:
        exact = asked(_EXACT, bounds.marks[0], json.dumps(vector(question).tolist()))
        found = {near.chunk_id for near in store.find(collection, embedded(question), bounds, _K)}
        return len(found.intersection(exact)) / _K

    with asyncio.Runner() as runner:

        def hybrid(question: str, **how: Any) -> int:
            return runner.get_loop().run_until_complete(find(question, **how))

        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('hnsw.ef_search', '400', FALSE)")  # as the store has it
            cursor.execute("EXPLAIN " + _BARE.format(**names), [json.dumps(vector("one").tolist())])
            if not any("Index Scan" in line for (line,) in cursor.fetchall()):
                sys.exit("the bare query does not use the index")
        costs = _in_turns({"hybrid": hybrid, "bare": bare}, rounds)
        print(
            json.dumps(
                {
                    **costs,
                    "recall": sum(map(recall, questions())) / len(questions()),
                    "narrowed": min(
                        hybrid(each, k=_K, where={"kind": ["rare"]}, mode="vector") for each in questions()
                    ),
                }
            )
        )
        runner.run(lane.aclose())


def _in_turns(contenders: dict[str, Callable[[str], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """The least that a question costs each of them, in ms."""
    best = {name: {"cpu": float("inf"), "wall": float("inf")} for name in contenders}
    asked = questions()
    for _ in range(rounds + 1):  # the first is to warm up, and never the least
        for name, find in contenders.items():
            used, began = _used(), time.perf_counter()
            for question in asked:
                find(question)
            each = 1e3 / len(asked)
            cost = {"cpu": (_used() - used) * each, "wall": (time.perf_counter() - began) * each}
            best[name] = {which: min(best[name][which], cost[which]) for which in cost}
    return best


def _used() -> float:
    """Seconds of CPU so far, of this process and of the server: of sessions that have ended, too."""
    server = psutil.Process(int(os.environ["BENCH_POSTMASTER"]))
    ended = sum(server.cpu_times()[2:4])
    return time.process_time() + ended + sum(map(_of_session, server.children()))


def _of_session(session: psutil.Process) -> float:
    try:
        # In ns; other counts are of ticks of ten ms.
        return int(Path(f"/proc/{session.pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
