"""The rows of citations: which document they named, and whether it has changed since."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.utils import timezone

from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.knowledge.models import Chunk, Citation, Collection, Document, Source
from lingstream.models import Run, Runner
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site

PASSAGE = "A cloud is made of tiny drops."
ANSWER = {
    "citations": [
        {"source": 1, "quote": "tiny drops"},
        {"source": 2, "quote": "tiny drops"},
        {"source": 7, "quote": "tiny drops"},
    ],
    "answer": "Of drops [1].",
}


def store_chunk() -> Chunk:
    """One document with one passage."""
    collection = Collection.objects.create(slug="sky", access="anyone")
    source = Source.objects.create(collection=collection, slug="sky", kind="folder")
    document = Document.objects.create(source=source, key="clouds", version=3, status="indexed")
    return Chunk.objects.create(
        collection=collection, document=document, position=0, start=0, end=30, text=PASSAGE, text_hash="x"
    )


@pytest.fixture
async def chunk(site: Site, request: pytest.FixtureRequest) -> Chunk:
    """A passage that the site's one workflow is given, beside one that is not indexed any more."""
    chunk = await sync_to_async(store_chunk)()
    passage = {"title": "Clouds", "text": PASSAGE, **getattr(request, "param", {})}
    sources = [{"id": str(uid), **passage} for uid in (chunk.uid, uuid.uuid4())]
    workflow = await site.workflow(
        retrieve={"kind": "compute", "root": "sources", "options": {"from": json.dumps(sources)}},
        answer={"prompt": "Cite.", "only": ["answer", "citations/*/source", "citations/*/quote"]},
        cite={"kind": "cite", "options": {"sources": "{{ document.sources }}"}},
    )
    await sync_to_async(store_triggers)(workflow)
    return chunk


def store_triggers(workflow: Any) -> None:
    steps = {step.name: step for step in workflow.steps.all()}
    workflow.triggers.all().delete()
    workflow.triggers.create(source=steps["retrieve"], target=steps["answer"], event="response")
    workflow.triggers.create(
        source=steps["answer"],
        target=steps["cite"],
        event="object-response",
        pattern="citations/*",
        root="citations/{{ match[0] }}",
    )


async def cited(site: Site) -> Run:
    """Run it to its end."""
    sites.answers = json.dumps(ANSWER)
    run = (await site.start("test")).json()["run"]
    await get_runner().wait(run)
    return await Run.objects.aget(pk=run)


async def test_a_citation_is_stored_with_its_document_and_version(site: Site, chunk: Chunk) -> None:
    run = await cited(site)
    assert (run.status, run.errors) == ("finished", [])
    rows = [each async for each in Citation.objects.filter(run=run).order_by("uri")]
    told = [(each.uri, each.document_id, each.version, each.verified) for each in rows]
    assert told == [
        ("citations/0", chunk.document_id, 3, True),
        ("citations/1", None, 0, True),
        ("citations/2", None, 0, False),
    ]
    assert rows[0].chunk_uid == chunk.uid


@pytest.mark.parametrize(
    ("chunk", "version"),
    [
        ({"version": 3}, 3),
        ({"version": 2}, 2),  # it has changed between the search and the answer
        ({}, 3),
        *[({"version": none}, 3) for none in (0, -1, True, "2", 2.5, 2**31, [2])],
    ],
    indirect=["chunk"],
)
async def test_a_citation_is_of_the_version_that_was_read(site: Site, chunk: Chunk, version: int) -> None:
    await cited(site)
    found = Citation.objects.order_by("uri").select_related("document")
    rows = [(row.version, row.is_stale) async for row in found]
    assert rows == [(version, version != 3), (0, True), (0, False)]


