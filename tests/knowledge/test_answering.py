"""The workflow ``docs-chat``: a question is looked up and answered with citations, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from lingstream.core.provider import ChatOptions, Message
from lingstream.execution.runner import get_runner
from lingstream.knowledge.models import Citation, Collection
from lingstream.models import Run, Workflow
from lingstream.providers.scripted import text_of
from tests import site as sites
from tests.site import Site

from .building import collection, document

asked: list[list[Message]] = []


def model(messages: list[Message], options: ChatOptions) -> str:
    """Quote the first passage; as a question repeat the last message."""
    asked.append(list(messages))
    if "question that can be understood" in text_of(messages[0]):
        return f"{text_of(messages[-1])} of clouds"
    quote = {"source": 1, "quote": "made of “tiny” drops"}
    return json.dumps({"citations": [quote], "answer": "Of drops [1].", "related_question": ["Why?"]})


@pytest.fixture
async def talk(site: Site) -> Site:
    """A site with one document, and the workflow for everybody."""
    asked.clear()
    sites.answers = model
    made = await sync_to_async(collection)("docs")
    await sync_to_async(document)(
        made, 'A cloud is made of "tiny" drops.', title="Clouds", url="/clouds/", key="clouds.md"
    )
    await site.workflow("other", unused="x")  # which brings the provider
    await Workflow.objects.acreate(slug="docs-chat", name="Docs", access="anyone")
    return site


async def answer(site: Site, question: Any) -> Run:
    run = (await site.start("docs-chat", question)).json()["run"]
    await get_runner().wait(run)
    return await Run.objects.aget(pk=run)


async def test_a_question_is_answered_from_passages_with_citations(talk: Site) -> None:
    run = await answer(talk, {"question": "What are clouds made of?"})
    assert (run.status, run.errors) == ("finished", [])
    assert [each["title"] for each in run.document["sources"]] == ["Clouds"]
    assert run.document["answer"] == "Of drops [1]."
    [citation] = run.document["citations"]
    assert citation == {
        "source": 1,
        "quote": "made of “tiny” drops",
        "title": "Clouds",
        "url": "/clouds/#:~:text=made%20of%20%22tiny%22%20drops",
        "start": 11,
        "end": 31,
        "verified": True,
    }
    system = text_of(asked[0][0])
    assert '[1] Clouds\n```\nA cloud is made of "tiny" drops.\n```' in system
    assert await Citation.objects.filter(run=run, verified=True).acount() == 1


async def test_what_is_not_in_the_sources_is_said_without_a_model(talk: Site) -> None:
    run = await answer(talk, {"question": "zebra xylophone"})
    assert (run.status, run.document["answer"]) == ("finished", "The sources say nothing about that.")
    assert asked == []


async def test_who_may_not_search_the_collection_gets_nothing_from_it(talk: Site) -> None:
    await Collection.objects.filter(slug="docs").aupdate(access="authenticated")
    run = await answer(talk, {"question": "What are clouds made of?"})
    assert (run.document["sources"], asked) == ([], [])


async def test_a_question_in_a_conversation_is_made_one_that_stands_alone(talk: Site) -> None:
    first = await talk.http.post("/ling/conversations/", json={"workflow": "docs-chat"})
    name = first.json()["id"]
    who = {"Authorization": f"Ling-Visitor {first.headers['Ling-Visitor']}"}
    for question in ("What are clouds made of?", "And the weight?"):
        sent = await talk.http.post(
            f"/ling/conversations/{name}/messages/", json={"text": question}, headers=who
        )
        shown = {"Authorization": f"Ling {sent.headers['Ling-Token']}"}
        await talk.http.get(f"/ling/runs/{sent.json()['run']}/events/", headers=shown)  # to its end
    [condensed] = [each for each in asked if text_of(each[0]).startswith("Write the last message")]
    answered = asked[asked.index(condensed) + 1]
    assert [text_of(each) for each in condensed[1:]] == [
        "What are clouds made of?",
        "Of drops [1].",
        "And the weight?",
    ]
    assert text_of(answered[-1]) == "And the weight? of clouds"


async def test_a_row_of_that_slug_has_the_prompts(talk: Site) -> None:
    await Workflow.objects.filter(slug="docs-chat").adelete()
    workflow = await talk.workflow("docs-chat", answer="Be brief.\n{{ passages }}")
    await Workflow.objects.filter(pk=workflow.pk).aupdate(access="anyone")
    run = await answer(talk, {"question": "What are clouds made of?"})
    assert run.document["citations"][0]["verified"] is True
    assert text_of(asked[0][0]).startswith("Be brief.\n[1] Clouds")
