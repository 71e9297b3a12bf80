"""Files that are given by HTTP, to the real server: signed, or by a user who may; all of them or none."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import Client

from lingstream.access.signatures import signature
from lingstream.knowledge import filing
from lingstream.knowledge.models import Collection, Document, Source, Sync, Upload
from tests.site import Site

from .test_webhook import indexed

Give = Callable[..., Awaitable[httpx.Response]]
TOKEN = "a" * 32


@pytest.fixture
async def source(site: Site) -> Source:
    collection = await Collection.objects.acreate(slug="help", access="authenticated")
    return await Source.objects.acreate(slug="files", collection=collection, kind="upload", max_documents=3)


@pytest.fixture
def give(site: Site, source: Source) -> Give:
    async def send(
        *files: tuple[str, bytes],
        gone: list[str] | None = None,
        to: str = "files",
        secret: str | None = None,
        user: User | None = None,
        **headers: str,
    ) -> httpx.Response:
        given = [("file", (name, body, "text/markdown")) for name, body in files]
        url = f"{site.base}/ling/knowledge/sources/{to}/files/"
        data = {"gone": gone or []}
        request = httpx.Request("POST", url, files=given or {"x": b""}, data=data, headers=headers)
        body = request.read()
        if user:
            client = Client()
            await sync_to_async(client.force_login)(user)
            request.headers["cookie"] = f"sessionid={client.cookies['sessionid'].value}; csrftoken={TOKEN}"
        else:
            key = source.secret() if secret is None else secret
            request.headers["Ling-Signature"] = signature(key, int(time.time()), body)
        return await site.http.send(request)

    return send


@sync_to_async
def person(name: str, *, may: bool = True) -> User:
    user = User.objects.create_user(name)
    if may:
        user.user_permissions.add(Permission.objects.get(codename="add_upload"))
    return user


async def test_signed_files_are_found_replaced_and_taken_back(source: Source, give: Give) -> None:
    answer = await give(("a.md", b"clouds"), ("b.md", b"rain"))
    assert (answer.status_code, answer.json()) == (202, {"kept": ["a.md", "b.md"], "gone": 0})
    await indexed(source, **{"a.md": "clouds", "b.md": "rain"})
    assert (await Sync.objects.alatest("pk")).trigger == "webhook"
    answer = await give(("a.md", b"sun"), gone=["b.md", "c.md"])
    assert answer.json() == {"kept": ["a.md"], "gone": 1}
    await indexed(source, **{"a.md": "sun"})


async def test_a_user_who_may_gives_them_from_a_page(source: Source, give: Give) -> None:
    answer = await give(("a.md", b"clouds"), user=await person("anna"), **{"x-csrftoken": TOKEN})
    assert answer.status_code == 202, answer.text
    row = (await indexed(source, **{"a.md": "clouds"}))["a.md"]
    assert (row.owner_id, (await Sync.objects.alatest("pk")).trigger) == (None, "manual")


@pytest.mark.parametrize(
    "why",
    ["no permission", "no token", "another tenant", "another collection's people", "no source", "no secret"],
)
async def test_nobody_else_does(source: Source, give: Give, why: str, settings: Any) -> None:
    how: dict[str, Any] = {"user": await person("anna", may=why != "no permission"), "x-csrftoken": TOKEN}
    if why == "no token":
        del how["x-csrftoken"]
    elif why == "another tenant":
        await Source.objects.aupdate(scope="other")
    elif why == "another collection's people":
        await Collection.objects.aupdate(access="groups")
    elif why == "no source":
        how["to"] = "none"
    elif why == "no secret":
        how = {"secret": "x"}
    answer = await give(("a.md", b"clouds"), **how)
    assert (answer.status_code, await Upload.objects.aexists()) == (403, False)


async def test_where_documents_are_ones_own_so_are_files(source: Source, give: Give) -> None:
    await Collection.objects.aupdate(access="own")
    anna, berta = await person("anna"), await person("berta")
    assert (await give(("a.md", b"mine"), user=anna, **{"x-csrftoken": TOKEN})).status_code == 202
    assert (await indexed(source, **{"a.md": "mine"}))["a.md"].owner_id == anna.pk
    for what in ({"gone": ["a.md"]}, {}):
        given = () if what else (("a.md", b"hers"), ("b.md", b"hers"))
        answer = await give(*given, user=berta, **what, **{"x-csrftoken": TOKEN})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "key-reused")
    assert [row.key async for row in Document.objects.all()] == ["a.md"]


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ([("a.md", b"x" * (filing.MOST_BYTES + 1))], 413, "too-large"),
        ([("a.md", b"x" * (filing.LARGEST + 1))], 413, "too-large"),
        ([(f"{n}.md", b"x") for n in range(4)], 400, "too-many"),
        ([(f"{n}.md", b"x") for n in range(101)], 400, None),
    ],
    ids=["a large request", "a large file", "more than the source takes", "more than a request may have"],
)
async def test_a_request_is_bounded_and_done_as_a_whole(
    source: Source, give: Give, files: Any, status: int, code: str | None
) -> None:
    answer = await give(*files)
    assert (answer.status_code, await Upload.objects.aexists()) == (status, False), answer.text
    assert code is None or answer.json()["error"]["code"] == code


async def test_who_may_add_files_replaces_and_deletes_none(source: Source, give: Give) -> None:
    anna = await person("anna")
    assert (await give(("a.md", b"clouds"))).status_code == 202
    for files, gone, code in (
        ([("a.md", b"sun")], [], "change_upload"),
        ([("b.md", b"sun")], ["a.md"], "delete_upload"),
    ):
        answer = await give(*files, gone=gone, user=anna, **{"x-csrftoken": TOKEN})
        assert answer.status_code == 403
        assert code in answer.text
        await sync_to_async(anna.user_permissions.add)(await Permission.objects.aget(codename=code))
        answer = await give(*files, gone=gone, user=anna, **{"x-csrftoken": TOKEN})
        assert answer.status_code == 202, answer.text
    await indexed(source, **{"b.md": "sun"})


async def test_a_full_source_takes_others_in_their_place(source: Source, give: Give) -> None:
    assert (await give(*((f"{n}.md", b"x") for n in range(3)))).status_code == 202
    await Source.objects.aupdate(max_documents=2)
    assert (await give(("2.md", b"y"))).status_code == 202
    answer = await give(("3.md", b"y"), gone=["0.md", "1.md"])
    assert answer.json() == {"kept": ["3.md"], "gone": 2}


@pytest.mark.parametrize("how", ["twice", "nothing", "chunked"])
async def test_a_form_is_taken_whole_or_refused(site: Site, source: Source, how: str) -> None:
    names = {"twice": ["a/x.md", "b/x.md"], "nothing": [], "chunked": ["x.md"]}[how]
    files = [("file", (name, b"x", "text/markdown")) for name in names] or {"other": b"x"}
    form = httpx.Request("POST", f"{site.base}/ling/knowledge/sources/files/files/", files=files)
    body = form.read()

    async def pieces() -> Any:
        yield body

    headers = {
        "content-type": form.headers["content-type"],
        "Ling-Signature": signature(source.secret(), int(time.time()), body),
    }
    answer = await site.http.post(form.url, content=pieces(), headers=headers)
    if how == "chunked":
        assert (answer.status_code, answer.json()["kept"]) == (202, ["x.md"])
    else:
        assert (answer.status_code, await Upload.objects.aexists()) == (400, False)


async def test_what_is_no_form_and_what_takes_no_files_is_told(
    site: Site, source: Source, give: Give
) -> None:
    headers = {"Ling-Signature": signature(source.secret(), int(time.time()), b"{}")}
    answer = await site.http.post("/ling/knowledge/sources/files/files/", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad-request")
    await Source.objects.aupdate(kind="webhook")
    assert "kind upload" in (await give(("a.md", b"x"))).text


async def test_refusals_are_told_in_the_language_of_who_gives_files(source: Source, give: Give) -> None:
    chinese = {"accept-language": "zh-hans"}
    anna = await person("anna")
    assert (await give(("a.md", b"clouds"))).status_code == 202
    for answer, code, told in (
        (await give(**chinese), "bad-request", "应有字段 file 或 gone，实际都没有"),
        (await give(("a/x", b""), ("b/x", b""), **chinese), "usage", "只能出现一次，实际为 ['x', 'x']"),
        (await give(gone=["a.md"], user=anna, **chinese, **{"x-csrftoken": TOKEN}), "forbidden", "有权删除"),
        (await give(("a.md", b"clouds"), secret="x", **chinese), "forbidden", "用此来源的密钥签名"),
    ):
        error = answer.json()["error"]
        assert (error["code"], told in error["message"]) == (code, True), error
