"""Attachments: what is taken, what it is taken for, who gets it back, and what a model sees."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from lingstream.access.claims import claim
from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.conversations.files import sniffed
from lingstream.core.engine.chat import MOST_IN_MESSAGE
from lingstream.execution.retention import prune
from lingstream.execution.storage import in_database
from lingstream.models import Attachment, BotRun, Chat, Conversation, Run
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import Site

URL = "/ling/conversations/"
FILES = "/ling/attachments/"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a..", "image/gif"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", "application/octet-stream"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (HTML, "text/plain"),
        (SVG, "text/plain"),
        ("云".encode(), "text/plain"),
        ("云".encode()[:2], "text/plain"),  # the head ends within a character
        (b"", "text/plain"),
        (b"\x80abc", "application/octet-stream"),
        (b"a\x00b", "application/octet-stream"),
        (b" " + PNG, "application/octet-stream"),
    ],
)
def test_a_type_is_what_is_in_the_file(head: bytes, kind: str) -> None:
    assert sniffed(head) == kind


@pytest.fixture
async def talk(site: Site, settings: Any, tmp_path: Path) -> Site:
    """A site whose visitor talks to a workflow that takes files of all kinds."""
    settings.MEDIA_ROOT = str(tmp_path)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02}
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("talk", answer={"prompt": "A", "history": True})
    columns: dict[str, Any] = {"titles": False, "summarize": False, "max_files": 2, "max_size": 1_000}
    await Chat.objects.acreate(workflow=workflow, attachments="files", **columns)
    site.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('me')}"
    return site


async def begun(site: Site) -> str:
    return str((await site.http.post(URL, json={"workflow": "talk"})).json()["id"])


async def upload(site: Site, talk: str, content: bytes = PNG, name: str = "cat.png", **more: Any) -> Any:
    return await site.http.post(FILES, data={"conversation": talk}, files={"file": (name, content)}, **more)


def part(answer: Any) -> dict[str, str]:
    return {"type": "file", "attachment": answer.json()["id"]}


async def turn(site: Site, talk: str, **body: Any) -> Run:
    told = (await site.http.post(f"{URL}{talk}/messages/", json=body)).json()
    assert "run" in told, told
    return await ended(told["run"])


class TestAFile:
    @pytest.mark.parametrize(
        ("content", "name", "kind", "shown"),
        [
            (PNG, "cat.html", "image/png", "inline"),
            (HTML, "cat.png", "text/plain", "attachment"),
            (SVG, "cat.svg", "text/plain", "attachment"),
            (b"%PDF-1.7", "../../etc/passwd", "application/pdf", "attachment"),
        ],
    )
    async def test_is_served_so_that_it_runs_nothing(
        self, talk: Site, content: bytes, name: str, kind: str, shown: str
    ) -> None:
        kept = await upload(talk, await begun(talk), content, name)
        assert kept.status_code == 201
        assert kept.json()["content_type"] == kind and "/" not in kept.json()["name"]
        got = await talk.http.get(f"{FILES}{kept.json()['id']}/")
        assert (got.content, got.headers["content-type"]) == (content, kind)
        assert got.headers["content-disposition"].startswith(shown)
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in got.headers["content-security-policy"]
        row = await Attachment.objects.aget()
        assert "cat" not in row.file.name and "." not in row.file.name
        assert (row.size, row.owner_key) == (len(content), f"visitor:{digest_of('me')}")

    async def test_is_its_conversations_owners(self, talk: Site) -> None:
        name = await begun(talk)
        kept = await upload(talk, name)
        url = f"{FILES}{kept.json()['id']}/"
        talk.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('you')}"
        for answer in (
            await talk.http.get(url),
            await talk.http.delete(url),
            await upload(talk, name),
            await talk.http.post(f"{URL}{name}/messages/", data={"text": "x"}, files={"file": ("a", PNG)}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert await Attachment.objects.acount() == 1

    async def test_that_is_deleted_is_gone_from_the_storage(self, talk: Site) -> None:
        kept = await upload(talk, await begun(talk))
        url = f"{FILES}{kept.json()['id']}/"
        name = (await Attachment.objects.aget()).file.name
        assert default_storage.exists(name)
        assert (await talk.http.delete(url)).status_code == 204
        assert not default_storage.exists(name)
        assert (await talk.http.get(url)).status_code == 404

    async def test_goes_with_its_conversation(self, talk: Site) -> None:
        name = await begun(talk)
        kept = await upload(talk, name)
        run = await turn(talk, name, parts=[part(kept)])
        stored = (await Attachment.objects.aget()).file.name
        assert (await Attachment.objects.aget()).run_id == run.pk
        await talk.http.delete(f"{URL}{name}/")
        assert (await talk.http.get(f"{FILES}{kept.json()['id']}/")).status_code == 404
        assert await in_database(prune) == 1
        assert not await Attachment.objects.aexists() and not default_storage.exists(stored)

    async def test_that_waits_a_day_for_its_message_goes(self, talk: Site) -> None:
        name = await begun(talk)
        _, used, new = [await upload(talk, name) for _ in range(3)]
        await turn(talk, name, parts=[part(used)])
        past = timezone.now() - timedelta(days=2)
        await Attachment.objects.exclude(pk=new.json()["id"]).aupdate(created_at=past)
        await in_database(prune)
        left = {str(row.pk) async for row in Attachment.objects.all()}
        assert left == {used.json()["id"], new.json()["id"]}

    @pytest.mark.parametrize(
        ("chat", "content", "status", "code"),
        [
            ({"attachments": "none"}, PNG, 415, "attachment-type"),
            ({"attachments": "images"}, PNG, 201, ""),
            ({"attachments": "images"}, SVG, 415, "attachment-type"),
            ({"max_size": 10}, PNG, 413, "attachment-too-large"),
        ],
    )
    async def test_is_taken_as_the_chat_says(
        self, talk: Site, chat: Any, content: bytes, status: int, code: str
    ) -> None:
        await Chat.objects.aupdate(**chat)
        answer = await upload(talk, await begun(talk), content)
        assert (answer.status_code, answer.json().get("error", {"code": ""})["code"]) == (status, code)

    async def test_is_not_taken_where_no_message_could_hold_it(self, talk: Site) -> None:
        await Chat.objects.aupdate(max_size=MOST_IN_MESSAGE)
        name = await begun(talk)
        for size, status in ((MOST_IN_MESSAGE, 201), (MOST_IN_MESSAGE + 1, 413), (2 * MOST_IN_MESSAGE, 413)):
            answer = await upload(talk, name, b"x" * size)
            assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] == "attachment-too-large"

    async def test_is_counted_apart_from_starts(self, talk: Site, bounds: Any) -> None:
        bounds(UPLOADS_PER_IDENTITY="2/d", STARTS_PER_IDENTITY="2/d")
        name = await begun(talk)
        assert [(await upload(talk, name)).status_code for _ in range(3)] == [201, 201, 429]
        form = {"data": {"text": "hi"}, "files": {"file": ("a", PNG)}}
        refused = await talk.http.post(f"{URL}{name}/messages/", **form)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate-limited")
        await turn(talk, name, text="without a file")
        talk.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('you')}"
        assert (await upload(talk, await begun(talk))).status_code == 201

    async def test_more_may_not_wait_than_anybody_needs(self, talk: Site, monkeypatch: Any) -> None:
        monkeypatch.setattr("lingstream.conversations.files._MOST_WAITING", 1)
        name = await begun(talk)
        assert (await upload(talk, name)).status_code == 201
        assert (await upload(talk, name)).json()["error"]["code"] == "too-many"

    async def test_needs_a_form_that_can_be_read(self, talk: Site) -> None:
        name = await begun(talk)
        for answer in (
            await talk.http.post(FILES, json={"conversation": name}),
            await talk.http.post(FILES, content=b"x", headers={"content-type": "multipart/form-data"}),
            await talk.http.post(FILES, data={"conversation": name}, files={"other": ("a", PNG)}),
        ):
            assert answer.status_code == 400, answer.text
        assert (await upload(talk, "nonsense")).status_code == 404


class TestAMessageWithFiles:
    async def test_tells_the_model_of_them(self, talk: Site) -> None:
        name = await begun(talk)
        picture, text = await upload(talk, name), await upload(talk, name, b"hello", "note.txt")
        words = {"type": "text", "text": "What is it?"}
        first = await turn(talk, name, parts=[words, part(picture), part(text)])
        bot = await BotRun.objects.aget(run=first)
        data = base64.b64encode(PNG).decode()
        assert [message["content"] for message in bot.messages] == [
            "A",
            [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                {
                    "type": "file",
                    "file": {"filename": "note.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
                },
            ],
            "What is it?",
        ]
        second = await turn(talk, name, text="And now?")
        bot = await BotRun.objects.aget(run=second)
        told = [message["content"] for message in bot.messages]
        assert told == ["A", "What is it?\n[cat.png]\n[note.txt]", "yes", "And now?"]
        whole = (await talk.http.get(f"{URL}{name}/")).json()
        assert whole["turns"][0]["message"]["parts"][1] == {
            **part(picture),
            "name": "cat.png",
            "content_type": "image/png",
            "size": len(PNG),
        }

    async def test_may_come_with_them_as_a_form(self, talk: Site) -> None:
        name = await begun(talk)
        answer = await talk.http.post(
            f"{URL}{name}/messages/",
            data={"text": "hi", "id": "m1", "input": '{"lang": "en"}'},
            files=[("file", ("a.png", PNG)), ("file", ("b.txt", b"b"))],
        )
        run = await ended(answer.json()["run"])
        assert run.input == {"lang": "en", "question": "hi"}
        assert [each["type"] for each in run.message["parts"]] == ["text", "file", "file"]
        assert await Attachment.objects.filter(run=run).acount() == 2
        answer = await talk.http.post(f"{URL}{name}/messages/", data={"text": "hi"}, files={"x": ("x", b"")})
        assert "attachment" not in str((await ended(answer.json()["run"])).message)

    @pytest.mark.parametrize(
        ("form", "files", "code"),
        [
            ({"parent": "nonsense"}, [PNG], "not-found"),
            ({}, [PNG] * 3, "too-many"),
            ({}, [PNG, b"x" * 2_000], "attachment-too-large"),
            ({"input": '"text"'}, [PNG], "uri"),
            ({"text": "at once"}, [PNG], "rate-limited"),
        ],
    )
    async def test_that_is_refused_takes_its_files_along(
        self, talk: Site, bounds: Any, form: dict[str, str], files: list[bytes], code: str
    ) -> None:
        bounds(STARTS_PER_IDENTITY="2/d")
        name = await begun(talk)
        await turn(talk, name, parts=[part(await upload(talk, name))])
        if code != "rate-limited":
            bounds()
        answer = await talk.http.post(
            f"{URL}{name}/messages/",
            data={"text": "hi", **form},
            files=[("file", ("a", content)) for content in files],
        )
        assert answer.json()["error"]["code"] == code
        kept = await Attachment.objects.aget()
        assert kept.run_id is not None
        assert default_storage.listdir("lingstream")[1] == [Path(kept.file.name).name]

    async def test_is_sent_once_more_with_the_same(self, talk: Site) -> None:
        name = await begun(talk)
        run = await turn(talk, name, parts=[part(await upload(talk, name))])
        again = (await talk.http.post(f"{URL}{name}/regenerate/", json={"run": str(run.pk)})).json()
        await ended(again["run"])
        first, second = [bot async for bot in BotRun.objects.order_by("pk")]
        assert first.messages == second.messages and "image_url" in str(first.messages)

    async def test_of_a_file_that_is_gone_the_rest_is_told(self, talk: Site) -> None:
        name = await begun(talk)
        kept = await upload(talk, name)
        default_storage.delete((await Attachment.objects.aget()).file.name)
        run = await turn(talk, name, text=None, parts=[{"type": "text", "text": "hi"}, part(kept)])
        bot = await BotRun.objects.aget(run=run)
        assert [message["content"] for message in bot.messages] == ["A", "hi"]

    async def test_is_refused_where_they_do_not_fit(self, talk: Site, monkeypatch: Any) -> None:
        name, other = await begun(talk), await begun(talk)
        mine, theirs = await upload(talk, name), await upload(talk, other)

        async def code(*parts: dict[str, str]) -> str:
            answer = await talk.http.post(f"{URL}{name}/messages/", json={"parts": list(parts)})
            return str(answer.json().get("error", {"code": "ok"})["code"])

        assert await code(part(theirs)) == "not-found"
        assert await code({"type": "file", "attachment": "nonsense"}) == "not-found"
        assert await code(*[part(mine)] * 3) == "too-many"
        monkeypatch.setattr("lingstream.conversations.files.MOST_IN_MESSAGE", 10)
        assert await code(part(mine)) == "attachment-too-large"
        await Chat.objects.aupdate(attachments="none")
        assert await code(part(mine)) == "attachment-type"
        assert not await Run.objects.aexists()


def test_what_a_visitor_attached_is_the_users_after_the_login(db: None, django_user_model: Any) -> None:
    visitor = {"visitor": digest_of("me")}
    talk = Conversation.objects.create(**visitor)
    Attachment.objects.create(conversation=talk, name="a", size=1, **visitor)
    ann = django_user_model.objects.create_user("ann")
    claim(ann, "me")
    assert Attachment.objects.get().owner == ann
