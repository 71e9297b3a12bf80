"""Conversations that change in several processes: under a turn whose worker dies, and by many at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from random import Random, randrange
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest

from tests.conversations.test_turns import Model

from .conftest import MakeCluster
from .harness import Cluster, Process, Viewer, reply
from .patience import PATIENCE, scaled, within
from .test_notices import ME, begun
from .test_workers import ANSWER, DETAILS

TALK = {**json.loads(ANSWER), **json.loads(DETAILS)}


async def test_a_summary_that_comes_meanwhile_has_no_bot_asked_again(cluster: MakeCluster) -> None:
    """What the turn's bots remember was stored before the first of them was asked."""
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=ANSWER, DETAILS=DETAILS)
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    url, body = "/ling/workflows/talk/runs/", {"input": {"question": "hi"}}
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        first = await http.post(url, json={**body, "conversation": "new"})
        http.headers["authorization"] = f"Ling-Visitor {first.headers['ling-visitor']}"
        told = first.json()
        await world.agree(TALK, await world.viewer(Viewer(told["run"], told["token"])).connect(web))
        model.answers["DETAILS"] = reply(DETAILS[:20], gate, DETAILS[20:])
        path = f"/ling/conversations/{told['conversation']}/"
        second = (await http.post(f"{path}messages/", json={"text": "more"})).json()
        viewer = await world.viewer(Viewer(second["run"], second["token"])).connect(web)
        await viewer.sees("Clouds")
        summary = json.dumps({"text": "Of clouds.", "until": told["run"]})
        world.database.rows("UPDATE lingstream_conversation SET summary = ?, seq = seq + 1", [summary])
        async with within():
            while world.bots(second["run"]) == {}:  # the first bot's answer, to be played back
                await asyncio.sleep(0.05)
        owner, _ = world.owner(second["run"], workers)
        owner.kill()
        gate.set()
        await world.agree(TALK, viewer)
        assert (model.calls["ANSWER: hi"], model.calls["ANSWER: more"]) == (1, 1)
        assert world.row(second["run"])["epoch"] == 2
        turns = (await http.get(path)).json()["turns"]
    assert [(turn["number"], turn["status"]) for turn in turns] == [(1, "finished"), (2, "finished")]


ACTS = ("send", "send", "after", "edit", "again", "switch", "delete")
SHORT, LONG = (30, 6), (150, 60)  # acts one after the other, and of each of several people at once
PEOPLE = 4


class Rows(NamedTuple):
    """A conversation as the database has it.

    :param turns: parents and numbers.
    """

    turns: dict[UUID, tuple[UUID | None, int]]
    leaf: UUID | None
    count: int


class Talk:
    """A conversation at two processes, which its person changes at either, and a third that deletes turns."""

    def __init__(
        self, world: Cluster, name: str, https: Sequence[httpx.AsyncClient], deleter: Process
    ) -> None:
        self.name = name
        self.https = https
        self._path = f"/ling/conversations/{name}/"
        self._world = world
        self._deleter = deleter
        self._numbers: Iterator[int] = count()

    async def ask(
        self, what: str, turn: UUID | None, key: str, at: Sequence[httpx.AsyncClient]
    ) -> list[httpx.Response]:
        """Ask for an act at one process, or for the same at several at once."""
        method, path, body = {
            "send": ("POST", "messages/", {"text": key, "key": key}),
            "after": ("POST", "messages/", {"text": key, "key": key, "parent": str(turn)}),
            "edit": ("POST", "edit/", {"text": key, "key": key, "run": str(turn)}),
            "again": ("POST", "regenerate/", {"key": key, "run": str(turn)}),
            "switch": ("PATCH", "", {"leaf": str(turn)}),
            "remove": ("DELETE", "", None),
            "look": ("GET", "?limit=200", None),
        }[what]
        return await asyncio.gather(*(http.request(method, self._path + path, json=body) for http in at))

    async def delete(self, turn: UUID) -> bool:
        """Delete a turn, if it has ended; return whether that was so."""
        number = next(self._numbers)
        self._deleter.tell(f"{number} {turn}")
        return (await self._deleter.says(f"deletion {number}: ")).endswith("1")

    async def shown(self, at: httpx.AsyncClient) -> list[UUID]:
        """The path that a process shows."""
        (answer,) = await self.ask("look", None, "", [at])
        return [UUID(turn["run"]) for turn in answer.json()["turns"]]

    async def ended(self, turn: UUID) -> None:
        await self._world.stored(str(turn), lambda row: row["finished_at"] is not None)

    def rows(self) -> Rows:
        sql = "SELECT id, parent_id, number FROM lingstream_run WHERE conversation_id = ? AND number > 0"
        found = self._world.database.rows(sql, [self.name])
        turns = {_id(row["id"]): (row["parent_id"] and _id(row["parent_id"]), row["number"]) for row in found}
        sql = "SELECT leaf_id, count FROM lingstream_conversation WHERE id = ?"
        (row,) = self._world.database.rows(sql, [self.name])
        return Rows(turns, row["leaf_id"] and _id(row["leaf_id"]), row["count"])

    async def open(self) -> int:
        """How many turns have not ended."""
        sql = "SELECT 1 FROM lingstream_run WHERE conversation_id = ? AND finished_at IS NULL"
        return len(await asyncio.to_thread(self._world.database.rows, sql, [self.name]))


def _id(name: Any) -> UUID:
    return UUID(str(name))