async def test_a_citation_is_stale_when_its_document_has_changed_or_is_gone(site: Site, chunk: Chunk) -> None:
    await cited(site)
    stale = Citation.objects.stale().order_by("uri").values_list("uri", flat=True)
    assert [uri async for uri in stale] == ["citations/1"], "what was gone when it was cited"
    await Document.objects.filter(pk=chunk.document_id).aupdate(version=4)
    assert [uri async for uri in stale.all()] == ["citations/0", "citations/1"]
    await Document.objects.all().adelete()
    assert [uri async for uri in stale.all()] == ["citations/0", "citations/1"]


async def test_what_is_stored_again_stays_as_it_was(site: Site, chunk: Chunk) -> None:
    run = await cited(site)
    await Document.objects.filter(pk=chunk.document_id).aupdate(version=4)
    keep = sync_to_async(Citation.objects.keep)
    await keep(str(run.pk), "citations/0", str(chunk.uid), True)
    row = await Citation.objects.aget(run=run, uri="citations/0")
    assert row.version == 3


async def test_a_run_whose_process_died_has_the_same_citations_without_a_model(
    site: Site, chunk: Chunk, settings: Any
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02, "HEARTBEAT_EVERY": 0.05}
    run = await cited(site)
    before = [each async for each in Citation.objects.filter(run=run).order_by("uri").values()]
    await Document.objects.filter(pk=chunk.document_id).aupdate(version=4)
    sites.answers = []
    dead = await Runner.objects.acreate(stopped_at=timezone.now())
    get_hub().drop(str(run.pk))
    left = {"status": "running", "runner": dead, "document": None, "finished_at": None}
    await Run.objects.filter(pk=run.pk).aupdate(**left)
    await get_runner().ensure_registered()
    async with within(10):
        while not await Run.objects.filter(pk=run.pk, status="finished").aexists():
            await asyncio.sleep(0.02)
    again = await Run.objects.aget(pk=run.pk)
    assert (again.epoch, again.document) == (2, run.document)
    assert [each async for each in Citation.objects.filter(run=run).order_by("uri").values()] == before


async def test_that_rows_cannot_be_stored_is_no_failure_of_the_answer(
    site: Site, chunk: Chunk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(Citation.objects, "keep", refuse)
    run = await cited(site)
    assert (run.status, run.document["citations"][0]["verified"]) == ("finished", True)
    assert "is not stored" in caplog.text


async def test_who_may_read_a_run_is_told_which_of_its_sources_have_changed(site: Site, chunk: Chunk) -> None:
    sites.answers = json.dumps(ANSWER)
    started = await site.start("test")
    run, share = started.json()["run"], {"Authorization": f"Ling {started.headers['Ling-Share']}"}
    await get_runner().wait(run)
    told = await site.http.get(f"/ling/knowledge/runs/{run}/citations/", headers=share)
    assert told.json() == {"run": run, "stale": ["citations/1"]}
    await Document.objects.filter(pk=chunk.document_id).aupdate(version=4)
    told = await site.http.get(f"/ling/knowledge/runs/{run}/citations/", headers=share)
    assert told.json()["stale"] == ["citations/0", "citations/1"]
    site.http.cookies.clear()
    assert (await site.http.get(f"/ling/knowledge/runs/{run}/citations/")).status_code in (403, 404)


async def test_the_runs_page_shows_what_it_cites_and_the_list_finds_what_has_changed(
    site: Site, chunk: Chunk
) -> None:
    run = await cited(site)
    await Citation.objects.filter(document=None).adelete()
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate(username="root", is_staff=True, is_superuser=True))
    page = await client.get(f"/admin/lingstream/run/{run.pk}/change/")
    assert "citations/0" in page.content.decode()
    other = await Run.objects.acreate(workflow="facts", status="finished")
    page = await client.get(f"/admin/lingstream/run/{other.pk}/change/")
    assert page.status_code == 200 and 'id="citations' not in page.content.decode()
    address = "/admin/lingstream/run/?sources=changed"
    assert str(run.pk)[:8] not in (await client.get(address)).content.decode()
    await Document.objects.filter(pk=chunk.document_id).aupdate(version=4)
    assert str(run.pk)[:8] in (await client.get(address)).content.decode()
