"""What a site under load has to go through: how many runs, beside what, and which faults in the middle."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from fleet import Fleet, Member
from observer import connect, rows

__all__ = ["Harm", "Load", "hurt"]

STRIKE = 0.33  # of all calls answered: then faults strike


@dataclass(frozen=True)
class Load:
    """What to do.

    :param deltas: pieces of each answer; ``seconds`` is about how long it takes.
    :param bound: seconds in which all runs should have ended, on a machine of its own.
    :param dead_after: the setting, as ``heartbeat_every`` is.
    :param burn: processes beside that want a CPU each.
    :param kill: ``one`` that holds runs is killed, or ``each`` in turn, replaced by a new one.
    :param freeze: seconds for which a worker that holds runs is stopped, and longer if they are to move and
        have not moved by then.
    :param rolling: all workers are told to end in turn, each replaced by a new one.
    :param database_stop: seconds for which there is no database.
    :param clock: seconds by which the first worker's clock is ahead, and the second's behind.
    """

    runs: int = 200
    bots: int = 10
    watch: int = 50
    workers: int = 3
    concurrency: int = 200
    deltas: int = 8
    seconds: float = 1.5
    bound: float = 300.0
    dead_after: float = 15.0
    heartbeat_every: float = 3.0
    burn: int = 0
    kill: str = ""
    freeze: float = 0.0
    rolling: bool = False
    database_stop: float = 0.0
    database_restart: bool = False
    redis_restart: bool = False
    clock: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What is done to the processes."""
        names = ("kill", "freeze", "rolling", "database_stop", "database_restart", "redis_restart")
        return [name for name in names if getattr(self, name)]


@dataclass
class Harm:
    """What the faults did: whose runs may move, when, and what had been answered for them."""

    at: float = 0.0
    runs: set[str] = field(default_factory=set)
    held: int = 0
    answered: int = 0
    stuck: list[str] = field(default_factory=list)
    everybody: bool = False


async def hurt(load: Load, fleet: Fleet, harm: Harm) -> None:
    """Wait for the moment, and do what the options say, one after the other."""
    if not load.faults:
        return
    wanted = STRIKE * load.runs * load.bots
    while sum(answered is not None for _, _, answered in await asyncio.to_thread(fleet.calls)) < wanted:
        await asyncio.sleep(0.3)
    harm.at = time.time()
    harm.everybody = load.rolling
    if load.kill == "one":
        await asyncio.to_thread(_kill, fleet, await asyncio.to_thread(_caught, fleet), harm)
    if load.kill == "each":
        for member in fleet.workers[: load.workers]:
            await asyncio.to_thread(_kill, fleet, member, harm)
            await asyncio.to_thread(fleet.work, 1, load.concurrency)
    if load.freeze:
        victim = await asyncio.to_thread(_caught, fleet)
        await asyncio.to_thread(_note, fleet, victim, harm)
        await asyncio.sleep(load.freeze)
        # How soon others take its runs is up to how steady they are themselves; whoever waits bounds this.
        while load.freeze >= load.dead_after and await asyncio.to_thread(_holds, fleet, victim):
            await asyncio.sleep(0.3)
        victim.thaw()
    if load.database_stop or load.database_restart:
        await asyncio.to_thread(fleet.postgres.stop)
        await asyncio.sleep(load.database_stop)
        await asyncio.to_thread(fleet.postgres.start)
    if load.redis_restart:
        fleet.redis.stop()
        await asyncio.to_thread(fleet.redis.start)
    if load.rolling:
        for member in [member for member in fleet.workers if member.lives]:
            if wrong := await asyncio.to_thread(member.terminate):
                harm.stuck.append(wrong)
            await asyncio.to_thread(fleet.work, 1, load.concurrency)


def _caught(fleet: Fleet) -> Member:
    """Stop the worker that holds the most runs, while it holds some; return it.

    :raises RuntimeError: nobody holds any.
    """
    with connect(fleet) as connection:
        while held := {member: _held(connection, member) for member in fleet.workers if member.lives}:
            member = max(held, key=held.__getitem__)
            if not held[member]:
                break
            member.freeze()
            if _held(connection, member):
                return member
            member.thaw()  # its runs had ended before it stopped
    raise RuntimeError("expected a worker that holds runs when the faults strike, none does")


def _holds(fleet: Fleet, member: Member) -> int:
    with connect(fleet) as connection:
        return _held(connection, member)


def _held(connection: psycopg.Connection[dict[str, Any]], member: Member) -> int:
    """How many runs a worker executes, if one asks the database."""
    sql = """
        SELECT count(*) AS count FROM lingstream_run run JOIN lingstream_runner runner
        ON runner.id = run.runner_id WHERE run.status = 'running' AND runner.pid = %s
    """
    return int(connection.execute(sql, [member.pid]).fetchall()[0]["count"])


def _kill(fleet: Fleet, member: Member, harm: Harm) -> None:
    member.kill()
    _note(fleet, member, harm)


def _note(fleet: Fleet, member: Member, harm: Harm) -> None:
    """Write down which runs a worker had, and how many answers for them."""
    sql = """
        SELECT run.id::text AS id, run.input::json->>'question' AS name, run.status
        FROM lingstream_run run JOIN lingstream_runner runner ON runner.id = run.runner_id
        WHERE runner.pid = %s
    """
    mine = rows(fleet, sql, [member.pid])
    # Those that ended too: others may have to write the ends that it stored and told nobody.
    harm.runs |= {row["id"] for row in mine}
    names = {row["name"]: row["status"] == "running" for row in mine}
    of = [name.partition(" ")[0] for name, _, answered in fleet.calls() if answered is not None]
    harm.answered += sum(run in names for run in of)
    harm.held += sum(names.get(run, False) for run in of)
