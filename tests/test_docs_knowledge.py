"""docs/knowledge.md: each of its examples is executed, and does what the page says."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import include, path

from lingstream.core.engine import registry as workflows
from lingstream.execution.runner import get_runner
from lingstream.knowledge import registry, rerank
from lingstream.knowledge.embed import registry as embeddings
from lingstream.knowledge.models import Collection, Embedder, Source
from lingstream.knowledge.sources import python
from lingstream.knowledge.sources.port import Content, Ref
from lingstream.knowledge.steps import Retrieve
from lingstream.models import Run, Workflow
from tests import site as sites
from tests.knowledge.building import collection, document, find
from tests.knowledge.library.models import Article
from tests.knowledge.world import one_pass
from tests.site import Site

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
# What each test below executes.
EXECUTED = (
    "INSTALLED_APPS",
    "urlpatterns",
    "import index",
    "await search",
    "lingstream_chat",
    "no_drafts",
    '@source("tickets")',
    "answer_from",
    '"related_question"',
    "<ling-stream",
    "register_reranker",
    "register_embedding",
)


def snippet(word: str) -> str:
    """The only example that has this word."""
    (code,) = [code for _, code in SNIPPETS if word in code]
    return str(code)


def test_no_example_is_left_out() -> None:
    assert {snippet(word) for word in EXECUTED} == {code for _, code in SNIPPETS}


def test_the_app_and_its_addresses_are_there() -> None:
    names: dict[str, Any] = {"INSTALLED_APPS": [], "urlpatterns": [], "path": path, "include": include}
    exec(snippet("INSTALLED_APPS"), names)
    exec(snippet("urlpatterns"), names)
    assert names["INSTALLED_APPS"] == ["lingstream.knowledge"]
    assert names["urlpatterns"][0].resolve("ling/knowledge/runs/1/citations/").url_name == "citations"


@pytest.mark.django_db(transaction=True)
def test_ones_own_models_are_found_by_who_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_declared", {})
    exec(snippet("import index"), {"__package__": "tests.knowledge.library"})
    call_command("migrate", verbosity=0)
    Article.objects.create(title="Returns", text="You may return it within 30 days.")
    assert one_pass(Source.objects.get(slug="docs-article")).status == "finished"
    anna = User.objects.create(username="anna")
    for user, found in ((anna, ["Returns"]), (AnonymousUser(), [])):
        assert [hit.title for hit in searched(user)] == found


def searched(user: Any) -> Any:
    """What the page's view finds."""
    names: dict[str, Any] = {"request": SimpleNamespace(user=user)}
    code = compile(snippet("await search"), "docs", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def view() -> None:
        done = eval(code, names)
        assert inspect.isawaitable(done)
        await done

    asyncio.run(view())
    return names["hits"]


@pytest.mark.django_db
def test_templates_name_what_there_is() -> None:
    request = RequestFactory().get("/")
    request.user = User()
    page = Template(snippet("lingstream_chat")).render(Context({"request": request}))
    assert 'workflow="docs-chat"' in page and "<script" in page
    assert "docs-chat" in workflows.registered()
    client = "".join(file.read_text() for file in (ROOT / "lingstream/static/lingstream").glob("*.js"))
    assert re.search(r'workflow="([\w-]+)"', snippet("<ling-stream"))[1] == "docs-chat"  # type: ignore[index]
    for attribute in set(re.findall(r"data-ling[\w-]*", snippet("<ling-stream"))):
        assert f'"{attribute}"' in client or f"[{attribute}]" in client, attribute


@pytest.mark.django_db(transaction=True)
def test_a_source_in_python_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "_functions", {})
    exec(snippet('@source("tickets")'), {"__name__": "shop.knowledge"})
    into = Collection.objects.create(slug="tickets", access="anyone")
    config = json.loads(re.findall(r'`({"function".*?})`', PAGE)[0])
    source = Source.objects.create(slug="tickets", collection=into, kind="python", config=config)
    source.full_clean()
    assert one_pass(source).status == "finished"
    assert [hit.url for hit in find("tickets", "printer")] == ["/tickets/1/"]


