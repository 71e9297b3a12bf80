"""docs/sources.md: its configurations are ones, its figures are those of the code, its request is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import BrowserType

from lingstream.access.identity import Identity
from lingstream.access.signatures import is_signed
from lingstream.core.validation import check_options, compile_schema
from lingstream.knowledge import filing, hooks
from lingstream.knowledge.models import Collection, Source
from lingstream.knowledge.sources import crawl, files, port, render
from lingstream.knowledge.sources.port import source_kind
from lingstream.knowledge.sources.upload import put
from lingstream.knowledge.text.extract import extract
from lingstream.knowledge.web import feed, fetch, links, page, robots, sitemap
from tests.browser.conftest import ARGUMENTS, executable
from tests.chaos.patience import within
from tests.knowledge.building import find
from tests.knowledge.world import one_pass
from tests.site import Site
from tests.web import Answer, web

PAGE = (Path(__file__).parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
KINDS = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", PAGE, re.MULTILINE))


def snippet(word: str) -> str:
    """The only example in Python that has this word."""
    (code,) = [each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in each]
    return str(code)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_options_are_told(kind: str) -> None:
    known = set(source_kind(kind).config_schema["properties"]) - {"key_header", "key_prefix"}
    assert set(re.findall(r"`(\w+)`", KINDS[kind])) == known


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
def test_a_configuration_is_one(text: str, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "library": settings.STORAGES["default"]}
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_STORAGES": ["library"]}
    config = json.loads(text)
    name = {"seeds": "web", "feeds": "feed", "storage": "storage"}[next(iter(config))]
    check_options(source_kind(name).config_schema, config)
    source_kind(name).check(config)


def test_a_request_as_it_is_told_is_taken() -> None:
    names: dict[str, Any] = {"secret": "s"}
    exec(snippet("json.dumps"), names)
    assert is_signed(names["headers"]["Ling-Signature"], "s", names["body"])
    assert not compile_schema(hooks.SENT).failures(json.loads(names["body"]))


async def test_files_by_http_as_it_is_told_are_kept(site: Site) -> None:
    collection = await Collection.objects.acreate(slug="docs")
    source = await Source.objects.acreate(slug="contracts", collection=collection, kind="upload")
    url = f"{site.base}/ling/knowledge/sources/contracts/files/"
    names: dict[str, Any] = {"secret": source.secret(), "url": url}
    exec(snippet("httpx.Request"), names)
    answer = await site.http.send(names["request"])
    assert (answer.status_code, answer.json()) == (202, {"kept": ["lease.md"], "gone": 0})


@pytest.mark.django_db(transaction=True)
def test_files_by_python_are_found_by_whom_they_are_of() -> None:
    source = made("upload", "contracts")
    put(source, "2025/lease.md", b"It ended.")
    anna = User.objects.create(username="anna")
    exec(snippet("take_back"), {"request": SimpleNamespace(user=anna)})
    assert one_pass(source).status == "finished"
    assert [hit.title for hit in find("docs", "lease", identity=Identity(anna))] == ["Lease"]
    assert find("docs", "lease") == []
    assert [*source.documents.values_list("key", flat=True)] == ["2026/lease.md"]


@pytest.mark.django_db(transaction=True)
def test_a_kind_of_ones_own_is_listed_fetched_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_kinds", dict(port._kinds))
    names: dict[str, Any] = {}
    exec(snippet("register_source"), names)
    source = made("manuals")
    source.full_clean()
    assert one_pass(source).status == "finished"
    assert [hit.title for hit in find("docs", "descale")] == ["Kettle"]
    names["MANUALS"]["kettle"] = (4, "Boil it.")
    del names["MANUALS"]["iron"]
    assert one_pass(source).status == "finished"
    assert [hit.text for hit in find("docs", "kettle dry")] == ["Boil it."]


@pytest.mark.django_db(transaction=True)
async def test_a_page_that_javascript_makes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_renderers", {})
    launch = BrowserType.launch

    async def launched(self: BrowserType) -> Any:
        return await launch(self, executable_path=executable(self), args=ARGUMENTS)

    monkeypatch.setattr(BrowserType, "launch", launched)
    exec(snippet("async_playwright"), {})
    script = "document.body.append('Descale it', ' every month.')"
    body = f"<html><body><script>{script}</script></body></html>".encode()
    async with web() as site:
        site.answers["/"] = Answer(body, headers={"Content-Type": "text/html"})
        config = {"seeds": [site.url], "render": "chromium"}
        async with within(60), source_kind("web").open(Source(kind="web", config=config)) as listing:
            page = await listing.fetch(port.Known(f"{site.url}/", f"{site.url}/"))
    assert isinstance(page, port.Content) and isinstance(page.body, bytes)
    assert "Descale it every month." in extract(page.body, page.mime).text


def made(kind: str, slug: str = "s") -> Source:
    collection = Collection.objects.create(slug="docs", access="anyone")
    return Source.objects.create(slug=slug, collection=collection, kind=kind)


def test_its_figures_are_those_of_the_code() -> None:
    megabyte = 1024 * 1024
    figures = {
        "30 s": fetch.MOST_SECONDS,
        "20 MB": fetch.MOST_BYTES / megabyte,
        "10; of a page": fetch.MOST_REDIRECTS,
        "500 KB": robots.MOST_BYTES / 1024,
        "5,000 rules": robots.MOST_RULES,
        "500 with stars": robots.MOST_STARS,
        "2 MB, 1,000 links": page.MOST_BYTES / megabyte,
        "1,000 links": page.MOST_LINKS,
        "50, with 50,000": crawl.MOST_SITEMAPS,
        "50,000 addresses": crawl.MOST_ADDRESSES,
        "5 MB": feed.MOST_BYTES / megabyte,
        "2,000 characters": links.MOST_CHARACTERS,
        "up to 10 seconds": robots.MOST_DELAY,
        "read up to 20 MB": files.LARGEST / 1_000_000,
        "30 seconds and": render.MOST_SECONDS,
        "5,000,000 bytes a page": render.MOST_HTML,
        "up to 21 MB, a file 20 MB": filing.MOST_BYTES / 1_000_000,
        "JSON of up to 2 MB": hooks.MOST_BYTES / megabyte,
    }
    assert sitemap.MOST_BYTES == fetch.MOST_BYTES
    for text, value in figures.items():
        assert text in PAGE
        assert float(re.sub(r"\D*([\d,]+).*", r"\1", text).replace(",", "")) == value