async def one_after_the_other(talk: Talk, dice: Random, acts: int) -> Model:
    """Act at one process, look at the other, and the next time the other way round."""
    model = Model()
    for number in range(acts):
        at, other = talk.https if number % 2 else talk.https[::-1]
        turn = dice.choice(list(model.parents)) if model.parents else None
        what = dice.choice(ACTS) if turn else "send"
        if turn and what == "delete":
            await talk.ended(turn)
            assert await talk.delete(turn)
            model.delete(turn)
        else:
            (answer,) = await talk.ask(what, turn, f"act {number}", [at])
            assert answer.is_success, answer.text
            if turn and what == "switch":
                model.switch(turn)
            else:
                beside = model.parents[turn] if turn else None
                last = model.shown[-1] if model.shown else None
                parent = {"send": last, "after": turn, "edit": beside, "again": beside}[what]
                model.add(UUID(answer.json()["run"]), parent)
        rows = await asyncio.to_thread(talk.rows)
        wanted = {each: (parent, model.numbers[each]) for each, parent in model.parents.items()}
        assert rows == Rows(wanted, model.leaf, model.count), (number, what)
        assert await talk.shown(other) == model.shown, (number, what)
    return model


async def at_once(talk: Talk, dice: Random, model: Model, acts: int) -> None:
    """Several people's acts, some of them asked for at both processes under one key."""
    begun_by: dict[UUID, tuple[str, UUID]] = {}  # what was asked for, and of which turn
    known, deleted, refused = list(model.parents), set[UUID](), list[str]()

    async def act(dice: Random, key: str) -> None:
        what, turn = dice.choice(ACTS), dice.choice(known)
        if what == "delete":
            if await talk.delete(turn):
                deleted.add(turn)
            return
        at = list(talk.https) if dice.random() < 0.4 else [dice.choice(talk.https)]
        answers = await talk.ask(what, turn, key, at)
        refused.extend(each.text for each in answers if not each.is_success and each.status_code != 404)
        if what != "switch":
            begun = {UUID(each.json()["run"]) for each in answers if each.is_success}
            assert len(begun) <= 1, "two turns under one key"
            begun_by.update(dict.fromkeys(begun, (what, turn)))
            known.extend(begun)

    async def person(number: int, dice: Random) -> None:
        for step in range(acts):
            await act(dice, f"{number}, act {step}")

    await asyncio.gather(*(person(number, Random(dice.random())) for number in range(PEOPLE)))
    assert refused == []
    turns, leaf, counted = await asyncio.to_thread(talk.rows)
    assert turns.keys() == {*known} - deleted
    numbers = [number for _, number in turns.values()]
    assert counted == model.count + len(begun_by), "each has a number of its own, those that were deleted too"
    assert len({*numbers}) == len(numbers) and {*numbers} <= {*range(1, counted + 1)}
    assert leaf is None or leaf in turns
    for run, (parent, number) in turns.items():
        assert parent is None or turns[parent][1] < number, "no turn follows one that came later"
        what, turn = begun_by.get(run, ("", run))
        if what == "after":
            assert parent == (None if turn in deleted else turn)
        elif what in ("edit", "again") and turn in turns:
            assert parent == turns[turn][0]
    one, other = [await talk.shown(http) for http in talk.https]
    assert one == other and (leaf is None or one[-1] == leaf)
    assert [turns[turn][0] for turn in one] == [None, *one[:-1]][: len(one)]


async def removed(talk: Talk) -> None:
    """It is deleted at one process while somebody writes at the other."""
    one, other = talk.https
    sending = [talk.ask("send", None, f"late {number}", [other]) for number in range(4)]
    (gone,), *answers = await asyncio.gather(talk.ask("remove", None, "", [one]), *sending)
    assert gone.status_code == 204
    told = [answer for (answer,) in answers]
    assert {each.status_code for each in told} <= {202, 404}
    for what in ("send", "look", "switch"):
        answers = await talk.ask(what, UUID(int=0), "too late", talk.https)
        assert [each.status_code for each in answers] == [404, 404]
    async with within():
        while await talk.open():
            await asyncio.sleep(0.05)


async def changes(world: Cluster, webs: Sequence[Process], acts: tuple[int, int], seed: int) -> None:
    print("seed", seed)
    dice = Random(seed)
    world.says(ANSWER='{"answer": "yes"}')
    deleter = await world.program("tests.chaos.deleting")
    name = await begun(webs[0], "text")
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=web.base, headers=ME, timeout=scaled(PATIENCE)) for web in webs]
        talk = Talk(world, name, [await stack.enter_async_context(each) for each in clients], deleter)
        model = await one_after_the_other(talk, dice, acts[0])
        await at_once(talk, dice, model, acts[1])
        await removed(talk)


@pytest.mark.parametrize(
    ("acts", "seed"), [(SHORT, 1), pytest.param(LONG, None, marks=pytest.mark.soak)], ids=["short", "long"]
)
async def test_any_acts_at_two_processes_make_the_tree_that_they_say(
    cluster: MakeCluster, acts: tuple[int, int], seed: int | None
) -> None:
    world = await cluster("inline")
    await changes(world, await world.web(count=2), acts, seed or randrange(10**6))


@pytest.mark.soak
async def test_any_acts_at_two_processes_make_the_tree_that_they_say_on_sqlite(embedded: Cluster) -> None:
    await changes(embedded, await embedded.web(count=2), LONG, randrange(10**6))
