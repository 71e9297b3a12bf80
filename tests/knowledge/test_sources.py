"""The kinds of sources of this machine: folders, uploads, functions."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User

from lingstream.core.exceptions import UsageError
from lingstream.knowledge import slices
from lingstream.knowledge.asking import ask
from lingstream.knowledge.looking import Looking
from lingstream.knowledge.models import Chunk, Collection, Document, Source, Sync, Upload
from lingstream.knowledge.passes import rules_of
from lingstream.knowledge.pipeline import HALF
from lingstream.knowledge.sources import folder
from lingstream.knowledge.sources.folder import FolderListing
from lingstream.knowledge.sources.port import Content, Failed, Gone, Known, Ref, source_kind
from lingstream.knowledge.sources.python import source as source_function
from lingstream.knowledge.sources.upload import put, take_back

from .world import one_pass

pytestmark = pytest.mark.django_db(transaction=True)


def made(kind: str, **config: Any) -> Source:
    return Source.objects.create(
        slug=kind, collection=Collection.objects.create(slug=kind), kind=kind, config=config
    )


def keys() -> list[str]:
    return list(Document.objects.order_by("key").values_list("key", flat=True))


class TestFolder:
    @pytest.fixture
    def root(self, tmp_path: Path, settings: Any) -> Path:
        root = tmp_path / "root"
        (root / "docs" / "deep").mkdir(parents=True)
        settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_ROOTS": [str(root)]}
        return root

    def test_files_are_documents_by_their_paths(self, root: Path) -> None:
        (root / "docs" / "a.md").write_text("one")
        (root / "docs" / "deep" / "ö b.txt").write_text("two")
        (root / "docs" / "c.exe").write_text("no")
        assert one_pass(made("folder", path="docs", url="https://x.org/{path}")).status == "finished"
        assert keys() == ["a.md", "deep/ö b.txt"]
        assert Document.objects.get(key="deep/ö b.txt").url == "https://x.org/deep/%C3%B6%20b.txt"

    def test_another_address_reaches_files_that_are_as_they_were(self, root: Path) -> None:
        (root / "docs" / "a.md").write_text("one")
        source = made("folder", path="docs", url="/old/{path}")
        one_pass(source)
        Source.objects.update(config={"path": "docs", "url": "/new/{path}"})
        one_pass(source)
        assert (Document.objects.get().url, Document.objects.get().version) == ("/new/a.md", 1)

    def test_a_change_within_a_tick_of_the_clock_is_seen(self, root: Path) -> None:
        file = root / "a.md"
        file.write_text("one")
        source = made("folder", path=str(root))
        one_pass(source)
        known = file.stat()
        file.write_text("two")
        os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
        one_pass(source)
        assert Chunk.objects.get().text == "two"

    def test_links_do_not_lead_out(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "secret.md").write_text("secret")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "secret.md").write_text("secret")
        (root / "docs" / "a.md").write_text("one")
        (root / "docs" / "out.md").symlink_to(tmp_path / "secret.md")
        (root / "docs" / "out").symlink_to(tmp_path / "out")
        (root / "docs" / "loop").symlink_to(root / "docs")
        (root / "docs" / "in.md").symlink_to(root / "docs" / "a.md")
        one_pass(made("folder", path="docs"))
        assert keys() == ["a.md", "in.md"]

    def test_a_file_that_becomes_a_link_is_not_followed(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "secret.md").write_text("secret")
        (root / "a.md").write_text("one")
        source = made("folder", path=".")
        one_pass(source)
        Document.objects.update(status="pending", raw_hash="")
        (root / "a.md").unlink()
        (root / "a.md").symlink_to(tmp_path / "secret.md")
        one_pass(source, full=False)
        assert "secret" not in "".join(Chunk.objects.values_list("text", flat=True))

    @pytest.mark.parametrize("key", ["../secret.md", "/etc/passwd", "docs/../../secret.md", "a\0b", "."])
    def test_no_key_climbs(self, root: Path, tmp_path: Path, key: str) -> None:
        (tmp_path / "secret.md").write_text("secret")
        source = made("folder", path=".")
        Document.objects.create(source=source, key=key.replace("\0", "%00"))
        one_pass(source, full=False)
        assert not Chunk.objects.exists()

    @pytest.mark.parametrize("key", [".env", "docs/notes.text", "docs"])
    def test_no_key_is_read_that_is_not_listed(self, root: Path, key: str) -> None:
        (root / ".env").write_text("SECRET=1")
        (root / "docs" / "notes.text").write_text("secret")
        source = made("folder", path=".")
        Document.objects.create(source=source, key=key)
        one_pass(source, full=False)
        assert keys() == []

    def test_large_files_are_looked_at_a_few_at_a_time(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = []
        look = Looking.look

        async def looks(self: Looking, documents: Any, contents: Any) -> Any:
            together.append([document.key for document in documents])
            return await look(self, documents, contents)

        monkeypatch.setattr(Looking, "look", looks)
        monkeypatch.setattr(slices, "_BYTES", 100)
        for name, size in {"a": 40, "b": 60, "c": 1, "d": 200, "e": 100}.items():
            (root / f"{name}.md").write_text(name * size)
        source = made("folder", path=".")
        assert one_pass(source).status == "finished"
        assert together == [["a.md", "b.md"], ["c.md"], ["d.md"], ["e.md"]]

    @pytest.mark.parametrize(
        ("said", "has", "read"),
        [
            *((10, 10, 10), (0, 10, 10), (5, 10, 10), (10, 5, 5), (0, 0, 0)),
            *((100, 100, 100), (0, 100, 100), (99, 100, 100), (500, 100, 100)),
            *((said, 101, "too-large") for said in (0, 5, 100, 101)),
            *((said, 500, "too-large") for said in (5, 500)),
        ],
    )
    async def test_a_file_is_read_to_its_end_whatever_size_it_says(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, said: int, has: int, read: int | str
    ) -> None:
        fstat = os.fstat

        def tell(number: int) -> Any:
            known = fstat(number)
            others = {name: getattr(known, name) for name in dir(known) if name.startswith("st_")}
            return SimpleNamespace(**{**others, "st_size": said})

        (root / "a.md").write_bytes(b"x" * has)
        monkeypatch.setattr(folder, "LARGEST", 100)
        monkeypatch.setattr(os, "fstat", tell)
        found: Any = await FolderListing(root, {}).fetch(Known("a.md", ""))
        assert (len(found.body) if isinstance(found, Content) else found.code) == read

    async def test_a_small_file_takes_no_room_for_a_large_one(self, root: Path) -> None:
        (root / "a.md").write_text("one")
        listing = FolderListing(root, {})
        await listing.fetch(Known("a.md", ""))
        tracemalloc.start()
        try:
            await listing.fetch(Known("a.md", ""))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_what_is_no_file_is_not_opened(self, root: Path) -> None:
        os.mkfifo(root / "a.md")
        (root / "b.md").mkdir()
        assert one_pass(made("folder", path=".")).status == "finished"
        assert keys() == []

    @pytest.mark.parametrize("path", ["..", "/", "/etc", "docs/../..", "nowhere", "x" * 256, "a\0b", "loop"])
    def test_a_folder_outside_of_the_roots_is_refused(self, root: Path, path: str) -> None:
        (root / "loop").symlink_to(root / "loop")
        with pytest.raises(UsageError):
            source_kind("folder").check({"path": path})
        assert one_pass(made("folder", path=path)).status == "failed"

    @pytest.mark.parametrize(
        ("number", "is_gone"),
        [
            *((each, False) for each in (errno.EACCES, errno.EIO, errno.ESTALE)),
            *((each, True) for each in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)),
        ],
    )
    async def test_a_file_that_cannot_be_looked_at_is_not_gone(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_gone: bool
    ) -> None:
        for key in ("a.md", "b.md"):
            (root / key).write_text("one")
        (root / "out.md").symlink_to("/proc/1/fd/none.md")  # which is none of its files in any case
        look = os.lstat

        def fail(path: Any, **more: Any) -> Any:
            if str(path).endswith("b.md"):
                raise OSError(number, os.strerror(number), str(path))
            return look(path, **more)

        monkeypatch.setattr(os, "lstat", fail)
        listing = FolderListing(root, {})
        assert [ref.key async for ref in listing.refs()] == ["a.md"]
        assert (listing.complete, "b.md" in listing.problem) == (is_gone, not is_gone)
        found = await listing.fetch(Known("b.md"))
        failure = Failed("unreadable", f"b.md: {os.strerror(number)}", retryable=True)
        assert found == (Gone(for_good=True) if is_gone else failure)

    def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "docs" / "deep" / "a.md").write_text("one")
        source = made("folder", path="docs")
        one_pass(source)
        scan = os.scandir

        def refuse(path: Any = ".") -> Any:
            if str(path).endswith("deep"):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert "Permission denied" in one_pass(source).problem
        assert keys() == ["deep/a.md"]


class TestUpload:
    def test_a_file_is_kept_and_found_until_it_is_taken_back(self) -> None:
        source = made("upload")
        ada = User.objects.create_user("ada")
        put(source, "a.md", b"one", title="A", owner=ada)
        one_pass(source, full=False)
        row = Document.objects.get()
        assert (row.title, row.owner, Chunk.objects.get().owner_key) == ("A", ada, f"user:{ada.pk}")
        put(source, "a.md", b"two")
        one_pass(source)
        assert (Chunk.objects.get().text, Chunk.objects.get().owner_key) == ("two", "")
        assert take_back(source, "a.md") is True
        assert (Upload.objects.count(), keys()) == (0, [])
        assert take_back(source, "a.md") is False

    @pytest.mark.parametrize(
        ("name", "body"), [("", b""), ("a\nb", b""), ("x" * 501, b""), ("a", b"x" * 20_000_001)]
    )
    def test_what_cannot_be_kept_is_refused(self, name: str, body: bytes) -> None:
        with pytest.raises(UsageError):
            put(made("upload"), name, body)


tickets: dict[str, str] = {}
listed: list[str] = []


@source_function("tickets")
async def list_tickets(source: Source) -> AsyncIterator[Ref]:
    for key, text in tickets.items():
        listed.append(key)
        if not text:
            raise OSError("out of paper")
        yield Ref(key, content=Content(text, title=source.config["options"]["title"]))


class TestFunction:
    def test_what_it_yields_is_a_document(self) -> None:
        tickets.clear()
        tickets.update(a="one", b="two")
        source = made("python", function="tickets", options={"title": "Ticket"})
        one_pass(source)
        assert keys() == ["a", "b"]
        assert Document.objects.filter(title="Ticket").count() == 2
        Document.objects.update(status="pending", raw_hash="")
        tickets["a"] = "three"
        one_pass(source, full=False)
        assert Chunk.objects.get(document__key="a").text == "three"
        del tickets["b"]
        one_pass(source)
        assert keys() == ["a"]

    def test_it_is_called_once_for_all_that_are_asked_for_together(self) -> None:
        tickets.clear()
        tickets.update({f"{number:02}": "one" for number in range(60)})
        source = made("python", function="tickets", options={"title": "Ticket"})
        one_pass(source)
        listed.clear()
        wanted = [f"{number:02}" for number in range(40)]
        tickets.update(dict.fromkeys(wanted, "two") | {"31": "", "45": ""})
        ask(source, wanted, Sync.Trigger.WEBHOOK)
        one_pass(source, full=False)
        assert len(listed) == 32 + 32  # two looks; the second reading ends where the function fails
        assert Chunk.objects.filter(text="two").count() == 31
        failed = Document.objects.filter(error__contains="out of paper")
        assert sorted(failed.values_list("key", flat=True)) == [f"{number:02}" for number in range(31, 40)]
        assert Document.objects.count() == 60

    def test_a_function_that_nobody_has_written_is_told(self) -> None:
        with pytest.raises(UsageError, match="tickets"):
            source_kind("python").check({"function": "nothing"})

    def test_it_is_an_async_generator_and_has_its_name_alone(self) -> None:
        with pytest.raises(UsageError, match="async generator"):
            source_function("other")(lambda source: [])
        with pytest.raises(UsageError, match="list_tickets"):

            @source_function("tickets")
            async def other(source: Source) -> AsyncIterator[Ref]:
                yield Ref("a")


@pytest.mark.parametrize(
    ("kind", "config", "changed", "is_read_again"),
    [
        ("folder", {"path": "docs"}, {"url": "/new/{path}"}, True),
        ("folder", {"path": "docs"}, {"path": "others"}, True),
        ("folder", {"path": "docs"}, {"watch": True, "patterns": ["*.md"]}, False),
        ("storage", {"prefix": "a"}, {"prefix": "b"}, True),
        ("storage", {"prefix": "a"}, {"patterns": ["*.md"]}, False),
        ("web", {"seeds": ["https://a.test/"]}, {"deny": ["/x"]}, True),
        ("web", {"seeds": ["https://a.test/"]}, {"follow": False}, True),
        ("web", {"seeds": ["https://a.test/"]}, {"key": "docs"}, True),
        ("web", {"seeds": ["https://a.test/"]}, {"delay": 2, "sitemaps": ["https://a.test/s.xml"]}, False),
        ("feed", {"feeds": ["https://a.test/"]}, {"feeds": ["https://b.test/"]}, False),
        ("feed", {"feeds": ["https://a.test/"]}, {"pages": False}, True),
        ("python", {"function": "f"}, {"options": {"language": "en"}}, True),
        ("of a site's own", {}, {"patterns": ["*.md"]}, True),
    ],
)
def test_documents_are_read_again_where_their_configuration_makes_them_others(
    kind: str, config: dict[str, Any], changed: dict[str, Any], is_read_again: bool
) -> None:
    collection = Collection.objects.create(slug="c")
    before, after = (
        rules_of(Source(collection=collection, kind=kind, config=each))[1]
        for each in (config, {**config, **changed})
    )
    assert (before != after, before[HALF:] == after[HALF:]) == (is_read_again, True)
