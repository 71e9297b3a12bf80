"""``manage.py ling_knowledge``, word by word."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from lingstream.knowledge.models import (
    Collection,
    Document,
    Embedder,
    EmbeddingCache,
    Question,
    Source,
    Sync,
    Vector,
)

from . import embedders
from .world import settled, world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source() -> Source:
    settled()
    world.write("rain", "It rains from clouds.")
    world.write("sun", "The sun shines.", scope="acme")
    collection = Collection.objects.create(slug="sky")
    return Source.objects.create(slug="weather", collection=collection, kind="world")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("ling_knowledge", *arguments, stdout=out)
    return out.getvalue()


def test_sync_does_a_pass_and_says_what_came_of_it(source: Source) -> None:
    assert run("sync", "weather") == "weather: finished; pass 1: 2 seen, 2 changed, 0 deleted, 0 failed\n"
    assert Sync.objects.get().trigger == "manual"
    Document.objects.filter(key="sun").update(status="pending", raw_hash="")
    told = "weather: finished; what was pending: 1 seen, 0 changed, 0 deleted, 0 failed\n"
    assert run("sync", "weather", "--pending") == told
    assert "pass 2" in run("sync")


def test_failures_are_tried_again_or_left_out(source: Source) -> None:
    failed = {"source": source, "status": "failed", "raw_hash": "x"}
    for key, code in (("a", "http-503"), ("b", "http-503"), ("c", "too-large"), ("d", "timed-out")):
        Document.objects.create(key=key, error_code=code, **failed)
    Document.objects.create(source=source, key="e", status="indexed")
    assert run("retry", "weather", "--code", "http-503", "--key", "a", "--key", "e").startswith("1 documents")
    assert run("discard", "weather", "--code", "too-large").startswith("1 documents")
    found = {key: status for key, *_, status in Document.objects.values_list("key", "raw_hash", "status")}
    assert found == {"a": "pending", "b": "failed", "c": "skipped", "d": "failed", "e": "indexed"}
    assert run("discard", "weather").startswith("2 documents")
    assert run("retry", "weather").startswith("0 documents")
    with pytest.raises(CommandError, match="there is no nothing"):
        run("retry", "nothing")


def test_sync_lets_deletions_go_on(source: Source) -> None:
    for number in range(40):
        world.write(f"{number}", "text")
    run("sync")
    world.documents.clear()
    run("sync")
    assert Document.objects.count() == 42
    run("sync", "--confirm", "weather")
    assert Document.objects.count() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sync", "moon"], "there is no moon"),
        (["search", "moon", "rain"], "moon"),
        (["eval", "moon"], "moon"),
        (["eval", "sky"], "golden questions"),
        (["export", "moon"], "moon"),
        (["forget"], "--scope"),
    ],
)
def test_what_makes_no_sense_is_refused(source: Source, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_a_pass_that_fails_is_an_error(source: Source) -> None:
    Source.objects.update(config={"shut": True})
    with pytest.raises(CommandError, match="weather"):
        run("sync")
    assert run("status") == "weather (world): failed; no documents\n  the world is shut\n"


def test_status_counts(source: Source) -> None:
    run("sync")
    assert run("status") == "weather (world): ok; 2 indexed\n"


def test_search_finds_in_a_tenant(source: Source) -> None:
    run("sync")
    assert "About rain" in run("search", "sky", "rain", "--mode", "keyword")
    assert "About sun" not in run("search", "sky", "sun")
    assert "About sun" in run("search", "sky", "sun", "--scope", "acme")


def test_eval_asks_the_golden_questions(source: Source) -> None:
    run("sync")
    collection = source.collection
    Question.objects.create(collection=collection, text="Where does rain come from?", expected=["rain"])
    Question.objects.create(collection=collection, text="What is snow?", expected=["snow"])
    told = run("eval", "sky", "--mode", "keyword")
    assert "not found: What is snow?" in told
    assert "2 questions: recall@3 0.50, recall@8 0.50, MRR 0.50" in told


def test_forget_deletes_what_is_somebodys(source: Source) -> None:
    run("sync")
    assert "1 documents" in run("forget", "--scope", "acme")
    assert [row.key for row in Document.objects.all()] == ["rain"]
    Document.objects.update(owner=User.objects.create_user("ada"))
    assert "1 documents" in run("forget", "--owner", str(User.objects.get().pk))
    run("sync")
    assert "1 documents" in run("forget", "--source", "weather", "--key", "sun")


def test_vacuum_deletes_vectors_that_nobody_uses(source: Source) -> None:
    embedders.register()
    first = Embedder.objects.create(slug="a", kind="told")
    Collection.objects.update(embedder=first)
    run("sync")
    second = Embedder.objects.create(slug="b", kind="told", model="other")
    Collection.objects.update(embedder=second)
    assert run("vacuum", "--cache", "9") == "0 vectors and 0 kept ones deleted\n", (
        "it may be the embedder again"
    )
    run("sync")
    assert {vector.embedder for vector in Vector.objects.all()} == {second}
    assert EmbeddingCache.objects.count() == 4
    Vector.objects.filter(pk=Vector.objects.values("pk")[:1]).update(embedder=first)
    assert run("vacuum", "--cache", "3") == "1 vectors and 1 kept ones deleted\n"
    assert {vector.embedder for vector in Vector.objects.all()} == {second}


def test_export_has_all_that_is_indexed(source: Source) -> None:
    run("sync")
    rows: list[Any] = [json.loads(line) for line in run("export", "sky").splitlines()]
    assert [row["key"] for row in rows] == ["rain", "sun"]
    assert rows[0]["chunks"][0]["text"] == "It rains from clouds."
