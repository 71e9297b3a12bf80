"""The leak hunt: three tenants of three users, and two hundred questions that want more than they get."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.contrib.auth.models import User

from lingstream.knowledge.models import Chunk, Collection
from lingstream.knowledge.stores.bounds import Bounds, Place, Scalar

from .building import document, find
from .people import asking, in_run
from .tenancy import CRAFTED, NAMES, may_see, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[tuple[User, str]]:
    return settle(monkeypatch)


def test_nobody_finds_counts_or_guesses_what_is_not_theirs(people: list[tuple[User, str]]) -> None:
    chance = random.Random(7)
    chunks = {chunk.pk: chunk for chunk in Chunk.objects.select_related("document", "collection")}
    rows = {row.slug: row.pk for row in Collection.objects.all()}
    found = 0
    for _ in range(200):
        (who, scope), (owner, other) = chance.choice([*people, (None, "north")]), chance.choice(people)
        key = f"user:{owner.pk}"
        marks = Bounds([Place(chance.choice([*rows.values()]), other, (key, ""))]).marks[0]
        values: list[Scalar] = [other, f"{owner} {other}", "tea", "a", None, True, 0, "*", "%", key]
        where = {
            name: chance.choice([values, chance.choice(values)])
            for name in chance.sample(NAMES, chance.randint(0, 2))
        }
        text = chance.choice(CRAFTED).format(owner=owner, scope=other, pk=owner.pk, mark=chance.choice(marks))
        hits = find(
            chance.sample([*rows], chance.randint(1, len(rows))),
            text * chance.choice([1, 500]),
            identity=chance.choice([asking, in_run])(who, scope),
            where=where,
            mode=chance.choice(["hybrid", "keyword"]),
            k=chance.choice([1, 8, 50]),
        )
        for hit in hits:
            assert all(may_see(who, scope, chunks[pk]) for pk in hit.chunk_ids), (who, scope, text, hit)
        found += len(hits)
    assert found > 100  # it would be no hunt if nobody found anything


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
def test_what_others_have_changes_nothing_that_one_finds(people: list[tuple[User, str]], mode: Any) -> None:
    who, scope = people[0]

    def ids() -> list[str]:
        return [hit.id for hit in find("anyone", "the secret cat", identity=asking(who, scope), mode=mode)]

    before = ids()
    everybodys = Collection.objects.get(slug="anyone")
    document(everybodys, *["a secret cat"] * 30, scope="south")
    document(everybodys, *["a secret cat"] * 30, scope=scope, owner=people[1][0])
    assert ids() == before
    assert len(before) == 2
