"""Documents that another system sends, to the real server: signed, bounded, and as often as it likes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from lingstream.access.signatures import signature
from lingstream.core.phrases import Phrase
from lingstream.knowledge import hooks
from lingstream.knowledge.models import Chunk, Collection, Document, Source, Sync, Upload
from tests.chaos.patience import within
from tests.site import Site

Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def source(site: Site) -> Source:
    collection = await Collection.objects.acreate(slug="help", access="anyone")
    return await Source.objects.acreate(slug="shop", collection=collection, kind="webhook", max_documents=3)


@pytest.fixture
def post(site: Site, source: Source) -> Post:
    async def send(
        data: Any,
        *,
        to: str = "shop",
        secret: str | None = None,
        at: float = 0,
        sign: Any = None,
        language: str = "en",
    ) -> httpx.Response:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        signed = signature(source.secret() if secret is None else secret, int(time.time() + at), body)
        headers = {"Ling-Signature": signed if sign is None else sign(signed), "Accept-Language": language}
        return await site.http.post(f"/ling/knowledge/sources/{to}/", content=body, headers=headers)

    return send


def sent(*documents: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"documents": [{"key": key, "text": text} for key, text in documents], **more}


async def indexed(source: Source, **texts: str) -> dict[str, Document]:
    """Wait until these and no others are found."""
    async with within(30):
        while True:
            rows = {row.key: row async for row in Document.objects.filter(source=source)}
            chunks = {
                row.document_id: row.text async for row in Chunk.objects.filter(document__source=source)
            }
            found = {key: chunks.get(row.pk) for key, row in rows.items()}
            if found == texts and all(row.status == "indexed" for row in rows.values()):
                return rows
            await asyncio.sleep(0.05)


async def test_documents_are_found_soon_after(source: Source, post: Post) -> None:
    html = {
        "key": "b",
        "html": "<html><body><p>rain</p></body></html>",
        "title": "Weather",
        "url": "https://example.com/b",
        "language": "en",
        "metadata": {"kind": "news"},
    }
    answer = await post({"documents": [{"key": "a", "text": "clouds"}, html]})
    assert (answer.status_code, answer.json()) == (
        202,
        {"changed": 2, "unchanged": 0, "gone": 0, "asked": 0},
    )
    rows = await indexed(source, a="clouds", b="rain")
    page = rows["b"]
    assert (page.title, page.url, page.language, page.metadata) == (
        "Weather",
        "https://example.com/b",
        "en",
        {"kind": "news"},
    )
    row = await Sync.objects.select_related("run").aget()
    assert (row.trigger, row.number, row.run and row.run.input["trigger"]) == ("webhook", None, "webhook")


async def test_they_are_replaced_and_taken_back(source: Source, post: Post) -> None:
    await post(sent(("a", "one"), ("b", "two")))
    before = await indexed(source, a="one", b="two")
    answer = await post(sent(("a", "one"), ("b", "three"), ("b", "four"), gone=["c"]))
    assert answer.json() == {"changed": 1, "unchanged": 1, "gone": 0, "asked": 0}
    after = await indexed(source, a="one", b="four")
    assert (after["a"].version, after["b"].version) == (before["a"].version, before["b"].version + 1)
    assert (await post({"gone": ["a", "a", "x"]})).json()["gone"] == 1
    await indexed(source, b="four")
    assert [row.name async for row in Upload.objects.all()] == ["b"]


async def test_a_request_that_is_sent_again_changes_nothing(source: Source, post: Post) -> None:
    headers: list[str] = []

    def keep(signed: str) -> str:
        headers.append(signed)
        return headers[0]

    first = await post(sent(("a", "one")), sign=keep)
    await post(sent(("a", "two")))
    again = await post(sent(("a", "one")), sign=keep)
    assert (again.status_code, again.json()) == (202, first.json())
    await indexed(source, a="two")


async def test_one_request_that_is_signed_for_two_sources_is_done_for_both(
    source: Source, post: Post
) -> None:
    other = await Source.objects.acreate(slug="stall", collection_id=source.collection_id, kind="webhook")
    data, at = sent(("a", "one")), int(time.time())
    body = json.dumps(data).encode()
    of_other = signature(other.secret(), at, body).partition(",")[2]
    signed = f"{signature(source.secret(), at, body)},{of_other}"
    for to in ("shop", "stall"):
        answer = await post(data, to=to, sign=lambda _: signed)
        assert answer.json() == {"changed": 1, "unchanged": 0, "gone": 0, "asked": 0}
    assert {row.source_id async for row in Upload.objects.all()} == {source.pk, other.pk}


@pytest.mark.parametrize(
    "how",
    [
        {"to": "none"},
        {"secret": ""},
        {"secret": "x"},
        {"to": "none", "secret": ""},
        {"at": -301},
        {"at": 360},  # time goes on while it is sent
        {"sign": lambda signed: ""},
        {"sign": lambda signed: signed[:-1] + ("0" if signed[-1] != "0" else "1")},
    ],
)
async def test_who_cannot_sign_is_told_the_same(source: Source, post: Post, how: dict[str, Any]) -> None:
    answer = await post(sent(("a", "one")), **how)
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == hooks.refusal(Phrase("source")).message
    assert not await Upload.objects.aexists()


async def test_a_secret_that_was_renewed_is_none(source: Source, post: Post) -> None:
    old = source.secret()
    source.secret_version += 1
    await source.asave()
    assert (await post(sent(("a", "one")), secret=old)).status_code == 403
    assert (await post(sent(("a", "one")))).status_code == 202


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"[", 400, "expected JSON"),
        ([], 400, "[] is not of type"),
        ({"more": 1}, 400, "more"),
        ({"documents": [{"key": "a"}]}, 400, "documents/0"),
        ({"documents": [{"key": "a", "text": "x", "html": "y"}]}, 400, "documents/0"),
        ({"documents": [{"key": "", "text": "x"}]}, 400, "documents/0/key"),
        ({"documents": [{"key": "a\0", "text": "x"}]}, 400, "documents/0/key"),
        ({"documents": [{"key": "a" * 501, "text": "x"}]}, 400, "documents/0/key"),
        ({"documents": [{"key": "a", "text": "x", "url": "javascript:x"}]}, 400, "documents/0/url"),
        ({"keys": [1]}, 400, "keys/0"),
        ({"keys": ["a", ""]}, 400, "keys/1"),
        ({"keys": ["a\0b"]}, 400, "keys/0"),
        ({"gone": ["\0"]}, 400, "gone/0"),
        (sent(*((str(number), "x") for number in range(4))), 400, "expected up to 3 documents in shop"),
        (sent(*((str(number), "x") for number in range(101))), 400, "documents"),
        (b" " * (hooks.MOST_BYTES + 1), 413, f"expected a body of up to {hooks.MOST_BYTES} bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_taken(source: Source, post: Post, data: Any, status: int, message: str) -> None:
    answer = await post(data)
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True)
    assert not await Upload.objects.aexists()
    assert not await Document.objects.aexists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[", "应为 JSON"),
        ({"keys": [1]}, 'keys/0：1 的类型不是 "string"'),
        (b" " * (hooks.MOST_BYTES + 1), f"请求正文最大 {hooks.MOST_BYTES} 字节，实际超出"),
    ],
    ids=["no JSON", "no text", "too large"],
)
async def test_refusals_are_told_in_the_language_of_who_sends_them(
    source: Source, post: Post, data: Any, message: str
) -> None:
    assert message in (await post(data, language="zh-hans")).json()["error"]["message"]


async def test_keys_of_any_source_are_looked_at(
    source: Source, post: Post, tmp_path: Any, settings: Any
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_ROOTS": [str(tmp_path)]}
    (tmp_path / "a.md").write_text("clouds")
    source.kind, source.config = "folder", {"path": str(tmp_path)}
    await source.asave()
    assert (await post({"keys": ["a.md", "a.md"]})).json()["asked"] == 1
    await indexed(source, **{"a.md": "clouds"})
    answer = await post(sent(("a", "one")))
    assert answer.status_code == 400
    assert "expected only keys for a source of the kind folder" in answer.json()["error"]["message"]


async def test_a_pass_finds_what_is_kept(source: Source, post: Post) -> None:
    from lingstream.knowledge.sources.webhook import Webhook

    await post(sent(("a", "one"), ("b", "two")))
    async with Webhook().open(source) as listing:
        refs = [ref async for ref in listing.refs()]
        assert ([ref.key for ref in refs], listing.complete) == (["a", "b"], True)