@pytest.mark.django_db(transaction=True)
def test_a_step_of_a_pipeline_leaves_documents_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "_functions", {})
    exec(snippet("no_drafts"), {"__name__": "shop.steps"})

    @python.source("shelf")
    async def shelf(source: Source) -> AsyncIterator[Ref]:
        for title in ("DRAFT of a catalog", "The catalog"):
            yield Ref(title, content=Content("Printers.", title=title))

    pipeline = json.loads(re.findall(r"With `(\[.*?\])` as its \*pipeline\*", PAGE)[0])
    into = Collection.objects.create(slug="shelf", access="anyone", pipeline=pipeline)
    source = Source.objects.create(slug="shelf", collection=into, kind="python", config={"function": "shelf"})
    assert one_pass(source).status == "finished"
    (kept,) = source.documents.filter(status="indexed")
    assert (kept.title, kept.metadata) == ("The catalog", {"shop": True})


async def test_a_workflow_answers_with_citations(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "_functions", dict(workflows._functions))
    monkeypatch.setattr(workflows, "_declared", dict(workflows._declared))
    exec(snippet("answer_from"), {"__name__": "shop.workflows"})
    quote = {"source": 1, "quote": "within 30 days"}
    said = {"citations": [quote], "answer": "You have 30 days [1].", "related_question": ["Who pays?"]}
    sites.answers = lambda messages, options: json.dumps(said)
    for slug, text in (("docs", "Return it within 30 days."), ("handbook", "Tea is made of leaves.")):
        into = await sync_to_async(collection)(slug)
        await sync_to_async(document)(into, text, title="Returns", url="/help/returns/", heading=["Shipping"])
    await site.workflow("other", unused="x")  # which brings the provider
    await Workflow.objects.acreate(slug="help", name="Help", access="anyone")
    started = (await site.start("help", {"question": "How long may I return it?"})).json()["run"]
    await get_runner().wait(started)
    run = await Run.objects.aget(pk=started)
    assert (run.status, run.errors) == ("finished", [])
    told = json.loads(snippet('"related_question"'))
    assert run.document.keys() == told.keys()
    assert run.document["sources"][0].keys() == told["sources"][0].keys()
    assert run.document["citations"][0].keys() == told["citations"][0].keys()
    assert run.document["citations"][0]["verified"]


def test_the_options_of_a_step_are_told() -> None:
    table = PAGE.partition("The options of a step `retrieve`")[2].partition("\n\n|")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(Retrieve.options_schema["properties"])


@pytest.mark.django_db(transaction=True)
def test_rerankers_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "_rerankers", {})
    exec(snippet("register_reranker"), {})
    assert set(rerank.rerankers()) == {"jina", "shared-words"}
    made = collection("docs")
    for text in ("a kettle and the kettle", "the long text about a kettle of iron and of much else besides"):
        document(made, text)
    question = "the kettle of iron"
    assert [hit.rerank_score for hit in find("docs", question, rerank="shared-words")] == [4, 2]


@pytest.mark.django_db(transaction=True)
def test_an_embedder_of_ones_own_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_kinds", dict(embeddings._kinds))
    monkeypatch.setattr(python, "_functions", {})
    exec(snippet("register_embedding"), {})
    exec(snippet('@source("tickets")'), {"__name__": "shop.knowledge"})
    embedder = Embedder(slug="letters", kind="letters")
    embedder.full_clean()
    embedder.save()
    into = Collection.objects.create(slug="tickets", access="anyone", embedder=embedder)
    config = {"function": "tickets"}
    source = Source.objects.create(slug="tickets", collection=into, kind="python", config=config)
    assert one_pass(source).status == "finished"
    [hit] = find("tickets", "fire printer", mode="vector")
    assert hit.vector_score and hit.vector_score > 0.5
